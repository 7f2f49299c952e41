//! Text generation with the current model. Several texts may be generated at a time; each token is reported with its
//! probability and its alternatives.

use std::cell::Cell;
use std::rc::Rc;

use super::Engine;
use super::spelling::{candidates, token, tokens};
use super::state::{Prompt, TextRequest};
use crate::error::Result;
use crate::platform::{now_ms, yield_now};
use crate::protocol::{Drawn, Event, Speculation};
use crate::run::require_generation_memory;
use crate::sample::{Generator, Piece};
use crate::tokenizer::Tokenizer;

impl Engine {
    /// Generates until the text ends or [`Self::cancel`] is called. The last event is marked as such, even if generation
    /// fails.
    pub(super) async fn generate(&self, id: u32, request: TextRequest) -> Result<()> {
        let cancelled = Rc::new(Cell::new(false));
        let previous = self.generations.borrow_mut().insert(id, cancelled.clone());
        if let Some(previous) = previous {
            previous.set(true);
        }
        let written = self.write(id, request, &cancelled).await;
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
                draft_stats: None,
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

    async fn write(&self, id: u32, request: TextRequest, cancelled: &Cell<bool>) -> Result<()> {
        self.require_finite()?;
        let TextRequest { prompt, config, alternatives, draft } = request;
        let changes = self.changes.get();
        let drafter = draft.as_ref().map(|speculation| speculation.draft.clone());
        let draft = match draft {
            Some(Speculation { draft, length }) => Some((self.draft(&draft).await?, length)),
            None => None,
        };
        let (model, tokenizer) = self.with_run(|run| Ok((run.model(), run.tokenizer.clone())))?;
        let model = self.decoder.take().unwrap_or_else(|| model.into());
        let (mut generator, mut dropped) = match prompt {
            Prompt::Text(text) => (Generator::new(model, &tokenizer, &text, &config)?, 0),
            Prompt::Tokens(ids) => (Generator::from_ids(model, &tokenizer, ids, &config)?, 0),
            Prompt::Conversation(messages) => {
                Generator::for_chat(model, &tokenizer, &messages, &config)?
            }
        };
        if let Some((draft, length)) = draft {
            generator = generator.with_drafter(draft, length)?;
        }
        require_generation_memory(&generator, &self.device()?.0)?;
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
                draft_stats: generator.draft_stats(),
                done,
            });
            if done {
                break;
            }
            yield_now().await;
        }
        // The next text may continue this one, as it does in a conversation.
        if self.changes.get() == changes {
            let (decoder, draft) = generator.into_parts();
            self.decoder.replace(Some(decoder));
            if let Some(drafted) = drafter.zip(draft) {
                self.draft.replace(Some(drafted));
            }
        }
        Ok(())
    }
}

fn drawn(tokenizer: &Tokenizer, piece: &Piece, alternatives: usize) -> Drawn {
    let most_likely = piece.prediction.top(alternatives);
    // An id that the tokenizer lacks adds no text.
    let continuation = |id: &u32| piece.before.peek(*id).ok().flatten();
    Drawn {
        continuations: most_likely.iter().map(continuation).collect(),
        token: token(tokenizer, piece.id),
        probability: piece.prediction.probability(piece.id) as f32,
        kept: piece.prediction.candidates(),
        guessed: tokens(tokenizer, piece.guessed.iter().copied()),
        alternatives: candidates(tokenizer, &piece.prediction, most_likely),
    }
}
