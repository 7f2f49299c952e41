//! Commands of the page to the engine.

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::event::Event;
use super::history::History;
use crate::check::GoldenCase;
use crate::config::SampleConfig;
use crate::run::RunConfig;
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
    /// Creates a run that fine-tunes the current model on text, conversations or preference pairs, and waits at step 0.
    /// If the data contains chat messages, special tokens for them are added to the vocabulary unless it has them.
    /// Answered by [`Event::Loaded`].
    FineTune {
        /// Configuration of the run. Tokenizer and architecture, except for dropout, are those of the current model.
        config: RunConfig,
        /// Training data.
        text: String,
    },
    /// Gives a restored or opened model the text to train on. Answered by [`Event::Loaded`].
    Text {
        /// Training data; for exact resumption it must be the run's own.
        text: String,
    },
    /// Trains up to and including this step, or until [`Command::Pause`].
    Train {
        /// Step number, counted from the start of the run.
        until: u64,
    },
    /// Finishes the current step, saves a checkpoint and waits.
    Pause,
    /// Changes settings of the current run, during training or not; takes effect before the next step.
    /// Answered by [`Event::Adjusted`].
    Adjust {
        /// Peak learning rate.
        lr: Option<f64>,
        /// Sequences per step.
        batch_size: Option<usize>,
        /// Total number of steps, after which training stops.
        steps: Option<u64>,
    },
    /// Generates text. Answered by a stream of [`Event::Text`]. Several may be in progress at once.
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
    /// Stops one generation or all.
    CancelGenerate {
        /// Id of the generation; by default all.
        id: Option<u32>,
    },
    /// Saves a checkpoint. Answered by [`Event::Saved`].
    Save,
    /// Lists the runs in the browser's storage. Answered by [`Event::Runs`].
    Runs,
    /// Loads a run from the browser's storage. Answered by [`Event::Loaded`].
    Restore {
        /// Name of the run.
        run: String,
        /// Step of the checkpoint to load; by default the newest. Training from an older one replaces the checkpoints
        /// after it.
        step: Option<u64>,
        /// Name of a new run that branches from the checkpoint; the original run stays unchanged.
        branch: Option<String>,
    },
    /// Deletes a run from the browser's storage, and from the worker if it is the current run. Answered by
    /// [`Event::Gone`] in that case, and by [`Event::Runs`].
    Delete {
        /// Name of the run.
        run: String,
    },
    /// Packs a checkpoint into a zip file. Answered by [`Event::Archive`].
    Export {
        /// The stored run whose newest checkpoint it is; otherwise the current run, as it is now.
        run: Option<String>,
        /// Its curves and samples, to be packed too.
        #[cfg_attr(test, ts(optional))]
        history: Option<History>,
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
    /// Profiles the next steps of the training in progress, or fewer if an evaluation, a save or a sample is due
    /// earlier. Answered by [`Event::Profiled`].
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
        /// Name of the run.
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
