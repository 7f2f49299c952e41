//! Data of one forward pass: input ids, targets, and whatever else an objective needs.

use super::packing::Piece;
use super::{Corpus, IGNORE};

/// `B` sequences of `T` input ids and one target for each.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[B T]` input ids, row by row.
    pub inputs: Vec<u32>,
    /// `[B T]` targets, [`IGNORE`] where none counts; the next token of each input for a language model.
    pub targets: Vec<u32>,
    /// Sequences (`B`).
    pub rows: usize,
    /// Tokens per sequence (`T`).
    pub tokens: usize,
    /// `[B T]`, if several documents share a sequence and must not attend to each other: the position in its
    /// sequence at which each input's document begins.
    pub documents: Option<Vec<u32>>,
    /// `[B]`, if the rows are completions that a reference model has scored: its log-probability of each, in nats.
    pub reference_log_probs: Option<Vec<f32>>,
}

impl Batch {
    /// Creates a batch of `rows` sequences, each one document, without reference log-probabilities.
    pub fn new(inputs: Vec<u32>, targets: Vec<u32>, rows: usize) -> Self {
        let tokens = inputs.len() / rows.max(1);
        Self { inputs, targets, rows, ..Self::empty(tokens) }
    }

    /// Creates a batch without rows, each of which will have `tokens` tokens.
    pub(super) fn empty(tokens: usize) -> Self {
        Self {
            inputs: Vec::new(),
            targets: Vec::new(),
            rows: 0,
            tokens,
            documents: None,
            reference_log_probs: None,
        }
    }

    /// Returns the number of targets that count.
    pub fn counted(&self) -> usize {
        self.counted_targets().count()
    }

    /// Returns the targets that count, in order.
    pub fn counted_targets(&self) -> impl Iterator<Item = u32> {
        self.targets.iter().copied().filter(|id| *id != IGNORE)
    }

    /// Adds a row: the window that starts at `start` of a segment.
    pub(super) fn push_window(&mut self, corpus: &Corpus, segment: usize, start: usize) {
        corpus.window(segment, start, self.tokens, &mut self.inputs, &mut self.targets);
        self.rows += 1;
    }

    /// Adds a row of pieces, padded to the batch's length. The padding is a document of its own.
    pub(super) fn push_packed(&mut self, corpus: &Corpus, pieces: &[Piece]) {
        let begin = self.inputs.len();
        let end = begin + self.tokens;
        let documents = self.documents.get_or_insert_default();
        for piece in pieces {
            let Piece { segment, start, tokens } = *piece;
            let place = (self.inputs.len() - begin) as u32;
            corpus.window(segment, start, tokens, &mut self.inputs, &mut self.targets);
            documents.resize(self.inputs.len(), place);
        }
        documents.resize(end, (self.inputs.len() - begin) as u32);
        self.inputs.resize(end, 0);
        self.targets.resize(end, IGNORE);
        self.rows += 1;
    }

    /// Adds two rows: the chosen and the rejected completion of a preference pair.
    pub(super) fn push_pair(&mut self, corpus: &Corpus, pair: usize) {
        let segments = 2 * pair..2 * pair + 2;
        for segment in segments.clone() {
            let tokens = corpus.segments[segment].len().saturating_sub(1);
            self.push_packed(corpus, &[Piece { segment, start: 0, tokens }]);
        }
        if let Some(log_probs) = &corpus.reference_log_probs {
            self.reference_log_probs.get_or_insert_default().extend(&log_probs[segments]);
        }
    }
}
