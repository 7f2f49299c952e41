//! Runs of tokens, in memory or memory-mapped.

use std::sync::Arc;

use super::{IGNORE, Reference, TokenWidth};
use crate::error::{Error, Result};

/// One contiguous run of token ids over bytes that somebody owns: a vector or a memory map.
#[derive(Clone)]
pub struct Tokens {
    bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
    width: TokenWidth,
    /// Byte offset of the first token.
    offset: usize,
    len: usize,
    /// Which tokens are to be learnt, from the first of `bytes` on; without it all are.
    learnt: Option<Arc<[bool]>>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({} x {:?})", self.len, self.width)
    }
}

impl Tokens {
    /// Tokens in memory.
    pub fn from_ids(ids: Vec<u32>) -> Self {
        let len = ids.len();
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        Self { bytes: Arc::new(bytes), width: TokenWidth::U32, offset: 0, len, learnt: None }
    }

    /// `len` little-endian tokens of `width` from byte `offset` on.
    pub(super) fn from_bytes(
        bytes: Arc<dyn AsRef<[u8]> + Send + Sync>,
        width: TokenWidth,
        offset: usize,
        len: usize,
    ) -> Self {
        Self { bytes, width, offset, len, learnt: None }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tokens `start..end`, widened.
    pub fn read(&self, start: usize, end: usize) -> impl Iterator<Item = u32> {
        let size = self.width.bytes();
        let all = (*self.bytes).as_ref();
        let bytes = &all[self.offset + start * size..self.offset + end * size];
        bytes.chunks_exact(size).map(|token| match *token {
            [a, b] => u32::from(u16::from_le_bytes([a, b])),
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
            _ => unreachable!("tokens are 2 or 4 bytes wide"),
        })
    }

    fn part(&self, start: usize, end: usize) -> Self {
        let offset = self.offset + start * self.width.bytes();
        Self { offset, len: end - start, ..self.clone() }
    }

    /// Whether the token at `place` is to be learnt.
    pub(super) fn is_learnt(&self, place: usize) -> bool {
        let first = self.offset / self.width.bytes();
        self.learnt.as_ref().is_none_or(|learnt| learnt[first + place])
    }
}

/// How windows lie on the parts of a corpus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Inside parts, anywhere.
    #[default]
    Inside,
    /// Where parts begin, several whole ones in a window, as conversations need it.
    Packed,
    /// One around each part; two neighbours, the chosen and the rejected answer of a pair, make two rows.
    Pairs,
}

/// All tokens of one split. Windows never cross from one part into the next.
#[derive(Clone, Debug, Default)]
pub struct Corpus {
    /// The parts, in order.
    pub parts: Vec<Tokens>,
    /// Ends a document: with it set, the token after it is no target.
    pub end_of_text: Option<u32>,
    /// How windows lie on them.
    pub layout: Layout,
    /// What pairs are measured against, once that is known.
    pub reference: Option<Reference>,
    /// Pairs that were left out because no window has room for them.
    pub left_out: usize,
}

impl Corpus {
    /// A corpus of one part.
    pub fn new(tokens: Tokens) -> Self {
        Self { parts: vec![tokens], ..Self::default() }
    }

    /// A corpus of conversations: of each its tokens, and which of them are to be learnt.
    pub fn conversations(all: impl IntoIterator<Item = (Vec<u32>, Vec<bool>)>) -> Self {
        let (mut ids, mut learnt, mut ends) = (Vec::new(), Vec::new(), vec![0]);
        for (tokens, marks) in all {
            ids.extend(tokens);
            learnt.extend(marks);
            ends.push(ids.len());
        }
        let all = Tokens { learnt: Some(learnt.into()), ..Tokens::from_ids(ids) };
        let parts = ends.windows(2).map(|ends| all.part(ends[0], ends[1])).collect();
        Self { parts, layout: Layout::Packed, ..Self::default() }
    }

    /// A corpus of preference pairs, the chosen answer first: of each its tokens, prompt included, and which of
    /// them are the answer. Pairs of which one does not fit into a window of `seq_len` are left out and counted.
    ///
    /// # Errors
    /// No pair that fits.
    pub fn pairs(
        all: impl IntoIterator<Item = [(Vec<u32>, Vec<bool>); 2]>,
        seq_len: usize,
    ) -> Result<Self> {
        let (mut kept, mut left_out, mut shortest) = (Vec::new(), 0, usize::MAX);
        for pair in all {
            let tokens = pair.iter().map(|(ids, _)| ids.len().saturating_sub(1)).max().unwrap_or(0);
            shortest = shortest.min(tokens);
            match tokens <= seq_len {
                true => kept.extend(pair),
                false => left_out += 1,
            }
        }
        if kept.is_empty() {
            return Err(Error::config(
                "seq_len",
                format!("a window of {seq_len} tokens is too short for every pair of answers"),
                format!("use at least {shortest}, if the model has room for it, or shorter pairs"),
            ));
        }
        Ok(Self { layout: Layout::Pairs, left_out, ..Self::conversations(kept) })
    }

    /// The same pairs, measured against a model.
    ///
    /// # Errors
    /// Another number of answers.
    pub fn measured_against(mut self, reference: Reference) -> Result<Self> {
        let (found, answers) = (reference.log_probabilities.len(), self.parts.len());
        if found != answers {
            return Err(Error::config(
                "reference",
                format!("it has the log-probabilities of {found} answers, but there are {answers}"),
                "give the pairs that the run began with, or start a new run",
            ));
        }
        self.reference = Some(reference);
        Ok(self)
    }

    /// A pair alone, if there are so many.
    pub fn pair(&self, number: usize) -> Option<Self> {
        let (first, end) = (2 * number, 2 * number + 2);
        let reference = self.reference.clone();
        let parts = self.parts.get(first..end)?.into();
        let reference = reference.map(|reference| reference.part(first, end));
        Some(Self { parts, reference, ..self.clone() })
    }

    /// Tokens in all parts.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Tokens::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Training and validation corpora: the last `val_fraction` of the tokens validates, of conversations and of
    /// pairs that of their number.
    pub fn split(&self, val_fraction: f64) -> (Self, Self) {
        let mut train = Self { parts: Vec::new(), ..self.clone() };
        let mut val = train.clone();
        if self.layout != Layout::Inside {
            let together = if self.layout == Layout::Pairs { 2 } else { 1 };
            let units = self.parts.len() / together;
            let cut = together * ((units as f64 * (1.0 - val_fraction)).ceil() as usize).min(units);
            let (first, last) = self.parts.split_at(cut);
            (train.parts, val.parts) = (first.into(), last.into());
            return (train, val);
        }
        let mut room = (self.len() as f64 * (1.0 - val_fraction)) as usize;
        for part in &self.parts {
            let cut = room.min(part.len());
            room -= cut;
            for (corpus, piece) in
                [(&mut train, part.part(0, cut)), (&mut val, part.part(cut, part.len()))]
            {
                if !piece.is_empty() {
                    corpus.parts.push(piece);
                }
            }
        }
        (train, val)
    }

    /// A number that tells corpora apart: of the length and up to a million tokens from either end.
    pub fn fingerprint(&self) -> u64 {
        const ENDS: usize = 1 << 20;
        let mix = |hash: u64, value: u64| (hash ^ value).wrapping_mul(0x0100_0000_01b3);
        let mut hash = mix(0xcbf2_9ce4_8422_2325, self.len() as u64);
        for part in &self.parts {
            let head = part.len().min(ENDS);
            let tail = part.len().saturating_sub(ENDS).max(head);
            for id in part.read(0, head).chain(part.read(tail, part.len())) {
                hash = mix(hash, u64::from(id));
            }
        }
        hash
    }

    /// `Err` unless at least one window of `seq_len` tokens and its targets fits.
    pub fn require_window(&self, what: &str, seq_len: usize) -> Result<()> {
        if self.is_empty() {
            return Err(Error::EmptyData { what: what.into() });
        }
        if self.layout != Layout::Inside {
            // Short ones are padded, so that any will do in which something is learnt.
            let learns = |part: &Tokens| (1..part.len()).any(|place| part.is_learnt(place));
            return match self.parts.iter().any(learns) {
                true => Ok(()),
                false => Err(Error::EmptyData { what: what.into() }),
            };
        }
        let longest = self.parts.iter().map(Tokens::len).max().unwrap_or(0);
        if longest < seq_len + 1 {
            let needed = seq_len + 1;
            return Err(Error::DataTooShort { what: what.into(), tokens: longest, needed });
        }
        Ok(())
    }

    /// Inputs and targets of the window of `tokens` that starts at `start` of part `part`.
    pub(super) fn window(
        &self,
        part: usize,
        start: usize,
        tokens: usize,
        inputs: &mut Vec<u32>,
        targets: &mut Vec<u32>,
    ) {
        let part = &self.parts[part];
        let mut ids = part.read(start, start + tokens + 1);
        let mut input = ids.next().expect("a window has tokens + 1 ids");
        for (place, target) in (start + 1..).zip(ids) {
            inputs.push(input);
            let counts = self.end_of_text != Some(input) && part.is_learnt(place);
            targets.push(if counts { target } else { IGNORE });
            input = target;
        }
    }
}
