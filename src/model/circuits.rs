//! The two circuits of an attention head (Elhage et al. 2021, "A Mathematical Framework for Transformer
//! Circuits"): QK decides which token it looks at, OV what it then carries from there to the prediction. And the
//! way of an MLP's neuron to the prediction (Geva et al. 2022, "Transformer Feed-Forward Layers Build Predictions
//! by Promoting Concepts in the Vocabulary Space").

use burn::tensor::{Int, Tensor};

use super::pass::Mode;
use super::{Decoder, TokenIds};
use crate::error::Result;
use crate::kernels::embedding::embedding;
use crate::kernels::linear::linear;
use crate::kernels::rotary::Heads;

impl Decoder {
    /// The vectors that tokens enter with, before their positions' are added: `[B T, C]`.
    pub fn embed(&self, ids: TokenIds) -> Tensor<2> {
        embedding(self.embed_tokens.weight.val(), ids.ids)
    }

    /// The scores, neither masked nor normalized, that the heads of block `layer` give each pair of rows of a
    /// residual stream `[T, C]`: `[H, T, T]`, row query, column key. Without `rotated`, rotary models leave
    /// positions out.
    ///
    /// # Errors
    /// More rows than `max_position_embeddings`.
    pub fn scores_between(
        &self,
        stream: Tensor<2>,
        layer: usize,
        rotated: bool,
    ) -> Result<Tensor<3>> {
        let tokens = stream.dims()[0];
        let mut pass = self.pass([1, tokens], &None, Mode::INFERENCE, None, None)?;
        pass.rope = pass.rope.filter(|_| rotated);
        let block = &self.layers[layer];
        let qkv = block.self_attn.project(block.input_layernorm.forward(stream), &pass);
        let [q, k, _] = block.self_attn.split(&qkv, [1, tokens]);
        let scores = block.self_attn.scores(q, k);
        Ok(scores.reshape([self.config.num_attention_heads, tokens, tokens]))
    }

    /// What the logits `[N, V]` gain, before the last norm divides, when a head takes all from one row of a
    /// residual stream `[N, C]`. Biases, which add the same for every row, are left out.
    ///
    /// # Errors
    /// More rows than `max_position_embeddings`.
    pub fn carried_to_logits(
        &self,
        stream: Tensor<2>,
        layer: usize,
        head: usize,
    ) -> Result<Tensor<2>> {
        let c = &self.config;
        let heads =
            Heads { query: c.num_attention_heads, kv: c.num_key_value_heads, dim: c.head_dim };
        let block = &self.layers[layer];
        let values = |stream: Tensor<2>| -> Result<Tensor<2>> {
            let pass = self.pass([1, stream.dims()[0]], &None, Mode::INFERENCE, None, None)?;
            let qkv = block.self_attn.project(block.input_layernorm.forward(stream), &pass);
            let shared = head / (heads.query / heads.kv);
            Ok(qkv.narrow(1, (heads.query + heads.kv + shared) * heads.dim, heads.dim))
        };
        // What comes of nothing is the biases' doing.
        let of_nothing = values(stream.clone().slice_dim(0, 0..1).zeros_like())?;
        let value = values(stream)? - of_nothing;
        let output = block.self_attn.o_proj.weight().narrow(1, head * heads.dim, heads.dim); // C D
        let added = linear(value, output, None, None);
        Ok(linear(self.norm.forward_part(added), self.unembedding(), None, None))
    }
    /// What the logits `[N, V]` gain, before the last norm divides, where one of these neurons of block `layer` is 1.
    pub fn neurons_to_logits(&self, layer: usize, neurons: &[u32]) -> Tensor<2> {
        let indices: Vec<i32> = neurons.iter().map(|neuron| *neuron as i32).collect();
        let indices = Tensor::<1, Int>::from_ints(indices.as_slice(), &self.device());
        let added = self.layers[layer].mlp.down_proj.weight().select(1, indices).transpose();
        linear(self.norm.forward_part(added), self.unembedding(), None, None)
    }

    /// The length of what each neuron of block `layer` adds to the residual stream where it is 1, `[F]`.
    pub fn reach_of_neurons(&self, layer: usize) -> Tensor<1> {
        let weight = self.layers[layer].mlp.down_proj.weight();
        (weight.clone() * weight).sum_dim(0).sqrt().squeeze_dim(0)
    }
}
