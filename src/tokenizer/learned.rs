//! Byte-level BPE as it is learned: merge after merge, and what a text looks like on the way.

use super::bpe::Bpe;
use super::bytes_map::BytesMap;
use super::count::{Progress, RunAll, Words, count_words};
use super::merges::{Corpus, Joining, learn};
use super::train::{append_specials, refuse_alphabet, room, spelled};
use super::{ByteLevel, Kind, Model, Tokenizer, TrainOptions, TrainProgress, byte_chars};
use crate::error::Result;
use std::ops::ControlFlow;

/// A merge as training came to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnedMerge {
    /// The first half.
    pub left: u32,
    /// The second half.
    pub right: u32,
    /// The two together.
    pub merged: u32,
    /// How often the pair occurred in the training text at that moment.
    pub count: u64,
}

impl Tokenizer {
    /// Learns byte-level BPE as [`Tokenizer::train`] does, whatever the options' kind, and also tells its
    /// merges in order.
    ///
    /// Errors as [`Tokenizer::train`] does.
    pub fn train_bpe<T: AsRef<str>>(
        options: &TrainOptions,
        texts: impl IntoIterator<Item = T>,
        run_all: RunAll,
        mut progress: impl FnMut(TrainProgress) -> ControlFlow<()>,
    ) -> Result<(Self, Vec<LearnedMerge>)> {
        let progress: Progress = &mut progress;
        room(options, "byte-level BPE", 256, "256 bytes", &options.special_tokens)?;
        let mut vocab = BytesMap::default();
        let mut symbol_of = [0; 256];
        for byte in byte_chars::alphabet() {
            symbol_of[byte as usize] = vocab.insert(&[byte])?;
        }
        let forbidden = spelled(Kind::Bpe, &options.special_tokens);
        refuse_alphabet(&vocab, &options.special_tokens, &forbidden)?;
        let words = Words::Pattern(options.pattern);
        let counts = count_words(&words, texts.into_iter(), run_all, progress)?;
        let mut corpus = Corpus::with_capacity(counts.len(), counts.total_bytes());
        for (word, count) in counts.iter() {
            corpus.push(word.iter().map(|&byte| Some(symbol_of[byte as usize])), count)?;
        }
        drop(counts);
        let limit = options.vocab_size - options.special_tokens.len();
        let joining = Joining { prefix: b"", forbidden: &forbidden };
        let merges = learn(corpus, &mut vocab, limit, options.min_frequency, &joining, progress)?;
        let specials = append_specials(Kind::Bpe, &mut vocab, &options.special_tokens)?;
        let ranked = merges
            .iter()
            .zip(0..)
            .map(|(merge, rank)| (rank, merge.left, merge.right, merge.merged));
        let bpe = Bpe::new(&vocab, ranked, false);
        let level = ByteLevel { bpe, pattern: options.pattern, unknown: None };
        let model = Model::Bpe(Box::new(level));
        Ok((Self::assemble(model, vocab, specials, None), merges))
    }

    /// This tokenizer as it was after its first `count` merges: a smaller vocabulary of the same training is
    /// the beginning of a larger one. Ids stay as they are; only BPE has merges, other kinds are as before.
    pub fn with_merges(&self, count: usize) -> Self {
        let Model::Bpe(level) = &self.0.model else { return self.clone() };
        let vocab = self.0.vocab.clone();
        let bpe = level.bpe.truncated(&vocab, count);
        let level = ByteLevel { bpe, pattern: level.pattern, unknown: level.unknown.clone() };
        let model = Model::Bpe(Box::new(level));
        Self::assemble(model, vocab, self.0.specials.clone(), self.0.post.clone())
    }
}
