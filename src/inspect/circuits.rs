//! What one attention head does, apart from the others.

use burn::tensor::Tensor;

use super::inside::{in_chunks, require_component, token_ids};
use crate::error::Result;
use crate::model::{Component, Decoder, Probe, likeliest, read_floats};

/// The circuits of a head on a text of `T` tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadCircuits {
    /// Scores before mask and softmax as the text gives them, `[T, T]`: row query, column key.
    pub scores: Vec<f32>,
    /// The same of the tokens' embeddings alone, without positions: the QK circuit.
    pub scores_alone: Vec<f32>,
    /// For each token, those whose logits the head raises most when it looks at it, and by how much: the OV
    /// circuit. The token stands as its embedding alone.
    pub promoted: Vec<Vec<(u32, f32)>>,
}

/// Looks at the circuits of a head of `model`, which must not differentiate; names the `top` promoted tokens.
///
/// # Errors
/// No tokens, too many of them, or one outside the vocabulary; a head that the model does not have; a lost
/// device.
pub async fn head_circuits(
    model: &Decoder,
    ids: &[u32],
    layer: usize,
    head: usize,
    top: usize,
) -> Result<HeadCircuits> {
    require_component(model, Component::Head { layer, head })?;
    let mut entering = Entering { layer, stream: None };
    model.stream(token_ids(model, ids)?, None, Some(&mut entering))?;
    let stream = entering.stream.expect("a pass goes through every block");
    let alone = model.embed(token_ids(model, ids)?);

    let of_head = |scores: Tensor<3>| {
        let size = ids.len() * ids.len();
        read_floats(scores.slice_dim(0, head..head + 1).reshape([size]))
    };
    let scores = of_head(model.scores_between(stream, layer, true)?).await?;
    let scores_alone = of_head(model.scores_between(alone.clone(), layer, false)?).await?;
    let mut promoted = Vec::with_capacity(ids.len());
    let logits = |rows| model.carried_to_logits(rows, layer, head);
    in_chunks(model, &alone, logits, |_, logits| {
        let gain = |id: u32| (id, logits[id as usize]);
        promoted.push(likeliest(logits, top).into_iter().map(gain).collect());
    })
    .await?;
    Ok(HeadCircuits { scores, scores_alone, promoted })
}

/// A probe that keeps the residual stream `[T, C]` that enters one block.
struct Entering {
    layer: usize,
    stream: Option<Tensor<2>>,
}

impl Probe for Entering {
    fn hidden(&mut self, layer: usize, stream: &Tensor<3>) {
        if layer == self.layer {
            self.stream = Some(stream.clone().squeeze_dim(0));
        }
    }
}
