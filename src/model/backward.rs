//! Gradients of all parameters, with all activations kept or with most of them recomputed.

use burn::module::Module;
use burn::tensor::{Gradients, Tensor};

use super::params::{NamedGradients, named_gradients};
use super::pass::Mode;
use super::{Decoder, TokenIds};
use crate::config::Precision;
use crate::error::Result;
use crate::kernels::dropout::Dropout;
use crate::kernels::precision;

/// Options of a pass through the model in training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PassOptions {
    /// Seed of the dropout masks; without one nothing is dropped.
    pub dropout_seed: Option<u32>,
    /// Type of the numbers in the residual stream and of all that is computed from it.
    pub precision: Precision,
    /// Keep only the input of each block in the forward pass. The backward pass then recomputes one block at a time
    /// (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"). The gradients have the same bits.
    pub recompute: bool,
}

impl Default for PassOptions {
    /// In f32, without dropout, with all activations kept.
    fn default() -> Self {
        Self { dropout_seed: None, precision: Precision::F32, recompute: false }
    }
}

impl Decoder {
    /// Differentiates a function of the residual stream by all parameters.
    ///
    /// `head` maps the residual stream after the last block, `[B T, C]`, to the scalar `[1]` to differentiate and to
    /// anything else the caller wants back. The model must be on an autodiff device.
    ///
    /// # Errors
    /// More tokens than `max_position_embeddings`; any error of `head`.
    pub fn differentiate<T>(
        &self,
        ids: TokenIds,
        options: PassOptions,
        head: impl FnOnce(Tensor<2>) -> Result<(Tensor<1>, T)>,
    ) -> Result<(T, NamedGradients)> {
        if options.recompute {
            return self.differentiate_blockwise(ids, options, head);
        }
        let residual = self.run(ids, None, None, self.mode(options))?;
        let (scalar, found) = head(residual)?;
        Ok((found, named_gradients(self, "", &mut scalar.backward())))
    }

    fn differentiate_blockwise<T>(
        &self,
        ids: TokenIds,
        options: PassOptions,
        head: impl FnOnce(Tensor<2>) -> Result<(Tensor<1>, T)>,
    ) -> Result<(T, NamedGradients)> {
        let shape = [ids.batch, ids.tokens];
        let mode = self.mode(options);
        let plain = self.valid();
        let mut pass = plain.pass(shape, &ids.documents, mode, None, None)?;
        let mut inputs = vec![plain.enter(ids.clone(), &pass)];
        for (layer, block) in plain.layers.iter().enumerate() {
            inputs.push(block.forward(inputs[layer].clone(), layer, &mut pass));
        }

        let last = leaf(inputs.pop().expect("the embedding was pushed first"));
        let (scalar, found) = head(last.clone())?;
        let mut of_head = scalar.backward();
        let mut gradients = named_gradients(self, "", &mut of_head);
        let mut upstream = gradient_of(&last, &mut of_head);

        let mut pass = self.pass(shape, &ids.documents, mode, None, None)?;
        for (layer, block) in self.layers.iter().enumerate().rev() {
            let input = leaf(inputs.pop().expect("one for each block"));
            let output = block.forward(input.clone(), layer, &mut pass);
            let mut of_block = backward_from(output, upstream);
            gradients.extend(named_gradients(block, &format!("layers.{layer}"), &mut of_block));
            upstream = gradient_of(&input, &mut of_block);
        }
        if !self.embed_tokens.weight.is_require_grad() {
            // Training adapters: nothing before the first block is trained.
            return Ok((found, gradients));
        }
        let mut of_embedding = backward_from(self.enter(ids, &pass), upstream);
        for (name, gradient) in named_gradients(self, "", &mut of_embedding) {
            // A tied matrix already has a gradient as the head; this is the one as the embedding.
            let sum = match gradients.remove(&name) {
                Some(other) => other + gradient,
                None => gradient,
            };
            gradients.insert(name, sum);
        }
        Ok((found, gradients))
    }

    fn mode(&self, options: PassOptions) -> Mode {
        let probability = self.config.dropout as f32;
        let seed = options.dropout_seed.filter(|_| probability > 0.0);
        let dropout = seed.map(|seed| Dropout { probability, seed });
        Mode { dropout, dtype: precision::dtype(options.precision) }
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
    leaf.grad_remove(gradients).expect("the scalar depends on every block's input")
}
