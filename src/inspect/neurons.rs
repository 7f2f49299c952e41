//! Neurons of an MLP: their activations on a text and the tokens that they promote.

use burn::tensor::Tensor;

use super::trace::{require_component, token_ids};
use crate::error::{Error, Result};
use crate::model::{Component, Decoder, Probe, read_floats, top_k};

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

/// Finds the `count` neurons of block `layer` with the largest contribution to the residual stream at position `place` of
/// `ids`, in descending order, each with its `top` promoted tokens. `model` must not be on an autodiff device.
///
/// # Errors
/// Returns an error if `ids` is empty, longer than the context or has an id outside the vocabulary, if the block or the
/// position does not exist, or if the device was lost.
pub async fn find_strongest_neurons(
    model: &Decoder,
    ids: &[u32],
    layer: usize,
    place: usize,
    count: usize,
    top: usize,
) -> Result<Vec<Neuron>> {
    require_component(model, Component::Mlp { layer })?;
    if place >= ids.len() {
        let problem = format!("position {place} is outside the text of {} tokens", ids.len());
        return Err(Error::config("place", problem, "positions are numbered from 0"));
    }
    let mut seen = Neurons { layer, found: None };
    model.stream(token_ids(model, ids)?, None, Some(&mut seen))?;
    let found = seen.found.expect("a forward pass visits every block");
    let width = found.dims()[1];
    let activations = read_floats(found.reshape([ids.len() * width])).await?;
    let norms = read_floats(model.neuron_output_norms(layer)).await?;

    let here = &activations[place * width..][..width];
    let added: Vec<f32> = here.iter().zip(&norms).map(|(a, norm)| a.abs() * norm).collect();
    let strongest = top_k(&added, count);
    let vocab = model.config().vocab_size;
    let logits = model.project_neurons_to_logits(layer, &strongest);
    let logits = read_floats(logits.reshape([strongest.len() * vocab])).await?;
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
