//! Training of byte-level BPE, with access to its merges.

use super::bpe::Bpe;
use super::bytes_map::BytesMap;
use super::count::{RunAll, Words, count_words};
use super::merges::{Corpus, Joining, LearnedMerge, learn};
use super::options::{TrainOptions, room};
use super::progress::{Progress, TrainProgress};
use super::reserve::{append_specials, refuse_alphabet, spelled};
use super::{ByteLevel, ByteLevelParts, Kind, Model, Tokenizer, byte_chars};
use crate::error::Result;
use std::ops::ControlFlow;

impl Tokenizer {
    /// Trains byte-level BPE like [`Tokenizer::train`], ignoring the options' kind. Also returns the merges in order.
    ///
    /// # Errors
    /// Returns the errors of [`Tokenizer::train`].
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
        let level = ByteLevel { bpe, pattern: options.pattern, file: ByteLevelParts::default() };
        let model = Model::Bpe(Box::new(level));
        Ok((Self::assemble(model, vocab, specials, None), merges))
    }

    /// Returns the tokenizer with only its first `count` merges, which equals the state of training after them. Ids do not
    /// change. Tokenizers of other kinds are returned unchanged.
    pub fn with_merges(&self, count: usize) -> Self {
        let Model::Bpe(level) = &self.0.model else { return self.clone() };
        let vocab = self.0.vocab.clone();
        let bpe = level.bpe.truncated(&vocab, count);
        let level = ByteLevel { bpe, pattern: level.pattern, file: level.file.clone() };
        let model = Model::Bpe(Box::new(level));
        Self::assemble(model, vocab, self.0.specials.clone(), self.0.post.clone())
    }
}
