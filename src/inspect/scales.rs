//! Scale of activations and gradients per block.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::data::Batch;
use crate::error::Result;
use crate::model::{CrossEntropy, Decoder, Probe, TokenIds, named_gradients, read_floats};

/// Scales of one block.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerScale {
    /// Index of the block, from 0.
    pub layer: usize,
    /// Root mean square of the residual stream before the block.
    pub activation_rms: f32,
    /// Root mean square of the gradients of the block's weights.
    pub gradient_rms: f32,
}

/// Measures the scale of activations and gradients of every block on one batch. Shows exploding or vanishing signals of an
/// initialization before training. `model` must be on an autodiff device.
///
/// # Errors
/// Returns an error if a token is outside the vocabulary, the batch is longer than the context or the device was lost.
pub async fn measure_layer_scales(model: &Decoder, batch: &Batch) -> Result<Vec<LayerScale>> {
    struct Rms(Vec<Tensor<1>>);
    impl Probe for Rms {
        fn hidden(&mut self, _layer: usize, residual: &Tensor<3>) {
            let residual = residual.clone().without_autodiff();
            self.0.push((residual.clone() * residual).mean().sqrt());
        }
    }
    let device = model.device();
    let layers = model.config().num_hidden_layers;
    let ids = TokenIds::from_batch(batch, model.config().vocab_size, &device)?;
    let mut probe = Rms(Vec::new());
    let residual = model.forward_residual(ids, None, Some(&mut probe))?;
    let mean = CrossEntropy::scaled(1.0 / batch.counted().max(1) as f64);
    let loss = model.cross_entropy(residual, model.targets(&batch.targets)?, mean);
    let gradients = named_gradients(model, "", &mut loss.backward());
    let mut squares: Vec<Option<Tensor<1>>> = vec![None; layers];
    let mut counts = vec![0; layers];
    for (name, gradient) in gradients {
        let layer =
            name.strip_prefix("layers.").and_then(|rest| rest.split('.').next()?.parse().ok());
        let Some(layer) = layer.filter(|layer: &usize| *layer < layers) else { continue };
        counts[layer] += gradient.dims()[0];
        let square = (gradient.clone() * gradient).sum();
        squares[layer] = Some(squares[layer].take().map_or(square.clone(), |sum| sum + square));
    }
    let activations = read_floats(Tensor::cat(probe.0, 0)).await?;
    let squares = read_floats(Tensor::cat(squares.into_iter().flatten().collect(), 0)).await?;
    Ok((0..layers)
        .map(|layer| LayerScale {
            layer,
            activation_rms: activations[layer],
            gradient_rms: (squares[layer] / counts[layer] as f32).sqrt(),
        })
        .collect())
}
