//! State that the engine keeps between commands, and requests for text.

use crate::config::SampleConfig;
use crate::model::Decoder;
use crate::platform::NameLock;
use crate::protocol::Speculation;
use crate::tokenizer::Message;

/// Notices about the current run that the page shows.
#[derive(Clone, Debug, Default)]
pub struct Notices {
    /// About the device.
    pub device: Option<String>,
    /// About how the model's files were read.
    pub files: Option<String>,
    /// About the curves in those files.
    pub history: Option<String>,
    /// About the training text.
    pub text: Option<String>,
}

impl Notices {
    /// Returns the notices as one text.
    pub fn joined(&self) -> Option<String> {
        [&self.device, &self.files, &self.history, &self.text]
            .into_iter()
            .flatten()
            .cloned()
            .reduce(|a, b| a + " " + &b)
    }
}

/// The right to write the files of a run, which one engine at a time has: two tabs must not write one run.
pub struct Claim {
    /// Name of the run.
    pub name: String,
    pub(super) _lock: NameLock,
}

/// The model of a kept checkpoint.
pub struct Kept {
    /// Name of the run.
    pub run: String,
    /// Step of the checkpoint.
    pub step: u64,
    /// The model, on an autodiff device.
    pub model: Decoder,
}

/// The start of a text to generate.
pub enum Prompt {
    /// A text.
    Text(String),
    /// Token ids, used as they are.
    Tokens(Vec<u32>),
    /// A conversation, to which the assistant answers next.
    Conversation(Vec<Message>),
}

/// A request for text.
pub struct TextRequest {
    /// Start of the text.
    pub prompt: Prompt,
    /// Sampling settings.
    pub config: SampleConfig,
    /// Number of alternatives to report for each sampled token.
    pub alternatives: usize,
    /// Speculative decoding, if any.
    pub draft: Option<Speculation>,
}
