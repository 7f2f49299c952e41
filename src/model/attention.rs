//! Causal self-attention with grouped queries.
//!
//! Queries, keys and values are packed in one tensor `[B T, (H + 2 K) D]`, as the fused projection returns them and the
//! attention kernel reads them.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, activation::softmax};

use super::Pass;
use super::layers::{Linear, Norm, soft_cap};
use super::params::ParamBuilder;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::kernels::attention::{Documents, Options, attention};
use crate::kernels::linear::product;
use crate::kernels::rotary::{self, Heads};

/// Added to hidden scores: vanishes in the softmax, and stays finite in sums of every float type.
const MASKED: f64 = -30_000.0;

/// Query, key and value projections: one matrix or three.
#[derive(Module, Debug)]
pub struct Attention {
    qkv_proj: Option<Linear>,
    q_proj: Option<Linear>,
    k_proj: Option<Linear>,
    v_proj: Option<Linear>,
    q_norm: Option<Norm>,
    k_norm: Option<Norm>,
    /// Output projection, applied by the block together with the residual.
    pub(super) o_proj: Linear,
    #[module(skip)]
    heads: Heads,
    #[module(skip)]
    cap: Option<f64>,
    #[module(skip)]
    window: Option<usize>,
}

impl Attention {
    pub fn new(c: &ModelConfig, name: &str, build: &mut ParamBuilder<'_, '_>) -> Result<Self> {
        let q = c.q_size();
        let kv = c.kv_size();
        let init = c.weight_init(c.hidden_size);
        let mut input = |part: &str, outputs, wanted: bool| {
            if wanted {
                let name = format!("{name}.{part}");
                Linear::new(&name, c.hidden_size, outputs, c.attention_bias, init, build).map(Some)
            } else {
                Ok(None)
            }
        };
        let qkv_proj = input("qkv_proj", q + 2 * kv, c.fused_qkv)?;
        let q_proj = input("q_proj", q, !c.fused_qkv)?;
        let k_proj = input("k_proj", kv, !c.fused_qkv)?;
        let v_proj = input("v_proj", kv, !c.fused_qkv)?;
        let mut norm = |part: &str| {
            if c.qk_norm {
                Norm::rms(c, &format!("{name}.{part}"), c.head_dim, build).map(Some)
            } else {
                Ok(None)
            }
        };
        let (q_norm, k_norm) = (norm("q_norm")?, norm("k_norm")?);
        let o_proj = Linear::new(
            &format!("{name}.o_proj"),
            q,
            c.hidden_size,
            c.attention_bias,
            c.residual_init(q),
            build,
        )?;
        let heads =
            Heads { query: c.num_attention_heads, kv: c.num_key_value_heads, dim: c.head_dim };
        let cap = c.attn_logit_softcapping;
        let window = c.sliding_window;
        Ok(Self { qkv_proj, q_proj, k_proj, v_proj, q_norm, k_norm, o_proj, heads, cap, window })
    }

    /// Sets the heads to those of one of `ranks` ranks that divide a model.
    pub(super) fn divide(&mut self, c: &ModelConfig, ranks: usize) {
        let (query, kv) = (c.num_attention_heads / ranks, c.num_key_value_heads / ranks);
        self.heads = Heads { query, kv, dim: c.head_dim };
    }

    /// Returns the attention of each token to the tokens before it and itself, before the output projection:
    /// `[B T, C] -> [B T, H D]`.
    pub(super) fn forward(&self, x: Tensor<2>, layer: usize, pass: &mut Pass<'_>) -> Tensor<2> {
        let qkv = self.project(x, pass);
        let shape @ [batch, tokens] = [pass.batch, pass.tokens];
        if let Some(cache) = &mut pass.cache {
            cache.write(layer, qkv.clone());
        }
        let documents = pass.documents.as_ref().map(|documents| documents.bounds.clone());
        pass.offer_attention(layer, |cache| {
            let [q, k, _] = self.split(&qkv, shape);
            let k = cache.map_or(k, |cache| cache.keys(layer, tokens));
            self.weights(q, k, documents.as_ref().map(Documents::begins))
        });
        let options = Options {
            batch,
            tokens,
            heads: self.heads.query,
            kv_heads: self.heads.kv,
            head_dim: self.heads.dim,
            causal: true,
            scale: self.scale() as f32,
            soft_cap: self.cap.map(|cap| cap as f32),
            window: self.window,
            dropout: pass.weight_dropout(layer, self.heads.query),
        };
        let attended = match &pass.cache {
            Some(cache) if !cache.is_empty() => cache.attend(layer, qkv, options),
            _ => attention(qkv, documents, options),
        };
        pass.without_ablated_heads(attended, layer, self.heads)
    }

    /// Returns the projections of this variant with their names.
    pub(super) fn projections_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut Linear)> {
        let inputs = [
            ("self_attn.qkv_proj", &mut self.qkv_proj),
            ("self_attn.q_proj", &mut self.q_proj),
            ("self_attn.k_proj", &mut self.k_proj),
            ("self_attn.v_proj", &mut self.v_proj),
        ];
        let inputs = inputs.into_iter().filter_map(|(path, one)| Some((path, one.as_mut()?)));
        inputs.chain([("self_attn.o_proj", &mut self.o_proj)])
    }

    fn scale(&self) -> f64 {
        1.0 / (self.heads.dim as f64).sqrt()
    }

    /// Returns queries, keys and values, normalized and rotated: `[N, C] -> [N, (H + 2 K) D]`.
    pub(super) fn project(&self, x: Tensor<2>, pass: &Pass<'_>) -> Tensor<2> {
        let Heads { query, kv, dim } = self.heads;
        let table = pass.rope.clone();
        let [q, k, v] = match (&self.qkv_proj, &self.q_proj, &self.k_proj, &self.v_proj) {
            (Some(fused), ..) => {
                let qkv = fused.forward(x);
                if self.q_norm.is_none() {
                    return match table {
                        Some(table) => rotary::rotate(qkv, table, self.heads),
                        None => qkv,
                    };
                }
                let part = |from, count| qkv.clone().narrow(1, from * dim, count * dim);
                [part(0, query), part(query, kv), part(query + kv, kv)]
            }
            (None, Some(q), Some(k), Some(v)) => {
                [q.forward(x.clone()), k.forward(x.clone()), v.forward(x)]
            }
            _ => unreachable!("`new` makes either one projection or three"),
        };
        let (q, k) = (norm_heads(&self.q_norm, q, pass), norm_heads(&self.k_norm, k, pass));
        rotary::pack(q, k, v, table, self.heads)
    }

    /// Splits packed rows into queries `[B, H, T, D]` and keys and values `[B, K, T, D]`.
    pub(super) fn split(&self, qkv: &Tensor<2>, [batch, tokens]: [usize; 2]) -> [Tensor<4>; 3] {
        let Heads { query, kv, dim } = self.heads;
        [(0, query), (query, kv), (query + kv, kv)].map(|(from, count)| {
            let part = qkv.clone().narrow(1, from * dim, count * dim);
            part.reshape([batch, tokens, count, dim]).swap_dims(1, 2)
        })
    }

    /// Returns the scores of queries `[B, H, T, D]` and keys `[B, K, S, D]`, neither masked nor normalized:
    /// `[B, K, G T, S]` with `G = H / K`.
    pub(super) fn scores(&self, q: Tensor<4>, k: Tensor<4>) -> Tensor<4> {
        let [batch, query, tokens, dim] = q.dims();
        let kv = k.dims()[1];
        let q = q.reshape([batch, kv, query / kv * tokens, dim]);
        soft_cap(product(q.mul_scalar(self.scale()), k.swap_dims(2, 3)), self.cap)
    }

    /// Returns the attention weights `[B, H, T, S]` of queries `[B, H, T, D]`, the last of the `S` tokens, on keys
    /// `[B, K, S, D]`.
    ///
    /// The `H / K` query heads that share a key head are rows of one score matrix, so no key is copied. `documents [B T]`
    /// holds the positions at which the queries' documents begin.
    fn weights(&self, q: Tensor<4>, k: Tensor<4>, documents: Option<Tensor<1, Int>>) -> Tensor<4> {
        let [batch, query, tokens, _] = q.dims();
        let [_, kv, keys, _] = k.dims();
        let group = query / kv;
        let mut scores = self.scores(q, k);
        if tokens > 1 || self.window.is_some() {
            let hidden = causal_mask(tokens, keys - tokens, self.window, &scores.device());
            scores = scores + hidden.repeat_dim(0, group).unsqueeze::<4>();
        }
        if let Some(begins) = documents {
            let hidden = document_mask(begins.reshape([batch, tokens]), keys);
            scores = scores + hidden.repeat_dim(1, group).unsqueeze_dim::<4>(1);
        }
        softmax(scores, 3).reshape([batch, query, tokens, keys])
    }
}

/// Normalizes each head of `x [N, heads D]`.
fn norm_heads(norm: &Option<Norm>, x: Tensor<2>, pass: &Pass<'_>) -> Tensor<2> {
    match norm {
        Some(norm) => {
            let [rows, width] = x.dims();
            let dim = norm.width();
            // Each rank computes a part of the gradient of the weight.
            let weight = pass.enter(norm.weight());
            norm.forward_with(weight, x.reshape([rows * width / dim, dim])).reshape([rows, width])
        }
        None => x,
    }
}

/// Mask that hides later keys and keys outside the window, to be added to the scores: `[T, S]`.
fn causal_mask(tokens: usize, start: usize, window: Option<usize>, device: &Device) -> Tensor<2> {
    let end = start + tokens;
    let query = Tensor::<1, Int>::arange(start as i64..end as i64, device).reshape([tokens, 1]);
    let key = Tensor::<1, Int>::arange(0..end as i64, device).reshape([1, end]);
    let ahead = key.expand([tokens, end]) - query.expand([tokens, end]);
    let mut hidden = ahead.clone().greater_elem(0);
    if let Some(window) = window {
        hidden = hidden.bool_or(ahead.lower_equal_elem(-(window as i64)));
    }
    hidden.float().mul_scalar(MASKED)
}

/// Mask that hides keys before a query's document, which begins at `begins [B, T]`, to be added to the scores:
/// `[B, T, S]`.
fn document_mask(begins: Tensor<2, Int>, keys: usize) -> Tensor<3> {
    let [batch, tokens] = begins.dims();
    let key = Tensor::<1, Int>::arange(0..keys as i64, &begins.device()).reshape([1, 1, keys]);
    let shape = [batch, tokens, keys];
    let before = key.expand(shape).lower(begins.reshape([batch, tokens, 1]).expand(shape));
    before.float().mul_scalar(MASKED)
}
