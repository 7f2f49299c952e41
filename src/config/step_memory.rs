//! Memory of a training step, of one device or of a device's share of a model.

use serde::Serialize;

use super::{Accumulation, Costs, OptimizerKind, TrainConfig};

/// Numbers of the logits that are in memory at a time (`kernels::cross_entropy`), and of a stack of matrices that Muon updates
/// together (`optim::muon`).
const LARGEST: f64 = (1 << 24) as f64;
/// Copies of these logits that exist at a time on the CPU, rounded up from the 1.3 to 1.8 that were measured: their gradient,
/// which replaces them, and what its products need.
const LOGIT_COPIES: f64 = 2.0;
/// Tensors of the size of a stack that Muon holds beside the gradients: the stack, the momentum ahead, its normalized form, two
/// of the iteration, and a square.
const MUON_STACKS: f64 = 6.0;
/// Bytes of an f32.
const F32: f64 = 4.0;

/// The part of a model and of a step's work that a device has.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// Number of blocks.
    pub blocks: f64,
    /// Devices that divide each matrix (tensor parallelism).
    pub tp: f64,
    /// Has the embeddings.
    pub embeds: bool,
    /// Has the output head, or the table that is tied to the embedding.
    pub has_head: bool,
    /// Tokens of one micro-batch.
    pub tokens: f64,
    /// Micro-batches of a step that the device computes, one after the other.
    pub micro_batches: usize,
    /// Micro-batches whose activations it keeps at a time: more than one in the stages of a pipeline.
    pub in_flight: f64,
    /// Replicas of the model, and what they divide (ZeRO level 0, 1 or 2).
    pub replicas: Replicas,
}

/// Replicas of a model and what they divide among themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// Number of replicas.
    pub dp: usize,
    /// ZeRO level (Rajbhandari et al. 2020): 0 divides nothing, 1 the optimizer state, 2 also the sums of gradients.
    pub zero: u8,
}

/// What a device holds at the peak of a training step, in bytes.
///
/// A step has its peak at one of three times. When the backward pass begins, all activations are there and no gradients but those
/// of the head; when it ends, all gradients are there and the activations of one block; in the update, all gradients and what
/// the optimizer computes with. Weights and optimizer state are there all the time, sums of gradients of earlier micro-batches
/// during the backward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct StepMemory {
    /// Weights in f32, those of adapters included, and in 16 bits their rounded copies.
    pub weights: f64,
    /// Gradients, and sums of gradients of earlier micro-batches, in f32.
    pub gradients: f64,
    /// Optimizer state in f32: two moments (AdamW), or one (Muon, for the matrices of the blocks).
    pub optimizer: f64,
    /// What the forward pass keeps for the backward pass.
    pub activations: f64,
    /// Gradients of the logits of the rows whose loss is being computed.
    pub logits: f64,
    /// Gradients on their way to other ranks, and sums on their way back; what Muon computes with.
    pub buffers: f64,
}

impl StepMemory {
    /// Returns the sum of all parts.
    pub fn total(&self) -> f64 {
        let Self { weights, gradients, optimizer, activations, logits, buffers } = self;
        weights + gradients + optimizer + activations + logits + buffers
    }

    /// Returns the memory of a device's share of a step. `adapters` is the number of parameters of the adapters in the whole
    /// model, 0 without.
    pub fn new(costs: &Costs, adapters: f64, train: &TrainConfig, share: &Share) -> Self {
        let numbers = Numbers::new(costs, adapters, train, share);
        let Replicas { dp, zero } = share.replicas;
        let owners = if zero > 0 { dp as f64 } else { 1.0 };
        let [activations, logits] = activations(costs, train, share);
        let of_block = of_block(costs, train, share);
        let ends = of_ends(costs, train, share);

        let by_block = train.gradient_checkpointing;
        let earlier = F32 * earlier_sums(train, share.micro_batches) * numbers.trained;
        let all = F32 * numbers.trained;
        let one = F32 * (numbers.trained / share.blocks.max(1.0)).max(numbers.trained_ends);
        let is_divided = dp > 1 && zero == 2;
        let own = if is_divided { all / dp as f64 } else { all };
        // Block by block, each gradient is added to the sum, or sent, as soon as it is there.
        let new = match (share.micro_batches, by_block) {
            (1, _) if is_divided => own + one,
            (1, _) => all,
            (_, true) => one,
            (_, false) => all,
        };
        // The gradients of a tied table as head and as embedding, before their sum replaces them.
        let tied = if numbers.trains_tied_table { 2.0 * F32 * costs.embedding } else { 0.0 };
        let sent = if dp > 1 { 2.0 * one } else { 0.0 };
        let always = Self {
            weights: F32 * numbers.weights + copies(train, &numbers),
            optimizer: F32 * numbers.moments / owners,
            ..Self::default()
        };
        let gradients = earlier + F32 * numbers.trained_ends;
        let begin = Self { gradients, activations, logits, buffers: sent, ..always };
        let gradients = earlier + new + tied;
        let end = Self { gradients, activations: of_block + ends, buffers: sent, ..always };
        let stacks = muon_stacks(costs, train, share);
        let update = Self { gradients: own, buffers: stacks, ..always };
        let larger = |a: Self, b: Self| if a.total() > b.total() { a } else { b };
        larger(begin, larger(end, update))
    }
}

/// Numbers of parameters in a share.
pub(super) struct Numbers {
    /// Parameters, with adapters.
    pub weights: f64,
    /// Trained parameters.
    pub trained: f64,
    /// Trained parameters outside of blocks.
    trained_ends: f64,
    /// Trains a table that is both the embedding and the head.
    trains_tied_table: bool,
    /// Numbers in the optimizer's state.
    pub moments: f64,
}

impl Numbers {
    pub fn new(costs: &Costs, adapters: f64, train: &TrainConfig, share: &Share) -> Self {
        let c = costs;
        let tables = match (share.embeds, share.has_head) {
            (true, true) => c.embedding + c.head,
            (false, true) if c.head == 0.0 => c.embedding,
            (false, true) => c.head,
            (true, false) => c.embedding,
            (false, false) => 0.0,
        };
        let ends = tables / share.tp
            + f64::from(share.embeds) * c.positions
            + f64::from(share.has_head) * c.final_norm;
        let matrices = share.blocks * c.block_matrices / share.tp;
        let model = matrices + share.blocks * c.block_vectors + ends;
        let adapters = adapters * (share.blocks / c.layers.max(1.0)) / share.tp;
        let (trained, trained_ends) = match (train.adapts(), train.lora.embeddings) {
            (false, _) => (model, ends),
            (true, true) => (adapters + tables / share.tp, tables / share.tp),
            (true, false) => (adapters, 0.0),
        };
        let moments = match train.optimizer.kind {
            OptimizerKind::Adamw => 2.0 * trained,
            OptimizerKind::Muon => 2.0 * trained - matrices,
        };
        let trains_tied_table =
            trained_ends > 0.0 && c.head == 0.0 && share.embeds && share.has_head;
        Self { weights: model + adapters, trained, trained_ends, trains_tied_table, moments }
    }
}

/// Bytes of the stacks of matrices that Muon updates together. The widest have both matrices of an MLP.
fn muon_stacks(costs: &Costs, train: &TrainConfig, share: &Share) -> f64 {
    match train.optimizer.kind {
        OptimizerKind::Adamw => 0.0,
        OptimizerKind::Muon => {
            let stack = (share.blocks * costs.mlp_matrices / share.tp).min(LARGEST);
            MUON_STACKS * F32 * stack
        }
    }
}

/// Sums of earlier gradients that exist while a micro-batch's gradients are computed: the worst of `micro_batches`.
fn earlier_sums(train: &TrainConfig, micro_batches: usize) -> f64 {
    match (micro_batches, train.accumulation) {
        (0 | 1, _) => 0.0,
        (_, Accumulation::Chain) => 1.0,
        // After k micro-batches, a balanced tree has one sum for each binary digit 1 of k.
        (n, Accumulation::Tree) => f64::from(n.ilog2()),
    }
}

/// Returns the bytes of the activations that are kept for the backward pass, and of the logits that exist at a time. A block that
/// is recomputed is not among them.
pub(super) fn activations(costs: &Costs, train: &TrainConfig, share: &Share) -> [f64; 2] {
    let block = of_block(costs, train, share);
    let blocks = if train.gradient_checkpointing {
        share.blocks * between(costs, train, share) * share.in_flight
    } else {
        share.blocks * block * share.in_flight
    };
    let rows = if share.has_head { share.tokens } else { 0.0 };
    let logits = (rows * costs.vocab / share.tp).min(LARGEST);
    let logits = LOGIT_COPIES * logits;
    [blocks + of_ends(costs, train, share), train.precision.bytes() as f64 * logits]
}

/// Bytes that one block keeps for the backward pass, or that are there while it is recomputed.
pub(super) fn of_block(costs: &Costs, train: &TrainConfig, share: &Share) -> f64 {
    let kept = costs.kept_whole + costs.kept_divided / share.tp;
    train.precision.bytes() as f64 * share.tokens * kept
}

/// Bytes of the residual stream between two blocks.
fn between(costs: &Costs, train: &TrainConfig, share: &Share) -> f64 {
    train.precision.bytes() as f64 * share.tokens * costs.width
}

/// Bytes kept at the ends: the embedded tokens; the last norm's output and the gradient of the residual stream.
fn of_ends(costs: &Costs, train: &TrainConfig, share: &Share) -> f64 {
    let count = f64::from(share.embeds) + 2.0 * f64::from(share.has_head);
    count * between(costs, train, share)
}

/// Bytes of the weights' rounded copies, in 16 bits.
pub(super) fn copies(train: &TrainConfig, numbers: &Numbers) -> f64 {
    let bytes = train.precision.bytes() as f64;
    if bytes == F32 { 0.0 } else { bytes * numbers.weights }
}
