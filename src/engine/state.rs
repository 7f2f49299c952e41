//! What the engine keeps between commands, and a request for text.

use crate::config::SampleConfig;
use crate::model::Decoder;
use crate::protocol::Speculation;
use crate::tokenizer::Message;

/// Remarks on the current run that the page shows.
#[derive(Clone, Debug, Default)]
pub struct Notices {
    /// On the device it was loaded to.
    pub device: Option<String>,
    /// On the text it was given.
    pub text: Option<String>,
}

impl Notices {
    /// Both in one text.
    pub fn joined(&self) -> Option<String> {
        [&self.device, &self.text].into_iter().flatten().cloned().reduce(|a, b| a + " " + &b)
    }
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

/// The beginning of a text to generate.
pub enum Beginning {
    /// A text.
    Text(String),
    /// Tokens, taken as they are.
    Tokens(Vec<u32>),
    /// A conversation, in which the assistant speaks next.
    Conversation(Vec<Message>),
}

/// A request for text.
pub struct Writing {
    /// The beginning.
    pub beginning: Beginning,
    /// How to sample.
    pub config: SampleConfig,
    /// Number of alternatives to report for each token drawn.
    pub alternatives: usize,
    /// Speculative decoding, if any.
    pub draft: Option<Speculation>,
}
