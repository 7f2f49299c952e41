//! Time of a step, part by part.

use serde::Serialize;

use super::{Hardware, Layout, Work};
use crate::config::{Costs, OptimizerKind, Precision, TrainConfig};

/// Bytes that AdamW reads and writes per parameter, in f32: weight, gradient and two moments; weight and two moments.
const ADAMW_BYTES: f64 = 28.0;
/// Bytes that the gradient norm reads per parameter.
const NORM_BYTES: f64 = 4.0;
/// Passes over the logits beside the products: softmax, and its gradient read and written.
const LOGIT_PASSES: f64 = 3.0;
/// Passes over the attention scores in a forward pass that writes them to memory: the product writes them; mask and softmax
/// read and write; dropout reads and writes; the second product reads.
const SCORE_PASSES: f64 = 6.0;
/// Iterations of Muon's orthogonalization.
const MUON_ITERATIONS: f64 = 5.0;

/// Properties of a training program that affect its step time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Program {
    /// Bytes per gradient in communication.
    pub gradient_bytes: f64,
    /// Bytes per weight in communication.
    pub weight_bytes: f64,
    /// All-gathers the reduced gradients at ZeRO level 1, too.
    pub gathers_at_level_1: bool,
    /// Attention writes its scores to memory.
    pub writes_scores: bool,
    /// Bytes per activation in pipeline and tensor-parallel communication; none for those of the precision.
    pub activation_bytes: Option<f64>,
    /// Each tensor-parallel rank sends a part of the activations to the next stage, which all-gathers them (scatter/gather).
    pub scatters: bool,
    /// Fraction of the last micro-batch's backward pass, except its last block, that overlaps with gradient communication.
    pub overlap: f64,
}

impl Program {
    /// blankslate: communication is in f32, and that of gradients overlaps with the backward pass.
    pub const BLANKSLATE: Self = Self {
        gradient_bytes: 4.0,
        weight_bytes: 4.0,
        gathers_at_level_1: true,
        writes_scores: false,
        activation_bytes: Some(4.0),
        scatters: false,
        overlap: 1.0,
    };
}

/// Seconds of a step by part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct StepTime {
    /// Matrix products, attention's included.
    pub products: f64,
    /// Norms, activation functions, residual sums, softmax: memory-bound.
    pub elementwise: f64,
    /// Tensor-parallel all-reduces of activations.
    pub tensor: f64,
    /// Transfers of activations and their gradients between stages.
    pub pipeline: f64,
    /// Pipeline bubble: idle time of a stage in the first and last micro-batches.
    pub bubble: f64,
    /// Exposed data-parallel communication of gradients and weights.
    pub data: f64,
    /// The optimizer's update.
    pub optimizer: f64,
}

impl StepTime {
    /// Returns the sum of all parts.
    pub fn total(&self) -> f64 {
        let Self { products, elementwise, tensor, pipeline, bubble, data, optimizer } = self;
        products + elementwise + tensor + pipeline + bubble + data + optimizer
    }

    /// Returns the time of a step on the slowest stage: the last one, which has the head.
    pub fn new(work: &Work<'_>, layout: &Layout, hardware: &Hardware, program: &Program) -> Self {
        let step =
            Step { costs: Costs::new(work.model, work.seq_len), work, layout, hardware, program };
        let micro = step.micro_batch();
        let m = layout.micro_batches(work) as f64;
        let one = micro.total();
        // Narayanan et al. 2021, section 2.2: a stage is idle for p - 1 micro-batches, or chunks of them.
        let bubble = (layout.pp - 1) as f64 / layout.chunks as f64 * one;
        Self {
            products: m * micro.products,
            elementwise: m * micro.elementwise,
            tensor: m * micro.tensor,
            pipeline: m * micro.pipeline,
            bubble,
            data: step.data(one),
            optimizer: step.optimizer(),
        }
    }
}

struct Step<'a> {
    costs: Costs,
    work: &'a Work<'a>,
    layout: &'a Layout,
    hardware: &'a Hardware,
    program: &'a Program,
}

impl Step<'_> {
    /// Returns the time of a micro-batch on the last stage, forward and backward.
    fn micro_batch(&self) -> StepTime {
        let Self { costs, work, layout, hardware, program } = self;
        let bytes = work.train.precision.bytes() as f64;
        let tp = layout.tp as f64;
        let blocks = layout.blocks(work);
        let tokens = layout.micro_batch as f64 * work.tokens_per_example();
        let passes = passes(work.train);
        let again = f64::from(layout.recompute);

        let flops = blocks * costs.block_flops * (passes + again) + costs.head_flops * passes;
        let rate = hardware.peak(work.train.precision) * hardware.efficiency;
        let scores = if program.writes_scores { SCORE_PASSES * costs.scores } else { 0.0 };
        let moved = costs.moved_whole + (costs.moved_divided + scores) / tp;
        let logits = LOGIT_PASSES * costs.vocab / tp;
        // A backward pass moves twice as much as a forward pass, even with frozen weights.
        let moved = blocks * moved * (3.0 + again) + logits;

        // Megatron-LM's f and g: two all-reduces in a forward pass through a block, two in a backward pass (section 2.3).
        let sent = tokens * costs.width * program.activation_bytes.unwrap_or(bytes);
        let reduces = blocks * (4.0 + 2.0 * again);
        let tensor = 2.0 * reduces * self.ring(sent, layout.tp, self.within_node());
        let part = if program.scatters { tp } else { 1.0 };
        let pipeline = match layout.pp {
            1 => 0.0,
            _ => {
                let once = sent / part / self.between_stages() + hardware.latency;
                2.0 * layout.chunks as f64 * once
            }
        };
        StepTime {
            products: tokens * flops / tp / rate,
            elementwise: tokens * moved * bytes / self.memory_rate(),
            tensor,
            pipeline,
            ..StepTime::default()
        }
    }

    /// Returns the exposed time of data-parallel communication: reduced gradients, and updated shards of weights. `micro_batch`
    /// is the time of a micro-batch, whose backward pass overlaps with the communication of gradients.
    fn data(&self, micro_batch: f64) -> f64 {
        let Self { layout, program, .. } = self;
        let numbers = self.trained();
        let [gradients, weights] = [program.gradient_bytes, program.weight_bytes]
            .map(|bytes| self.ring(bytes * numbers, layout.dp, self.between_replicas()));
        let gathers_sums = layout.zero == 0 || (layout.zero == 1 && program.gathers_at_level_1);
        let sums = if gathers_sums { gradients } else { 0.0 };
        let updated = if layout.zero > 0 { weights } else { 0.0 };
        let passes = passes(self.work.train);
        let again = f64::from(layout.recompute);
        let backward = micro_batch * (passes - 1.0 + again) / (passes + again);
        let blocks = self.layout.blocks(self.work);
        let hidden = program.overlap * backward * (1.0 - 1.0 / blocks);
        (gradients - hidden).max(0.0) + sums + updated
    }

    fn optimizer(&self) -> f64 {
        let Self { work, layout, hardware, .. } = self;
        let owners = if layout.zero > 0 { layout.dp as f64 } else { 1.0 };
        let numbers = self.trained();
        let moved = (ADAMW_BYTES / owners + NORM_BYTES) * numbers / self.memory_rate();
        let muon = match work.train.optimizer.kind {
            OptimizerKind::Adamw => 0.0,
            OptimizerKind::Muon => layout.blocks(work) * muon_flops(work) / owners,
        };
        let rate = hardware.peak(Precision::F32) * hardware.efficiency;
        moved + if muon > 0.0 { muon / rate } else { 0.0 }
    }

    /// Returns the trained parameters of a device in the largest stage, the one with the embedding.
    fn trained(&self) -> f64 {
        let Self { costs, work, layout, .. } = self;
        let adapters = work.train.lora.parameters(work.model);
        let share = layout.blocks(work) / costs.layers;
        let tables = costs.embedding + if layout.pp == 1 { costs.head } else { 0.0 };
        let all = match (work.train.adapts(), work.train.lora.embeddings) {
            (false, _) => layout.blocks(work) * costs.block() + tables + costs.positions,
            (true, true) => adapters * share + tables,
            (true, false) => adapters * share,
        };
        all / layout.tp as f64
    }

    /// Returns the seconds of a ring reduce-scatter or all-gather of `bytes` among `ranks` at `rate` bytes per second. An
    /// all-reduce is one of each.
    fn ring(&self, bytes: f64, ranks: usize, rate: f64) -> f64 {
        if ranks < 2 {
            return 0.0;
        }
        let ranks = ranks as f64;
        (ranks - 1.0) / ranks * bytes / rate + ranks.log2().ceil() * self.hardware.latency
    }

    fn memory_rate(&self) -> f64 {
        self.hardware.memory_bandwidth * self.hardware.bandwidth_efficiency
    }

    fn within_node(&self) -> f64 {
        self.hardware.link_bandwidth * self.hardware.bandwidth_efficiency
    }

    /// Returns the bytes per second between replicas. Those of one node share the traffic to other nodes.
    fn between_replicas(&self) -> f64 {
        let Self { layout, hardware, .. } = self;
        let neighbors = (hardware.per_node / layout.tp).clamp(1, layout.dp);
        if neighbors == layout.dp {
            return self.within_node();
        }
        let network = hardware.network_bandwidth * neighbors as f64;
        network.min(hardware.link_bandwidth) * hardware.bandwidth_efficiency
    }

    fn between_stages(&self) -> f64 {
        let Self { layout, hardware, .. } = self;
        if layout.devices() <= hardware.per_node {
            return self.within_node();
        }
        hardware.network_bandwidth * hardware.bandwidth_efficiency
    }
}

/// Returns the FLOPs of a forward and backward pass relative to the forward pass. The backward pass has the FLOPs of a forward
/// pass for the inputs, and again for the weights unless they are frozen.
pub(super) fn passes(train: &TrainConfig) -> f64 {
    if train.adapts() { 2.0 } else { 3.0 }
}

/// Returns the FLOPs of Muon's update of the matrices of one block: three products per iteration, one of them of square matrices
/// of the smaller side (`optim::muon`).
fn muon_flops(work: &Work<'_>) -> f64 {
    let of = |rows: f64, columns: f64| {
        MUON_ITERATIONS * (4.0 * rows * rows * columns + 2.0 * rows * rows * rows)
    };
    let projections = work.model.projections();
    projections
        .iter()
        .map(|one| of(one.inputs.min(one.outputs) as f64, one.inputs.max(one.outputs) as f64))
        .sum()
}
