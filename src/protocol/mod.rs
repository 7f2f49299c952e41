//! Messages between the page and the engine: commands in, events out, queries and answers.
//!
//! `www/types.ts` is generated from these structs (`cargo xtask types`), and a test fails when the two
//! differ. Nothing here depends on JavaScript: `web/` only converts.

mod query;
mod report;
#[cfg(test)]
mod settings;

pub use query::{Answer, Query};
pub use report::{
    ActivationReport, AnswerReport, CacheReport, Candidate, Circuit, Drawn, Inspection, LensCell,
    Likely, Merge, NeuronReport, PairReport, Part, Promoted, Spread, Stage, TensorReport, Token,
    TokenizerReport,
};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::check::{CheckReport, GoldenCase};
use crate::config::{DataConfig, Estimate, ModelConfig, Preset, SampleConfig, TrainConfig};
use crate::data::SyntheticDataset;
use crate::objective::{Format, Metric, Metrics};
use crate::platform::{DeviceInfo, ProfileReport};
pub use crate::run::RunConfig;
use crate::sample::Guesses;
use crate::tokenizer::Message;

/// A command of the page to the engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    /// Choose the device; must come first. Answered by [`Event::Ready`].
    Init {
        /// `auto`, `webgpu` or `cpu`.
        device: String,
    },
    /// Train a tokenizer on the text, build a fresh model, wait at step 0. Answered by [`Event::Loaded`].
    Create {
        /// Everything that defines the run.
        config: RunConfig,
        /// The corpus.
        text: String,
    },
    /// Create a run that starts from the weights and the tokenizer of the current model, and wait at step 0:
    /// fine-tuning, on text, on conversations or on preference pairs. Where the text holds turns and the vocabulary
    /// lacks tokens for them, it grows by them. Answered by [`Event::Loaded`].
    FineTune {
        /// Everything that defines the run, but for the tokenizer and, except for dropout, the architecture,
        /// which are those of the current model.
        config: RunConfig,
        /// The corpus.
        text: String,
    },
    /// Give a restored or opened model the text to continue with.
    Text {
        /// The corpus; it must be the one the run was started with for an exact continuation.
        text: String,
    },
    /// Train until this step has been done (or until [`Command::Pause`]).
    Train {
        /// Absolute step number.
        until: u64,
    },
    /// Finish the step under way, save, and wait.
    Pause,
    /// Change settings of the current run, in training or not; takes effect before the next step.
    /// Answered by [`Event::Adjusted`].
    Adjust {
        /// Peak learning rate.
        lr: Option<f64>,
        /// Sequences per step.
        batch_size: Option<usize>,
        /// Steps in all; training under way now ends there.
        steps: Option<u64>,
    },
    /// Generate text. Answered by a stream of [`Event::Text`]. Several may be in progress at once.
    Generate {
        /// Chosen by the page, repeated in the answers.
        id: u32,
        /// The beginning of the text.
        prompt: String,
        /// The beginning as tokens, which are then taken instead of the text.
        ids: Option<Vec<u32>>,
        /// A conversation, which is then taken instead of both: what is generated is the assistant's next turn.
        #[cfg_attr(test, ts(optional))]
        messages: Option<Vec<Message>>,
        /// How to draw.
        config: SampleConfig,
        /// How many alternatives to report with each token.
        alternatives: usize,
        /// Speculative decoding: the same text in fewer forward passes.
        #[cfg_attr(test, ts(optional))]
        draft: Option<Speculation>,
    },
    /// Stop generating: this one, or all.
    CancelGenerate {
        /// As in [`Command::Generate`].
        id: Option<u32>,
    },
    /// Save a checkpoint now. Answered by [`Event::Saved`].
    Save,
    /// List what the browser's storage holds. Answered by [`Event::Runs`].
    Runs,
    /// Load a run from the browser's storage. Answered by [`Event::Loaded`].
    Restore {
        /// Its name.
        run: String,
        /// The kept checkpoint to load; the newest otherwise. What is trained on from an older one takes
        /// the place of the checkpoints after it.
        step: Option<u64>,
        /// Go on under this name instead, as a branch: the run itself stays as it is. It must be new.
        branch: Option<String>,
    },
    /// Remove a run from the browser's storage, and from the worker if it is the current run. Answered by
    /// [`Event::Gone`] in that case, and by [`Event::Runs`].
    Delete {
        /// Its name.
        run: String,
    },
    /// Pack a checkpoint into one zip file. Answered by [`Event::Archive`].
    Export {
        /// The stored run whose newest checkpoint it is; otherwise the current run, as it is now.
        run: Option<String>,
    },
    /// Load a zip of a checkpoint directory: ours or Hugging Face's. Answered by [`Event::Loaded`].
    Open {
        /// The file's name; the run is called after it.
        name: String,
        /// The zip.
        #[serde(with = "serde_bytes")]
        #[cfg_attr(test, ts(type = "Uint8Array"))]
        bytes: Vec<u8>,
    },
    /// Load the files of a checkpoint directory, such as a Hugging Face model's. Answered by [`Event::Loaded`].
    OpenFiles {
        /// The run's name.
        name: String,
        /// The files.
        files: Vec<NamedFile>,
    },
    /// Profile the next steps of the training in progress, or fewer if an evaluation, a save or a sample is due
    /// before. Answered by [`Event::Profiled`].
    Profile {
        /// Steps.
        steps: u64,
    },
    /// Compare this device with PyTorch's figures. Answered by [`Event::Checked`].
    Check {
        /// The golden case.
        golden: GoldenCase,
    },
}

/// Speculative decoding (Leviathan et al. 2023): the drafter and how far ahead it guesses.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Speculation {
    /// The drafter.
    pub draft: Draft,
    /// Tokens guessed at a time, at least one.
    pub length: usize,
}

/// The drafter that guesses the next tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Draft {
    /// N-gram draft: what followed the same tokens earlier in the text.
    Ngram,
    /// The current run as it was after this step, from its kept checkpoint.
    Step {
        /// The step.
        step: u64,
    },
    /// The newest checkpoint of a stored run with the same tokenizer.
    Run {
        /// Its name.
        run: String,
    },
}

/// A file's path, of which the folders do not matter, and its content.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct NamedFile {
    /// Its path.
    pub name: String,
    /// Its content.
    #[serde(with = "serde_bytes")]
    #[cfg_attr(test, ts(type = "Uint8Array"))]
    pub bytes: Vec<u8>,
}

/// An event that the engine reports to the page.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The device is chosen.
    Ready {
        /// What is in use.
        device: DeviceInfo,
        /// Names of the runs in the browser's storage.
        runs: Vec<RunSummary>,
    },
    /// Long work before the first step.
    Progress {
        /// What is being done, for people.
        stage: String,
        /// How much is done.
        done: u64,
        /// Of how much; 0 when unknown.
        total: u64,
    },
    /// A model is in the worker, waiting.
    Loaded {
        /// What it is.
        info: RunInfo,
    },
    /// The current run was deleted: no model is loaded now.
    Gone,
    /// Settings of the current run were changed.
    Adjusted {
        /// All of them, as they are now.
        config: RunConfig,
        /// Its costs now.
        estimate: Estimate,
    },
    /// Training began or stopped.
    Training {
        /// Whether steps are being made now.
        running: bool,
        /// Steps done so far.
        step: u64,
    },
    /// One or more optimizer steps were made.
    Step {
        /// The last of them.
        report: StepEvent,
    },
    /// The whole validation split was evaluated.
    Evaluated {
        /// After which step.
        step: u64,
        /// Mean loss over the objective's terms: nats per token, or per preference pair.
        loss: f64,
        /// Metrics by name; [`RunInfo::metrics`] describes them.
        metrics: BTreeMap<String, f64>,
    },
    /// A live sample of the model in training.
    LiveSample {
        /// After which step.
        step: u64,
        /// Prompt and continuation.
        text: String,
    },
    /// A piece of generated text.
    Text {
        /// As in [`Command::Generate`].
        id: u32,
        /// The new characters; never half of one.
        text: String,
        /// Tokens generated so far.
        tokens: u64,
        /// Tokens per second so far.
        tokens_per_second: f64,
        /// The prompt's tokens, in the first piece only.
        prompt: Vec<Token>,
        /// The tokens drawn since the last piece.
        drawn: Vec<Drawn>,
        /// Oldest messages of a conversation that the context had no room for; in the first piece only.
        dropped: usize,
        /// Tokens of the prompt that the model had read before, for a text that began alike; in the first piece only.
        reused: usize,
        /// How well the draft has guessed so far, if there is one.
        guesses: Option<Guesses>,
        /// Whether this was the last piece.
        done: bool,
    },
    /// A checkpoint is safe in the browser's storage.
    Saved {
        /// The run's name.
        run: String,
        /// The step it holds.
        step: u64,
    },
    /// What the browser's storage holds.
    Runs {
        /// The runs, newest first.
        runs: Vec<RunSummary>,
    },
    /// A zip of the checkpoint directory.
    Archive {
        /// A file name for it.
        name: String,
        /// The zip.
        #[serde(with = "serde_bytes")]
        #[cfg_attr(test, ts(type = "Uint8Array"))]
        bytes: Vec<u8>,
    },
    /// Time of each kernel over some steps.
    Profiled {
        /// The figures.
        report: ProfileReport,
    },
    /// Comparison with PyTorch's figures.
    Checked {
        /// The figures.
        report: CheckReport,
    },
    /// A command failed; nothing already saved was lost.
    Failed {
        /// One line: what, where, the remedy.
        message: String,
    },
}

/// A run in the browser's storage.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RunSummary {
    /// Its name.
    pub name: String,
    /// The step of its newest checkpoint.
    pub step: u64,
    /// When that was saved, milliseconds since 1970.
    pub saved_at: f64,
    /// What defines it; none where its files cannot be read.
    pub config: Option<RunConfig>,
    /// Its parameters.
    pub parameters: u64,
    /// Tokens it was trained on.
    pub tokens_seen: u64,
    /// The lowest validation loss so far.
    pub best_val_loss: Option<f64>,
    /// Steps of the kept checkpoints, ascending.
    pub kept: Vec<u64>,
    /// Bytes it takes.
    pub bytes: u64,
    /// Whether it was trained to take turns in a conversation.
    pub has_chat_template: bool,
}

/// The model in the worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RunInfo {
    /// Everything that defines it (`model.vocab_size` is now the tokenizer's).
    pub config: RunConfig,
    /// Steps done so far.
    pub step: u64,
    /// Its costs.
    pub estimate: Estimate,
    /// Training tokens; 0 while it has no corpus.
    pub train_tokens: u64,
    /// Validation tokens.
    pub val_tokens: u64,
    /// Bytes of text per token on the corpus; 0 while it has none.
    pub bytes_per_token: f64,
    /// What is in use.
    pub device: DeviceInfo,
    /// Whether it was trained to take turns in a conversation.
    pub has_chat_template: bool,
    /// Whether it can be trained: false until it has a text.
    pub trainable: bool,
    /// Metrics that its training and evaluation report beside the loss, in the order to show them.
    pub metrics: Vec<MetricInfo>,
    /// Something the user should know, such as a corpus other than the run's own.
    pub notice: Option<String>,
}

/// What one training step reports at an edge, after its loss was read back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct StepEvent {
    /// Steps done, this one included.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Mean loss of the step's batch over the objective's terms: nats per token, or per preference pair.
    pub loss: f64,
    /// Metrics by name; [`RunInfo::metrics`] describes them.
    pub metrics: BTreeMap<String, f64>,
    /// Global gradient norm before clipping; none where gradients overflowed f16, and the step changed nothing.
    pub grad_norm: Option<f64>,
    /// Learning rate of the step.
    pub lr: f64,
    /// Tokens seen since the run began.
    pub tokens: u64,
    /// Tokens per second lately.
    pub tokens_per_second: f64,
    /// Seconds until the last step, at this speed.
    pub seconds_left: f64,
    /// The share of the time of the steps up to this one in which a GPU computed, by its own clock; none where
    /// these steps were not measured.
    pub busy: Option<f64>,
}

/// Description of a metric that a run reports beside its loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MetricInfo {
    /// Key of the metric in [`StepEvent::metrics`].
    pub name: String,
    /// Words to show beside the value.
    pub label: String,
    /// What is measured and how to read it.
    pub description: String,
    /// How to print the value.
    pub format: Format,
}

impl From<&Metric> for MetricInfo {
    fn from(metric: &Metric) -> Self {
        Self {
            name: metric.name.into(),
            label: metric.label.into(),
            description: metric.description.into(),
            format: metric.format,
        }
    }
}

/// Metrics as an event carries them.
pub fn by_name(metrics: &Metrics) -> BTreeMap<String, f64> {
    metrics.iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// A preset for the page's menu.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PresetInfo {
    /// Its name.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// `char`, `byte`, `bpe:N` or `wordpiece:N`.
    pub tokenizer: String,
    /// The architecture.
    pub model: ModelConfig,
    /// Optimizer and schedule.
    pub train: TrainConfig,
    /// Windows.
    pub data: DataConfig,
}

impl From<Preset> for PresetInfo {
    fn from(preset: Preset) -> Self {
        let Preset { name, description, tokenizer, model, train, data } = preset;
        let (name, description) = (name.into(), description.into());
        Self { name, description, tokenizer: tokenizer.into(), model, train, data }
    }
}

/// A text that is made by rule.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ExampleInfo {
    /// What it is called.
    pub name: String,
    /// What it is, and what it teaches.
    pub about: String,
}

impl From<&SyntheticDataset> for ExampleInfo {
    fn from(&SyntheticDataset { name, about, .. }: &SyntheticDataset) -> Self {
        Self { name: name.into(), about: about.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Comparison;
    use crate::config::*;
    use crate::platform::KernelTime;
    use crate::tokenizer::Role;

    /// `www/types.ts` is what these structs say. `cargo xtask types` writes it anew.
    #[test]
    fn typescript_types_are_up_to_date() {
        let config = ts_rs::Config::new().with_large_int("number");
        let mut text = String::from(
            "// Generated from src/protocol by `cargo xtask types`; not to be edited.\n",
        );
        macro_rules! declare {
            ($($name:ty),* $(,)?) => {
                $(text += &format!("\nexport {}\n", <$name as ts_rs::TS>::decl(&config));)*
            };
        }
        declare!(
            PositionEmbedding,
            NormKind,
            HiddenAct,
            InitScheme,
            RopeType,
            RopeScaling,
            ModelConfig,
            OptimizerKind,
            Precision,
            ScheduleKind,
            TrainConfig,
            DataKind,
            DataOrder,
            DataConfig,
            SampleConfig,
            Role,
            Message,
            Estimate,
            PresetInfo,
            ExampleInfo,
            GoldenCase,
            RunConfig,
            NamedFile,
            Draft,
            Speculation,
            Guesses,
            Command,
            Token,
            Part,
            Candidate,
            Drawn,
            Likely,
            LensCell,
            Inspection,
            Promoted,
            Circuit,
            NeuronReport,
            CacheReport,
            AnswerReport,
            PairReport,
            TokenizerReport,
            Merge,
            Stage,
            Spread,
            TensorReport,
            ActivationReport,
            Query,
            Answer,
            DeviceInfo,
            RunSummary,
            RunInfo,
            MetricInfo,
            Format,
            StepEvent,
            Comparison,
            CheckReport,
            KernelTime,
            ProfileReport,
            Event,
        );
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/www/types.ts");
        if std::env::var_os("UPDATE_TYPES").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let there = std::fs::read_to_string(path).unwrap_or_default();
        assert!(there == text, "www/types.ts is out of date: run `cargo xtask types`");
    }
}
