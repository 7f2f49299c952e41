//! The run core: preparation, training and checkpoints of one run, shared by all edges.
//!
//! [`RunConfig`] defines a run, [`Run::fresh`], [`Run::fine_tuned`] and [`Run::resumed`] prepare it, [`train`] trains it and
//! emits events, and [`directory`] manages its checkpoints. This module does not know arguments, terminals or JavaScript: the
//! command line and the engine are thin layers on top.
//!
//! ```
//! use blankslate::config::preset;
//! use blankslate::platform::{block_on, open_device};
//! use blankslate::run::data::Examples;
//! use blankslate::run::{Run, RunConfig};
//! use blankslate::tokenizer::{Tokenizer, run_sequentially};
//!
//! # fn main() -> blankslate::error::Result<()> {
//! block_on(async {
//!     let mut config = RunConfig::from_preset("rhymes", preset("tiny")?);
//!     config.tokenizer = "byte".into();
//!     let (device, _) = open_device("cpu").await?;
//!     let mut run = Run::fresh(config, Tokenizer::byte(&[])?, &device)?;
//!     assert!(!run.is_trainable());
//!
//!     let text = "she sells sea shells by the sea shore. ".repeat(30);
//!     let examples = Examples::of_text("the text", &text)?;
//!     let data = run.encode(&examples, run_sequentially)?;
//!     run.begin(data).await?;
//!     let report = run.trainer()?.step()?;
//!     assert_eq!((report.step, run.step()), (1, 1));
//!     Ok(())
//! })
//! # }
//! ```
//!
//! [`train_unattended`] trains a run to its end and saves its checkpoints: see the example of the [crate].

mod control;
pub mod data;
pub mod directory;
mod fingerprint;
mod lasting;
mod live_sample;
mod long_run;
mod memory;
mod meter;
mod prepare;
mod ranks;
mod snapshot;
pub mod source;
mod spec;
mod spikes;
mod train_loop;
mod unattended;
mod watch;

pub use control::{Control, Pace, Saving, Spike, SpikeAction, TrainEvent, Trained};
pub use long_run::{LongRun, Rollback};
pub use memory::{
    require_generation_memory, require_gradient_memory, require_memory_alone,
    require_training_memory,
};
pub use prepare::{Base, EncodedData, OtherCorpus, RankDevice};
pub use ranks::RankFigures;
pub use snapshot::{HostSnapshot, Snapshot};
pub use spec::{GivenSettings, RunConfig, no_fresh_preferences};
pub use spikes::Scores;
pub use train_loop::train;
pub use unattended::train_unattended;

use burn::module::Module;

use crate::checkpoint::{Companions, CorpusRecord, OptimizerState, ReferenceRecord, supports_chat};
use crate::config::{Estimate, ShareEstimate};
use crate::data::Corpus;
use crate::error::{Error, Result};
use crate::model::{Decoder, Part};
use crate::objective::Metric;
use crate::parallel::{Mesh, Sharding};
use crate::platform::Room;
use crate::tokenizer::Tokenizer;
use crate::train::{Average, Trainer};
use fingerprint::fingerprint;
use memory::estimate_share;

/// A run in memory.
pub struct Run {
    /// Its settings.
    pub config: RunConfig,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// The validation split, which may be empty.
    pub validation: Corpus,
    /// The lowest validation loss so far.
    pub best_val_loss: Option<f64>,
    /// Step of its newest checkpoint, if one was saved.
    pub saved: Option<u64>,
    /// Files of transformers that its checkpoints pass on.
    companions: Companions,
    body: Body,
    corpus: CorpusRecord,
    reference: ReferenceRecord,
    /// Name of the model that it fine-tunes; empty for a fresh run.
    base: String,
    bytes_per_token: f64,
    /// Number of preference pairs that are left out because they are longer than a window.
    left_out: usize,
    /// Tokens it had been trained on when it was loaded.
    seen_before: u64,
    rehearsed: bool,
    /// Memory that there was for it.
    room: Room,
    /// The ranks that train it together.
    mesh: Mesh,
    sharding: Sharding,
    long_run: LongRun,
    /// Moving average of the weights, until there is a trainer.
    average: Option<Average>,
    /// In the page: name of a long-run setting in the training state, if there is one.
    other_settings: Option<String>,
    /// Fingerprint of the whole model when it joined other ranks, of which each may have only a part of it later.
    joined_with: Option<u64>,
}

/// The model, with a trainer once there is training data.
enum Body {
    WithoutData { model: Box<Decoder>, step: u64, optimizer_state: OptimizerState },
    Trainable(Box<Trainer>),
}

impl Run {
    /// Returns the trainer.
    ///
    /// # Errors
    /// The run has no training data yet.
    pub fn trainer(&mut self) -> Result<&mut Trainer> {
        match &mut self.body {
            Body::Trainable(trainer) => Ok(trainer),
            Body::WithoutData { .. } => {
                Err(Error::EmptyData { what: "the text to train on".into() })
            }
        }
    }

    /// Trains together with other ranks. Called before the run has training data.
    ///
    /// # Errors
    /// The device was lost.
    pub async fn join(&mut self, mesh: impl Into<Mesh>, sharding: Sharding) -> Result<()> {
        self.mesh = mesh.into();
        self.sharding = sharding;
        if self.mesh.all.size() > 1 {
            self.joined_with = Some(fingerprint(&self.in_training()).await?);
        }
        Ok(())
    }

    /// Returns the ranks that train the run together.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// Returns true if the run has training data.
    pub fn is_trainable(&self) -> bool {
        matches!(self.body, Body::Trainable(_))
    }

    /// Returns a copy of the trainer to rehearse a step with; none from the second call on.
    pub fn rehearsal(&mut self) -> Option<Trainer> {
        match &self.body {
            Body::Trainable(trainer) if !std::mem::replace(&mut self.rehearsed, true) => {
                Some(Trainer::clone(trainer))
            }
            _ => None,
        }
    }

    /// Returns the whole model with its adapters merged, not on an autodiff device, on rank 0, and none on the others. All ranks
    /// must call it.
    ///
    /// # Errors
    /// A rank does not answer.
    pub fn whole_model(&self) -> Result<Option<Decoder>> {
        let model = match &self.body {
            Body::Trainable(trainer) => trainer.whole_model()?,
            Body::WithoutData { model, .. } => Some(model.valid()),
        };
        Ok(model.map(Decoder::merge_adapters))
    }

    /// Returns the model with its adapters merged, not on an autodiff device: if ranks divide it, the part of this rank.
    pub fn model(&self) -> Decoder {
        self.in_training().merge_adapters()
    }

    /// Returns the model with separate adapters, not on an autodiff device.
    fn in_training(&self) -> Decoder {
        match &self.body {
            Body::Trainable(trainer) => trainer.in_training(),
            Body::WithoutData { model, .. } => model.valid(),
        }
    }

    /// Returns the number of steps done.
    pub fn step(&self) -> u64 {
        match &self.body {
            Body::Trainable(trainer) => trainer.steps_done(),
            Body::WithoutData { step, .. } => *step,
        }
    }

    fn tokens_seen(&self) -> u64 {
        match &self.body {
            Body::Trainable(trainer) => trainer.tokens_seen(),
            Body::WithoutData { .. } => self.seen_before,
        }
    }

    /// Changes the settings that may change while training continues; see [`crate::config::TrainConfig::adjusted`].
    ///
    /// # Errors
    /// A value out of range, or a batch that does not fit into memory; nothing is changed then.
    pub fn adjust(
        &mut self,
        lr: Option<f64>,
        batch_size: Option<usize>,
        steps: Option<u64>,
    ) -> Result<()> {
        let train = self.config.train.adjusted(lr, batch_size, steps)?;
        let config = RunConfig { train: train.clone(), ..self.config.clone() };
        require_training_memory(&config, self.mesh.layout(), self.sharding, &self.room)?;
        if let Body::Trainable(trainer) = &mut self.body {
            trainer.adjust(&train);
        }
        self.config.train = train;
        Ok(())
    }

    /// Returns the metrics that training reports beside the loss; none without training data.
    pub fn metrics(&self) -> Vec<Metric> {
        match &self.body {
            Body::Trainable(trainer) => trainer.objective().metrics().to_vec(),
            Body::WithoutData { .. } => Vec::new(),
        }
    }

    /// Returns the files of transformers that its checkpoints pass on.
    pub fn companions(&self) -> &Companions {
        &self.companions
    }

    /// Returns the number of training tokens; 0 without training data.
    pub fn train_tokens(&self) -> u64 {
        self.corpus.train_tokens
    }

    /// Returns the fingerprint of the training tokens; empty without training data.
    pub fn data_fingerprint(&self) -> &str {
        &self.corpus.fingerprint
    }

    /// Returns the bytes of text per training token; 0 without training data.
    pub fn bytes_per_token(&self) -> f64 {
        self.bytes_per_token
    }

    /// Returns the number of preference pairs that are left out because they are longer than a window.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Returns the number of tokens in a step.
    pub fn tokens_per_step(&self) -> usize {
        let RunConfig { train, data, .. } = &self.config;
        let examples = train.batch_size.saturating_mul(train.grad_accum);
        examples.saturating_mul(data.kind.rows()).saturating_mul(data.seq_len)
    }

    /// Returns true if the model was trained on conversations.
    pub fn supports_chat(&self) -> bool {
        supports_chat(&self.config.model, &self.tokenizer)
    }

    /// Estimates the costs of training.
    pub fn estimate(&self) -> Estimate {
        let RunConfig { model, train, data, .. } = &self.config;
        Estimate::of_run(model, train, data)
    }

    /// Estimates the memory that training takes on this rank.
    pub fn rank_estimate(&self) -> ShareEstimate {
        let part = match &self.body {
            Body::Trainable(trainer) => trainer.part().clone(),
            Body::WithoutData { model, .. } => Part::whole(model.config()),
        };
        let (mesh, layout) = (&self.mesh, self.mesh.layout());
        let micro_batches = self.config.train.grad_accum / layout.dp;
        let kept = mesh.schedule.most_kept(mesh.stage(), layout.pp, micro_batches);
        estimate_share(&self.config, &part, layout, self.sharding, kept)
    }

    /// Says, for messages, which checkpoint can still be used after the loss of step `diverged` was not finite. That loss was
    /// computed with the weights of the step before.
    pub fn good_checkpoint(&self, diverged: u64) -> String {
        match self.saved {
            Some(step) if step + 1 >= diverged => {
                format!(
                    "the checkpoint of step {step} leads to it, too: use an earlier one if there is one"
                )
            }
            Some(step) => {
                format!("the checkpoint of step {step} in {} is still good", self.config.name)
            }
            None => "no checkpoint had been saved yet".into(),
        }
    }
}
