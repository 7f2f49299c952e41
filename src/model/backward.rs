//! Loss and gradients in one go, with all activations kept or with most of them computed again.

use burn::module::Module;
use burn::tensor::{Gradients, Tensor};

use super::loss_scale::Scaling;
use super::params::{NamedGradients, named_gradients};
use super::{Decoder, LossOptions, TokenIds, ids};
use crate::error::Result;

impl Decoder {
    /// [`Self::loss`] and the gradients of all parameters, without their graph. Of preference pairs, the mean margin
    /// and the share of pairs with a positive one stand behind the loss: `[3]` instead of `[1]`.
    ///
    /// With `recompute` the forward pass keeps only what enters each block; the backward pass runs one block at
    /// a time forward again and then back (Chen et al. 2016, "sublinear memory cost"). The gradients are the
    /// same numbers. The model must live on an automatic differentiation device.
    ///
    /// With a `loss_scale [1]` the gradients, not the loss, are multiplied by it on their way.
    ///
    /// # Errors
    /// As of [`Self::loss`].
    pub fn loss_and_gradients(
        &self,
        ids: TokenIds,
        targets: &[u32],
        options: LossOptions<'_>,
        recompute: bool,
        loss_scale: Option<Tensor<1>>,
    ) -> Result<(Tensor<1>, NamedGradients)> {
        let (scaling, options) = Scaling::new(loss_scale, options);
        if recompute {
            return self.recompute(ids, targets, options, &scaling);
        }
        let outcome = self.outcome(ids, targets, options, None)?;
        let gradients = named_gradients(self, "", &mut scaling.backward(&outcome.loss));
        Ok((scaling.undo(outcome.figures()), gradients))
    }

    fn recompute(
        &self,
        ids: TokenIds,
        targets: &[u32],
        options: LossOptions<'_>,
        scaling: &Scaling,
    ) -> Result<(Tensor<1>, NamedGradients)> {
        let (shape, mode) = ([ids.batch, ids.tokens], self.mode(options));
        let plain = self.valid();
        let mut pass = plain.pass(shape, &ids.documents, mode, None, None)?;
        let mut inputs = vec![plain.enter(ids.clone(), &pass)];
        for (layer, block) in plain.layers.iter().enumerate() {
            inputs.push(block.forward(inputs[layer].clone(), layer, &mut pass));
        }

        let last = leaf(inputs.pop().expect("the first was put there"));
        let targets = ids::targets(targets, self.config.vocab_size, &self.device())?;
        let outcome = self.judge(last.clone(), targets, options);
        let mut found = scaling.backward(&outcome.loss);
        let mut gradients = named_gradients(self, "", &mut found);
        let mut upstream = gradient_of(&last, &mut found);

        let mut pass = self.pass(shape, &ids.documents, mode, None, None)?;
        for (layer, block) in self.layers.iter().enumerate().rev() {
            let input = leaf(inputs.pop().expect("one for each block"));
            let output = block.forward(input.clone(), layer, &mut pass);
            let mut found = backward_from(output, upstream);
            gradients.extend(named_gradients(block, &format!("layers.{layer}"), &mut found));
            upstream = gradient_of(&input, &mut found);
        }
        if !self.embed_tokens.weight.is_require_grad() {
            // Beside adapters, nothing that makes the stream is trained.
            return Ok((scaling.undo(outcome.figures()), gradients));
        }
        let mut found = backward_from(self.enter(ids, &pass), upstream);
        for (name, gradient) in named_gradients(self, "", &mut found) {
            // A tied table has one gradient as the head, and now one as the embedding.
            let sum = match gradients.remove(&name) {
                Some(other) => other + gradient,
                None => gradient,
            };
            gradients.insert(name, sum);
        }
        Ok((scaling.undo(outcome.figures()), gradients))
    }
}

/// A tensor at which differentiation ends.
fn leaf(tensor: Tensor<2>) -> Tensor<2> {
    Tensor::from_inner(tensor).require_grad()
}

/// The backward pass from `output`, whose gradient is `upstream`.
fn backward_from(output: Tensor<2>, upstream: Tensor<2>) -> Gradients {
    (output * Tensor::from_inner(upstream)).sum().backward()
}

fn gradient_of(leaf: &Tensor<2>, gradients: &mut Gradients) -> Tensor<2> {
    leaf.grad_remove(gradients).expect("everything before the loss takes part in it")
}
