//! Chat messages as tokens in ChatML, with a loss mask for the assistant's messages.
//!
//! ```text
//! <|im_start|>user
//! How are you?<|im_end|>
//! <|im_start|>assistant
//! Well.<|im_end|>
//! ```
//!
//! `<|im_start|>` and `<|im_end|>` are special tokens, and the content of a message is always encoded as ordinary text, so
//! content cannot forge a message. White space around the content is removed, so that its tokens do not depend on what
//! precedes it.

mod preferences;

pub use preferences::PreferencePair;

use super::Tokenizer;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Token that starts a message.
pub const MESSAGE_START: &str = "<|im_start|>";
/// Token that ends a message.
const END: &str = "<|im_end|>";
/// Special tokens that conversations need.
pub const CHAT_TOKENS: [&str; 2] = [MESSAGE_START, END];

/// ChatML as a Jinja template for `apply_chat_template` of transformers: `chat_template` in `tokenizer_config.json`.
pub const CHAT_TEMPLATE: &str = "{% for message in messages %}\
    {{ '<|im_start|>' + message['role'] + '\\n' + (message['content'] | trim) + '<|im_end|>\\n' }}\
    {% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// Author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The author of the instructions.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// Returns the name in templates and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Message {
    /// Author of the message.
    pub role: Role,
    /// Text of the message.
    pub content: String,
}

/// A conversation to learn from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// The messages in their order.
    pub messages: Vec<Message>,
    /// Positions of assistant messages that are read but not learned, ascending.
    pub excluded: Vec<usize>,
}

/// The special tokens around a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatTokens {
    /// `<|im_start|>`
    pub start: u32,
    /// `<|im_end|>`
    pub end: u32,
}

/// An encoded conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedChat {
    /// Token ids.
    pub ids: Vec<u32>,
    /// For each token, true if it is trained on: the content of assistant messages and their `<|im_end|>`.
    pub loss_mask: Vec<bool>,
}

/// The prompt for the assistant's next message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatPrompt {
    /// Token ids up to the start of the assistant's message.
    pub ids: Vec<u32>,
    /// Number of oldest messages that were dropped for lack of room.
    pub dropped: usize,
}

impl Tokenizer {
    /// Returns the special tokens around a message if the vocabulary reserves them.
    pub fn chat_tokens(&self) -> Option<ChatTokens> {
        let find = |name| self.0.specials.id_of(name).filter(|id| self.is_special(*id));
        Some(ChatTokens { start: find(MESSAGE_START)?, end: find(END)? })
    }

    /// Returns the tokenizer with the special tokens around a message added if they are missing.
    ///
    /// # Errors
    /// Returns the errors of [`Self::with_special_tokens`].
    pub fn with_chat_tokens(&self) -> Result<Self> {
        self.with_special_tokens(&CHAT_TOKENS)
    }

    /// Encodes messages with their loss mask: all assistant messages are trained on.
    ///
    /// # Errors
    /// Returns an error without [`Self::chat_tokens`], and the errors of [`Self::encode`].
    pub fn encode_messages(&self, messages: &[Message]) -> Result<EncodedChat> {
        self.encode_masked(messages, &[])
    }

    /// Encodes a conversation with its loss mask.
    ///
    /// # Errors
    /// Returns an error without [`Self::chat_tokens`], and the errors of [`Self::encode`].
    pub fn encode_conversation(&self, conversation: &Conversation) -> Result<EncodedChat> {
        self.encode_masked(&conversation.messages, &conversation.excluded)
    }

    fn encode_masked(&self, messages: &[Message], excluded: &[usize]) -> Result<EncodedChat> {
        let around = self.require_chat_tokens()?;
        let newline = self.encode("\n")?;
        let mut chat = EncodedChat::default();
        for (index, Message { role, content }) in messages.iter().enumerate() {
            let is_trained = *role == Role::Assistant && excluded.binary_search(&index).is_err();
            chat.push(&[around.start], false);
            chat.push(&self.encode(&heading(*role))?, false);
            chat.push(&self.encode(trim(content))?, is_trained);
            chat.push(&[around.end], is_trained);
            chat.push(&newline, false);
        }
        Ok(chat)
    }

    /// Encodes the prompt for the assistant's next message. Drops the oldest messages until it fits into `room` tokens, except
    /// a system message at the start and the last message, which may be longer.
    ///
    /// # Errors
    /// Returns an error without [`Self::chat_tokens`], and the errors of [`Self::encode`].
    pub fn encode_chat_prompt(&self, messages: &[Message], room: usize) -> Result<ChatPrompt> {
        let around = self.require_chat_tokens()?;
        let encode = |message| Ok(self.encode_messages(std::slice::from_ref(message))?.ids);
        let encoded: Vec<Vec<u32>> = messages.iter().map(encode).collect::<Result<_>>()?;
        let opening = [vec![around.start], self.encode(&heading(Role::Assistant))?].concat();
        let is = |at: usize, role| messages.get(at).is_some_and(|message| message.role == role);
        let kept = usize::from(is(0, Role::System));
        let mut first = kept;
        let mut tokens = encoded.iter().map(Vec::len).sum::<usize>() + opening.len();
        while tokens > room && first + 1 < encoded.len() {
            tokens -= encoded[first].len();
            first += 1;
            // An answer is dropped together with its question.
            while is(first, Role::Assistant) && first + 1 < encoded.len() {
                tokens -= encoded[first].len();
                first += 1;
            }
        }
        let prompt = encoded[..kept].iter().chain(&encoded[first..]).chain([&opening]);
        Ok(ChatPrompt { ids: prompt.flatten().copied().collect(), dropped: first - kept })
    }

    fn require_chat_tokens(&self) -> Result<ChatTokens> {
        self.chat_tokens().ok_or_else(|| {
            Error::config(
                "chat",
                format!("the tokenizer has no special tokens {MESSAGE_START} and {END}"),
                "fine-tune the model on conversations first, with `from`",
            )
        })
    }
}

impl EncodedChat {
    /// Returns the ids and the loss mask.
    pub fn into_parts(self) -> (Vec<u32>, Vec<bool>) {
        (self.ids, self.loss_mask)
    }

    fn push(&mut self, ids: &[u32], is_trained: bool) {
        self.ids.extend(ids);
        self.loss_mask.resize(self.ids.len(), is_trained);
    }
}

/// Returns the first line of a message.
fn heading(role: Role) -> String {
    format!("{}\n", role.name())
}

/// Removes surrounding white space like Python's `strip`, which the template calls.
fn trim(content: &str) -> &str {
    content.trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c))
}

/// Returns a conversation as training text for a tokenizer: everything that is encoded as ordinary text.
pub fn plain_text(messages: &[Message]) -> String {
    messages
        .iter()
        .map(|Message { role, content }| format!("{}{content}\n", heading(*role)))
        .collect()
}
