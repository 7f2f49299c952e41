//! Inspection of a model's activations, attention, weights and gradients.
//!
//! ```
//! use blankslate::config::ModelConfig;
//! use blankslate::inspect::score;
//! use blankslate::model::{Decoder, random_source};
//! use blankslate::platform::{block_on, open_device};
//!
//! # fn main() -> blankslate::error::Result<()> {
//! block_on(async {
//!     let (device, _) = open_device("cpu").await?;
//!     let config = ModelConfig::gpt2(16).with_context(8).with_hidden_size(32).with_layers(1).with_heads(2);
//!     let model = Decoder::new(&config, &device, &mut random_source(0))?;
//!
//!     let score = score(&model, &[3, 1, 4, 1]).await?;
//!     assert_eq!(score.losses.len(), 3); // one for each token but the first
//!     assert_eq!(score.logits.len(), 16);
//!     Ok(())
//! })
//! # }
//! ```

mod activations;
mod circuits;
mod kv_cache;
mod neurons;
mod plane;
mod scales;
mod tensor_stats;
mod trace;

pub use activations::{ActivationReport, report_activations};
pub use circuits::{CircuitOptions, HeadCircuits, inspect_head};
pub use kv_cache::{KvCacheRms, measure_kv_cache};
pub use neurons::{Neuron, NeuronOptions, find_strongest_neurons};
pub use plane::{PrincipalPlane, project_to_plane};
pub use scales::{LayerScale, measure_layer_scales};
pub use tensor_stats::{TensorReport, TensorStats, report_tensors};
pub use trace::{
    ForwardTrace, LensPrediction, Score, next_logits, require_tokens, score, trace_forward,
};
