//! What the KV cache holds of a text.

use burn::tensor::Tensor;

use super::inside::token_ids;
use crate::error::Result;
use crate::model::{Decoder, KvCache, read_floats};

/// How large the keys and values of a text of `T` tokens are in each of `L` blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct Cached {
    /// Root mean square of each token's keys, all heads together, `[L, T]`.
    pub keys: Vec<f32>,
    /// Root mean square of its values, `[L, T]`.
    pub values: Vec<f32>,
}

/// Has `model`, which must not differentiate, read `ids` into a cache, and looks what is in it then.
///
/// # Errors
/// No tokens, too many of them, or one outside the vocabulary; a lost device.
pub async fn cached(model: &Decoder, ids: &[u32]) -> Result<Cached> {
    let tokens = token_ids(model, ids)?;
    let mut cache = KvCache::new(model.config(), 1, ids.len(), &model.device());
    model.stream(tokens, Some(&mut cache), None)?;
    let blocks: Vec<Tensor<2>> = (0..model.config().num_hidden_layers)
        .map(|layer| {
            let [_, _, heads, tokens, dim] = cache.block(layer).dims();
            // Keys and values, token by token.
            let rows = cache.block(layer).swap_dims(2, 3).reshape([2, tokens, heads * dim]);
            (rows.clone() * rows).mean_dim(2).sqrt().reshape([2, tokens])
        })
        .collect();
    let of = |part: usize| {
        let rows = blocks.iter().map(|block| block.clone().slice_dim(0, part..part + 1)).collect();
        read_floats(Tensor::cat(rows, 0).reshape([blocks.len() * ids.len()]))
    };
    Ok(Cached { keys: of(0).await?, values: of(1).await? })
}
