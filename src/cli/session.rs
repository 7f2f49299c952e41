//! From arguments to a trainer: a fresh run, or the newest checkpoint of one.

use burn::tensor::Device;

use super::data::{DataArgs, Source, end_of_text};
use super::eval::eval_batch_size;
use super::failure::{CliResult, usage};
use super::model::load;
use super::settings::Settings;
use super::tokenizer_spec::{Spec, pattern, words};
use super::train::TrainArgs;
use crate::checkpoint::{
    CONFIG, Checkpoint, CorpusRecord, Files, HostTensors, ReferenceRecord, STATE, TrainingState,
    WEIGHTS, prepare_for_chat, supports_chat, unpack,
};
use crate::config::{DataConfig, DataKind, Estimate, ModelConfig, TrainConfig, without_pairs};
use crate::data::{Corpus, Windows};
use crate::error::{Error, Result};
use crate::model::{Decoder, random_source};
use crate::platform::{DeviceInfo, Store, open_device};
use crate::run::directory::RunDir;
use crate::tokenizer::Tokenizer;
use crate::train::Trainer;

/// Tokens whose text is measured to tell bytes per token.
const MEASURED: usize = 1 << 20;

/// Tokens per window of fine-tuning, of a model that does not say with how many it was trained.
const FINE_TUNING_WINDOW: usize = 1024;

/// Everything that training needs.
pub struct Session {
    /// The model with its optimizer and windows.
    pub trainer: Trainer,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// What is evaluated on, unless there is too little of it.
    pub validation: Option<Corpus>,
    /// What is saved beside the weights.
    pub state: TrainingState,
    /// The run's directory.
    pub store: Store,
    /// What it computes on.
    pub device: DeviceInfo,
    /// Costs of the model.
    pub estimate: Estimate,
    /// Where the training text came from.
    pub source: String,
    /// Preference pairs that are left out because they do not fit into a window.
    pub left_out: usize,
    /// Bytes of text per token.
    pub bytes_per_token: f64,
    /// Whether training goes on from a checkpoint.
    pub resumed: bool,
}

/// A model and what is known of its run, before the data is.
struct Start {
    settings: Settings,
    tokenizer: Option<Tokenizer>,
    weights: Option<Checkpoint>,
    state: TrainingState,
    /// Whether training goes on, rather than beginning with these weights.
    resumed: bool,
}

impl Session {
    /// Reads the data, makes or reads the tokenizer and the model.
    pub async fn prepare(args: &TrainArgs) -> CliResult<Self> {
        let store = Store::open(&args.out).await?;
        let start = if args.resume {
            Start::resumed(args, RunDir::new(store.clone()).load().await?)?
        } else {
            refuse_existing_run(&store, &args.out).await?;
            match &args.from {
                Some(model) => Start::fine_tuned(args, model).await?,
                None => Start::fresh(args)?,
            }
        };
        let (device, info) = open_device(&args.device).await?;
        let mut source = Source::read(&args.data).map_err(usage)?;
        let val_source = match args.val_data.as_slice() {
            [] => source.take_validation(),
            paths => Some(Source::read(&DataArgs { data: paths.to_vec(), ..args.data.clone() })?),
        };
        Self::build(start, store, (device, info), &source, val_source.as_ref(), args).await
    }

    async fn build(
        start: Start,
        store: Store,
        (device, info): (Device, DeviceInfo),
        source: &Source,
        val_source: Option<&Source>,
        args: &TrainArgs,
    ) -> CliResult<Self> {
        let Start { mut settings, tokenizer, mut weights, mut state, resumed } = start;
        let mut tokenizer = match tokenizer {
            Some(tokenizer) => tokenizer,
            None => {
                let spec = Spec::parse(&settings.tokenizer).map_err(usage)?;
                spec.tokenizer(source, pattern(args.pattern.as_deref())).map_err(usage)?
            }
        };
        let end = end_of_text(&tokenizer);
        if weights.is_none() {
            fit_model(&mut settings.model, &tokenizer, end);
        }
        settings.data.kind = same_kind(settings.data.kind, source).map_err(usage)?;
        if settings.data.kind == DataKind::Preferences && weights.is_none() {
            return Err(usage(no_answers(source)));
        }
        let base = weights.as_ref().map(|loaded| loaded.config.dropout);
        has_effect(&settings, base, args).map_err(usage)?;
        if settings.data.kind.has_turns() && !resumed {
            let mut fresh = HostTensors::new();
            let weights = weights.as_mut().map_or(&mut fresh, |loaded| &mut loaded.weights);
            // What stands for tokens that are new to the model is nothing an adapter could teach.
            settings.train.lora.embeddings |=
                settings.train.adapts() && !supports_chat(&settings.model, &tokenizer);
            tokenizer = prepare_for_chat(&mut settings.model, weights, &tokenizer)?;
        }
        let mut corpus = source.corpus(&tokenizer, settings.data.seq_len)?;
        let mut validation = match val_source {
            Some(val) => val.corpus(&tokenizer, settings.data.seq_len)?,
            None => Corpus::default(),
        };
        let left_out = corpus.left_out + validation.left_out;
        if val_source.is_none() {
            (corpus, validation) = corpus.split(settings.data.val_fraction);
        } else {
            settings.data.val_fraction = 0.0;
        }
        let bytes_per_token = measure(&corpus, &tokenizer);
        if settings.data.document_boundaries {
            corpus.end_of_text = Some(end.ok_or_else(no_end_of_text).map_err(usage)?);
            validation.end_of_text = end;
        }

        let record = CorpusRecord::of(&corpus);
        same_corpus(&state.corpus, &record, source).map_err(usage)?;
        let (train, device) = (settings.train, device.autodiff());
        let (model, moments) = match weights {
            None => {
                let source = &mut random_source(train.seed);
                (Decoder::new(&settings.model, &device, source)?, Vec::new())
            }
            Some(mut loaded) => {
                loaded.config = settings.model.clone();
                let moments = loaded.training.take().map(|(_, moments)| moments);
                (loaded.model_in_training(&train, &device)?, moments.unwrap_or_default())
            }
        };
        if settings.data.kind == DataKind::Preferences {
            if !resumed {
                let (pairs, seq_len) = ([&corpus, &validation], settings.data.seq_len);
                let rows = eval_batch_size(&settings.model, seq_len);
                state.reference = ReferenceRecord::measure(&model, pairs, seq_len, rows).await?;
            }
            [corpus, validation] = state.reference.give([corpus, validation])?;
        }
        let windows = Windows::new(corpus, &settings.data, train.batch_size, train.seed)?;
        let trainer = Trainer::new(model, &train, windows)?
            .resume(state.step, moments)?
            .having_seen(state.tokens_seen);
        state.tokenizer = if resumed { state.tokenizer } else { words(&tokenizer) };
        state.sample_every = settings.sample_every;
        state.corpus = record;
        let estimate = Estimate::of_run(&settings.model, &train, &settings.data);
        (state.train, state.data) = (train, settings.data);
        Ok(Self {
            trainer,
            tokenizer,
            // Two tokens are the least that has something to predict.
            validation: validation.require_window("", 1).is_ok().then_some(validation),
            state,
            store,
            device: info,
            estimate,
            source: source.summary(),
            left_out,
            bytes_per_token,
            resumed,
        })
    }
}

impl Start {
    fn fresh(args: &TrainArgs) -> CliResult<Self> {
        let settings = args.settings.fresh(&args.base, args.tokenizer.as_deref()).map_err(usage)?;
        Spec::parse(&settings.tokenizer).map_err(usage)?;
        let state = TrainingState::default();
        Ok(Self { settings, tokenizer: None, weights: None, state, resumed: false })
    }

    async fn fine_tuned(args: &TrainArgs, model: &str) -> CliResult<Self> {
        let (mut loaded, seq_len) = load(model).await?;
        let tokenizer = loaded.take_tokenizer(model)?;
        let context = loaded.config.max_position_embeddings;
        let seq_len = seq_len.unwrap_or(context.min(FINE_TUNING_WINDOW));
        let base = Settings {
            model: loaded.config.clone(),
            train: TrainConfig::fine_tuning(),
            data: DataConfig { seq_len, ..DataConfig::default() },
            tokenizer: words(&tokenizer),
            sample_every: 0,
        };
        let file = args.base.config.as_deref();
        let settings = args.settings.fine_tuned(base, file).map_err(usage)?;
        let (tokenizer, weights) = (Some(tokenizer), Some(loaded));
        let state = TrainingState { base: model.into(), ..TrainingState::default() };
        Ok(Self { settings, tokenizer, weights, state, resumed: false })
    }

    fn resumed(args: &TrainArgs, files: Files) -> CliResult<Self> {
        if !files.contains_key(STATE) {
            return Err(missing(
                STATE,
                args,
                "nothing there can be resumed: check --out, or start without --resume",
            )
            .into());
        }
        let mut loaded = unpack(files, &args.out)?;
        let tokenizer = loaded.take_tokenizer(&args.out)?;
        let state = loaded.training.as_ref().map(|(state, _)| state.clone()).unwrap_or_default();
        let saved = Settings {
            model: loaded.config.clone(),
            train: state.train.clone(),
            data: state.data.clone(),
            tokenizer: state.tokenizer.clone(),
            sample_every: state.sample_every,
        };
        let settings = args.settings.resumed(saved).map_err(usage)?;
        if settings.train.steps < state.step {
            return Err(usage(Error::config(
                "--steps",
                format!("the run has done {} steps already", state.step),
                "give a larger number",
            )));
        }
        let (tokenizer, weights) = (Some(tokenizer), Some(loaded));
        Ok(Self { settings, tokenizer, weights, state, resumed: true })
    }
}

fn missing(file: &str, args: &TrainArgs, remedy: &str) -> Error {
    Error::MissingFile { file: file.into(), place: args.out.clone(), remedy: remedy.into() }
}

async fn refuse_existing_run(store: &Store, out: &str) -> CliResult<()> {
    let there = store.list("").await?;
    if there.iter().any(|name| [CONFIG, WEIGHTS, STATE, "checkpoints"].contains(&name.as_str())) {
        return Err(usage(Error::config(
            "--out",
            format!("{out} already holds a run"),
            "go on with it by --resume, or choose another --out",
        )));
    }
    Ok(())
}

/// Fits a fresh model to its tokenizer.
fn fit_model(model: &mut ModelConfig, tokenizer: &Tokenizer, end: Option<u32>) {
    model.vocab_size = tokenizer.vocab_size();
    model.bos_token_id = tokenizer.bos().or(end);
    model.eos_token_id = end;
}

/// The kind of data that a run is set for, if `source` is of it. A fresh run takes what is there.
fn same_kind(set: DataKind, source: &Source) -> Result<DataKind> {
    let found = source.kind();
    let (missing, form) = match set {
        DataKind::Conversations if found != set => ("conversations", r#"{"messages": [...]}"#),
        DataKind::Preferences if found != set => {
            ("preference pairs", r#"{"prompt": …, "chosen": …, "rejected": …}"#)
        }
        _ => return Ok(found),
    };
    let problem = format!("{} holds no {missing}", source.describe());
    Err(Error::config("--data", problem, format!("give .jsonl files of {form} a line")))
}

/// Refuses settings that this kind of data leaves without effect. `base` is the dropout of the model at the beginning.
fn has_effect(settings: &Settings, base: Option<f64>, args: &TrainArgs) -> Result<()> {
    let (kind, dropout) = (settings.data.kind, settings.model.dropout);
    if kind != DataKind::Preferences && args.settings.train.given().contains_key("dpo_beta") {
        return Err(without_pairs("--dpo-beta"));
    }
    if kind == DataKind::Preferences && dropout > 0.0 && base != Some(dropout) {
        let problem =
            "answers are compared with what another pass gave them, so nothing is dropped";
        return Err(Error::config("dropout", problem, "leave it out with preference pairs"));
    }
    if args.resume { Ok(()) } else { settings.train.objective.suits(kind) }
}

/// Of preference pairs without a model to tune.
fn no_answers(source: &Source) -> Error {
    Error::config(
        "--data",
        format!("{} holds preference pairs, from which no fresh model learns", source.describe()),
        "name a model that was tuned on conversations with --from",
    )
}

fn same_corpus(saved: &CorpusRecord, found: &CorpusRecord, source: &Source) -> Result<()> {
    // A model that was opened without a text of its own has no record yet.
    if saved == found || *saved == CorpusRecord::default() {
        return Ok(());
    }
    Err(Error::config(
        "--data",
        format!(
            "{} is not what this run was trained on: {} training tokens with fingerprint {}, not {} with {}",
            source.describe(),
            found.train_tokens,
            found.fingerprint,
            saved.train_tokens,
            saved.fingerprint
        ),
        "give the same data in the same order, or start a new run with another --out",
    ))
}

fn no_end_of_text() -> Error {
    Error::config(
        "document_boundaries",
        "the tokenizer has no end-of-text token",
        "use bpe:N, wordpiece:N, or a tokenizer.json with <|endoftext|>",
    )
}

fn measure(corpus: &Corpus, tokenizer: &Tokenizer) -> f64 {
    let first = corpus.segments.iter().flat_map(|one| one.read(0, one.len().min(MEASURED)));
    let (mut tokens, mut bytes) = (0, 0);
    for id in first.take(MEASURED) {
        tokens += 1;
        bytes += tokenizer.text_bytes(id);
    }
    bytes as f64 / f64::from(tokens.max(1))
}
