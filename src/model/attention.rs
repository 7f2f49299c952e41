//! Causal self-attention with grouped queries.
//!
//! The `G` query heads that share a key head are laid out as rows of one score matrix, so grouped,
//! multi-query and plain attention are the same products and no key or value is ever copied.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, activation::softmax};

use super::layers::{Linear, Norm, dropout};
use super::params::Builder;
use super::{Pass, rope, soft_cap};
use crate::config::ModelConfig;
use crate::error::Result;

/// Large enough to vanish in the softmax, small enough to stay finite in every float type's sums.
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
    o_proj: Linear,
    #[module(skip)]
    heads: Heads,
}

/// The numbers attention is laid out by.
#[derive(Clone, Copy, Debug)]
struct Heads {
    kv: usize,
    group: usize,
    width: usize,
    cap: Option<f64>,
}

impl Attention {
    pub fn new(c: &ModelConfig, name: &str, build: &mut Builder<'_, '_>) -> Result<Self> {
        let (q, kv) = (c.q_size(), c.kv_size());
        let init = c.weight_init(c.hidden_size);
        let mut input = |part: &str, outputs, wanted: bool| match wanted {
            true => {
                let name = format!("{name}.{part}");
                Linear::new(&name, c.hidden_size, outputs, c.attention_bias, init, build).map(Some)
            }
            false => Ok(None),
        };
        let qkv_proj = input("qkv_proj", q + 2 * kv, c.fused_qkv)?;
        let q_proj = input("q_proj", q, !c.fused_qkv)?;
        let k_proj = input("k_proj", kv, !c.fused_qkv)?;
        let v_proj = input("v_proj", kv, !c.fused_qkv)?;
        let mut norm = |part: &str| match c.qk_norm {
            true => Norm::rms(c, &format!("{name}.{part}"), c.head_dim, build).map(Some),
            false => Ok(None),
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
        let heads = Heads {
            kv: c.num_key_value_heads,
            group: c.num_attention_heads / c.num_key_value_heads,
            width: c.head_dim,
            cap: c.attn_logit_softcapping,
        };
        Ok(Self { qkv_proj, q_proj, k_proj, v_proj, q_norm, k_norm, o_proj, heads })
    }

    /// `[B T, C] -> [B T, C]`
    pub(super) fn forward(&self, x: Tensor<2>, layer: usize, pass: &mut Pass<'_>) -> Tensor<2> {
        let Heads { kv, group, width, cap } = self.heads;
        let (batch, tokens) = (pass.batch, pass.tokens);
        let [q, k, v] = self.project(x);
        let q = q.reshape([batch, tokens, kv * group, width]); // B T H D
        let k = k.reshape([batch, tokens, kv, width]); // B T K D
        let v = v.reshape([batch, tokens, kv, width]).swap_dims(1, 2); // B K T D
        let turn = |x| match &pass.rope {
            Some(table) => rope::rotate(x, table),
            None => x,
        };
        let q = turn(norm_or(&self.q_norm, q));
        let k = turn(norm_or(&self.k_norm, k)).swap_dims(1, 2); // B K T D
        let (k, v) = match &mut pass.cache {
            Some(cache) => cache.extend(layer, k, v), // B K S D
            None => (k, v),
        };
        let q = q.reshape([batch, tokens, kv, group, width]).permute([0, 2, 3, 1, 4]).reshape([
            batch,
            kv,
            group * tokens,
            width,
        ]); // B K GT D
        let scores = q.mul_scalar(1.0 / (width as f64).sqrt()).matmul(k.swap_dims(2, 3)); // B K GT S
        let mut scores = soft_cap(scores, cap);
        if let Some(mask) = &pass.mask {
            scores = scores + mask.clone();
        }
        let weights = softmax(scores, 3);
        let context = dropout(weights, pass.dropout)
            .matmul(v) // B K GT D
            .reshape([batch, kv, group, tokens, width])
            .permute([0, 3, 1, 2, 4])
            .reshape([batch * tokens, kv * group * width]);
        self.o_proj.forward(context)
    }

    /// `[N, C] -> [N, H D], [N, K D], [N, K D]`
    fn project(&self, x: Tensor<2>) -> [Tensor<2>; 3] {
        let Heads { kv, group, width, .. } = self.heads;
        let kv = kv * width;
        match (&self.qkv_proj, &self.q_proj, &self.k_proj, &self.v_proj) {
            (None, Some(q), Some(k), Some(v)) => {
                [q.forward(x.clone()), k.forward(x.clone()), v.forward(x)]
            }
            (Some(fused), ..) => {
                let all = fused.forward(x);
                [
                    all.clone().narrow(1, 0, kv * group),
                    all.clone().narrow(1, kv * group, kv),
                    all.narrow(1, kv * group + kv, kv),
                ]
            }
            _ => unreachable!("`new` makes either one projection or three"),
        }
    }
}

fn norm_or(norm: &Option<Norm>, x: Tensor<4>) -> Tensor<4> {
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}

/// What is added to the scores so that no query sees a later key: `[1, 1, G T, S]`, zero or very negative.
/// None where a single query may see everything.
pub(super) fn causal_mask(
    tokens: usize,
    start: usize,
    c: &ModelConfig,
    device: &Device,
) -> Option<Tensor<4>> {
    if tokens == 1 {
        return None;
    }
    let end = start + tokens;
    let query = Tensor::<1, Int>::arange(start as i64..end as i64, device).reshape([tokens, 1]);
    let key = Tensor::<1, Int>::arange(0..end as i64, device).reshape([1, end]);
    let later = key.expand([tokens, end]).greater(query.expand([tokens, end]));
    let group = c.num_attention_heads / c.num_key_value_heads;
    let mask = later.float().mul_scalar(MASKED).repeat_dim(0, group);
    Some(mask.reshape([1, 1, group * tokens, end]))
}
