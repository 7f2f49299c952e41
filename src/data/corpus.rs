//! The tokens of a training or validation split.

use std::sync::Arc;

use super::{Share, Tokens};
use crate::HAS_MIXTURES;
use crate::config::DataKind;
use crate::error::{Error, Result};

/// A target that does not count: padding, a masked token, or the first token of another document.
pub const IGNORE: u32 = u32::MAX;

/// All tokens of one split.
#[derive(Clone, Debug, Default)]
pub struct Corpus {
    /// Contiguous token sequences: texts or shards, conversations, or the completions of preference pairs (chosen
    /// and rejected ones alternate). A window never crosses from one segment into the next, but packed
    /// conversations share one.
    pub segments: Vec<Tokens>,
    /// Sources of a mixture of texts; empty for a corpus that is drawn from as a whole.
    pub sources: Arc<[Share]>,
    /// Token that ends a document. If set, the token after it is not a target.
    pub end_of_text: Option<u32>,
    /// Kind of the segments, which decides how windows are cut.
    pub kind: DataKind,
    /// Log-probability of each segment of preference pairs under the reference model, in nats, if measured.
    pub reference_log_probs: Option<Vec<f32>>,
    /// Number of preference pairs left out because they do not fit into a window.
    pub left_out: usize,
}

impl Corpus {
    /// Creates a text corpus of one segment.
    pub fn new(tokens: Tokens) -> Self {
        Self { segments: vec![tokens], ..Self::default() }
    }

    /// Creates a mixture of texts: the name, the weight and the tokens of each source.
    pub fn mixed(parts: Vec<(String, f64, Self)>) -> Self {
        let mut mixed = Self::default();
        let mut sources = Vec::new();
        for (name, weight, part) in parts {
            let start = mixed.segments.len();
            mixed.segments.extend(part.segments);
            mixed.end_of_text = part.end_of_text;
            sources.push(Share { name, weight, segments: start..mixed.segments.len() });
        }
        mixed.sources = sources.into();
        mixed
    }

    /// Returns a corpus of source `index` of a mixture alone.
    pub fn of_source(&self, index: usize) -> Self {
        let segments = self.segments[self.sources[index].segments.clone()].into();
        Self { segments, sources: Arc::default(), ..self.clone() }
    }

    /// Creates a corpus of conversations from the tokens and the loss mask of each.
    pub fn conversations(all: impl IntoIterator<Item = (Vec<u32>, Vec<bool>)>) -> Self {
        let mut ids = Vec::new();
        let mut loss_mask = Vec::new();
        let mut ends = vec![0];
        for (tokens, mask) in all {
            ids.extend(tokens);
            loss_mask.extend(mask);
            ends.push(ids.len());
        }
        let all = Tokens::masked(ids, loss_mask);
        let segments = ends.windows(2).map(|ends| all.slice(ends[0], ends[1])).collect();
        Self { segments, kind: DataKind::Conversations, ..Self::default() }
    }

    /// Creates a corpus of preference pairs from the tokens (prompt included) and the loss mask (the completion) of
    /// the chosen and the rejected answer of each. Pairs with an answer longer than `seq_len` are left out and
    /// counted in [`Self::left_out`].
    ///
    /// # Errors
    /// [`Error::Config`] if no pair fits.
    pub fn pairs(
        all: impl IntoIterator<Item = [(Vec<u32>, Vec<bool>); 2]>,
        seq_len: usize,
    ) -> Result<Self> {
        let mut kept = Vec::new();
        let mut left_out = 0;
        let mut shortest = usize::MAX;
        for pair in all {
            let tokens = pair.iter().map(|(ids, _)| ids.len().saturating_sub(1)).max().unwrap_or(0);
            shortest = shortest.min(tokens);
            if tokens <= seq_len {
                kept.extend(pair);
            } else {
                left_out += 1;
            }
        }
        if kept.is_empty() {
            return Err(Error::config(
                "seq_len",
                format!("a window of {seq_len} tokens is too short for every preference pair"),
                format!(
                    "use at least {shortest} if the model's context allows it, or shorter pairs"
                ),
            ));
        }
        Ok(Self { kind: DataKind::Preferences, left_out, ..Self::conversations(kept) })
    }

    /// Adds the log-probability of each completion under the reference model, in nats.
    ///
    /// # Errors
    /// [`Error::Config`] if their number is not the number of segments.
    pub fn with_reference(mut self, log_probs: Vec<f32>) -> Result<Self> {
        let found = log_probs.len();
        let expected = self.segments.len();
        if found != expected {
            return Err(Error::config(
                "reference",
                format!(
                    "it has the log-probabilities of {found} answers, but there are {expected}"
                ),
                "use the preference pairs that the run began with, or start a new run",
            ));
        }
        self.reference_log_probs = Some(log_probs);
        Ok(self)
    }

    /// Returns a corpus of preference pair `number` alone; none if there are fewer pairs.
    pub fn pair(&self, number: usize) -> Option<Self> {
        let rows = 2 * number..2 * number + 2;
        let segments = self.segments.get(rows.clone())?.into();
        let reference_log_probs = self.reference_log_probs.as_ref().map(|all| all[rows].into());
        Some(Self { segments, reference_log_probs, ..self.clone() })
    }

    /// Returns the number of tokens in all segments.
    pub fn len(&self) -> usize {
        self.segments.iter().map(Tokens::len).sum()
    }

    /// Returns whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Splits into training and validation data: the last `val_fraction` of the tokens of a text or of each source of a mixture,
    /// or of the number of conversations or preference pairs, is for validation.
    pub fn split(&self, val_fraction: f64) -> (Self, Self) {
        if HAS_MIXTURES && !self.sources.is_empty() {
            let split = |(index, Share { name, weight, .. }): (usize, &Share)| {
                let (train, val) = self.of_source(index).split(val_fraction);
                ((name.clone(), *weight, train), (name.clone(), *weight, val))
            };
            let (train, val) = self.sources.iter().enumerate().map(split).unzip();
            return (Self::mixed(train), Self::mixed(val));
        }
        let mut train = Self { segments: Vec::new(), ..self.clone() };
        let mut val = train.clone();
        if self.kind != DataKind::Text {
            let rows = self.kind.rows();
            let examples = self.segments.len() / rows;
            let kept = ((examples as f64 * (1.0 - val_fraction)).ceil() as usize).min(examples);
            let (first, last) = self.segments.split_at(rows * kept);
            train.segments = first.into();
            val.segments = last.into();
            return (train, val);
        }
        let mut room = (self.len() as f64 * (1.0 - val_fraction)) as usize;
        for segment in &self.segments {
            let cut = room.min(segment.len());
            room -= cut;
            let halves = [segment.slice(0, cut), segment.slice(cut, segment.len())];
            for (corpus, half) in [&mut train, &mut val].into_iter().zip(halves) {
                if !half.is_empty() {
                    corpus.segments.push(half);
                }
            }
        }
        (train, val)
    }

    /// Hashes the length, the weights of a mixture, and up to a million tokens from either end of each segment, to tell corpora apart.
    pub fn fingerprint(&self) -> u64 {
        const ENDS: usize = 1 << 20;
        let mix = |hash: u64, value: u64| (hash ^ value).wrapping_mul(0x0100_0000_01b3);
        let mut hash = mix(0xcbf2_9ce4_8422_2325, self.len() as u64);
        if HAS_MIXTURES {
            for Share { weight, segments, .. } in &*self.sources {
                hash = mix(mix(hash, weight.to_bits()), segments.len() as u64);
            }
        }
        for segment in &self.segments {
            let head = segment.len().min(ENDS);
            let tail = segment.len().saturating_sub(ENDS).max(head);
            for id in segment.read(0, head).chain(segment.read(tail, segment.len())) {
                hash = mix(hash, u64::from(id));
            }
        }
        hash
    }

    /// Checks that at least one window of `seq_len` tokens and its targets fits. `what` names the corpus in errors.
    ///
    /// # Errors
    /// [`Error::EmptyData`] without a token or without a target; [`Error::DataTooShort`] if every segment of a text
    /// is shorter than a window.
    pub fn require_window(&self, what: &str, seq_len: usize) -> Result<()> {
        if self.is_empty() {
            return Err(Error::EmptyData { what: what.into() });
        }
        if self.kind != DataKind::Text {
            // Short segments are padded, so any that has a target will do.
            let has_target =
                |segment: &Tokens| (1..segment.len()).any(|place| segment.is_target(place));
            return if self.segments.iter().any(has_target) {
                Ok(())
            } else {
                Err(Error::EmptyData { what: what.into() })
            };
        }
        let longest = self.segments.iter().map(Tokens::len).max().unwrap_or(0);
        let needed = seq_len + 1;
        if longest < needed {
            return Err(Error::DataTooShort { what: what.into(), tokens: longest, needed });
        }
        Ok(())
    }

    /// Appends inputs and targets of the window of `tokens` that starts at `start` of segment `segment`.
    pub(super) fn window(
        &self,
        segment: usize,
        start: usize,
        tokens: usize,
        inputs: &mut Vec<u32>,
        targets: &mut Vec<u32>,
    ) {
        let segment = &self.segments[segment];
        let mut ids = segment.read(start, start + tokens + 1);
        let mut input = ids.next().expect("a window has tokens + 1 ids");
        for (place, target) in (start + 1..).zip(ids) {
            inputs.push(input);
            let counts = self.end_of_text != Some(input) && segment.is_target(place);
            targets.push(if counts { target } else { IGNORE });
            input = target;
        }
    }
}
