//! Prepared data: a folder of token shards with a [`Manifest`], made once from any number of documents.
//!
//! The rules by which documents become shards are here, as pure functions: the layouts of the files, the order of shuffled
//! documents, the choice of validation documents and the near-duplicates. Reading, writing and threads belong to the edge.

mod draw;
mod layout;
mod manifest;
mod minhash;

pub use draw::{is_for_validation, shuffle_key};
pub use layout::{Layout, Split};
pub use manifest::{
    LeftOut, MANIFEST, Manifest, ShardRecord, SourceRecord, SplitRecord, TokenizerRecord,
};
pub use minhash::{BANDS, ROWS, SHINGLE_WORDS, band_keys};
