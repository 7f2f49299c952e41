//! The optimizer: gradients to updates.

use super::declare::{choices, settings};
use super::range::Range;
use super::setting::when;

choices! {
    /// Optimizer.
    pub enum OptimizerKind {
        /// Adam with decoupled weight decay (Loshchilov & Hutter 2019).
        Adamw = "adamw", "AdamW";
        /// Orthogonalized momentum for the matrices of the blocks (Jordan et al. 2024), AdamW for everything else.
        Muon = "muon", "Muon + AdamW";
    }
}

const NON_NEGATIVE: Range = Range::at_least(0.0);
const DECAY_RATE: Range = Range::at_least(0.0).below(1.0);

settings! {
    /// Settings of the optimizer.
    pub struct OptimizerConfig ("Optimizer") {
        /// Algorithm that turns gradients into weight updates. Muon updates the matrices of the blocks, AdamW the rest.
        #[serde(rename = "optimizer")]
        kind: OptimizerKind = OptimizerKind::Adamw => {
            label: "Optimizer",
            usual: "AdamW",
            formula: "AdamW: w ← w − η · (m̂ ∕ (√v̂ + ε) + λ w)",
            source: "Loshchilov & Hutter 2019; Jordan et al. 2024 (Muon)",
        },
        /// Peak learning rate of AdamW: how large each update is. If it is too high, the loss jumps or becomes NaN.
        lr: f64 = 1e-3 => {
            label: "Learning rate",
            range: NON_NEGATIVE,
            basic: true,
            usual: "0.001 to 0.005 for small models, 0.0006 for GPT-2",
            formula: "w ← w − η · m̂ ∕ (√v̂ + ε)",
            source: "Kingma & Ba 2015",
        },
        /// Decay rate of AdamW's running mean of gradients. Higher values average over more steps.
        beta1: f64 = 0.9 => {
            label: "AdamW β₁",
            range: DECAY_RATE,
            step: Some(0.01),
            usual: "0.9",
            formula: "m ← β₁ m + (1 − β₁) g",
            source: "Kingma & Ba 2015",
        },
        /// Decay rate of AdamW's running mean of squared gradients. Higher values average over more steps.
        beta2: f64 = 0.99 => {
            label: "AdamW β₂",
            range: DECAY_RATE,
            step: Some(0.01),
            usual: "0.95 to 0.999",
            formula: "v ← β₂ v + (1 − β₂) g²",
            source: "Kingma & Ba 2015",
        },
        /// Added to AdamW's denominator for numerical stability.
        eps: f64 = 1e-8 => {
            label: "AdamW ε",
            range: Range::above(0.0),
            usual: "1e-8",
            formula: "m̂ ∕ (√v̂ + ε)",
            source: "Kingma & Ba 2015",
        },
        /// Decoupled weight decay: shrinks matrices and embeddings a little at every step. 0 turns it off.
        weight_decay: f64 = 0.1 => {
            label: "Weight decay",
            range: NON_NEGATIVE,
            step: Some(0.05),
            usual: "0.1",
            formula: "w ← w − η λ w",
            source: "Loshchilov & Hutter 2019",
        },
        /// Peak learning rate of the matrices that Muon updates. It follows the same schedule as `lr`.
        muon_lr: f64 = 0.02 => {
            label: "Muon learning rate",
            range: NON_NEGATIVE,
            applies_if: when("optimizer", "muon"),
            usual: "0.02",
            formula: "W ← W − η · orthogonal(m)",
            source: "Jordan et al. 2024",
        },
        /// Momentum of Muon. Higher values average over more steps.
        muon_momentum: f64 = 0.95 => {
            label: "Muon momentum",
            range: DECAY_RATE,
            step: Some(0.01),
            applies_if: when("optimizer", "muon"),
            usual: "0.95",
            formula: "m ← μ m + g",
            source: "Jordan et al. 2024",
        },
        /// Largest allowed norm of all gradients together; larger gradients are scaled down to it. 0 turns it off.
        grad_clip: f64 = 1.0 => {
            label: "Gradient clipping",
            range: NON_NEGATIVE,
            step: Some(0.1),
            usual: "1",
            formula: "g ← g · min(1, c ∕ ‖g‖)",
            source: "Pascanu et al. 2013",
        },
    }
}

impl OptimizerConfig {
    /// Returns the default optimizer with another peak learning rate.
    pub fn with_lr(lr: f64) -> Self {
        Self { lr, ..Self::default() }
    }
}
