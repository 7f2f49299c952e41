//! What goes on inside a model, as plain structs.

mod activations;
mod cached;
mod circuits;
mod inside;
mod neurons;
mod plane;
mod scales;
mod spread;

pub use activations::{ActivationReport, activation_reports};
pub use cached::{Cached, cached};
pub use circuits::{HeadCircuits, head_circuits};
pub use inside::{Inside, Reading, Score, look_inside, next_logits, require_tokens, score};
pub use neurons::{Neuron, strongest_neurons};
pub use plane::{Plane, principal_plane};
pub use scales::{LayerScale, layer_scales};
pub use spread::{Spread, TensorReport, tensor_reports};
