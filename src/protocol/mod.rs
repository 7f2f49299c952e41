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
    /// Opens the device; must be the first command. Answered by [`Event::Ready`].
    Init {
        /// `auto`, `webgpu` or `cpu`.
        device: String,
    },
    /// Creates a run: trains a tokenizer on the text, initializes a model and waits at step 0. Answered by
    /// [`Event::Loaded`].
    Create {
        /// Configuration of the run.
        config: RunConfig,
        /// Training data.
        text: String,
    },
    /// Create a run that starts from the weights and the tokenizer of the current model, and wait at step 0:
    /// fine-tuning, on text, on conversations or on preference pairs. Where the text holds turns and the vocabulary
    /// lacks tokens for them, it grows by them. Answered by [`Event::Loaded`].
    FineTune {
        /// Everything that defines the run, but for the tokenizer and, except for dropout, the architecture,
        /// which are those of the current model.
        config: RunConfig,
        /// Training data.
        text: String,
    },
    /// Give a restored or opened model the text to continue with.
    Text {
        /// Training data; for exact resumption it must be the run's own.
        text: String,
    },
    /// Trains up to and including this step, or until [`Command::Pause`].
    Train {
        /// Step number, counted from the start of the run.
        until: u64,
    },
    /// Finishes the current step, saves and waits.
    Pause,
    /// Change settings of the current run, in training or not; takes effect before the next step.
    /// Answered by [`Event::Adjusted`].
    Adjust {
        /// Peak learning rate.
        lr: Option<f64>,
        /// Sequences per step.
        batch_size: Option<usize>,
        /// Total number of steps, at which current training will stop.
        steps: Option<u64>,
    },
    /// Generate text. Answered by a stream of [`Event::Text`]. Several may be in progress at once.
    Generate {
        /// Id chosen by the page, repeated in the answers.
        id: u32,
        /// Prompt.
        prompt: String,
        /// Prompt as token ids, used instead of the text.
        ids: Option<Vec<u32>>,
        /// Conversation, used instead of both; the assistant's next message is generated.
        #[cfg_attr(test, ts(optional))]
        messages: Option<Vec<Message>>,
        /// Sampling settings.
        config: SampleConfig,
        /// How many alternatives to report with each token.
        alternatives: usize,
        /// Speculative decoding: the same text in fewer forward passes.
        #[cfg_attr(test, ts(optional))]
        draft: Option<Speculation>,
    },
    /// Stops one generation, or all.
    CancelGenerate {
        /// As in [`Command::Generate`].
        id: Option<u32>,
    },
    /// Saves a checkpoint. Answered by [`Event::Saved`].
    Save,
    /// Lists the runs in the browser's storage. Answered by [`Event::Runs`].
    Runs,
    /// Loads a run from the browser's storage. Answered by [`Event::Loaded`].
    Restore {
        /// Name.
        run: String,
        /// Step of the checkpoint to load; by default the newest. Training from an older one replaces the checkpoints
        /// after it.
        step: Option<u64>,
        /// Name of a new run that branches from the checkpoint; the original run stays unchanged.
        branch: Option<String>,
    },
    /// Remove a run from the browser's storage, and from the worker if it is the current run. Answered by
    /// [`Event::Gone`] in that case, and by [`Event::Runs`].
    Delete {
        /// Name.
        run: String,
    },
    /// Packs a checkpoint into a zip file. Answered by [`Event::Archive`].
    Export {
        /// The stored run whose newest checkpoint it is; otherwise the current run, as it is now.
        run: Option<String>,
    },
    /// Loads a zip of a checkpoint directory of blankslate or Hugging Face. Answered by [`Event::Loaded`].
    Open {
        /// Name of the file, from which the run's name is derived.
        name: String,
        /// Contents of the zip file.
        #[serde(with = "serde_bytes")]
        #[cfg_attr(test, ts(type = "Uint8Array"))]
        bytes: Vec<u8>,
    },
    /// Loads the files of a checkpoint directory, such as a Hugging Face model's. Answered by [`Event::Loaded`].
    OpenFiles {
        /// Name of the run.
        name: String,
        /// Files of the directory.
        files: Vec<NamedFile>,
    },
    /// Profile the next steps of the training in progress, or fewer if an evaluation, a save or a sample is due
    /// before. Answered by [`Event::Profiled`].
    Profile {
        /// Number of steps.
        steps: u64,
    },
    /// Compares the device with PyTorch on a golden case. Answered by [`Event::Checked`].
    Check {
        /// Golden case.
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
        /// Step of the checkpoint.
        step: u64,
    },
    /// Newest checkpoint of a stored run with the same tokenizer.
    Run {
        /// Name.
        run: String,
    },
}

/// A file's path, whose folders are ignored, and contents.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct NamedFile {
    /// Path of the file.
    pub name: String,
    /// Contents of the file.
    #[serde(with = "serde_bytes")]
    #[cfg_attr(test, ts(type = "Uint8Array"))]
    pub bytes: Vec<u8>,
}

/// An event that the engine reports to the page.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The device is open.
    Ready {
        /// Device.
        device: DeviceInfo,
        /// Names of the runs in the browser's storage.
        runs: Vec<RunSummary>,
    },
    /// Progress of long work before the first step.
    Progress {
        /// Description of the work.
        stage: String,
        /// Units done.
        done: u64,
        /// Total units; 0 if unknown.
        total: u64,
    },
    /// A run was loaded and waits.
    Loaded {
        /// The loaded run.
        info: RunInfo,
    },
    /// The current run was deleted: no model is loaded now.
    Gone,
    /// Settings of the current run were changed.
    Adjusted {
        /// All current training settings.
        config: RunConfig,
        /// Current costs.
        estimate: Estimate,
    },
    /// Training started or stopped.
    Training {
        /// True if training is running.
        running: bool,
        /// Completed steps.
        step: u64,
    },
    /// One or more training steps were completed.
    Step {
        /// Metrics of the last step.
        report: StepEvent,
    },
    /// The validation data was evaluated.
    Evaluated {
        /// Step of the model.
        step: u64,
        /// Mean loss over the objective's terms: nats per token, or per preference pair.
        loss: f64,
        /// Metrics by name; [`RunInfo::metrics`] describes them.
        metrics: BTreeMap<String, f64>,
    },
    /// A sample of the model in training.
    LiveSample {
        /// Step of the model.
        step: u64,
        /// Prompt and continuation.
        text: String,
    },
    /// A piece of generated text.
    Text {
        /// As in [`Command::Generate`].
        id: u32,
        /// New complete characters.
        text: String,
        /// Tokens generated so far.
        tokens: u64,
        /// Mean tokens per second so far.
        tokens_per_second: f64,
        /// Tokens of the prompt; only in the first event.
        prompt: Vec<Token>,
        /// Tokens sampled since the last event.
        drawn: Vec<Drawn>,
        /// Number of oldest messages that were dropped for lack of context; only in the first event.
        dropped: usize,
        /// Prompt tokens that were already in the KV cache; only in the first event.
        reused: usize,
        /// Acceptance statistics of speculative decoding so far, if enabled.
        guesses: Option<Guesses>,
        /// True for the last event.
        done: bool,
    },
    /// A checkpoint was written to the browser's storage.
    Saved {
        /// Name of the run.
        run: String,
        /// Step of the checkpoint.
        step: u64,
    },
    /// The runs in the browser's storage.
    Runs {
        /// Runs, newest first.
        runs: Vec<RunSummary>,
    },
    /// A zip of a checkpoint directory.
    Archive {
        /// Suggested file name.
        name: String,
        /// Contents of the zip file.
        #[serde(with = "serde_bytes")]
        #[cfg_attr(test, ts(type = "Uint8Array"))]
        bytes: Vec<u8>,
    },
    /// Time of each kernel over some steps.
    Profiled {
        /// Results.
        report: ProfileReport,
    },
    /// Comparison with PyTorch.
    Checked {
        /// Results.
        report: CheckReport,
    },
    /// A command failed. Saved data is not affected.
    Failed {
        /// What failed, where, and what to do, in one line.
        message: String,
    },
}

/// A run in the browser's storage.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RunSummary {
    /// Name.
    pub name: String,
    /// Step of the newest checkpoint.
    pub step: u64,
    /// Time of that checkpoint in milliseconds since 1970-01-01 UTC.
    pub saved_at: f64,
    /// Configuration; none if its files cannot be read.
    pub config: Option<RunConfig>,
    /// Number of parameters.
    pub parameters: u64,
    /// Training tokens processed.
    pub tokens_seen: u64,
    /// Lowest validation loss so far.
    pub best_val_loss: Option<f64>,
    /// Steps of the kept checkpoints in ascending order.
    pub kept: Vec<u64>,
    /// Size in bytes.
    pub bytes: u64,
    /// True if the model was trained on conversations and can chat.
    pub has_chat_template: bool,
}

/// The current run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct RunInfo {
    /// Configuration; `model.vocab_size` is the tokenizer's.
    pub config: RunConfig,
    /// Completed steps.
    pub step: u64,
    /// Estimated costs.
    pub estimate: Estimate,
    /// Number of training tokens; 0 without training data.
    pub train_tokens: u64,
    /// Number of validation tokens.
    pub val_tokens: u64,
    /// Bytes per token on the training data; 0 without training data.
    pub bytes_per_token: f64,
    /// Device.
    pub device: DeviceInfo,
    /// True if the model was trained on conversations and can chat.
    pub has_chat_template: bool,
    /// Whether it can be trained: false until it has a text.
    pub trainable: bool,
    /// Metrics that its training and evaluation report beside the loss, in the order to show them.
    pub metrics: Vec<MetricInfo>,
    /// Notice for the user, such as training data that differs from the run's own.
    pub notice: Option<String>,
}

/// Metrics of a training step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct StepEvent {
    /// Completed steps, including this one.
    pub step: u64,
    /// Total number of steps.
    pub steps: u64,
    /// Mean loss of the step's batch over the objective's terms: nats per token, or per preference pair.
    pub loss: f64,
    /// Metrics by name; [`RunInfo::metrics`] describes them.
    pub metrics: BTreeMap<String, f64>,
    /// Global gradient norm before clipping; none if gradients overflowed in f16 and the step was skipped.
    pub grad_norm: Option<f64>,
    /// Learning rate.
    pub lr: f64,
    /// Training tokens processed since the start of the run.
    pub tokens: u64,
    /// Recent tokens per second.
    pub tokens_per_second: f64,
    /// Estimated seconds until the last step.
    pub seconds_left: f64,
    /// Fraction of recent time in which the GPU computed, by its timestamps; none if it was not measured.
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

/// A preset in the page's menu.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PresetInfo {
    /// Name.
    pub name: String,
    /// Description in one line.
    pub description: String,
    /// `char`, `byte`, `bpe:N` or `wordpiece:N`.
    pub tokenizer: String,
    /// Model configuration.
    pub model: ModelConfig,
    /// Training settings.
    pub train: TrainConfig,
    /// Data settings.
    pub data: DataConfig,
}

impl From<Preset> for PresetInfo {
    fn from(preset: Preset) -> Self {
        let Preset { name, description, tokenizer, model, train, data } = preset;
        let (name, description) = (name.into(), description.into());
        Self { name, description, tokenizer: tokenizer.into(), model, train, data }
    }
}

/// A synthetic dataset.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ExampleInfo {
    /// Name.
    pub name: String,
    /// Description.
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

    /// Checks that `www/types.ts` matches these structs; `cargo xtask types` regenerates it.
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
