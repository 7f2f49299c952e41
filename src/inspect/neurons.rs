//! The neurons of an MLP: how each answers to a text, and what it makes the model say.

use burn::tensor::Tensor;

use super::inside::{require_component, token_ids};
use crate::error::{Error, Result};
use crate::model::{Component, Decoder, Probe, likeliest, read_floats};

/// A neuron on a text of `T` tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Neuron {
    /// Its number, from 0.
    pub neuron: usize,
    /// What the MLP's way down reads from it at each token, `T`.
    pub activations: Vec<f32>,
    /// The tokens whose logits it raises most where it is 1, and by how much.
    pub promoted: Vec<(u32, f32)>,
}

/// The `count` neurons of block `layer` of `model`, which must not differentiate, that add most to the residual
/// stream at token `place` of `ids`, strongest first, each with the `top` tokens that it promotes.
///
/// # Errors
/// No tokens, too many of them, or one outside the vocabulary; a block or a place that is not there; a lost device.
pub async fn strongest_neurons(
    model: &Decoder,
    ids: &[u32],
    layer: usize,
    place: usize,
    count: usize,
    top: usize,
) -> Result<Vec<Neuron>> {
    require_component(model, Component::Mlp { layer })?;
    if place >= ids.len() {
        let problem = format!("the text has {} tokens", ids.len());
        return Err(Error::config("place", problem, "count from 0"));
    }
    let mut seen = Neurons { layer, found: None };
    model.stream(token_ids(model, ids)?, None, Some(&mut seen))?;
    let found = seen.found.expect("a pass goes through every block");
    let width = found.dims()[1];
    let activations = read_floats(found.reshape([ids.len() * width])).await?;
    let reach = read_floats(model.reach_of_neurons(layer)).await?;

    let here = &activations[place * width..][..width];
    let added: Vec<f32> = here.iter().zip(&reach).map(|(a, reach)| a.abs() * reach).collect();
    let strongest = likeliest(&added, count);
    let vocab = model.config().vocab_size;
    let logits = model.neurons_to_logits(layer, &strongest);
    let logits = read_floats(logits.reshape([strongest.len() * vocab])).await?;
    let neuron = |(id, logits): (&u32, &[f32])| Neuron {
        neuron: *id as usize,
        activations: activations[*id as usize..].iter().step_by(width).copied().collect(),
        promoted: likeliest(logits, top).into_iter().map(|t| (t, logits[t as usize])).collect(),
    };
    Ok(strongest.iter().zip(logits.chunks(vocab)).map(neuron).collect())
}

/// A probe that keeps the neurons `[T, F]` of one block.
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
