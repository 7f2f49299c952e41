//! Conversations packed into windows, in which they do not see each other.
//!
//! A window holds as many whole conversations as fit and is padded behind them. Which ones share a window is
//! settled once; in what order they stand there is drawn anew with each batch, so that every one is also learnt
//! at the beginning, where a chat has it.

use std::collections::BTreeSet;

use super::Corpus;

/// Neighbouring tokens of a part, each with its next one as the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Which part of the corpus.
    pub(super) part: usize,
    /// Its first token there.
    pub(super) start: usize,
    /// Tokens it takes in a window.
    pub(super) tokens: usize,
}

/// Which conversations stand in which window.
#[derive(Clone, Debug)]
pub(super) struct Packing(Vec<Vec<Piece>>);

impl Packing {
    /// Puts each conversation where it leaves the least room (best fit), or else into a window of its own. One
    /// that is longer than a window goes on in the next. Where nothing is to be learnt, nothing is packed.
    pub(super) fn new(corpus: &Corpus, seq_len: usize) -> Self {
        let mut windows: Vec<Vec<Piece>> = Vec::new();
        // Room and number of the windows that are not full.
        let mut open = BTreeSet::new();
        for (part, tokens) in corpus.parts.iter().enumerate() {
            let targets = tokens.len().saturating_sub(1);
            for start in (0..targets).step_by(seq_len) {
                let length = seq_len.min(targets - start);
                if !(start + 1..=start + length).any(|place| tokens.is_learnt(place)) {
                    continue;
                }
                let (room, window) =
                    open.range((length, 0)..).next().copied().unwrap_or_else(|| {
                        windows.push(Vec::new());
                        (seq_len, windows.len() - 1)
                    });
                open.remove(&(room, window));
                windows[window].push(Piece { part, start, tokens: length });
                if room > length {
                    open.insert((room - length, window));
                }
            }
        }
        Self(windows)
    }

    /// How many windows there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// What stands in one of them.
    pub(super) fn window(&self, number: usize) -> &[Piece] {
        &self.0[number]
    }
}
