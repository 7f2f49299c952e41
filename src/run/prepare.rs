//! Prepares a run: fresh, fine-tuned or resumed, and then its training data.

use burn::tensor::Device;

use super::data::{Examples, bytes_per_token};
use super::{Body, LongRun, Run, RunConfig, no_fresh_preferences, require_training_memory};
use crate::HAS_LONG_RUNS;
use crate::checkpoint::{
    Checkpoint, Companions, CorpusRecord, HostTensors, OptimizerState, ReferenceRecord,
    TrainingState, adapt, bytes_of, prepare_for_chat, read_params, supports_chat, tensor_source,
};
use crate::config::{DataKind, ModelConfig, TrainConfig};
use crate::data::{Corpus, Windows};
use crate::error::{Error, Result};
use crate::eval::EvalOptions;
use crate::model::{Decoder, random_source};
use crate::optim::check_state;
use crate::parallel::{Layout, Mesh, Sharding};
use crate::platform::Room;
use crate::tokenizer::{RunAll, Tokenizer};
use crate::train::{Average, Trainer};

/// The model that a run fine-tunes.
pub struct Base {
    /// Name of the model, as the new run's checkpoints record it.
    pub name: String,
    /// Architecture.
    pub model: ModelConfig,
    /// Parameters, adapters merged.
    pub weights: HostTensors,
    /// Tokenizer.
    pub tokenizer: Tokenizer,
    /// Files of transformers that the run's checkpoints pass on.
    pub companions: Companions,
}

/// Training and validation data as tokens.
pub struct EncodedData {
    train: Corpus,
    validation: Corpus,
    left_out: usize,
}

/// Training data that differs from that of the earlier steps.
#[derive(Debug, PartialEq)]
pub struct OtherCorpus {
    saved: CorpusRecord,
    found: CorpusRecord,
}

impl OtherCorpus {
    /// Converts to an error. `what` names the data.
    pub fn into_error(self, what: &str) -> Error {
        let Self { saved, found } = self;
        Error::config(
            "data",
            format!(
                "{what} is not what this run was trained on: {} training tokens with fingerprint {}, not {} with {}",
                found.train_tokens, found.fingerprint, saved.train_tokens, saved.fingerprint
            ),
            "give the same data in the same order, or start a new run",
        )
    }
}

impl EncodedData {
    /// Splits `corpus` by `config`, or takes all of it for training if there is separate `validation` data.
    ///
    /// # Errors
    /// `document_boundaries` with a tokenizer that has no end-of-text token.
    pub fn new(
        config: &mut RunConfig,
        tokenizer: &Tokenizer,
        mut corpus: Corpus,
        validation: Option<Corpus>,
    ) -> Result<Self> {
        let end_of_text = if config.data.document_boundaries {
            Some(tokenizer.end_of_text().ok_or_else(no_end_of_text)?)
        } else {
            None
        };
        corpus.end_of_text = end_of_text;
        let left_out = corpus.left_out + validation.as_ref().map_or(0, |corpus| corpus.left_out);
        let (train, validation) = match validation {
            Some(validation) => {
                config.data.val_fraction = 0.0;
                (corpus, Corpus { end_of_text, ..validation })
            }
            None => corpus.split(config.data.val_fraction),
        };
        Ok(Self { train, validation, left_out })
    }
}

/// The device of a rank, and how the ranks of its run divide the work. A device alone is that of a single rank.
#[derive(Clone, Copy, Debug)]
pub struct RankDevice<'a> {
    /// Device that the rank trains on.
    pub device: &'a Device,
    /// Numbers of replicas, stages and tensor-parallel ranks.
    pub layout: Layout,
    /// State that the replicas divide (ZeRO).
    pub sharding: Sharding,
}

impl<'a> From<&'a Device> for RankDevice<'a> {
    fn from(device: &'a Device) -> Self {
        Self { device, layout: Layout::ALONE, sharding: Sharding::None }
    }
}

impl Run {
    /// Creates a fresh run. The vocabulary size follows from `tokenizer`, and the weights are initialized.
    ///
    /// # Errors
    /// The data is preference pairs; a setting is out of range; the run does not fit into memory.
    pub fn fresh<'a>(
        mut config: RunConfig,
        mut tokenizer: Tokenizer,
        device: impl Into<RankDevice<'a>>,
    ) -> Result<Self> {
        let RankDevice { device, layout, sharding } = device.into();
        no_fresh_preferences(config.data.kind)?;
        let end_of_text = tokenizer.end_of_text();
        config.model.vocab_size = tokenizer.vocab_size();
        config.model.bos_token_id = tokenizer.bos().or(end_of_text);
        config.model.eos_token_id = end_of_text.into();
        if config.data.kind.has_turns() {
            tokenizer = prepare_for_chat(&mut config.model, &mut HostTensors::new(), &tokenizer)?;
        }
        config.train.validate()?;
        config.data.validate(config.model.max_position_embeddings)?;
        let room = Room::of(device, 0);
        require_training_memory(&config, layout, sharding, &room)?;
        let source = &mut random_source(config.train.seed);
        let model = Decoder::new(&config.model, &device.clone().autodiff(), source)?;
        let state = TrainingState::default();
        Ok(Self::without_data(config, tokenizer, model, state, Vec::new(), room))
    }

    /// Creates a run that starts with the weights and the tokenizer of another model. The architecture is that of `base`,
    /// except for the dropout of `config`. For conversations and preference pairs, missing tokens of chat messages are added to
    /// the vocabulary; adapters then train the embedding and the head as well.
    ///
    /// # Errors
    /// A setting is out of range; there is dropout with preference pairs; the run does not fit into memory.
    pub fn fine_tuned<'a>(
        mut config: RunConfig,
        base: Base,
        device: impl Into<RankDevice<'a>>,
    ) -> Result<Self> {
        let RankDevice { device, layout, sharding } = device.into();
        let Base { name, model, mut weights, mut tokenizer, mut companions } = base;
        let dropout = config.model.dropout;
        no_dropout_with_pairs(config.data.kind, dropout, model.dropout)?;
        config.model = ModelConfig { dropout, ..model };
        config.train.validate()?;
        config.data.validate(config.model.max_position_embeddings)?;
        config.train.lora.embeddings &= config.train.adapts();
        if config.data.kind.has_turns() {
            // Adapters cannot learn the embeddings of new tokens.
            let adds_tokens = !supports_chat(&config.model, &tokenizer);
            config.train.lora.embeddings |= config.train.adapts() && adds_tokens;
            tokenizer = prepare_for_chat(&mut config.model, &mut weights, &tokenizer)?;
            companions.replace_template();
        }
        let room = Room::of(device, bytes_of(&weights));
        require_training_memory(&config, layout, sharding, &room)?;
        let source = &mut *tensor_source(weights, name.clone());
        let model = Decoder::new(&config.model, &device.clone().autodiff(), source)?;
        let model = adapt(model, &config.train)?;
        let state = TrainingState { base: name, ..TrainingState::default() };
        let run = Self::without_data(config, tokenizer, model, state, Vec::new(), room);
        Ok(Self { companions, ..run })
    }

    /// Creates a run from a checkpoint, or from a model without a run. For its settings see [`RunConfig::of_checkpoint`] and
    /// [`RunConfig::resumed`].
    ///
    /// # Errors
    /// The checkpoint has no tokenizer; there is dropout with preference pairs; the weights do not fit the architecture, or the
    /// optimizer state the settings.
    pub fn resumed(config: RunConfig, mut loaded: Checkpoint, device: &Device) -> Result<Self> {
        let tokenizer = loaded.take_tokenizer(&config.name)?;
        let companions = std::mem::take(&mut loaded.companions);
        let (state, optimizer_state) = loaded.training.take().unwrap_or_default();
        let long_run = match HAS_LONG_RUNS {
            true => LongRun::from_map(&state.long_run)?,
            false => LongRun::default(),
        };
        let other_settings = state.long_run.keys().next().filter(|_| !HAS_LONG_RUNS).cloned();
        no_dropout_with_pairs(config.data.kind, config.model.dropout, loaded.config.dropout)?;
        loaded.config.dropout = config.model.dropout;
        let moments: usize =
            optimizer_state.iter().map(|(_, values)| size_of_val(&values[..])).sum();
        let room = Room::of(device, bytes_of(&loaded.weights) + moments as u64);
        let model = loaded.model_in_training(&config.train, &device.clone().autodiff())?;
        check_state(&config.train, &model, state.step, &optimizer_state)?;
        let average = match HAS_LONG_RUNS && long_run.config.averages() {
            true => loaded.average_model(device)?,
            false => None,
        };
        let decay = long_run.config.ema_decay;
        let average = average.map(|average| Average::new(&average, decay));
        let run = Self::without_data(config, tokenizer, model, state, optimizer_state, room);
        Ok(Self { companions, long_run, average, other_settings, ..run })
    }

    fn without_data(
        config: RunConfig,
        tokenizer: Tokenizer,
        model: Decoder,
        state: TrainingState,
        optimizer_state: OptimizerState,
        room: Room,
    ) -> Self {
        Self {
            config,
            tokenizer,
            companions: Companions::default(),
            validation: Corpus::default(),
            best_val_loss: state.best_val_loss,
            saved: None,
            body: Body::WithoutData { model: Box::new(model), step: state.step, optimizer_state },
            corpus: state.corpus,
            reference: state.reference,
            base: state.base,
            bytes_per_token: 0.0,
            left_out: 0,
            seen_before: state.tokens_seen,
            rehearsed: false,
            room,
            mesh: Mesh::alone(),
            sharding: Sharding::None,
            joined_with: None,
            long_run: LongRun::default(),
            average: None,
            other_settings: None,
        }
    }

    /// Encodes `examples` and splits them into training and validation data.
    ///
    /// # Errors
    /// The tokenizer cannot encode the text; as [`EncodedData::new`].
    pub fn encode(&mut self, examples: &Examples, run_all: RunAll) -> Result<EncodedData> {
        let corpus = examples.corpus(&self.tokenizer, self.config.data.seq_len, run_all)?;
        EncodedData::new(&mut self.config, &self.tokenizer, corpus, None)
    }

    /// Sets the training data of a new run. For preference pairs, first computes their log-probabilities under the current
    /// model, which is the reference model of their loss.
    ///
    /// # Errors
    /// There is less data than one window; the device was lost.
    pub async fn begin(&mut self, data: EncodedData) -> Result<()> {
        if self.config.data.kind == DataKind::Preferences {
            let seq_len = self.config.data.seq_len;
            let rows = EvalOptions::for_model(&self.config.model, seq_len).batch_size;
            let pairs = [&data.train, &data.validation];
            self.reference = ReferenceRecord::measure(&self.model(), pairs, seq_len, rows).await?;
        }
        self.learn_from(data)
    }

    /// Compares `data` with the data that the run was trained on so far; none if it is the same or the run has had none.
    pub fn other_corpus(&self, data: &EncodedData) -> Option<OtherCorpus> {
        let found = CorpusRecord::of(&data.train);
        let known = self.corpus != CorpusRecord::default();
        let saved = self.corpus.clone();
        (known && saved != found).then_some(OtherCorpus { saved, found })
    }

    /// Sets or replaces the training data. Batches follow from the settings and the step.
    ///
    /// # Errors
    /// There is less data than one window; preference pairs differ from those whose reference is known; the device does not
    /// support a setting; training does not fit into memory.
    pub fn learn_from(&mut self, data: EncodedData) -> Result<()> {
        require_training_memory(&self.config, self.mesh.layout(), self.sharding, &self.room)?;
        if let Some(key) = self.other_settings.as_ref().filter(|_| !HAS_LONG_RUNS) {
            let problem = "the page cannot train a run with this in its training_state.json";
            return Err(Error::config(key, problem, "resume it with `blankslate train`"));
        }
        let EncodedData { mut train, mut validation, left_out } = data;
        let TrainConfig { batch_size, seed, .. } = self.config.train;
        let record = CorpusRecord::of(&train);
        let bytes_per_token = bytes_per_token(&train, &self.tokenizer);
        if self.config.data.kind == DataKind::Preferences {
            [train, validation] = self.reference.give([train, validation])?;
        }
        let windows = Windows::new(train, &self.config.data, batch_size, seed)?;
        match &mut self.body {
            Body::WithoutData { model, step, optimizer_state } => {
                let trainer = Trainer::new(Decoder::clone(model), &self.config.train, windows)?;
                let trainer = trainer.distributed(self.mesh.clone(), self.sharding)?;
                if self.mesh.layout().ranks_of_replica() > 1 {
                    // Frees what belongs to other ranks before the optimizer state takes memory.
                    **model = trainer.in_training();
                }
                let trainer = trainer.resume(*step, std::mem::take(optimizer_state))?;
                let trainer = trainer.having_seen(self.seen_before);
                let trainer = trainer.passing_over(self.long_run.passed_over);
                self.body = Body::Trainable(Box::new(trainer));
            }
            Body::Trainable(trainer) => trainer.set_windows(windows),
        }
        if HAS_LONG_RUNS {
            self.average_weights();
        }
        self.bytes_per_token = bytes_per_token;
        self.left_out = left_out;
        self.corpus = record;
        self.validation = validation;
        Ok(())
    }
}

impl Base {
    /// Reads the parameters of `model` from its device.
    ///
    /// # Errors
    /// The device was lost.
    pub async fn read(name: String, model: Decoder, tokenizer: Tokenizer) -> Result<Self> {
        let weights = read_params(&model).await?;
        let companions = Companions::default();
        Ok(Self { name, model: model.config().clone(), weights, tokenizer, companions })
    }
}

/// Returns an error if preference pairs are to be trained with dropout, which would add noise to the comparison with the
/// reference model. Dropout that the base model was trained with is ignored.
fn no_dropout_with_pairs(kind: DataKind, dropout: f64, of_base: f64) -> Result<()> {
    if kind == DataKind::Preferences && dropout > 0.0 && dropout != of_base {
        let problem = "preference pairs are trained without dropout";
        return Err(Error::config("dropout", problem, "leave it out with preference pairs"));
    }
    Ok(())
}

fn no_end_of_text() -> Error {
    Error::config(
        "document_boundaries",
        "the tokenizer has no end-of-text token",
        "use bpe:N, wordpiece:N, or a tokenizer.json with <|endoftext|>",
    )
}
