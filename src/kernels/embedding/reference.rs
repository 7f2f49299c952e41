//! The reference in burn's own operations.

use burn::tensor::Tensor;

use super::Ids;

/// [`embedding`](fn@super::embedding) in burn's own operations.
pub fn embedding(table: Tensor<2>, ids: Ids) -> Tensor<2> {
    table.select(0, ids.ids)
}
