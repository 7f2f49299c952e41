//! `blankslate eval`.

use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::data::{DataArgs, Source};
use super::failure::{CliResult, usage};
use super::model::ModelArgs;
use super::output::{self, grouped};
use crate::config::DataKind;
use crate::error::Error;
use crate::eval::{EvalOptions, Evaluator};
use crate::objective::{NextToken, Objective};

/// Options of `blankslate eval`.
#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub struct EvalArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Evaluate only this share of the tokens, at their end: the validation split of a run with the same value
    #[arg(long, value_name = "X")]
    val_fraction: Option<f64>,
    /// Tokens per window [default: the window of the model's training, or its context]
    #[arg(long, value_name = "N")]
    seq_len: Option<usize>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Evaluates a model on a text.
pub async fn run(args: &EvalArgs) -> CliResult<()> {
    let opened = args.model.open().await?;
    let config = opened.model.config().clone();
    let tokenizer = opened.tokenizer()?;
    let context = config.max_position_embeddings;
    let seq_len = args.seq_len.or(opened.seq_len).unwrap_or(context);
    if !(1..=context).contains(&seq_len) {
        return Err(usage(Error::config(
            "--seq-len",
            format!(
                "{seq_len} is out of range: it must be between 1 and the model's context of {context}"
            ),
            "use a shorter window",
        )));
    }
    let share = args.val_fraction.unwrap_or(1.0);
    if !(share > 0.0 && share <= 1.0) {
        return Err(usage(Error::config(
            "--val-fraction",
            format!("{share} is out of range: it must be above 0 and at most 1"),
            "use 0.1, or leave it out to evaluate on all tokens",
        )));
    }
    let mut source = Source::read(&args.data, None)?;
    if source.prepared_folder().is_some()
        && let Some(validation) = source.take_validation()
    {
        source = validation;
    }
    if source.kind() == DataKind::Preferences {
        let problem =
            "preference pairs can only be evaluated against the reference model of their run";
        let remedy = "give text or conversations; `blankslate train` evaluates on preference pairs";
        return Err(usage(Error::config("--data", problem, remedy)));
    }
    let mut corpus = source.corpus(tokenizer, seq_len)?;
    if share < 1.0 {
        corpus = corpus.split(share).1;
    }
    let bar = if args.json { ProgressBar::hidden() } else { ProgressBar::new(corpus.len() as u64) };
    let style = ProgressStyle::with_template("{pos}/{len} tokens {wide_bar} eta {eta}");
    bar.set_style(style.expect("a valid template"));
    let bytes = |id| tokenizer.text_bytes(id);
    let options = EvalOptions::for_model(&config, seq_len);
    let objective = Arc::new(NextToken::default());
    let model = opened.model.clone();
    let mut evaluator = Evaluator::new(model, objective.clone(), &corpus, options, &bytes)?;
    while evaluator.advance().await? {
        bar.set_position(evaluator.tokens());
    }
    bar.finish_and_clear();
    let found = evaluator.finish()?;
    opened.model.require_finite(&[found.loss as f32]).await?;
    if args.json {
        return output::json(&found);
    }
    output::line(&format!(
        "loss {:.4}{} over {} tokens in windows of {seq_len} on {}",
        found.loss,
        found.metrics.describe(objective.metrics()),
        grouped(found.tokens),
        opened.device.name,
    ))
}
