//! The model in the worker: from a form, from storage or from a file, with or without a corpus.

use std::ops::ControlFlow;

use burn::tensor::Device;

use super::training::eval_rows;
use crate::checkpoint::{
    Checkpoint, CorpusRecord, Files, HostTensors, OptimizerState, ReferenceRecord, TrainingState,
    adapt, pack, prepare_for_chat, read_params, supports_chat, tensor_source,
};
use crate::config::{DataConfig, DataKind, Estimate, ModelConfig, Precision, TrainConfig, label};
use crate::data::{Corpus, Tokens, Windows};
use crate::error::{Error, Result};
use crate::kernels::precision;
use crate::model::{Decoder, random_source};
use crate::platform::DeviceInfo;
use crate::protocol::{MetricInfo, RunConfig, RunInfo};
use crate::tokenizer::{
    EncodedChat, Tokenizer, TrainOptions, TrainProgress, parse_conversations, parse_preferences,
    plain_text, run_sequentially,
};
use crate::train::Trainer;

/// What the corpus is called in errors.
const TEXT: &str = "the text";

/// What fine-tuning begins with.
pub struct Base {
    name: String,
    model: Decoder,
    tokenizer: Tokenizer,
    /// The tokenizer, in the form's words.
    spec: String,
}

/// A run in memory.
pub struct Run {
    pub config: RunConfig,
    pub tokenizer: Tokenizer,
    pub val: Corpus,
    pub best_val_loss: Option<f64>,
    body: Body,
    corpus: CorpusRecord,
    reference: ReferenceRecord,
    /// The name of the run that it began with.
    base: String,
    bytes_per_token: f64,
    val_tokens: u64,
    /// Tokens trained on when it was loaded.
    seen_before: u64,
    /// What is to be said of the device it was loaded to, and of the text it was given.
    notices: [Option<String>; 2],
    rehearsed: bool,
}

/// A text as tokens.
struct Corpora {
    train: Corpus,
    val: Corpus,
    bytes_per_token: f64,
}

/// What training needs, or what is there without a corpus.
enum Body {
    Waiting { model: Box<Decoder>, step: u64, moments: OptimizerState },
    Trainable(Box<Trainer>),
}

impl Run {
    /// A fresh run: trains the tokenizer, draws the weights.
    pub fn create(
        mut config: RunConfig,
        text: &str,
        device: &Device,
        mut progress: impl FnMut(TrainProgress),
    ) -> Result<Self> {
        crate::run::directory::valid_name(&config.name)?;
        config.train.validate()?;
        config.train.objective.suits(config.data.kind)?;
        no_fresh_adapters(&config.train)?;
        if text.is_empty() {
            return Err(Error::EmptyData { what: TEXT.into() });
        }
        let options = TrainOptions::from_spec(&config.tokenizer)?;
        let texts = match config.data.kind {
            DataKind::Text => vec![text.into()],
            DataKind::Conversations => {
                parse_conversations(TEXT, text)?.iter().map(|turns| plain_text(turns)).collect()
            }
            DataKind::Preferences => return Err(no_fresh_preferences()),
        };
        let mut tokenizer = Tokenizer::train(&options, texts, run_sequentially, |report| {
            progress(report);
            ControlFlow::Continue(())
        })?;
        config.model.vocab_size = tokenizer.vocab_size();
        config.model.eos_token_id = tokenizer.end_of_text();
        config.model.bos_token_id = config.model.eos_token_id;
        if config.data.kind == DataKind::Conversations {
            tokenizer = prepare_for_chat(&mut config.model, &mut HostTensors::new(), &tokenizer)?;
        }
        config.data.validate(config.model.max_position_embeddings)?;
        let source = &mut random_source(config.train.seed);
        let model = Decoder::new(&config.model, &device.clone().autodiff(), source)?;
        let mut run = Self::waiting(config, tokenizer, model, 0, Vec::new());
        run.set_text(text)?;
        Ok(run)
    }

    /// What another run can begin with.
    pub fn base(&self) -> Base {
        let (tokenizer, spec) = (self.tokenizer.clone(), self.config.tokenizer.clone());
        Base { name: self.config.name.clone(), model: self.model(), tokenizer, spec }
    }

    /// A fresh run that begins with another's weights.
    pub async fn fine_tune(
        mut config: RunConfig,
        text: &str,
        base: Base,
        device: &Device,
    ) -> Result<Self> {
        crate::run::directory::valid_name(&config.name)?;
        config.train.validate()?;
        config.train.objective.suits(config.data.kind)?;
        let Base { name, model, mut tokenizer, spec } = base;
        config.tokenizer = spec;
        config.model = ModelConfig { dropout: config.model.dropout, ..model.config().clone() };
        config.data.validate(config.model.max_position_embeddings)?;
        let mut weights = read_params(&model).await?;
        config.train.lora.embeddings &= config.train.adapts();
        if config.data.kind.has_turns() {
            // What stands for tokens that are new to the model is nothing an adapter could teach.
            config.train.lora.embeddings |=
                config.train.adapts() && !supports_chat(&config.model, &tokenizer);
            tokenizer = prepare_for_chat(&mut config.model, &mut weights, &tokenizer)?;
        }
        let source = &mut *tensor_source(weights, "the model at hand".into());
        let model = Decoder::new(&config.model, &device.clone().autodiff(), source)?;
        let model = adapt(model, &config.train)?;
        let mut run = Self::waiting(config, tokenizer, model, 0, Vec::new());
        run.base = name;
        let corpora = run.read(text)?;
        if run.config.data.kind == DataKind::Preferences {
            let (pairs, seq_len) = ([&corpora.train, &corpora.val], run.config.data.seq_len);
            let rows = eval_rows(seq_len);
            run.reference = ReferenceRecord::measure(&run.model(), pairs, seq_len, rows).await?;
        }
        run.learn_from(corpora)?;
        Ok(run)
    }

    /// A run from a checkpoint: ours, or a Hugging Face model to sample from or to train on.
    pub fn load(mut loaded: Checkpoint, name: &str, device: &Device) -> Result<Self> {
        let tokenizer = loaded.take_tokenizer(name)?;
        let (state, moments) = loaded.training.take().unwrap_or_else(|| {
            let seq_len = loaded.config.max_position_embeddings.min(64);
            let data = DataConfig { seq_len, ..Default::default() };
            (TrainingState { data, sample_every: 50, ..Default::default() }, Vec::new())
        });
        let model = loaded.model_in_training(&state.train, &device.clone().autodiff())?;
        let config = config_of(name, loaded.config, &state);
        let mut run = Self::waiting(config, tokenizer, model, state.step, moments);
        if precision::require(run.config.train.precision, device).is_err() {
            run.config.train.precision = Precision::F32;
            let notice = "This device lacks the run's precision: it goes on in f32.";
            run.notices[0] = Some(notice.into());
        }
        run.corpus = state.corpus;
        run.reference = state.reference;
        run.base = state.base;
        run.best_val_loss = state.best_val_loss;
        run.seen_before = state.tokens_seen;
        Ok(run)
    }

    fn waiting(
        config: RunConfig,
        tokenizer: Tokenizer,
        model: Decoder,
        step: u64,
        moments: OptimizerState,
    ) -> Self {
        Self {
            config,
            tokenizer,
            val: Corpus::default(),
            best_val_loss: None,
            body: Body::Waiting { model: Box::new(model), step, moments },
            corpus: CorpusRecord::default(),
            reference: ReferenceRecord::default(),
            base: String::new(),
            bytes_per_token: 0.0,
            val_tokens: 0,
            seen_before: 0,
            notices: [None, None],
            rehearsed: false,
        }
    }

    /// Changes what may change while training goes on; see [`TrainConfig::adjusted`].
    pub fn adjust(
        &mut self,
        lr: Option<f64>,
        batch_size: Option<usize>,
        steps: Option<u64>,
    ) -> Result<()> {
        let train = self.config.train.adjusted(lr, batch_size, steps)?;
        if let Body::Trainable(trainer) = &mut self.body {
            trainer.adjust(&train);
        }
        self.config.train = train;
        Ok(())
    }

    /// Gives the run its corpus.
    pub fn set_text(&mut self, text: &str) -> Result<()> {
        let corpora = self.read(text)?;
        self.learn_from(corpora)
    }

    /// A text as training and validation tokens.
    fn read(&self, text: &str) -> Result<Corpora> {
        let (mut corpus, bytes) = match self.config.data.kind {
            DataKind::Text => {
                (Corpus::new(Tokens::from_ids(self.tokenizer.encode(text)?)), text.len())
            }
            DataKind::Conversations => self.conversations(text)?,
            DataKind::Preferences => self.preferences(text)?,
        };
        let bytes_per_token = bytes as f64 / corpus.len().max(1) as f64;
        if self.config.data.document_boundaries {
            corpus.end_of_text = self.tokenizer.end_of_text();
        }
        let (train, val) = corpus.split(self.config.data.val_fraction);
        Ok(Corpora { train, val, bytes_per_token })
    }

    fn learn_from(&mut self, corpora: Corpora) -> Result<()> {
        let Corpora { mut train, mut val, bytes_per_token } = corpora;
        let TrainConfig { batch_size, seed, .. } = self.config.train;
        let (record, left_out) = (CorpusRecord::of(&train), train.left_out);
        let other = self.corpus != CorpusRecord::default() && self.corpus != record;
        if self.config.data.kind == DataKind::Preferences {
            if other {
                let problem = "these are not the pairs that the run was tuned on so far";
                return Err(Error::config(TEXT, problem, "give those, or fine-tune anew"));
            }
            [train, val] = self.reference.give([train, val])?;
        }
        let windows = Windows::new(train, &self.config.data, batch_size, seed)?;
        self.notices[1] = match (other, left_out) {
            (true, _) => Some("This is not the text the run was trained on so far: training goes on with the new one.".into()),
            (false, 0) => None,
            (false, pairs) => Some(format!("Pairs longer than a window, left out: {pairs}.")),
        };
        if let Body::Waiting { model, step, moments } = &mut self.body {
            let trainer = Trainer::new(Decoder::clone(model), &self.config.train, windows)?;
            let trainer = trainer.resume(*step, std::mem::take(moments))?;
            let trainer = trainer.having_seen(self.seen_before);
            self.body = Body::Trainable(Box::new(trainer));
        } else if let Body::Trainable(trainer) = &mut self.body {
            trainer.set_windows(windows);
        }
        self.bytes_per_token = bytes_per_token;
        self.val_tokens = val.len() as u64;
        self.corpus = record;
        self.val = val;
        Ok(())
    }

    /// The conversations of a text, and the bytes of what is said in them.
    fn conversations(&self, text: &str) -> Result<(Corpus, usize)> {
        let all = parse_conversations(TEXT, text)?;
        let turns = all.iter().map(|messages| self.tokenizer.encode_messages(messages));
        let turns: Vec<_> = turns.collect::<Result<_>>()?;
        let bytes = self.bytes_of(&turns);
        Ok((Corpus::conversations(turns.into_iter().map(EncodedChat::into_parts)), bytes))
    }

    /// The preference pairs of a text, and the bytes of what is said in them.
    fn preferences(&self, text: &str) -> Result<(Corpus, usize)> {
        let all = parse_preferences(TEXT, text)?;
        let pairs = all.iter().map(|pair| self.tokenizer.encode_pair(pair));
        let pairs: Vec<_> = pairs.collect::<Result<_>>()?;
        let bytes = self.bytes_of(pairs.as_flattened());
        let pairs = pairs.into_iter().map(|pair| pair.map(EncodedChat::into_parts));
        Ok((Corpus::pairs(pairs, self.config.data.seq_len)?, bytes))
    }

    fn bytes_of(&self, turns: &[EncodedChat]) -> usize {
        let ids = turns.iter().flat_map(|turns| &turns.ids);
        ids.map(|id| self.tokenizer.text_bytes(*id)).sum()
    }

    /// The trainer.
    ///
    /// # Errors
    /// Without a corpus there is none.
    pub fn trainer(&mut self) -> Result<&mut Trainer> {
        match &mut self.body {
            Body::Trainable(trainer) => Ok(trainer),
            Body::Waiting { .. } => Err(Error::EmptyData { what: "the text to train on".into() }),
        }
    }

    /// A copy of the trainer to rehearse a step with; only once.
    pub fn rehearsal(&mut self) -> Option<Trainer> {
        match &self.body {
            Body::Trainable(trainer) if !std::mem::replace(&mut self.rehearsed, true) => {
                Some(Trainer::clone(trainer))
            }
            _ => None,
        }
    }

    /// The model without automatic differentiation, its adapters merged.
    pub fn model(&self) -> Decoder {
        self.in_training().merge_adapters()
    }

    /// The model without automatic differentiation as it is trained, adapters apart.
    fn in_training(&self) -> Decoder {
        use burn::module::Module;
        match &self.body {
            Body::Trainable(trainer) => trainer.in_training(),
            Body::Waiting { model, .. } => model.valid(),
        }
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        match &self.body {
            Body::Trainable(trainer) => trainer.steps_done(),
            Body::Waiting { step, .. } => *step,
        }
    }

    /// Tokens trained on.
    fn tokens_seen(&self) -> u64 {
        match &self.body {
            Body::Trainable(trainer) => trainer.tokens_seen(),
            Body::Waiting { .. } => self.seen_before,
        }
    }

    /// Where the run stands, for a checkpoint.
    pub fn state(&self) -> TrainingState {
        let step = self.step();
        TrainingState {
            step,
            batches_drawn: step * self.config.train.grad_accum as u64,
            tokens_seen: self.tokens_seen(),
            train: self.config.train.clone(),
            data: self.config.data.clone(),
            corpus: self.corpus.clone(),
            reference: self.reference.clone(),
            base: self.base.clone(),
            tokenizer: self.config.tokenizer.clone(),
            sample_every: self.config.sample_every,
            best_val_loss: self.best_val_loss,
            ..Default::default()
        }
    }

    /// What it costs.
    pub fn estimate(&self) -> Estimate {
        let RunConfig { model, train, data, .. } = &self.config;
        Estimate::of_run(model, train, data)
    }

    /// Descriptions of the metrics that its training reports; none without a corpus.
    fn metrics(&self) -> Vec<MetricInfo> {
        match &self.body {
            Body::Trainable(trainer) => {
                trainer.objective().metrics().iter().map(MetricInfo::from).collect()
            }
            Body::Waiting { .. } => Vec::new(),
        }
    }

    /// What the page shows of it.
    pub fn info(&self, device: &DeviceInfo) -> RunInfo {
        RunInfo {
            config: self.config.clone(),
            step: self.step(),
            estimate: self.estimate(),
            train_tokens: self.corpus.train_tokens,
            val_tokens: self.val_tokens,
            bytes_per_token: self.bytes_per_token,
            device: device.clone(),
            has_chat_template: supports_chat(&self.config.model, &self.tokenizer),
            trainable: matches!(self.body, Body::Trainable(_)),
            metrics: self.metrics(),
            notice: self.notices.iter().flatten().cloned().reduce(|a, b| a + " " + &b),
        }
    }

    /// Everything a checkpoint is made of, as of now; later steps do not change it.
    pub fn snapshot(&self) -> Snapshot {
        let optimizer = match &self.body {
            Body::Trainable(trainer) => Some(trainer.optimizer().clone()),
            Body::Waiting { .. } => None,
        };
        Snapshot {
            model: self.in_training(),
            tokenizer: self.tokenizer.clone(),
            state: self.state(),
            optimizer,
        }
    }
}

/// A run at one step.
pub struct Snapshot {
    model: Decoder,
    tokenizer: Tokenizer,
    optimizer: Option<crate::optim::Optimizer>,
    pub state: TrainingState,
}

impl Snapshot {
    /// Its files.
    pub async fn files(&self) -> Result<Files> {
        let training = self.optimizer.as_ref().map(|optimizer| (&self.state, optimizer));
        pack(&self.model, Some(&self.tokenizer), training).await
    }
}

/// What defines the run that a checkpoint is of.
pub fn config_of(name: &str, model: ModelConfig, state: &TrainingState) -> RunConfig {
    RunConfig {
        name: name.into(),
        tokenizer: state.tokenizer.clone(),
        model,
        train: state.train.clone(),
        data: state.data.clone(),
        sample_every: state.sample_every,
    }
}

/// Settings that no fresh run can be trained with, as one line; none if one can.
pub fn problem_with(config: &RunConfig) -> Option<String> {
    let RunConfig { name, tokenizer, model, train, data, .. } = config;
    let model = ModelConfig { vocab_size: model.vocab_size.max(1), ..model.clone() };
    crate::run::directory::valid_name(name)
        .and_then(|()| TrainOptions::from_spec(tokenizer).map(drop))
        .and_then(|()| model.validate())
        .and_then(|()| train.validate())
        .and_then(|()| train.objective.suits(data.kind))
        .and_then(|()| no_fresh_adapters(train))
        .and_then(|()| data.validate(model.max_position_embeddings))
        .and_then(|()| match data.kind {
            DataKind::Preferences => Err(no_fresh_preferences()),
            DataKind::Text | DataKind::Conversations => Ok(()),
        })
        .err()
        .map(|error| error.message(label))
}

fn no_fresh_adapters(train: &TrainConfig) -> Result<()> {
    match train.adapts() {
        true => {
            let problem = "an adapter belongs beside weights that have learnt something";
            Err(Error::config("lora_rank", problem, "fine-tune a model with it"))
        }
        false => Ok(()),
    }
}

fn no_fresh_preferences() -> Error {
    let problem = "no fresh model learns from preference pairs";
    Error::config(TEXT, problem, "fine-tune a model with them")
}
