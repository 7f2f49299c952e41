//! Interpretability of single components.
//!
//! - The two circuits of an attention head (Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"): QK
//!   determines which tokens it attends to, OV how an attended token affects the logits.
//! - The effect of an MLP neuron on the logits (Geva et al. 2022, "Transformer Feed-Forward Layers Build Predictions by
//!   Promoting Concepts in the Vocabulary Space").

use burn::tensor::{Int, Tensor};

use super::pass::Mode;
use super::{Decoder, TokenIds};
use crate::error::Result;
use crate::kernels::embedding::embedding;
use crate::kernels::linear::linear;
use crate::kernels::rotary::Heads;

impl Decoder {
    /// Returns the token embeddings without positions: `[B T, C]`.
    pub fn embed(&self, ids: TokenIds) -> Tensor<2> {
        embedding(self.embed_tokens.weight.val(), ids.ids)
    }

    /// Computes the attention scores of block `layer` before mask and softmax from a residual stream `[T, C]`:
    /// `[H, T, T]` with queries as rows and keys as columns. Without `rotated`, rotary positions are not applied.
    ///
    /// # Errors
    /// Returns an error if there are more rows than `max_position_embeddings`.
    pub fn attention_scores(
        &self,
        residual: Tensor<2>,
        layer: usize,
        rotated: bool,
    ) -> Result<Tensor<3>> {
        let tokens = residual.dims()[0];
        let mut pass = self.pass([1, tokens], &None, Mode::INFERENCE, None, None)?;
        pass.rope = pass.rope.filter(|_| rotated);
        let block = &self.layers[layer];
        let qkv = block.self_attn.project(block.input_layernorm.forward(residual), &pass);
        let [q, k, _] = block.self_attn.split(&qkv, [1, tokens]);
        let scores = block.self_attn.scores(q, k);
        Ok(scores.reshape([self.config.num_attention_heads, tokens, tokens]))
    }

    /// Computes the OV circuit: the change of the logits `[N, V]` if a head attends fully to one row of a residual stream
    /// `[N, C]`. The division of the final norm is not applied, and biases, which are the same for every row, are left out.
    ///
    /// # Errors
    /// Returns an error if there are more rows than `max_position_embeddings`.
    pub fn project_head_to_logits(
        &self,
        residual: Tensor<2>,
        layer: usize,
        head: usize,
    ) -> Result<Tensor<2>> {
        let c = &self.config;
        let heads =
            Heads { query: c.num_attention_heads, kv: c.num_key_value_heads, dim: c.head_dim };
        let block = &self.layers[layer];
        let values = |residual: Tensor<2>| -> Result<Tensor<2>> {
            let pass = self.pass([1, residual.dims()[0]], &None, Mode::INFERENCE, None, None)?;
            let qkv = block.self_attn.project(block.input_layernorm.forward(residual), &pass);
            let shared = head / (heads.query / heads.kv);
            Ok(qkv.narrow(1, (heads.query + heads.kv + shared) * heads.dim, heads.dim))
        };
        // The values of a zero row are the biases' contribution.
        let bias = values(residual.clone().slice_dim(0, 0..1).zeros_like())?;
        let value = values(residual)? - bias;
        let output = block.self_attn.o_proj.weight().narrow(1, head * heads.dim, heads.dim); // C D
        let added = linear(value, output, None, None);
        Ok(linear(self.norm.forward_part(added), self.unembedding(), None, None))
    }

    /// Computes the change of the logits `[N, V]` per unit of activation of `N` neurons of block `layer`. The division of
    /// the final norm is not applied.
    pub fn project_neurons_to_logits(&self, layer: usize, neurons: &[u32]) -> Tensor<2> {
        let indices: Vec<i32> = neurons.iter().map(|neuron| *neuron as i32).collect();
        let indices = Tensor::<1, Int>::from_ints(indices.as_slice(), &self.device());
        let added = self.layers[layer].mlp.down_proj.weight().select(1, indices).transpose();
        linear(self.norm.forward_part(added), self.unembedding(), None, None)
    }

    /// Returns the norm of each neuron's output vector in block `layer`: `[F]`.
    pub fn neuron_output_norms(&self, layer: usize) -> Tensor<1> {
        let weight = self.layers[layer].mlp.down_proj.weight();
        (weight.clone() * weight).sum_dim(0).sqrt().squeeze_dim(0)
    }
}
