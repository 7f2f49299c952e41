//! Prepares a run from arguments: locks its directory, reads the data and the model or checkpoint, and opens the device.

use std::path::Path;

use super::auto_resume::{load_newest_good, note_unused};
use super::data::DataArgs;
use super::failure::{CliResult, usage};
use super::lock::Lock;
use super::model::{load, print_notes};
use super::settings::read_settings;
use super::tokenizer_spec::{Spec, refuse_other_tokenizer, words};
use super::train_args::TrainArgs;
use super::training_data::TrainingData;
use crate::checkpoint::{CONFIG, Checkpoint, STATE, WEIGHTS, unpack};
use crate::config::{DataConfig, TrainConfig, overridden, preset};
use crate::error::{Error, Result};
use crate::parallel::Mesh;
use crate::platform::{DeviceInfo, Store, open_device};
use crate::run::directory::RunDir;
use crate::run::{
    Base, EncodedData, GivenSettings, RankDevice, Run, RunConfig, no_fresh_preferences,
};

/// Tokens per window when fine-tuning a model whose own window is unknown.
const FINE_TUNING_WINDOW: usize = 1024;

/// A run that is ready to train.
pub struct Prepared {
    /// The run, with its training data.
    pub run: Run,
    /// The directory that it is saved in.
    pub store: Store,
    /// The device that it trains on.
    pub device: DeviceInfo,
    /// Description of the training data.
    pub source: String,
    /// True if it resumes from a checkpoint.
    pub resumed: bool,
    /// The lock of the directory, to be held until training ends; none on a rank that does not write.
    pub lock: Option<Lock>,
}

/// Origin of a run's weights.
enum Origin {
    Fresh,
    FineTuned(Box<Base>),
    Resumed(Box<Checkpoint>),
}

/// Prepares the run that `args` describe on `device`, as one of the ranks of `mesh`.
///
/// # Errors
/// Arguments contradict each other; another process is training there; a file cannot be read; the data or the device does not
/// suit the settings.
pub async fn prepare(args: &TrainArgs, mesh: &Mesh, device: &str) -> CliResult<Prepared> {
    let store = Store::open(&args.out).await?;
    let directory = RunDir::new(store.clone());
    if args.resume {
        // Before the directory is created for the lock.
        require_run(&directory, &store, &args.out).await?;
    }
    let lock = match mesh.all.rank() {
        0 => Some(Lock::acquire(&args.out).await.map_err(usage)?),
        _ => None,
    };
    let flags = args.settings.given(args.tokenizer.as_deref());
    let mut given = match &args.base.config {
        Some(path) => vec![read_settings(path).map_err(usage)?],
        None => Vec::new(),
    };
    given.push(flags);
    let resumes = args.resume || args.auto_resume && directory.holds_run().await?;
    let (config, origin) = if resumes {
        resumed(args, &directory, &given).await?
    } else {
        refuse_existing_run(&directory, &store, &args.out).await?;
        match &args.from {
            Some(model) => fine_tuned(args, model, &given).await?,
            None => (fresh(args, &given).map_err(with_from).map_err(usage)?, Origin::Fresh),
        }
    };
    let is_resumed = matches!(origin, Origin::Resumed(_));
    let (device, info) = open_device(device).await?;
    let out = Some(Path::new(&args.out));
    let mut paths = args.data.data.iter().chain(&args.val_data);
    if mesh.all.size() > 1 && paths.any(|path| path.as_os_str() == "-") {
        let problem = "only the first of several ranks has a standard input";
        return Err(usage(Error::config("data", problem, "use a file that all of them can read")));
    }
    let mut source = TrainingData::read(&args.data, out).map_err(usage)?;
    let validation = match args.val_data.as_slice() {
        [] => source.take_validation(),
        paths => {
            let args = DataArgs { data: paths.to_vec(), ..args.data.clone() };
            let mut named = TrainingData::read(&args, out)?;
            let own = if named.is_prepared() { named.take_validation() } else { None };
            Some(own.unwrap_or(named))
        }
    };
    let what = source.describe();
    let config = config.for_data(source.kind(), &what, &given, is_resumed).map_err(usage)?;
    let config = if is_resumed { config } else { config.for_ranks(mesh.all.size(), &given) };
    config.suits_layout(mesh.layout()).map_err(usage)?;
    let (layout, sharding) = (mesh.layout(), args.ranks.zero);
    let place = RankDevice { device: &device, layout, sharding };
    let mut run = build(args, config, origin, &source, place)?;
    run.join(mesh.clone(), sharding).await?;
    let known = run.long_run().config.clone();
    let long_run = given.iter().try_fold(known, |known, given| overridden(&known, &given.long_run));
    run.set_long_run(long_run.map_err(usage)?).map_err(usage)?;
    let seq_len = run.config.data.seq_len;
    let corpus = source.corpus(&run.tokenizer, seq_len)?;
    let validation = validation.map(|source| source.corpus(&run.tokenizer, seq_len)).transpose()?;
    let data = EncodedData::new(&mut run.config, &run.tokenizer, corpus, validation);
    let data = data.map_err(usage)?;
    if let Some(other) = run.other_corpus(&data) {
        return Err(usage(other.into_error(&what)));
    }
    if is_resumed {
        run.learn_from(data)?;
    } else {
        run.begin(data).await?;
    }
    let source = source.summary();
    Ok(Prepared { run, store, device: info, source, resumed: is_resumed, lock })
}

/// Creates the run, without its data.
fn build(
    args: &TrainArgs,
    config: RunConfig,
    origin: Origin,
    source: &TrainingData,
    place: RankDevice<'_>,
) -> CliResult<Run> {
    match origin {
        Origin::Fresh => {
            no_fresh_preferences(config.data.kind).map_err(with_from).map_err(usage)?;
            let spec = Spec::parse(&config.tokenizer).map_err(usage)?;
            refuse_other_tokenizer(args.tokenizer.as_deref(), &spec, source.is_prepared())
                .map_err(usage)?;
            let is_read = matches!(spec, Spec::File(_)) || source.is_prepared();
            let tokenizer = spec.tokenizer(source.sources(), args.pattern).map_err(usage)?;
            // The run may outlive the tokenizer's file.
            let name = if is_read { words(&tokenizer) } else { config.tokenizer.clone() };
            let config = RunConfig { tokenizer: name, ..config };
            Ok(Run::fresh(config, tokenizer, place)?)
        }
        Origin::FineTuned(base) => Run::fine_tuned(config, *base, place).map_err(usage),
        Origin::Resumed(loaded) => {
            let step = loaded.training.as_ref().map(|(state, _)| state.step);
            let mut run = Run::resumed(config, *loaded, place.device).map_err(usage)?;
            run.saved = step;
            Ok(run)
        }
    }
}

fn fresh(args: &TrainArgs, given: &[GivenSettings]) -> Result<RunConfig> {
    let preset = preset(args.base.preset.as_deref().unwrap_or("tiny"))?;
    let config = RunConfig::fresh(RunConfig::from_preset(&args.out, preset), given)?;
    Spec::parse(&config.tokenizer)?;
    Ok(config)
}

/// Adds the flag that names a model to the error of a fresh run that needs trained weights.
fn with_from(error: Error) -> Error {
    match error {
        Error::Config { key, problem, remedy } if key == "lora_rank" || key == "data" => {
            Error::Config { key, problem, remedy: format!("{remedy}, named by --from") }
        }
        other => other,
    }
}

async fn fine_tuned(
    args: &TrainArgs,
    model: &str,
    given: &[GivenSettings],
) -> CliResult<(RunConfig, Origin)> {
    let (mut loaded, state) = load(model, false).await?;
    print_notes(&loaded);
    let tokenizer = loaded.take_tokenizer(model)?;
    let context = loaded.config.max_position_embeddings;
    let seq_len = state.as_ref().map(|state| state.data.seq_len);
    let seq_len = seq_len.unwrap_or(context.min(FINE_TUNING_WINDOW));
    let spec = state.map(|state| state.tokenizer).filter(|spec| !spec.is_empty());
    let base = RunConfig {
        name: args.out.clone(),
        tokenizer: spec.unwrap_or_else(|| words(&tokenizer)),
        model: loaded.config.clone(),
        train: TrainConfig::fine_tuning(),
        data: DataConfig { seq_len, ..DataConfig::default() },
        sample_every: 0,
    };
    let config = RunConfig::fine_tuned(base, given).map_err(usage)?;
    let base = Base {
        name: model.into(),
        model: loaded.config,
        weights: loaded.weights,
        tokenizer,
        companions: loaded.companions,
    };
    Ok((config, Origin::FineTuned(Box::new(base))))
}

async fn resumed(
    args: &TrainArgs,
    directory: &RunDir,
    given: &[GivenSettings],
) -> CliResult<(RunConfig, Origin)> {
    let loaded = match args.auto_resume {
        true => load_newest_good(directory, &args.out).await?,
        false => load_newest(directory, &args.out).await?,
    };
    let state = loaded.training.as_ref().map(|(state, _)| state.clone()).unwrap_or_default();
    let saved = RunConfig::of_checkpoint(&args.out, loaded.config.clone(), &state);
    let config = match args.auto_resume {
        true => saved.resumed_as_started(given, state.step),
        false => saved.resumed(&given[0], state.step),
    };
    let config = config.map_err(usage)?;
    if args.auto_resume {
        note_unused(args);
    }
    Ok((config, Origin::Resumed(Box::new(loaded))))
}

/// Loads the newest checkpoint of the run in `out`. If that is damaged, the error names the older one.
async fn load_newest(directory: &RunDir, out: &str) -> Result<Checkpoint> {
    let Some(step) = directory.newest().await? else {
        return unpack(directory.load().await?, out);
    };
    let place = format!("{out}/{}", RunDir::path_of(step));
    let loaded = directory.load_step(step).await.and_then(|files| unpack(files, &place));
    match (loaded, directory.older().await) {
        (Err(error), Some(older)) => {
            let remedy =
                format!("or delete {place} and resume from the checkpoint of step {older}");
            Err(error.with_older_checkpoint(remedy))
        }
        (loaded, _) => loaded,
    }
}

async fn require_run(directory: &RunDir, store: &Store, out: &str) -> Result<()> {
    if directory.holds_run().await? {
        return Ok(());
    }
    let remedy = if holds_model(store).await? {
        format!("it is a model and no run: fine-tune it, named by --from {out}, with another --out")
    } else {
        "there is no run to resume: check --out, or start without --resume".into()
    };
    Err(Error::MissingFile { file: STATE.into(), place: out.into(), remedy })
}

async fn refuse_existing_run(directory: &RunDir, store: &Store, out: &str) -> CliResult<()> {
    let (problem, remedy) = if directory.holds_run().await? {
        ("already holds a run", "resume it with --resume, or choose another --out".to_string())
    } else if holds_model(store).await? {
        let tune = format!("fine-tune the model, named by --from {out}, with another --out");
        ("holds a model, which a run would overwrite", tune)
    } else {
        return Ok(());
    };
    Err(usage(Error::config("--out", format!("{out} {problem}"), remedy)))
}

/// Returns true if the configuration or the weights of a model are at the top of a directory.
async fn holds_model(store: &Store) -> Result<bool> {
    Ok(store.list("").await?.iter().any(|name| [CONFIG, WEIGHTS].contains(&name.as_str())))
}
