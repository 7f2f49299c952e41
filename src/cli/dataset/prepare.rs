//! `blankslate data prepare`.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use super::super::failure::{CliResult, Failure, usage};
use super::super::lock::Lock;
use super::super::tokenizer_spec::read;
use super::super::{interrupt, stderr};
use super::args::PrepareArgs;
use super::checksum::sha256;
use super::dedup::DedupRule;
use super::finish::{finish, is_finished, report};
use super::inputs::{Format, Input, ReadOptions, list};
use super::journal::{Journal, Start, WORK};
use super::output_files::{OutputFiles, Rules};
use super::progress::{Bar, Pace};
use super::read::Place;
use super::shards::ShardForm;
use super::work::{Documents, Means, Recipe, run as run_pipeline};
use crate::data::TokenWidth;
use crate::data::prepared::{Layout, Manifest, TokenizerRecord};
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;

/// Tokens of a shard if `--shard-tokens` is not given.
const SHARD_TOKENS: u64 = 100_000_000;

/// Prepares data, or continues to.
pub async fn run(args: &PrepareArgs) -> CliResult<()> {
    interrupt::watch_for("saving what is done; press Ctrl-C again to stop immediately")?;
    let job = Job::new(args)?;
    let out = Path::new(&args.out);
    if is_finished(out, &job.start)? {
        return report(out, None, args.json);
    }
    require_free(out)?;
    let _lock = Lock::acquire(&args.out).await.map_err(|error| in_use(error, &args.out))?;
    let started = Instant::now();
    match prepare(args, &job) {
        Ok(Some(files)) => {
            let done = finish(out, job.manifest, files.progress(), &job.tokenizer).await;
            done.map_err(failure)?;
            report(out, Some(started.elapsed()), args.json)
        }
        Ok(None) => {
            stderr::line(&format!(
                "{} has what was prepared so far: the same command continues",
                args.out
            ));
            Err(Failure::Interrupted)
        }
        Err(error) => Err(failure(error)),
    }
}

/// Everything that is determined before the inputs are read.
struct Job {
    inputs: Arc<[Input]>,
    tokenizer: Tokenizer,
    recipe: Recipe,
    rules: Rules,
    form: ShardForm,
    start: Start,
    manifest: Manifest,
}

impl Job {
    /// Checks the options and finds the inputs.
    fn new(args: &PrepareArgs) -> CliResult<Self> {
        let tokenizer = read(&args.tokenizer, args.pattern)?;
        let end_of_text = tokenizer.end_of_text().ok_or_else(|| usage(no_end_of_text()))?;
        let vocab_size = tokenizer.vocab_size();
        let width = if vocab_size > 1 << 16 { TokenWidth::U32 } else { TokenWidth::U16 };
        let layout = named(&Layout::NAMES, &args.layout).unwrap_or_default();
        if layout.has_one_shard() {
            one_file_suits(args, width).map_err(usage)?;
        }
        let format = args.format.as_deref().and_then(|name| named(&Format::NAMES, name));
        let out = Path::new(&args.out);
        let inputs = list(&args.inputs, format, out).map_err(usage)?;
        let dedup = named(&DedupRule::NAMES, &args.dedup).unwrap_or_default();
        let tokens = args.shard_tokens.unwrap_or(SHARD_TOKENS);
        let name = name_of(out, layout).map_err(usage)?;
        let identity =
            TokenizerRecord { sha256: sha256(&tokenizer.to_json()), vocab_size, end_of_text };
        let settings = settings(args, &identity.sha256, tokens);
        let mut manifest = Manifest::new(layout, width, identity);
        manifest.license.clone_from(&args.license);
        manifest.settings = settings.clone();
        let read =
            ReadOptions { text_field: args.text_field.clone(), separator: args.separator.clone() };
        Ok(Self {
            recipe: Recipe {
                tokenizer: tokenizer.clone(),
                special_tokens: args.special_tokens_in_text,
                min_chars: args.min_chars,
                dedup,
                read,
            },
            rules: Rules {
                dedup,
                val_fraction: args.val_fraction,
                shuffle: args.shuffle_documents.then_some(args.seed),
                memory: half(args.memory),
            },
            form: ShardForm { folder: out.into(), name, layout, width, end_of_text, tokens },
            start: Start {
                settings,
                inputs: inputs.iter().map(|input| input.identity.clone()).collect(),
            },
            inputs: inputs.into(),
            tokenizer,
            manifest,
        })
    }
}

/// Reads, shuffles and writes. Returns none if it was interrupted; everything so far is then committed.
fn prepare(args: &PrepareArgs, job: &Job) -> Result<Option<OutputFiles>> {
    let out = Path::new(&args.out);
    let (journal, progress) = Journal::open(out, &job.start)?;
    let from =
        Place { input: progress.sources.len(), records: progress.records, last: progress.last };
    let (work, inputs) = (out.join(WORK), job.inputs.len());
    let mut files =
        OutputFiles::restore(job.rules.clone(), &job.form, &work, journal, progress, inputs)?;
    let mut pace = Pace::new();
    if from.input < inputs {
        read_inputs(args, job, from, &mut files, &mut pace)?;
        if files.progress().sources.len() < inputs {
            return Ok(None);
        }
    }
    if job.rules.shuffle.is_some() {
        let mut bar = Bar::shuffling(files.progress().documents, args.json);
        let is_done = files.gather(&mut |files, moved| {
            pace.commit_if_due(|| files.commit())?;
            bar.advance(moved, 0);
            if interrupt::pressed() {
                files.commit()?;
            }
            Ok(!interrupt::pressed())
        })?;
        bar.clear();
        if !is_done {
            return Ok(None);
        }
    }
    files.complete()?;
    Ok(Some(files))
}

/// Reads all inputs from `from` on, unless it is interrupted, and commits.
fn read_inputs(
    args: &PrepareArgs,
    job: &Job,
    from: Place,
    files: &mut OutputFiles,
    pace: &mut Pace,
) -> Result<()> {
    let is_known = job.inputs.iter().all(|input| !input.is_stdin());
    let rest = job.inputs[from.input..].iter().map(|input| input.identity.bytes).sum();
    let mut bar = Bar::reading(is_known.then_some(rest), args.json);
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let means = Means {
        workers: args.workers.map_or(cores, |workers| workers as usize),
        memory: half(args.memory),
        meter: Arc::new(AtomicU64::new(0)),
    };
    let mut is_whole = true;
    let mut consume = |documents: Documents| {
        is_whole = false;
        let tokens = files.add(documents)?;
        pace.commit_if_due(|| files.commit())?;
        // After a commit that failed, it is not known what is durable: a second one would count it.
        is_whole = true;
        bar.advance(means.meter.load(Ordering::Relaxed), tokens);
        Ok(true)
    };
    let stop = &interrupt::pressed;
    let done = run_pipeline(&job.inputs, &job.recipe, from, &means, stop, &mut consume);
    bar.clear();
    // Documents before a damaged input are committed, too, but not part of the documents whose writing failed.
    if is_whole {
        files.commit()?;
    }
    done
}

/// Returns the options that affect the output, by which a preparation is identified.
fn settings(args: &PrepareArgs, tokenizer: &str, shard_tokens: u64) -> Value {
    let PrepareArgs { text_field, separator, special_tokens_in_text, min_chars, dedup, .. } = args;
    let PrepareArgs { val_fraction, shuffle_documents, seed, layout, license, .. } = args;
    json!({
        "tokenizer": tokenizer, "text_field": text_field, "separator": separator,
        "special_tokens_in_text": special_tokens_in_text, "min_chars": min_chars, "dedup": dedup,
        "val_fraction": val_fraction, "shuffle_documents": shuffle_documents, "seed": seed,
        "shard_tokens": shard_tokens, "layout": layout, "license": license,
    })
}

fn named<T: Copy>(known: &[(&str, T)], name: &str) -> Option<T> {
    known.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

fn half(memory: u64) -> usize {
    usize::try_from(memory / 2).unwrap_or(usize::MAX)
}

/// Returns the name of the data: that of its folder.
///
/// # Errors
/// The layout names shards by it, and it does not suit the name of a file on every system.
fn name_of(out: &Path, layout: Layout) -> Result<String> {
    let whole = std::path::absolute(out).unwrap_or_else(|_| out.into());
    let name = whole.file_name().map_or("data".into(), |name| name.to_string_lossy().into_owned());
    if layout == Layout::LlmC && (name.starts_with('.') || name.contains([':', '\\'])) {
        let problem = format!(
            "the layout llm.c names shards by the folder, and `{name}` cannot begin a name"
        );
        return Err(Error::config(
            "--out",
            problem,
            "choose a folder without leading dot and colon",
        ));
    }
    Ok(name)
}

/// Refuses options that do not suit nanoGPT's layout.
fn one_file_suits(args: &PrepareArgs, width: TokenWidth) -> Result<()> {
    if args.shard_tokens.is_some() {
        let problem = "the layout nanogpt has one file for each split";
        return Err(Error::config(
            "--shard-tokens",
            problem,
            "leave it out, or use another --layout",
        ));
    }
    if width == TokenWidth::U32 {
        let problem = "nanogpt's tokens have 16 bits, but the vocabulary is larger than 65,536";
        return Err(Error::config("--layout", problem, "use another layout or tokenizer"));
    }
    Ok(())
}

/// Refuses a folder with other files in it.
fn require_free(out: &Path) -> CliResult<()> {
    if out.join(WORK).is_dir() {
        return Ok(());
    }
    let entries = match fs::read_dir(out) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io(out, e).into()),
    };
    let is_foreign = |entry: &fs::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
    match entries.flatten().find(is_foreign) {
        None => Ok(()),
        Some(entry) => {
            let name = entry.file_name().to_string_lossy().into_owned();
            let problem = format!("{} is not empty: it has {name}", out.display());
            Err(usage(Error::config("--out", problem, "choose a new folder")))
        }
    }
}

/// Names the work of the other process that holds the lock.
fn in_use(error: Error, out: &str) -> Failure {
    match error {
        Error::Config { .. } => {
            let problem = format!("another process is preparing data in {out}");
            usage(Error::config("--out", problem, "wait until it ends, or choose another folder"))
        }
        other => other.into(),
    }
}

/// Converts an error; after a full disk, adds how to continue.
fn failure(error: Error) -> Failure {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match error {
        Error::Io { path, source }
            if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge) =>
        {
            let problem = format!("{}: {source}", path.display());
            let remedy = "free some space or raise the limit: the same command continues";
            Failure::Failed(Error::config("--out", problem, remedy))
        }
        other => usage(other),
    }
}

fn no_end_of_text() -> Error {
    Error::config(
        "--tokenizer",
        "it has no end-of-text token, which stands between documents",
        "train one with `blankslate tokenizer train --special-token '<|endoftext|>'`",
    )
}
