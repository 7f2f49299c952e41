//! Muon (Jordan et al. 2024): momentum, orthogonalized by Newton-Schulz, all matrices of a shape at once.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use super::Taken;
use crate::kernels::muon::Stack;
use crate::model::NamedGradients;

/// Coefficients of the quintic that pushes every singular value towards one fastest.
const QUINTIC: (f64, f64, f64) = (3.4445, -4.7750, 2.0315);
const ITERATIONS: usize = 5;
/// Numbers that are stacked at a time, at most, unless a single matrix has more: 64 MiB in f32, which any
/// device can bind.
const LARGEST: usize = 1 << 24;

/// What a step goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub lr: f64,
    pub momentum: f64,
    pub weight_decay: f64,
    /// Bound on the global gradient norm.
    pub max_norm: Option<f32>,
}

/// The momentum of the parameters that Muon updates.
#[derive(Clone, Debug, Default)]
pub(super) struct Muon {
    /// As it was restored, flat, until the first step knows the shapes.
    restored: BTreeMap<String, Tensor<1>>,
    batches: Vec<Batch>,
}

/// Matrices that are updated together.
#[derive(Clone, Debug)]
struct Batch {
    names: Vec<String>,
    stack: Stack,
    /// `[N, rows, columns]`.
    momentum: Tensor<3>,
}

impl Muon {
    /// With the momentum that [`Self::state`] gave.
    pub fn restore(restored: BTreeMap<String, Tensor<1>>) -> Self {
        Self { restored, batches: Vec::new() }
    }

    /// The momentum of every matrix, row by row.
    pub fn state(&self) -> impl Iterator<Item = (String, Tensor<1>)> + '_ {
        let restored = self.restored.iter().map(|(name, value)| (name.clone(), value.clone()));
        let stacked = self.batches.iter().flat_map(|batch| {
            let Stack { rows, columns, tall } = &batch.stack;
            batch.names.iter().zip(tall).enumerate().map(move |(i, (name, tall))| {
                let matrix = batch.momentum.clone().narrow(0, i, 1);
                let matrix = if *tall { matrix.swap_dims(1, 2) } else { matrix };
                (name.clone(), matrix.reshape([rows * columns]))
            })
        });
        restored.chain(stacked)
    }

    /// One step of every matrix in `taken`, with Nesterov momentum and decoupled decay as in Jordan's
    /// reference. `norm [1]` is that of all gradients.
    pub fn step(
        &mut self,
        mut taken: BTreeMap<String, Taken>,
        gradients: &mut NamedGradients,
        norm: &Tensor<1>,
        rule: Rule,
    ) -> BTreeMap<String, Tensor<1>> {
        if taken.is_empty() {
            return BTreeMap::new();
        }
        if self.batches.is_empty() {
            self.batches = batches(&taken, std::mem::take(&mut self.restored));
        }
        let clip = rule.max_norm.map(|most| clip_factor(norm, most).reshape([1, 1, 1]));
        let mut done = BTreeMap::new();
        for Batch { names, stack, momentum } in &mut self.batches {
            let of = |name| gradients.remove(name).expect("the same parameters have gradients");
            let mut gradient = stack.gather(names.iter().map(of).collect());
            if let Some(clip) = &clip {
                gradient = gradient * clip.clone();
            }
            momentum.inplace(|momentum| momentum.mul_scalar(rule.momentum) + gradient.clone());
            let ahead = gradient + momentum.clone().mul_scalar(rule.momentum);
            // Jordan's `max(1, rows / columns)^0.5`, by each matrix's own rows and columns.
            let ratio = stack.columns as f64 / stack.rows as f64;
            let rate = |tall: &bool| (rule.lr * if *tall { ratio.sqrt() } else { 1.0 }) as f32;
            let rates: Vec<f32> = stack.tall.iter().map(rate).collect();
            let of = |name| taken.remove(name).expect("the same parameters at every step").value;
            let values = names.iter().map(of).collect();
            let keep = (1.0 - rule.lr * rule.weight_decay) as f32;
            let values = stack.descend(values, orthogonalize(ahead), keep, &rates);
            done.extend(names.iter().cloned().zip(values));
        }
        done
    }
}

/// Matrices of the same shape, or of the same one transposed, in as few batches as may be. Momentum that was
/// not restored is zero.
fn batches(
    taken: &BTreeMap<String, Taken>,
    mut restored: BTreeMap<String, Tensor<1>>,
) -> Vec<Batch> {
    let mut groups: BTreeMap<[usize; 2], Vec<(&String, &Taken)>> = BTreeMap::new();
    for (name, matrix) in taken {
        let [rows, columns] = [matrix.shape[0], matrix.shape[1]];
        groups.entry([rows.min(columns), rows.max(columns)]).or_default().push((name, matrix));
    }
    let mut batches = Vec::new();
    for ([rows, columns], members) in groups {
        for members in members.chunks((LARGEST / (rows * columns)).max(1)) {
            let tall = members.iter().map(|(_, matrix)| matrix.shape[0] > rows).collect();
            let stack = Stack { rows, columns, tall };
            let of = |(name, matrix): &(&String, &Taken)| {
                restored.remove(*name).unwrap_or_else(|| matrix.value.zeros_like())
            };
            let momentum = stack.gather(members.iter().map(of).collect());
            let names = members.iter().map(|(name, _)| (*name).clone()).collect();
            batches.push(Batch { names, stack, momentum });
        }
    }
    batches
}

/// What `torch.nn.utils.clip_grad_norm_` multiplies by: `max_norm / (norm + 1e-6)`, at most 1.
fn clip_factor(norm: &Tensor<1>, max_norm: f32) -> Tensor<1> {
    norm.clone().add_scalar(1e-6).recip().mul_scalar(max_norm).clamp_max(1.0)
}

/// The nearest semi-orthogonal matrices, roughly: all singular values near one. `[N, R, C] -> [N, R, C]`, with
/// `R <= C`.
fn orthogonalize(matrices: Tensor<3>) -> Tensor<3> {
    let [count, rows, columns] = matrices.dims();
    let flat = matrices.clone().reshape([count, rows * columns]);
    let norms = (flat.clone() * flat).sum_dim(1).sqrt().add_scalar(1e-7);
    let mut x = matrices / norms.reshape([count, 1, 1]);
    let (a, b, c) = QUINTIC;
    for _ in 0..ITERATIONS {
        let gram = x.clone().matmul(x.clone().transpose());
        let poly = gram.clone().mul_scalar(b) + gram.clone().matmul(gram).mul_scalar(c);
        x = x.clone().mul_scalar(a) + poly.matmul(x);
    }
    x
}
