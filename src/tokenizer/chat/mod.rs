//! Conversations as tokens: ChatML, with a mark on what the assistant says.
//!
//! ```text
//! <|im_start|>user
//! How are you?<|im_end|>
//! <|im_start|>assistant
//! Well.<|im_end|>
//! ```
//!
//! The two marks are special tokens, and what a message contains is always ordinary text: no message can
//! forge a turn. White space around a content is dropped, so that its tokens do not depend on what stands
//! before it.

mod jsonl;
mod preferences;

pub use jsonl::{holds_conversations, parse_conversations};
pub use preferences::{PreferencePair, holds_preferences, parse_preferences};

use super::Tokenizer;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Begins a turn.
const START: &str = "<|im_start|>";
/// Ends a turn.
const END: &str = "<|im_end|>";

/// The same for transformers, whose `apply_chat_template` renders it: `chat_template` of
/// `tokenizer_config.json`.
pub const CHAT_TEMPLATE: &str = "{% for message in messages %}\
    {{ '<|im_start|>' + message['role'] + '\\n' + (message['content'] | trim) + '<|im_end|>\\n' }}\
    {% endfor %}\
    {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Whoever sets the scene.
    System,
    /// Whoever asks.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// Its name in templates and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// The special tokens around a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnTokens {
    /// `<|im_start|>`
    pub start: u32,
    /// `<|im_end|>`
    pub end: u32,
}

/// A conversation as tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    /// The tokens.
    pub ids: Vec<u32>,
    /// Of each, whether the assistant says it: its contents and the `<|im_end|>` after each.
    pub learnt: Vec<bool>,
}

/// What a model reads before it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatPrompt {
    /// The conversation up to the words that the assistant says next.
    pub ids: Vec<u32>,
    /// The oldest messages that were left out because there was no room for them.
    pub dropped: usize,
}

impl Tokenizer {
    /// The special tokens around a turn, if the vocabulary reserves them.
    pub fn turn_tokens(&self) -> Option<TurnTokens> {
        let find = |name| self.special_tokens().find(|(token, _)| *token == name).map(|(_, id)| id);
        Some(TurnTokens { start: find(START)?, end: find(END)? })
    }

    /// This tokenizer with the special tokens around a turn: itself, if it has them.
    ///
    /// Errors as [`Self::with_special_tokens`] does.
    pub fn with_turn_tokens(&self) -> Result<Self> {
        self.with_special_tokens(&[START, END])
    }

    /// A conversation, with marks on what the assistant says.
    ///
    /// Errors without [`Self::turn_tokens`], and as [`Self::encode`] does.
    pub fn encode_turns(&self, messages: &[Message]) -> Result<Turns> {
        let around = self.require_turn_tokens()?;
        let newline = self.encode("\n")?;
        let mut turns = Turns::default();
        for Message { role, content } in messages {
            let spoken = *role == Role::Assistant;
            turns.push(&[around.start], false);
            turns.push(&self.encode(&heading(*role))?, false);
            turns.push(&self.encode(trim(content))?, spoken);
            turns.push(&[around.end], spoken);
            turns.push(&newline, false);
        }
        Ok(turns)
    }

    /// A conversation for the assistant to go on with, in at most `room` tokens: the oldest turns are left out
    /// as far as needed, but for a system's message at the beginning and the last message.
    ///
    /// Errors without [`Self::turn_tokens`], if the rest does not fit either, and as [`Self::encode`] does.
    pub fn encode_chat(&self, messages: &[Message], room: usize) -> Result<ChatPrompt> {
        let around = self.require_turn_tokens()?;
        let encode = |message| Ok(self.encode_turns(std::slice::from_ref(message))?.ids);
        let turns: Vec<Vec<u32>> = messages.iter().map(encode).collect::<Result<_>>()?;
        let opening = [vec![around.start], self.encode(&heading(Role::Assistant))?].concat();
        let is = |at: usize, role| messages.get(at).is_some_and(|message| message.role == role);
        let kept = usize::from(is(0, Role::System));
        let mut first = kept;
        let tokens = |first: usize| -> usize {
            let turns = turns[..kept].iter().chain(&turns[first..]);
            turns.map(Vec::len).sum::<usize>() + opening.len()
        };
        while tokens(first) > room && first + 1 < turns.len() {
            first += 1;
            // An answer without its question would only confuse.
            while is(first, Role::Assistant) && first + 1 < turns.len() {
                first += 1;
            }
        }
        if tokens(first) > room {
            return Err(Error::ContextOverflow { tokens: tokens(first), context: room });
        }
        let turns = turns[..kept].iter().chain(&turns[first..]).chain([&opening]);
        Ok(ChatPrompt { ids: turns.flatten().copied().collect(), dropped: first - kept })
    }

    fn require_turn_tokens(&self) -> Result<TurnTokens> {
        self.turn_tokens().ok_or_else(|| {
            Error::config(
                "chat",
                format!("the tokenizer reserves no {START} and {END}"),
                "fine-tune the model on conversations first: train --from MODEL --data FILE.jsonl",
            )
        })
    }
}

impl Turns {
    /// The tokens, and the marks.
    pub fn into_parts(self) -> (Vec<u32>, Vec<bool>) {
        (self.ids, self.learnt)
    }

    fn push(&mut self, ids: &[u32], learnt: bool) {
        self.ids.extend(ids);
        self.learnt.resize(self.ids.len(), learnt);
    }
}

/// The line above a message.
fn heading(role: Role) -> String {
    format!("{}\n", role.name())
}

/// Without the white space around it, as Python's `strip` leaves it, which the template calls.
fn trim(content: &str) -> &str {
    content.trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c))
}

/// A conversation as a tokenizer's training text: all that it will ever encode of it.
pub fn plain_text(messages: &[Message]) -> String {
    messages
        .iter()
        .map(|Message { role, content }| format!("{}{content}\n", heading(*role)))
        .collect()
}
