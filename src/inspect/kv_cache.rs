//! Magnitudes of keys and values in the KV cache.

use burn::tensor::Tensor;

use super::trace::{read_finite, token_ids};
use crate::error::Result;
use crate::model::{Decoder, KvCache};

/// Magnitudes of the keys and values of `T` tokens in each of `L` blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct KvCacheRms {
    /// Root mean square of each token's keys over all heads, `[L, T]`.
    pub keys: Vec<f32>,
    /// Root mean square of each token's values over all heads, `[L, T]`.
    pub values: Vec<f32>,
}

/// Prefills a KV cache with `ids` and measures its keys and values. `model` must not be on an autodiff device.
///
/// # Errors
/// Returns an error if `ids` is empty, longer than the context or has an id outside the vocabulary, or if the device was
/// lost.
pub async fn measure_kv_cache(model: &Decoder, ids: &[u32]) -> Result<KvCacheRms> {
    let tokens = token_ids(model, ids)?;
    let mut cache = KvCache::new(model.config(), 1, ids.len(), &model.device());
    model.forward_residual(tokens, Some(&mut cache), None)?;
    let blocks: Vec<Tensor<2>> = (0..model.config().num_hidden_layers)
        .map(|layer| {
            let [_, _, heads, tokens, dim] = cache.block(layer).dims();
            // [2, T, K D]
            let rows = cache.block(layer).swap_dims(2, 3).reshape([2, tokens, heads * dim]);
            (rows.clone() * rows).mean_dim(2).sqrt().reshape([2, tokens])
        })
        .collect();
    let of = |part: usize| {
        let rows = blocks.iter().map(|block| block.clone().slice_dim(0, part..part + 1)).collect();
        read_finite(model, Tensor::cat(rows, 0).reshape([blocks.len() * ids.len()]))
    };
    Ok(KvCacheRms { keys: of(0).await?, values: of(1).await? })
}
