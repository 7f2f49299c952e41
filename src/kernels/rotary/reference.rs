//! The reference in burn's own operations.

use burn::tensor::Tensor;

use super::{Heads, Table};

/// [`pack`](fn@super::pack) in burn's own operations.
pub fn pack(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    table: Option<Table>,
    heads: Heads,
) -> Tensor<2> {
    let turn = |x: Tensor<2>, count: usize| {
        let Some((cos, sin)) = &table else { return x };
        let ([rows, width], [tokens, half]) = (x.dims(), cos.dims());
        let x = x.reshape([rows / tokens, tokens, count, 2 * half]);
        let row = |table: &Tensor<2>| table.clone().reshape([1, tokens, 1, half]);
        let first = x.clone().narrow(3, 0, half);
        let second = x.narrow(3, half, half);
        let turned = vec![
            first.clone() * row(cos) - second.clone() * row(sin),
            second * row(cos) + first * row(sin),
        ];
        Tensor::cat(turned, 3).reshape([rows, width])
    };
    Tensor::cat(vec![turn(q, heads.query), turn(k, heads.kv), v], 1)
}
