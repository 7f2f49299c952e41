//! From token sequences to batches.
//!
//! A [`Corpus`] is one or more token sequences. [`Windows`] cuts it into training batches; batch `n` is a pure
//! function of the seed and `n`, so the step number is all that a checkpoint needs to record, and a resumed run draws
//! exactly the batches it would have drawn. Any other type that does the same can stand in its place: see
//! [`BatchSource`].
//!
//! ```
//! use blankslate::config::DataConfig;
//! use blankslate::data::{Corpus, Tokens, Windows};
//!
//! # fn main() -> blankslate::error::Result<()> {
//! let corpus = Corpus::new(Tokens::from_ids((0..100).collect()));
//! let config = DataConfig { seq_len: 8, ..DataConfig::default() };
//! let windows = Windows::new(corpus, &config, 4, 1337)?;
//! let batch = windows.batch(0);
//! assert_eq!((batch.rows, batch.tokens), (4, 8));
//! // The target of each input is the token after it.
//! assert!(batch.inputs.iter().zip(&batch.targets).all(|(input, target)| input + 1 == *target));
//! assert_eq!(windows.batch(0), batch);
//! # Ok(())
//! # }
//! ```

mod batch;
mod corpus;
mod eval_batches;
mod mix;
mod mixture;
mod order;
mod packing;
pub mod prepared;
mod shard;
mod share;
mod source;
mod stories;
mod synthetic;
mod tokens;
mod windows;

pub use batch::Batch;
pub use corpus::{Corpus, IGNORE};
pub use eval_batches::eval_batches;
pub use shard::{HEADER_BYTES, parse_shard, shard_header};
pub use share::Share;
pub use source::BatchSource;
pub use synthetic::{SYNTHETIC_DATASETS, SyntheticDataset, generate_dataset};
pub use tokens::{TokenWidth, Tokens};
pub use windows::Windows;
