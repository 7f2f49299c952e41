//! Conversations packed into windows, in which they cannot attend to each other.
//!
//! A window holds as many whole conversations as fit, followed by padding. Which conversations share a window is
//! fixed; their order in it is drawn with every batch, so that each is also trained on at the beginning of a window,
//! where a chat has it.

use std::collections::BTreeSet;

use super::Corpus;

/// Consecutive tokens of a segment, each with the next one as its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Index of the segment in the corpus.
    pub(super) segment: usize,
    /// Position of its first token in the segment.
    pub(super) start: usize,
    /// Tokens it takes in a window.
    pub(super) tokens: usize,
}

/// The pieces of each window.
#[derive(Clone, Debug)]
pub(super) struct Packing(Vec<Vec<Piece>>);

impl Packing {
    /// Puts each conversation into the window where it leaves the least room (best fit), or into a new one. A
    /// conversation longer than a window is continued in another one. Pieces without a target are left out.
    pub(super) fn new(corpus: &Corpus, seq_len: usize) -> Self {
        let mut windows: Vec<Vec<Piece>> = Vec::new();
        // Room and number of the windows that are not full.
        let mut open = BTreeSet::new();
        for (segment, tokens) in corpus.segments.iter().enumerate() {
            let targets = tokens.len().saturating_sub(1);
            for start in (0..targets).step_by(seq_len) {
                let length = seq_len.min(targets - start);
                if !(start + 1..=start + length).any(|place| tokens.is_target(place)) {
                    continue;
                }
                let (room, window) =
                    open.range((length, 0)..).next().copied().unwrap_or_else(|| {
                        windows.push(Vec::new());
                        (seq_len, windows.len() - 1)
                    });
                open.remove(&(room, window));
                windows[window].push(Piece { segment, start, tokens: length });
                if room > length {
                    open.insert((room - length, window));
                }
            }
        }
        Self(windows)
    }

    /// Number of windows.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The pieces in window `number`.
    pub(super) fn window(&self, number: usize) -> &[Piece] {
        &self.0[number]
    }
}
