//! The reference in burn's own operations.

use burn::tensor::Tensor;

use super::Ids;

/// [`embedding`](fn@super::embedding) in burn's own operations.
pub fn embedding(table: Tensor<2>, ids: Ids) -> Tensor<2> {
    let Ids { ids, rows, .. } = ids;
    let is_known = ids.clone().greater_equal_elem(0).bool_and(ids.clone().lower_elem(rows as i32));
    let found = table.select(0, ids.clamp(0, rows as i32 - 1));
    let shape = found.dims();
    found.mask_fill(is_known.bool_not().unsqueeze_dim::<2>(1).expand(shape), 0.0)
}
