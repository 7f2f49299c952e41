//! The optimizer: gradients to updates.

use serde::{Deserialize, Serialize};

use super::{non_negative, require};
use crate::error::Result;

/// The rule that turns gradients into updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019).
    Adamw,
    /// Orthogonalized momentum for the blocks' matrices (Jordan et al. 2024), AdamW for the rest.
    Muon,
}

/// Settings of the optimizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(default)]
pub struct OptimizerConfig {
    /// Which optimizer.
    #[serde(rename = "optimizer")]
    pub kind: OptimizerKind,
    /// Peak learning rate (of AdamW).
    pub lr: f64,
    /// AdamW's first-moment decay.
    pub beta1: f64,
    /// AdamW's second-moment decay.
    pub beta2: f64,
    /// Added to AdamW's denominator for numerical stability.
    pub eps: f64,
    /// Decoupled weight decay, on tensors of rank 2 and above only.
    pub weight_decay: f64,
    /// Peak learning rate of Muon; follows the same schedule shape.
    pub muon_lr: f64,
    /// Muon's momentum.
    pub muon_momentum: f64,
    /// Bound on the global gradient norm; 0 turns clipping off.
    pub grad_clip: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adamw,
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.99,
            eps: 1e-8,
            weight_decay: 0.1,
            muon_lr: 0.02,
            muon_momentum: 0.95,
            grad_clip: 1.0,
        }
    }
}

impl OptimizerConfig {
    /// The default optimizer with another peak learning rate.
    pub fn with_lr(lr: f64) -> Self {
        Self { lr, ..Self::default() }
    }

    /// Checks the range of every setting.
    ///
    /// # Errors
    /// The first setting outside its range.
    pub fn validate(&self) -> Result<()> {
        non_negative(&[
            ("lr", self.lr),
            ("weight_decay", self.weight_decay),
            ("grad_clip", self.grad_clip),
            ("muon_lr", self.muon_lr),
        ])?;
        for (key, value) in
            [("beta1", self.beta1), ("beta2", self.beta2), ("muon_momentum", self.muon_momentum)]
        {
            require(
                (0.0..1.0).contains(&value),
                key,
                format!("{value} is not in [0, 1)"),
                "use 0.9 to 0.999",
            )?;
        }
        require(
            self.eps.is_finite() && self.eps > 0.0,
            "eps",
            format!("{} is not above 0", self.eps),
            "use 1e-8",
        )
    }
}
