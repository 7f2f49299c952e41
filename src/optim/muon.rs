//! Muon (Jordan et al. 2024): momentum, orthogonalized by Newton-Schulz iteration, batched over matrices of one shape.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use super::params::Taken;
use crate::kernels::cost::Cost;
use crate::kernels::linear::product;
use crate::kernels::muon::Stack;
use crate::model::NamedGradients;

/// Coefficients of Jordan's quintic polynomial, which moves every singular value towards 1.
const QUINTIC: (f64, f64, f64) = (3.4445, -4.7750, 2.0315);
const ITERATIONS: usize = 5;
/// Maximum number of elements in a batch (unless a single matrix is larger): 64 MiB in f32, which any device can bind.
const LARGEST: usize = 1 << 24;

/// Scalars of one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub lr: f64,
    pub momentum: f64,
    pub weight_decay: f64,
    /// Maximum global gradient norm.
    pub max_norm: Option<f32>,
}

/// Returns the cost of one step on a matrix of this shape, in f32: the gradient is read for its norm and once more, momentum
/// and weights are read and written; each iteration has three products.
pub(super) fn cost(shape: [usize; 2]) -> Cost {
    let [a, b] = shape.map(|length| length as f64);
    let (rows, columns) = (a.min(b), a.max(b));
    let products = 2.0 * rows * columns + rows * rows;
    Cost { bytes: 4.0 * 6.0 * rows * columns, flops: ITERATIONS as f64 * 2.0 * rows * products }
}

/// The momentum of the parameters that Muon updates.
#[derive(Clone, Debug, Default)]
pub(super) struct Muon {
    /// Restored flat momentum, until the first step provides the shapes.
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
    /// Restores the momentum that [`Self::state`] returned.
    pub fn restore(restored: BTreeMap<String, Tensor<1>>) -> Self {
        Self { restored, batches: Vec::new() }
    }

    /// Returns the flattened momentum of every matrix by name.
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

    /// Updates every matrix in `taken` with Nesterov momentum and decoupled weight decay, as in Jordan's reference.
    /// `norm [1]` is the global gradient norm.
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
            // Jordan's factor `max(1, rows / columns)^0.5` of each matrix.
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

/// Groups matrices of the same shape, up to transposition, into batches. Momentum that was not restored is zero.
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

/// Computes the factor of `torch.nn.utils.clip_grad_norm_`: `max_norm / (norm + 1e-6)`, at most 1.
fn clip_factor(norm: &Tensor<1>, max_norm: f32) -> Tensor<1> {
    norm.clone().add_scalar(1e-6).recip().mul_scalar(max_norm).clamp_max(1.0)
}

/// Approximates the nearest semi-orthogonal matrices, with all singular values near 1: `[N, R, C] -> [N, R, C]` with
/// `R <= C`.
fn orthogonalize(matrices: Tensor<3>) -> Tensor<3> {
    let [count, rows, columns] = matrices.dims();
    let flat = matrices.clone().reshape([count, rows * columns]);
    let norms = (flat.clone() * flat).sum_dim(1).sqrt().add_scalar(1e-7);
    let mut x = matrices / norms.reshape([count, 1, 1]);
    let (a, b, c) = QUINTIC;
    for _ in 0..ITERATIONS {
        let gram = product(x.clone(), x.clone().transpose());
        let poly = gram.clone().mul_scalar(b) + product(gram.clone(), gram).mul_scalar(c);
        x = x.clone().mul_scalar(a) + product(poly, x);
    }
    x
}
