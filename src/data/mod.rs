//! Token streams to batches.
//!
//! A [`Corpus`] is one or more runs of tokens; a [`Windows`] cuts it into training windows, batch number
//! by batch number, as a pure function of seed and number: that number is the whole cursor, and a run
//! that resumes at it sees exactly what it would have seen.

mod corpus;
mod packing;
mod reference;
mod shard;
mod synthetic;
mod windows;

pub use corpus::{Corpus, Layout, Tokens};
pub use reference::Reference;
pub use shard::{TokenWidth, parse_shard};
pub use synthetic::{SYNTHETIC_DATASETS, SyntheticDataset, generate_dataset};
pub use windows::{Batch, IGNORE, Windows, eval_batches};
