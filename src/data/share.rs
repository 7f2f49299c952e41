//! The sources of a mixture.

use std::ops::Range;

/// One source of a corpus.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// Name of the source, for reports.
    pub name: String,
    /// Its part of all examples, relative to the other sources.
    pub weight: f64,
    /// Its segments in the corpus.
    pub segments: Range<usize>,
}
