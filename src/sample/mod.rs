//! Text generation: sampling, KV-cached decoding and speculative decoding.
//!
//! [`distribution`] turns logits into the candidates that a sampler may draw:
//!
//! ```
//! use blankslate::config::SampleConfig;
//! use blankslate::sample::distribution;
//!
//! let config = SampleConfig { temperature: 1.0, top_k: 2, top_p: 1.0, ..SampleConfig::default() };
//! let candidates = distribution(&[0.5, 2.0, 1.0], &[], &config);
//! let ids: Vec<u32> = candidates.iter().map(|(id, _)| *id).collect();
//! assert_eq!(ids, [1, 2]);
//! ```
//!
//! [`Generator`] samples token after token from a model; the example on the crate's front page uses it.

mod cached_decoder;
mod drafter;
mod generator;
mod prediction;
mod random;
mod speculation;

pub use cached_decoder::CachedDecoder;
pub use drafter::Drafter;
pub use generator::{Generator, Piece};
pub use prediction::{Prediction, distribution};
pub use speculation::DraftStats;
