//! `blankslate scaling run`: trains a grid of sizes and tokens.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args};
use serde_json::{Value, json};

use super::grid::{Cell, Grid};
use super::point_run::{Shared, finished, train_to_end};
use super::progress::Progress;
use crate::checkpoint::CorpusRecord;
use crate::cli::data::{DataArgs, Source};
use crate::cli::failure::{CliResult, Failure, usage};
use crate::cli::flags::{BaseArgs, SettingsArgs};
use crate::cli::lock::Lock;
use crate::cli::quantity::quantity;
use crate::cli::settings::read_settings;
use crate::cli::tokenizer_spec::{Spec, pattern_parser, refuse_other_tokenizer, words};
use crate::cli::{interrupt, stderr};
use crate::config::{DataKind, preset};
use crate::data::Corpus;
use crate::error::{Error, Result};
use crate::parallel::Collective;
use crate::plan::SIZE_SETTINGS;
use crate::platform::parallel::{device_of_rank, join};
use crate::platform::{Store, host_name, open_device};
use crate::run::RunConfig;
use crate::scaling::divide;
use crate::tokenizer::Pattern;

/// Name of the file with the settings that all runs of a grid share.
const GRID: &str = "grid.json";
/// Timeout of the ranks at the start and at the end. In between, each trains runs of its own.
const PATIENCE: Duration = Duration::from_secs(90 * 86_400);

/// Options of `blankslate scaling run`.
#[derive(Args)]
#[command(allow_negative_numbers = true, args_override_self = true, group = ArgGroup::new("lengths").required(true).args(["tokens", "flops"]))]
pub struct RunArgs {
    /// Sizes of the models in parameters, embeddings included, such as 300k,1M,3M. Width, layers and heads are derived from them;
    /// the exact size of a model is in its result
    #[arg(long, value_name = "N,…", value_delimiter = ',', required = true, value_parser = quantity)]
    sizes: Vec<f64>,
    /// Training tokens: every size is trained on each of these numbers
    #[arg(long, value_name = "D,…", value_delimiter = ',', value_parser = quantity)]
    tokens: Vec<f64>,
    /// Budgets instead of tokens, in FLOPs: every size is trained on C / 6N tokens for each (IsoFLOP)
    #[arg(long, value_name = "C,…", value_delimiter = ',', value_parser = quantity)]
    flops: Vec<f64>,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Texts or shards to validate on, instead of a share of --data
    #[arg(long, value_name = "PATH", num_args = 1..)]
    val_data: Vec<PathBuf>,
    /// tokenizer.json, char, byte, bpe:N or wordpiece:N (trained on the data) [default: the preset's]
    #[arg(long, value_name = "SPEC")]
    tokenizer: Option<String>,
    /// Pattern with which bpe:N or a tiktoken file splits text before merging [default: gpt2]
    #[arg(long, value_parser = pattern_parser())]
    pattern: Option<Pattern>,
    /// Directory of the grid, with a directory of a run for each point
    #[arg(long, value_name = "DIR", value_parser = NonEmptyStringValueParser::new())]
    out: String,
    /// auto, cpu, wgpu, vulkan or cuda[:N]
    #[arg(long, default_value = "auto")]
    device: String,
    /// Print one JSON object per line instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Trains the grid. Ranks that were started together divide its runs among them.
pub async fn run(args: &RunArgs) -> CliResult<()> {
    interrupt::watch()?;
    let ranks = join(None, PATIENCE).map_err(usage)?.through_hosts();
    if ranks.size() > 1 {
        stderr::name_rank(ranks.rank(), &host_name());
    }
    let _lock = match ranks.rank() {
        0 => Some(Lock::acquire(&args.out).await.map_err(usage)?),
        _ => None,
    };
    let (shared, cells, base) = prepare(args, &*ranks).await?;
    if ranks.rank() == 0 {
        require_same_grid(&shared, &base).await?;
    }
    // No rank trains for a grid that the first one refuses.
    ranks.exchange("the start of the grid", Vec::new())?;
    let costs: Vec<f64> = cells.iter().map(|cell| cell.outcome.flops).collect();
    let jobs = divide(&costs, ranks.size());
    let mine: Vec<&Cell> = jobs[ranks.rank()].iter().map(|index| &cells[*index]).collect();
    let outcome = train_all(args, &shared, &mine, cells.len()).await;
    // A rank that ends without leaving counts as failed and ends the others, which a diverged run must not do.
    let diverged = matches!(outcome, Err(Failure::Failed(Error::Diverged { .. })));
    if diverged || matches!(outcome, Ok(()) | Err(Failure::Interrupted)) {
        ranks.leave()?;
    }
    outcome
}

/// Trains the runs of this process, one after the other. One that diverges does not end the others.
async fn train_all(args: &RunArgs, shared: &Shared, mine: &[&Cell], all: usize) -> CliResult<()> {
    let mut ended = Vec::new();
    for cell in mine {
        ended.push(finished(shared, cell).await?);
    }
    let before = ended.iter().flatten().count();
    let progress = RefCell::new(Progress::start(args.json, all, mine, before)?);
    let mut left = mine.len();
    let mut diverged: Option<Error> = None;
    for (cell, ended) in mine.iter().zip(ended) {
        if let Some(outcome) = ended {
            progress.borrow_mut().end(&outcome, false)?;
            left -= 1;
            continue;
        }
        if interrupt::pressed() {
            break;
        }
        progress.borrow_mut().begin(cell);
        match train_to_end(shared, cell, &progress).await {
            Ok(outcome) => {
                progress.borrow_mut().end(&outcome, true)?;
                left -= 1;
            }
            Err(Failure::Interrupted) => break,
            Err(Failure::Failed(error @ Error::Diverged { .. })) => {
                stderr::note(&format!("run {}: {error}", cell.outcome.run));
                progress.borrow_mut().fail(cell);
                diverged = Some(error);
            }
            Err(failure) => return Err(failure),
        }
    }
    progress.into_inner().finish(&args.out, left)?;
    match diverged {
        _ if interrupt::pressed() && left > 0 => Err(Failure::Interrupted),
        Some(error) => Err(Failure::Failed(error)),
        None => Ok(()),
    }
}

/// Reads the data, opens the device, and lists the runs. Returns the settings that all of them share, too.
async fn prepare(args: &RunArgs, ranks: &dyn Collective) -> CliResult<(Shared, Vec<Cell>, Value)> {
    let mut given = match &args.base.config {
        Some(path) => vec![read_settings(path).map_err(usage)?],
        None => Vec::new(),
    };
    given.push(args.settings.given(args.tokenizer.as_deref()));
    let name = args.base.preset.as_deref().unwrap_or("tiny");
    let preset = RunConfig::from_preset(&args.out, preset(name).map_err(usage)?);
    let base = RunConfig::fresh(preset.clone(), &given).map_err(usage)?;
    let out = Some(Path::new(&args.out));
    let mut source = Source::read(&args.data, out).map_err(usage)?;
    let data = source.describe();
    if source.kind() != DataKind::Text {
        let problem = format!("a grid is trained on text, and {data} holds conversations or pairs");
        return Err(usage(Error::config("data", problem, "give texts or token shards")));
    }
    let validation = match args.val_data.as_slice() {
        [] => source.take_validation(),
        paths => {
            let args = DataArgs { data: paths.to_vec(), ..args.data.clone() };
            let mut named = Source::read(&args, out)?;
            let own = match named.prepared_folder() {
                Some(_) => named.take_validation(),
                None => None,
            };
            Some(own.unwrap_or(named))
        }
    };
    let spec = Spec::parse(&base.tokenizer).map_err(usage)?;
    refuse_other_tokenizer(args.tokenizer.as_deref(), &spec, source.prepared_folder().is_some())
        .map_err(usage)?;
    let is_read = matches!(spec, Spec::File(_)) || source.prepared_folder().is_some();
    let tokenizer = spec.tokenizer(std::slice::from_ref(&source), args.pattern).map_err(usage)?;
    // The runs may outlive the tokenizer's file.
    let words = if is_read { words(&tokenizer) } else { base.tokenizer.clone() };
    let grid = Grid {
        sizes: &args.sizes,
        tokens: &args.tokens,
        flops: &args.flops,
        preset,
        given,
        vocab_size: tokenizer.vocab_size(),
        tokenizer: words.clone(),
    };
    let cells = grid.cells().map_err(usage)?;
    let seq_len = base.data.seq_len;
    let corpus = source.corpus(&tokenizer, seq_len)?;
    let validation = validation.map(|source| source.corpus(&tokenizer, seq_len)).transpose()?;
    require_validation(&corpus, validation.as_ref(), base.data.val_fraction).map_err(usage)?;
    let choice = match ranks.size() {
        1 => args.device.clone(),
        _ => device_of_rank(&args.device).await,
    };
    let (device, _) = open_device(&choice).await?;
    let settings = json!({
        "train": base.train, "data": base.data, "tokenizer": words,
        "vocab_size": tokenizer.vocab_size(), "model": cells.first().map(|cell| kind(&cell.config)),
        "corpus": CorpusRecord::of(&corpus),
        "validation": validation.as_ref().map(CorpusRecord::of),
    });
    let shared = Shared { out: args.out.clone(), tokenizer, corpus, validation, data, device };
    Ok((shared, cells, settings))
}

/// Returns the settings of the architecture without those of size.
fn kind(config: &RunConfig) -> Value {
    let mut model = json!(config.model);
    if let Value::Object(settings) = &mut model {
        settings.retain(|key, _| !SIZE_SETTINGS.contains(&key.as_str()) && key != "vocab_size");
    }
    model
}

/// Refuses data without a validation split: its loss is the result of a run.
fn require_validation(corpus: &Corpus, validation: Option<&Corpus>, share: f64) -> Result<()> {
    let split = match validation {
        Some(validation) => validation.clone(),
        None => corpus.clone().split(share).1,
    };
    split.require_window("", 1).map_err(|_| {
        let problem = "the validation split is empty, and its loss is the result of each run";
        Error::config("val_fraction", problem, "use a larger share, or give `val_data`")
    })
}

/// Records the settings of a new grid. For an existing grid, refuses other settings.
async fn require_same_grid(shared: &Shared, settings: &Value) -> CliResult<()> {
    let store = Store::open(&shared.out).await?;
    if !store.list("").await?.iter().any(|name| name == GRID) {
        let bytes = serde_json::to_vec_pretty(settings).expect("plain data serializes");
        return Ok(store.write(GRID, &bytes).await?);
    }
    let place = format!("{}/{GRID}", shared.out);
    let saved: Value = serde_json::from_slice(&store.read(GRID).await?).map_err(|error| {
        let remedy = "restore it from a copy, or use another --out";
        Error::malformed(&place, error.to_string(), remedy)
    })?;
    match first_difference(&saved, settings) {
        None => Ok(()),
        Some(key) => {
            let problem = format!("{} holds a grid with another `{key}`", shared.out);
            let remedy = "use the settings and data that it was started with, or another --out";
            Err(usage(Error::config("--out", problem, remedy)))
        }
    }
}

/// Returns the key of the first value that differs.
fn first_difference(one: &Value, other: &Value) -> Option<String> {
    let (Value::Object(ones), Value::Object(others)) = (one, other) else {
        return (one != other).then(String::new);
    };
    let keys = ones.keys().chain(others.keys());
    let differs = |key: &String| {
        let inner = first_difference(&ones.get(key).cloned()?, &others.get(key).cloned()?)?;
        Some(if inner.is_empty() { key.clone() } else { inner })
    };
    let is_missing = |key: &String| !ones.contains_key(key) || !others.contains_key(key);
    keys.clone().find(|key| is_missing(key)).cloned().or_else(|| keys.clone().find_map(differs))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::first_difference;

    #[test]
    fn the_first_difference_is_named_by_its_innermost_key() {
        let one = json!({"train": {"lr": 0.1, "seed": 1}, "tokenizer": "char"});
        assert_eq!(first_difference(&one, &one), None);
        let other = json!({"train": {"lr": 0.2, "seed": 1}, "tokenizer": "char"});
        assert_eq!(first_difference(&one, &other).unwrap(), "lr");
        let missing = json!({"train": {"lr": 0.1, "seed": 1}});
        assert_eq!(first_difference(&one, &missing).unwrap(), "tokenizer");
    }
}
