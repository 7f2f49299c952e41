//! Memory of the device that needs the most.

use super::{Layout, Work};
use crate::config::{Accumulation, Costs, Estimate, Replicas, Share, StepMemory, TrainConfig};

/// Returns the memory at the peak of a step, in bytes, on the device that needs the most.
///
/// In a pipeline with 1F1B, stage `i` of `p` keeps the activations of `p - i` micro-batches (Narayanan et al. 2021, section
/// 2.2). The first stage has the embeddings, the last one the head.
pub fn memory_of(work: &Work<'_>, layout: &Layout) -> StepMemory {
    let costs = Costs::new(work.model, work.seq_len);
    let adapters = work.train.lora.parameters(work.model);
    let micro_batches = layout.micro_batches(work);
    let train = TrainConfig {
        gradient_checkpointing: layout.recompute,
        accumulation: match layout.dp {
            1 => work.train.accumulation,
            _ => Accumulation::Tree,
        },
        ..work.train.clone()
    };
    let of_stage = |stage: usize| {
        let share = Share {
            blocks: layout.blocks(work),
            tp: layout.tp as f64,
            embeds: stage == 0,
            has_head: stage + 1 == layout.pp,
            tokens: layout.micro_batch as f64 * work.tokens_per_example(),
            micro_batches,
            in_flight: micro_batches.min(layout.pp - stage) as f64,
            replicas: Replicas { dp: layout.dp, zero: layout.zero },
        };
        StepMemory::new(&costs, adapters, &train, &share)
    };
    let [first, last] = [0, layout.pp - 1].map(of_stage);
    if first.total() > last.total() { first } else { last }
}

/// Numbers per all-gather of sharded optimizer state, unless a tensor is larger (`optim::Shards`).
const GATHERED: f64 = (1 << 24) as f64;

/// Returns the memory of rank 0, which writes, while a checkpoint is saved, in bytes; none for layouts that cannot be trained
/// yet. If the device has `shared` memory with the program, this includes the files being packed.
///
/// Rank 0 gathers the weights of all ranks of its replica, and the optimizer state of all ranks, one group of tensors at a time.
pub fn saving_of(work: &Work<'_>, layout: &Layout, shared: bool) -> Option<f64> {
    if !layout.is_trainable(work) {
        return None;
    }
    let Estimate { weight_bytes, checkpoint_bytes, .. } =
        Estimate::new(work.model, work.train, work.seq_len);
    let weights = weight_bytes as f64;
    let state = checkpoint_bytes as f64 - weights;
    let costs = Costs::new(work.model, work.seq_len);
    let stage = match layout.pp {
        1 => 1.0,
        _ => {
            let first = layout.blocks(work) * costs.block() + costs.embedding + costs.positions;
            first / costs.parameters()
        }
    };
    let part = stage / layout.tp as f64;
    let gathered_weights = if layout.pp * layout.tp == 1 { 0.0 } else { weights };
    let (owners, gathered_state) = match layout.zero {
        0 => (1.0, 0.0),
        _ => (layout.dp as f64, (4.0 * costs.embedding.max(GATHERED)).min(state)),
    };
    // The parts of the largest tensor, and the whole of it.
    let joined = if layout.tp == 1 { 0.0 } else { 2.0 * 4.0 * costs.embedding };
    let held = part * (weights + state / owners) + gathered_weights + gathered_state + joined;
    Some(held + if shared { packing(weights, state) } else { 0.0 })
}

/// Peak bytes of `checkpoint::pack`: first two copies of the weights, then their file, the optimizer
/// state, and its file.
fn packing(weights: f64, state: f64) -> f64 {
    (2.0 * weights).max(weights + 2.0 * state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ModelConfig, Precision, preset};

    fn layout(dp: usize, tp: usize, pp: usize) -> Layout {
        Layout { dp, tp, pp, zero: 0, micro_batch: 8, recompute: false, chunks: 1 }
    }

    /// Work on GPT-2 XL, with a head of its own, with one micro-batch of eight examples for each of `dp` replicas in a step.
    fn with_work<T>(dp: usize, precision: Precision, then: impl FnOnce(&Work<'_>) -> T) -> T {
        let preset = preset("gpt2-xl").unwrap();
        let train = TrainConfig { precision, batch_size: 8, grad_accum: 1, ..preset.train };
        let model = &ModelConfig { tie_word_embeddings: false, ..preset.model };
        then(&Work { model, train: &train, seq_len: 1024, rows: 1, global_batch: 8 * dp })
    }

    #[test]
    fn one_device_needs_what_the_estimate_says() {
        with_work(1, Precision::F32, |work| {
            let estimate = Estimate::new(work.model, work.train, work.seq_len);
            assert_eq!(memory_of(work, &layout(1, 1, 1)).total() as u64, estimate.step_bytes);
        });
    }

    /// Rajbhandari et al. 2020, figure 1, with f32 gradients and without a 16-bit copy: 4 bytes of weights, 4 of gradients and
    /// 8 of optimizer state per parameter.
    #[test]
    fn zero_divides_state_then_gradients() {
        with_work(8, Precision::F32, |work| {
            let parameters = Costs::new(work.model, work.seq_len).parameters();
            let of = |zero| memory_of(work, &Layout { zero, recompute: true, ..layout(8, 1, 1) });
            let [zero0, zero1, zero2] = [0, 1, 2].map(of);
            assert_eq!(zero0.weights, 4.0 * parameters);
            assert_eq!(zero0.optimizer, 8.0 * parameters);
            assert_eq!(zero1.optimizer, parameters);
            assert_eq!((zero0.gradients, zero1.gradients), (4.0 * parameters, 4.0 * parameters));
            assert!(zero2.gradients < zero1.gradients / 2.0, "{zero2:?}");
            assert!(zero2.total() < zero1.total() && zero1.total() < zero0.total());
        });
    }

    #[test]
    fn tensor_and_pipeline_parallelism_divide_the_blocks() {
        with_work(4, Precision::Bf16, |work| {
            let whole = memory_of(work, &layout(1, 1, 1));
            let tp = memory_of(work, &layout(1, 4, 1));
            let pp = memory_of(work, &layout(1, 1, 4));
            assert!((tp.optimizer / whole.optimizer - 0.25).abs() < 0.01, "{tp:?}");
            assert!(tp.activations > whole.activations / 4.0, "norms are not divided: {tp:?}");
            // A quarter of the blocks and the whole table.
            assert!(pp.optimizer > whole.optimizer / 4.0 && pp.optimizer < whole.optimizer / 3.0);
            // The first stage of 1F1B keeps four micro-batches of a quarter of the blocks.
            let kept = pp.activations / whole.activations;
            assert!((0.9..=1.0).contains(&kept), "{kept}");
        });
    }

    #[test]
    fn rank_0_gathers_weights_at_once_and_state_in_groups_to_save() {
        with_work(4, Precision::F32, |work| {
            let bytes = 4.0 * Costs::new(work.model, work.seq_len).parameters();
            let of = |layout| saving_of(work, &layout, false).unwrap();
            let whole = of(layout(4, 1, 1));
            assert!((whole / (3.0 * bytes) - 1.0).abs() < 1e-3, "weights and two moments");
            let divided = of(Layout { zero: 1, ..layout(4, 1, 1) });
            let group = divided - bytes - 2.0 * bytes / 4.0;
            assert!(group > 4.0 * GATHERED && group < 0.1 * bytes, "{group}");
            let stage = of(layout(1, 1, 4));
            assert!(stage > whole / 4.0 + bytes && stage < whole / 3.0 + bytes, "{stage}");
            let divided = of(layout(1, 4, 1));
            assert!(divided > whole / 4.0 + bytes && divided < whole / 3.0 + bytes, "{divided}");
            let packed = saving_of(work, &layout(1, 1, 4), true).unwrap();
            assert!(packed - stage > 4.0 * bytes, "all of it is packed there");
        });
    }

    #[test]
    fn recomputing_keeps_one_input_per_block() {
        with_work(1, Precision::F32, |work| {
            let kept = memory_of(work, &layout(1, 1, 1));
            let recomputed = memory_of(work, &Layout { recompute: true, ..layout(1, 1, 1) });
            assert!(recomputed.total() < kept.total());
        });
    }
}
