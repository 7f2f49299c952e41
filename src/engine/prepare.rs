//! Preparation of the current run: from the page's settings and text, from storage, or from a file.

use std::ops::ControlFlow;

use super::Engine;
use super::state::Notices;
use crate::checkpoint::{Checkpoint, Files, OTHER_TEMPLATE, unpack};
use crate::config::{DataConfig, DataKind, Precision, TrainConfig};
use crate::error::Result;
use crate::kernels::precision;
use crate::protocol::{MetricInfo, RunInfo};
use crate::run::data::Examples;
use crate::run::directory::valid_name;
use crate::run::{Base, Run, RunConfig};
use crate::tokenizer::{Tokenizer, TrainOptions, TrainStage, run_sequentially};

/// Name of the training text in errors.
const TEXT: &str = "the text";
/// Tokens per window of a model without a run.
const OPENED_WINDOW: usize = 64;
/// Steps between two live samples of a model without a run.
const OPENED_SAMPLE_EVERY: u64 = 50;

impl Engine {
    /// Creates a fresh run: trains the tokenizer on the text and initializes the weights.
    pub(super) fn fresh(&self, config: RunConfig, text: &str) -> Result<Run> {
        let examples = Examples::of_text(TEXT, text)?;
        let config = config.for_data(examples.kind(TEXT)?, TEXT, &[], false)?;
        config.validate_fresh()?;
        let options = TrainOptions::from_spec(&config.tokenizer)?;
        let tokenizer = Tokenizer::train(&options, examples.texts(), run_sequentially, |report| {
            let stage = match report.stage {
                TrainStage::Counting => "Counting words",
                TrainStage::Merging => "Learning merges",
            };
            self.progress(stage, report.done, report.total);
            ControlFlow::Continue(())
        })?;
        let mut run = Run::fresh(config, tokenizer, &self.device()?.0)?;
        let data = run.encode(&examples, run_sequentially)?;
        run.learn_from(data)?;
        Ok(run)
    }

    /// Creates a run that fine-tunes the current model.
    pub(super) async fn fine_tuned(&self, config: RunConfig, text: &str) -> Result<Run> {
        valid_name(&config.name)?;
        let examples = Examples::of_text(TEXT, text)?;
        let mut config = config.for_data(examples.kind(TEXT)?, TEXT, &[], false)?;
        let (tokenizer, model, companions, name, spec) = self.with_run(|run| {
            let RunConfig { name, tokenizer, .. } = run.config.clone();
            Ok((run.tokenizer.clone(), run.model(), run.companions().clone(), name, tokenizer))
        })?;
        config.tokenizer = spec;
        let base = Base { companions, ..Base::read(name, model, tokenizer).await? };
        let mut run = Run::fine_tuned(config, base, &self.device()?.0)?;
        let data = run.encode(&examples, run_sequentially)?;
        run.begin(data).await?;
        Ok(run)
    }

    /// Creates a run from the files of a checkpoint, or of a model without a run.
    pub(super) fn loaded(&self, name: &str, files: Files) -> Result<(Run, Notices)> {
        let loaded = unpack(files, name)?;
        let mut config = config_of(name, &loaded);
        let device = self.device()?.0;
        let template = loaded.companions.has_other_template().then_some(OTHER_TEMPLATE);
        let notes = loaded.notes.iter().map(String::as_str).chain(template);
        let notes = notes.map(|note| format!("{note}."));
        let files = notes.reduce(|all, note| format!("{all} {note}"));
        let mut notices = Notices { files, ..Notices::default() };
        if self.fit(&mut config)? {
            let notice =
                "This device does not support the run's precision: training continues in f32.";
            notices.device = Some(notice.into());
        }
        Ok((Run::resumed(config, loaded, &device)?, notices))
    }

    /// Replaces a precision that the device does not support by f32; returns true if it did.
    pub(super) fn fit(&self, config: &mut RunConfig) -> Result<bool> {
        let fits = precision::require(config.train.precision, &self.device()?.0).is_ok();
        if !fits {
            config.train.precision = Precision::F32;
        }
        Ok(!fits)
    }

    /// Sets or replaces the training text of the current run.
    pub(super) fn set_text(&self, text: &str) -> Result<()> {
        let examples = Examples::of_text(TEXT, text)?;
        let kind = examples.kind(TEXT)?;
        let other = self.with_run(|run| {
            run.config = run.config.clone().for_data(kind, TEXT, &[], true)?;
            let data = run.encode(&examples, run_sequentially)?;
            let other = run.other_corpus(&data);
            match other {
                Some(other) if kind == DataKind::Preferences => Err(other.into_error(TEXT)),
                other => run.learn_from(data).map(|()| other.is_some()),
            }
        })?;
        self.notices.borrow_mut().text = other.then(|| {
            "This is not the text that the run was trained on: training continues with the new text.".into()
        });
        Ok(())
    }

    /// Describes the current run for the page.
    pub(super) fn info(&self) -> Result<RunInfo> {
        let (_, device) = self.device()?;
        let mut notices = self.notices.borrow().clone();
        self.with_run(|run| {
            if run.left_out() > 0 && notices.text.is_none() {
                notices.text = Some(format!(
                    "Pairs left out: {}. They are longer than a window.",
                    run.left_out()
                ));
            }
            Ok(RunInfo {
                config: run.config.clone(),
                step: run.step(),
                estimate: run.estimate(),
                train_tokens: run.train_tokens(),
                val_tokens: run.validation.len() as u64,
                bytes_per_token: run.bytes_per_token(),
                device,
                has_chat_template: run.supports_chat(),
                trainable: run.is_trainable(),
                metrics: run.metrics().iter().map(MetricInfo::from).collect(),
                notice: notices.joined(),
            })
        })
    }
}

/// Returns the settings of a checkpoint's run, or default ones for a model without a run.
fn config_of(name: &str, loaded: &Checkpoint) -> RunConfig {
    let model = loaded.config.clone();
    match &loaded.training {
        Some((state, _)) => RunConfig::of_checkpoint(name, model, state),
        None => RunConfig {
            name: name.into(),
            tokenizer: String::new(),
            data: DataConfig {
                seq_len: model.max_position_embeddings.min(OPENED_WINDOW),
                ..DataConfig::default()
            },
            model,
            train: TrainConfig::default(),
            sample_every: OPENED_SAMPLE_EVERY,
        },
    }
}
