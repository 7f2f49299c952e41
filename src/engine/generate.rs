//! Generation of text with the current model, several at a time, with the probabilities each token was drawn from.

use std::cell::Cell;
use std::rc::Rc;

use super::Engine;
use super::spelling::{candidates, token, tokens};
use super::state::{Beginning, Writing};
use crate::error::Result;
use crate::platform::{now_ms, yield_now};
use crate::protocol::{Drawn, Event, Speculation};
use crate::sample::{Generator, Piece};
use crate::tokenizer::Tokenizer;

impl Engine {
    /// Generates until the text ends, or until [`Self::cancel`]. The last event is marked as the last, also if generation
    /// fails.
    pub(super) async fn generate(&self, id: u32, writing: Writing) -> Result<()> {
        let cancelled = Rc::new(Cell::new(false));
        let previous = self.generations.borrow_mut().insert(id, cancelled.clone());
        if let Some(previous) = previous {
            previous.set(true);
        }
        let written = self.write(id, writing, &cancelled).await;
        self.generations.borrow_mut().retain(|_, other| !Rc::ptr_eq(other, &cancelled));
        if written.is_err() {
            self.emit(Event::Text {
                id,
                text: String::new(),
                tokens: 0,
                tokens_per_second: 0.0,
                prompt: Vec::new(),
                drawn: Vec::new(),
                dropped: 0,
                reused: 0,
                guesses: None,
                done: true,
            });
        }
        written
    }

    /// Stops one generation, or all.
    pub(super) fn cancel(&self, id: Option<u32>) {
        for (other, cancelled) in self.generations.borrow().iter() {
            if id.is_none_or(|id| id == *other) {
                cancelled.set(true);
            }
        }
    }

    async fn write(&self, id: u32, writing: Writing, cancelled: &Cell<bool>) -> Result<()> {
        let Writing { beginning, config, alternatives, draft } = writing;
        let changes = self.changes.get();
        let who = draft.as_ref().map(|speculation| speculation.draft.clone());
        let draft = match draft {
            Some(Speculation { draft, length }) => Some((self.draft(&draft).await?, length)),
            None => None,
        };
        let (model, tokenizer) = self.with_run(|run| Ok((run.model(), run.tokenizer.clone())))?;
        let model = self.reader.take().unwrap_or_else(|| model.into());
        let (mut generator, mut dropped) = match beginning {
            Beginning::Text(text) => (Generator::new(model, &tokenizer, &text, &config)?, 0),
            Beginning::Tokens(ids) => (Generator::from_ids(model, &tokenizer, ids, &config)?, 0),
            Beginning::Conversation(messages) => {
                Generator::for_chat(model, &tokenizer, &messages, &config)?
            }
        };
        if let Some((draft, length)) = draft {
            generator = generator.with_drafter(draft, length)?;
        }
        let mut reused = generator.reused_tokens();
        let mut prompt = tokens(&tokenizer, generator.ids().iter().copied());
        let started = now_ms();
        loop {
            let piece = generator.next().await?;
            let done = cancelled.get() || piece.as_ref().is_none_or(|piece| piece.done);
            let drawn = piece.iter().map(|piece| drawn(&tokenizer, piece, alternatives)).collect();
            let seconds = (now_ms() - started).max(1.0) / 1e3;
            let tokens = generator.generated_tokens() as u64;
            self.emit(Event::Text {
                id,
                text: piece.map_or_else(String::new, |piece| piece.text),
                tokens,
                tokens_per_second: tokens as f64 / seconds,
                prompt: std::mem::take(&mut prompt),
                drawn,
                dropped: std::mem::take(&mut dropped),
                reused: std::mem::take(&mut reused),
                guesses: generator.guesses(),
                done,
            });
            if done {
                break;
            }
            yield_now().await;
        }
        // The next text may begin with this one, as it does in a conversation.
        if self.changes.get() == changes {
            let (reader, draft) = generator.into_parts();
            self.reader.replace(Some(reader));
            if let Some(drafted) = who.zip(draft) {
                self.draft.replace(Some(drafted));
            }
        }
        Ok(())
    }
}

fn drawn(tokenizer: &Tokenizer, piece: &Piece, alternatives: usize) -> Drawn {
    let likeliest = piece.prediction.top(alternatives);
    // An id that the tokenizer does not have adds no text.
    let adds = |id: &u32| piece.before.peek(*id).ok().flatten();
    Drawn {
        continuations: likeliest.iter().map(adds).collect(),
        token: token(tokenizer, piece.id),
        probability: piece.prediction.probability(piece.id) as f32,
        kept: piece.prediction.candidates(),
        guessed: tokens(tokenizer, piece.guessed.iter().copied()),
        alternatives: candidates(tokenizer, &piece.prediction, likeliest),
    }
}
