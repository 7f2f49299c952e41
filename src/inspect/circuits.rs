//! QK and OV circuits of an attention head (Elhage et al. 2021).

use burn::tensor::Tensor;

use super::trace::{in_chunks, read_finite, require_component, token_ids};
use crate::error::Result;
use crate::model::{Component, Decoder, Probe, top_k};

/// Circuits of a head on `T` tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadCircuits {
    /// Attention scores before mask and softmax, `[T, T]`: queries as rows, keys as columns.
    pub scores: Vec<f32>,
    /// Scores of the token embeddings alone, without positions and earlier blocks: the QK circuit, `[T, T]`.
    pub scores_alone: Vec<f32>,
    /// OV circuit of the token embeddings: for each token, the tokens whose logits rise most if the head attends to it,
    /// with the increase.
    pub promoted: Vec<Vec<(u32, f32)>>,
}

/// Options of [`inspect_head`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitOptions {
    /// Block of the head, from 0.
    pub layer: usize,
    /// Index of the head in its block, from 0.
    pub head: usize,
    /// Promoted tokens to return for each token.
    pub top: usize,
}

/// Computes the circuits of a head. `model` must not be on an autodiff device.
///
/// # Errors
/// Returns an error if `ids` is empty, longer than the context or has an id outside the vocabulary, if the head does not
/// exist, or if the device was lost.
pub async fn inspect_head(
    model: &Decoder,
    ids: &[u32],
    options: CircuitOptions,
) -> Result<HeadCircuits> {
    let CircuitOptions { layer, head, top } = options;
    require_component(model, Component::Head { layer, head })?;
    let mut entering = Entering { layer, residual: None };
    model.forward_residual(token_ids(model, ids)?, None, Some(&mut entering))?;
    let residual = entering.residual.expect("a forward pass visits every block");
    let alone = model.embed(token_ids(model, ids)?);

    let of_head = |scores: Tensor<3>| {
        let size = ids.len() * ids.len();
        read_finite(model, scores.slice_dim(0, head..head + 1).reshape([size]))
    };
    let scores = of_head(model.attention_scores(residual, layer, true)?).await?;
    let scores_alone = of_head(model.attention_scores(alone.clone(), layer, false)?).await?;
    let mut promoted = Vec::with_capacity(ids.len());
    let logits = |rows| model.project_head_to_logits(rows, layer, head);
    in_chunks(model, &alone, logits, |_, logits| {
        let gain = |id: u32| (id, logits[id as usize]);
        promoted.push(top_k(logits, top).into_iter().map(gain).collect());
    })
    .await?;
    Ok(HeadCircuits { scores, scores_alone, promoted })
}

/// A probe that records the residual stream `[T, C]` before one block.
struct Entering {
    layer: usize,
    residual: Option<Tensor<2>>,
}

impl Probe for Entering {
    fn hidden(&mut self, layer: usize, residual: &Tensor<3>) {
        if layer == self.layer {
            self.residual = Some(residual.clone().squeeze_dim(0));
        }
    }
}
