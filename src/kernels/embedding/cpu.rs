//! Embedding lookup on the CPU.

use rayon::prelude::*;

use crate::kernels::cpu::{rows_per_task, vectorized};

/// `out [n, c]`: the rows `ids [n]` of `table [v, c]`.
pub fn forward(table: &[f32], ids: &[i32], out: &mut [f32]) {
    if out.is_empty() {
        return;
    }
    let c = out.len() / ids.len();
    let task = rows_per_task(ids.len(), c);
    let tasks = out.par_chunks_mut(task * c).zip(ids.par_chunks(task));
    tasks.for_each(|(out, ids)| {
        for (out, &id) in out.chunks_exact_mut(c).zip(ids) {
            let start = id as usize * c;
            out.copy_from_slice(&table[start..start + c]);
        }
    });
}

/// The gradient of the table, `dtable [v, c]`: for each id the sum of its rows of `dy [n, c]`.
pub fn backward(ids: &[i32], dy: &[f32], dtable: &mut [f32]) {
    if dy.is_empty() {
        return dtable.fill(0.0);
    }
    let c = dy.len() / ids.len();
    let v = dtable.len() / c;
    // Each task owns a range of ids and adds in the order of `dy`, whatever the ranges.
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
