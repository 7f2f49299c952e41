//! Embedding lookup on the CPU.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use rayon::prelude::*;

use super::{EmbeddingKernels, EmbeddingOps, Saved};
use crate::kernels::cpu::tensor::{Floats, build, dims, ids};
use crate::kernels::cpu::{rows_per_task, vectorized};
use crate::kernels::span::span;

/// Copies rows `ids [n]` of `table [v, c]` to `out [n, c]`, or zeros for those that it does not have.
fn forward(table: &[f32], ids: &[i32], out: &mut [f32]) {
    if out.is_empty() {
        return;
    }
    let c = out.len() / ids.len();
    let task = rows_per_task(ids.len(), c);
    let tasks = out.par_chunks_mut(task * c).zip(ids.par_chunks(task));
    tasks.for_each(|(out, ids)| {
        for (out, &id) in out.chunks_exact_mut(c).zip(ids) {
            let row = usize::try_from(id).ok().and_then(|id| table.get(id * c..(id + 1) * c));
            match row {
                Some(row) => out.copy_from_slice(row),
                None => out.fill(0.0),
            }
        }
    });
}

/// Computes the gradient of the table, `dtable [v, c]`: for each id, the sum of its rows of `dy [n, c]`. Other ids have none.
fn backward(ids: &[i32], dy: &[f32], dtable: &mut [f32]) {
    if dy.is_empty() {
        return dtable.fill(0.0);
    }
    let c = dy.len() / ids.len();
    let v = dtable.len() / c;
    // Each task owns a range of ids and adds in the order of `dy`, so that results do not depend on the ranges.
    let task = rows_per_task(v, c + dy.len() / v);
    let tasks = dtable.par_chunks_mut(task * c).enumerate();
    tasks.for_each(|(i, dtable)| scatter(ids, dy, dtable, i * task));
}

vectorized! {
    /// Fills the rows of `dtable` that belong to the ids from `first`.
    fn scatter(ids: &[i32], dy: &[f32], dtable: &mut [f32], first: usize) {
        let c = dy.len() / ids.len();
        dtable.fill(0.0);
        for (&id, dy) in ids.iter().zip(dy.chunks_exact(c)) {
            let start = (id as usize).wrapping_sub(first).wrapping_mul(c);
            if id as usize >= first && start < dtable.len() {
                for (sum, &dy) in dtable[start..start + c].iter_mut().zip(dy) {
                    *sum += dy;
                }
            }
        }
    }
}

impl EmbeddingOps for Flex {
    fn look_up(table: FlexTensor, rows: FlexTensor, _order: FlexTensor) -> FlexTensor {
        let _span = span("embedding");
        let [_, c] = dims(&table);
        let n = rows.shape()[0];
        let table = Floats::of(table);
        build([n, c], |out| forward(table.get(), ids(&rows), out))
    }
}

impl EmbeddingKernels for Flex {
    fn look_up_backward(saved: Saved<Self>, grad: FlexTensor) -> FlexTensor {
        let _span = span("embedding, backward");
        let [_, c] = dims(&grad);
        let grad = Floats::of(grad);
        build([saved.vocab, c], |table| {
            backward(ids(&saved.ids), grad.get(), table);
        })
    }
}
