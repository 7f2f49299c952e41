//! Neurons of an MLP: their activations on a text and the tokens that they promote.

use burn::tensor::Tensor;

use super::trace::{read_finite, require_component, token_ids};
use crate::error::{Error, Result};
use crate::model::{Component, Decoder, Probe, top_k};

/// A neuron on `T` tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Neuron {
    /// Index in the block, from 0.
    pub neuron: usize,
    /// Activation at each token, `[T]`.
    pub activations: Vec<f32>,
    /// Tokens whose logits rise most per unit of activation, with the increase.
    pub promoted: Vec<(u32, f32)>,
}

/// Options of [`find_strongest_neurons`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeuronOptions {
    /// Block, from 0.
    pub layer: usize,
    /// Position in the text, from 0.
    pub position: usize,
    /// Number of neurons.
    pub count: usize,
    /// Promoted tokens to return for each neuron.
    pub top: usize,
}

/// Finds the neurons of a block with the largest contribution to the residual stream at a position of `ids`, in
/// descending order. `model` must not be on an autodiff device.
///
/// # Errors
/// Returns an error if `ids` is empty, longer than the context or has an id outside the vocabulary, if the block or the
/// position does not exist, or if the device was lost.
pub async fn find_strongest_neurons(
    model: &Decoder,
    ids: &[u32],
    options: NeuronOptions,
) -> Result<Vec<Neuron>> {
    let NeuronOptions { layer, position, count, top } = options;
    require_component(model, Component::Mlp { layer })?;
    if position >= ids.len() {
        let problem = format!("position {position} is outside the text of {} tokens", ids.len());
        return Err(Error::config("place", problem, "positions are numbered from 0"));
    }
    let mut seen = Neurons { layer, found: None };
    model.forward_residual(token_ids(model, ids)?, None, Some(&mut seen))?;
    let found = seen.found.expect("a forward pass visits every block");
    let width = found.dims()[1];
    let activations = read_finite(model, found.reshape([ids.len() * width])).await?;
    let norms = read_finite(model, model.neuron_output_norms(layer)).await?;

    let here = &activations[position * width..][..width];
    let added: Vec<f32> = here.iter().zip(&norms).map(|(a, norm)| a.abs() * norm).collect();
    let strongest = top_k(&added, count);
    let vocab = model.config().vocab_size;
    let logits = model.project_neurons_to_logits(layer, &strongest);
    let logits = read_finite(model, logits.reshape([strongest.len() * vocab])).await?;
    let neuron = |(id, logits): (&u32, &[f32])| Neuron {
        neuron: *id as usize,
        activations: activations[*id as usize..].iter().step_by(width).copied().collect(),
        promoted: top_k(logits, top).into_iter().map(|t| (t, logits[t as usize])).collect(),
    };
    Ok(strongest.iter().zip(logits.chunks(vocab)).map(neuron).collect())
}

/// A probe that records the neurons `[T, F]` of one block.
struct Neurons {
    layer: usize,
    found: Option<Tensor<2>>,
}

impl Probe for Neurons {
    fn neurons(&mut self, layer: usize, neurons: &Tensor<3>) {
        if layer == self.layer {
            self.found = Some(neurons.clone().squeeze_dim(0));
        }
    }
}
