//! Vocabulary-parallel embedding, head and cross-entropy.
//!
//! Shapes, in addition to those of the parent module: `N = B T` rows; `W` tokens of this rank, a range of all `V`.

use std::ops::Range;

use burn::tensor::{Bool, DType, IndexingUpdateOp, Int, Tensor};

use super::division::Division;
use super::layers::soft_cap;
use super::leaf::{backward_from, gradient_of, leaf};
use crate::kernels::cross_entropy::{CHUNK, Options, Targets, with_gradients};
use crate::kernels::embedding::{Ids, embedding};
use crate::kernels::linear::linear;

/// A vocabulary divided among tensor-parallel ranks.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary<'a> {
    pub ranks: &'a Division,
    /// Number of tokens, `V`.
    pub size: usize,
}

impl Vocabulary<'_> {
    fn own(&self) -> Range<usize> {
        self.ranks.tokens(self.size)
    }

    /// Looks up `ids [N]` in this rank's rows of the embedding, `table [W, C]`. Returns `[N, C]`, zero for tokens of other ranks.
    pub fn embed(&self, table: Tensor<2>, ids: Ids) -> Tensor<2> {
        embedding(table, ids.within(self.own()))
    }

    /// Returns the logits `[N, V]` of all ranks for `x [N, C]`, a result of [`Division::enter`], and this rank's rows of the
    /// head, `head [W, C]`.
    pub fn logits(&self, x: Tensor<2>, head: Tensor<2>) -> Tensor<2> {
        let own = linear(x, head, None, None);
        let [rows, _] = own.dims();
        let zeros = |count: usize| Tensor::zeros([rows, count], (&own.device(), own.dtype()));
        let Range { start, end } = self.own();
        let parts: Vec<Tensor<2>> = [zeros(start), own.clone(), zeros(self.size - end)]
            .into_iter()
            .filter(|part| part.dims()[1] > 0)
            .collect();
        self.ranks.leave(Tensor::cat(parts, 1))
    }

    /// Returns the loss of each row, `[N]`, without a gradient, for `x [N, C]` and this rank's rows of the head, `head [W, C]`:
    /// see [`head_losses`](crate::kernels::cross_entropy::head_losses).
    pub fn losses(
        &self,
        x: Tensor<2>,
        head: Tensor<2>,
        targets: Targets,
        options: Options,
    ) -> Tensor<1> {
        let (x, head, targets) = (x.inner(), head.inner(), targets.ids().inner());
        let [rows, width] = x.dims();
        let chunk = self.rows_at_a_time();
        let of_chunk = |start: usize| {
            let rows = start..rows.min(start + chunk);
            let x = x.clone().slice([rows.clone(), 0..width]);
            let products = linear(x, head.clone(), None, None);
            self.of_rows(products, targets.clone().slice([rows]), options).losses()
        };
        Tensor::cat((0..rows).step_by(chunk).map(of_chunk).collect(), 0)
    }

    /// Returns the sum of [`Self::losses`], `[1]`, for `x`, a result of [`Division::enter`]. The gradients are computed in the
    /// forward pass, a chunk of rows at a time, so that not all logits exist at once.
    pub fn loss(
        &self,
        x: Tensor<2>,
        head: Tensor<2>,
        targets: Targets,
        options: Options,
    ) -> Tensor<1> {
        if !x.is_autodiff() {
            return self.losses(x, head, targets, options).sum();
        }
        self.loss_by(self.rows_at_a_time(), x, head, targets, options)
    }

    /// [`Self::loss`] on an autodiff device, `chunk` rows at a time.
    fn loss_by(
        &self,
        chunk: usize,
        x: Tensor<2>,
        head: Tensor<2>,
        targets: Targets,
        options: Options,
    ) -> Tensor<1> {
        let targets = targets.ids().inner();
        let [rows, width] = x.dims();
        let (mut loss, mut of_head) = (None, None);
        let mut of_x = Vec::new();
        for start in (0..rows).step_by(chunk) {
            let rows = start..rows.min(start + chunk);
            let own = leaf(x.clone().inner().slice([rows.clone(), 0..width]));
            let table = leaf(head.clone().inner());
            let products = linear(own.clone(), table.clone(), None, None);
            let targets = targets.clone().slice([rows]);
            let of_rows = self.of_rows(products.clone().inner(), targets, options);
            loss = Some(plus(loss, of_rows.losses().sum()));
            let mut gradients = backward_from(products, of_rows.gradient());
            of_x.push(gradient_of(&own, &mut gradients));
            of_head = Some(plus(of_head, gradient_of(&table, &mut gradients)));
        }
        let (loss, of_head) = loss.zip(of_head).expect("there are rows");
        with_gradients(loss, [x, head], [Tensor::cat(of_x, 0), of_head])
    }

    /// Returns the number of rows in a chunk. It is the same on all ranks, which communicate once per chunk.
    fn rows_at_a_time(&self) -> usize {
        (CHUNK / self.size.div_ceil(self.ranks.count())).max(1)
    }

    /// All-gathers the softmax statistics of `n` rows from `products [n, W]`, the rows multiplied by this rank's head.
    fn of_rows(&self, products: Tensor<2>, targets: Tensor<1, Int>, options: Options) -> Rows {
        let dtype = products.dtype();
        let logits = soft_cap(products.cast(DType::F32), options.soft_cap.map(f64::from));
        let [rows, width] = logits.dims();
        let max = logits.clone().max_dim(1);
        let sum = (logits.clone() - max.clone()).exp().sum_dim(1);
        let targets = targets.reshape([rows, 1]);
        let place = targets.clone().sub_scalar(self.own().start as i32);
        let is_elsewhere =
            place.clone().lower_elem(0).bool_or(place.clone().greater_equal_elem(width as i32));
        let place = place.clamp(0, width as i32 - 1);
        let target = logits.clone().gather(1, place.clone());
        let target = target.mask_fill(is_elsewhere.clone(), 0.0);
        let found = self.ranks.gather(Tensor::cat(vec![max, sum, target], 1).flatten(0, 1));
        let found = found.reshape([self.ranks.count(), rows, 3]);
        let figure = |i: usize| found.clone().slice_dim(2, i..i + 1);
        let max = figure(0).max_dim(0);
        let sum = (figure(1) * (figure(0) - max.clone()).exp()).sum_dim(0);
        Rows {
            log_normalizer: (sum.log() + max).reshape([rows, 1]),
            target: figure(2).sum_dim(0).reshape([rows, 1]),
            is_ignored: targets.lower_elem(0),
            is_elsewhere,
            place,
            logits,
            dtype,
            options,
        }
    }
}

/// Logits of `n` rows, with softmax statistics of the whole vocabulary.
struct Rows {
    /// `[n, W]`: logits of this rank's tokens, in f32.
    logits: Tensor<2>,
    /// `[n, 1]`: logarithm of the sum of exponentials.
    log_normalizer: Tensor<2>,
    /// `[n, 1]`: logit of the target.
    target: Tensor<2>,
    /// `[n, 1]`: true for rows without a target.
    is_ignored: Tensor<2, Bool>,
    /// `[n, 1]`: true for rows whose target is none of this rank's tokens.
    is_elsewhere: Tensor<2, Bool>,
    /// `[n, 1]`: index of the target among this rank's tokens, if it is one of them.
    place: Tensor<2, Int>,
    /// Type of the products and of their gradient.
    dtype: DType,
    options: Options,
}

impl Rows {
    /// Returns the losses, `[n]`.
    fn losses(&self) -> Tensor<1> {
        let log_normalizer = self.log_normalizer.clone();
        let z_loss = log_normalizer.clone().square().mul_scalar(self.options.z_loss);
        let losses = z_loss + log_normalizer - self.target.clone();
        let losses = losses.mask_fill(self.is_ignored.clone(), 0.0);
        losses.mul_scalar(self.options.scale).flatten(0, 1)
    }

    /// Returns the gradient of the sum of the losses with respect to the products of this rank's tokens, `[n, W]`.
    fn gradient(self) -> Tensor<2> {
        let Options { scale, z_loss, soft_cap } = self.options;
        let shape = self.logits.dims();
        let probabilities = (self.logits.clone() - self.log_normalizer.clone()).exp();
        let of_normalizer = self.log_normalizer.mul_scalar(2.0 * z_loss).add_scalar(1.0);
        let is_target = Tensor::ones_like(&of_normalizer).mask_fill(self.is_elsewhere, 0.0);
        let of_logits = (probabilities * of_normalizer)
            .scatter(1, self.place, -is_target, IndexingUpdateOp::Add)
            .mask_fill(self.is_ignored.expand(shape), 0.0)
            .mul_scalar(scale);
        let of_products = match soft_cap {
            Some(cap) => of_logits * self.logits.div_scalar(cap).square().neg().add_scalar(1.0),
            None => of_logits,
        };
        of_products.cast(self.dtype)
    }
}

fn plus<const N: usize>(sum: Option<Tensor<N>>, next: Tensor<N>) -> Tensor<N> {
    match sum {
        Some(sum) => sum + next,
        None => next,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::kernels::cross_entropy::head_loss;
    use crate::parallel::Alone;

    /// Returns a loss, and its gradients by `x` and the head.
    fn gradients(
        loss: impl Fn(Tensor<2>, Tensor<2>, Targets, Options) -> Tensor<1>,
        inputs: &[Tensor<2>; 2],
        options: Options,
    ) -> Vec<f32> {
        let ignored = u32::MAX;
        let targets = [3, ignored, 0, 6, 5, 1, ignored, 2, 4, 6];
        let device = inputs[0].device();
        let targets = Targets::new(&targets, ignored, 7, &device).unwrap();
        let [x, head] = inputs.clone().map(leaf);
        let loss = loss(x.clone(), head.clone(), targets, options);
        let mut gradients = loss.clone().mul_scalar(3.0).backward();
        let mut all = vec![loss.inner()];
        for input in [x, head] {
            all.push(gradient_of(&input, &mut gradients).flatten(0, 1));
        }
        Tensor::cat(all, 0).into_data().try_into_vec().expect("f32")
    }

    #[test]
    fn the_loss_of_some_rows_at_a_time_is_that_of_the_fused_kernel() {
        let device = Device::flex();
        let inputs = [[10, 4], [7, 4]]
            .map(|shape| Tensor::<2>::random(shape, Distribution::Uniform(-2.0, 2.0), &device));
        let ranks = Division::new(Arc::new(Alone));
        let vocabulary = Vocabulary { ranks: &ranks, size: 7 };
        for (z_loss, soft_cap) in [(0.0, None), (0.1, None), (0.1, Some(1.5))] {
            let options = Options { scale: 0.25, z_loss, soft_cap };
            let fused = gradients(head_loss, &inputs, options);
            for chunk in [1, 3, 10, 16] {
                let found = gradients(
                    |x, head, targets, options| {
                        vocabulary.loss_by(chunk, x, head, targets, options)
                    },
                    &inputs,
                    options,
                );
                assert_eq!(found.len(), fused.len());
                for (found, fused) in found.iter().zip(&fused) {
                    assert!((found - fused).abs() < 1e-5, "{chunk} rows: {found} and {fused}");
                }
            }
        }
    }
}
