//! The GPU kernels on burn's GPU tensors.

use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use super::activation::{self, ActivationKernels, ActivationOps, Kind};
use super::adamw::{self, AdamwKernels, Update};
use super::attention::{self, AttentionKernels, AttentionOps};
use super::cross_entropy::{self, CrossEntropyKernels, CrossEntropyOps, Inputs};
use super::dropout::{self, Dropout, DropoutOps};
use super::embedding::{self, EmbeddingKernels, EmbeddingOps};
use super::kv_cache::{self, KvCacheOps};
use super::linear::{self, LinearKernels, LinearOps};
use super::muon::{self, MuonKernels, Stack};
use super::norm::{self, NormKernels, NormOps};
use super::optional::{Optional, OptionalInts};
use super::rotary::{self, Heads, RotaryKernels, RotaryOps};

/// A tensor that can be changed in place: a copy if somebody else holds it, or it is a view.
fn own(tensor: CubeTensor) -> CubeTensor {
    let tensor = into_contiguous(tensor);
    if tensor.can_mut() { tensor } else { tensor.copy() }
}

impl LinearOps for CubeBackend {
    fn project(
        x: CubeTensor,
        weight: CubeTensor,
        bias: Optional<Self>,
        residual: Optional<Self>,
    ) -> CubeTensor {
        linear::gpu::forward(x, weight, bias.into_option(), residual.into_option())
    }
}

impl LinearKernels for CubeBackend {
    fn linear_input_grad(grad: CubeTensor, weight: CubeTensor) -> CubeTensor {
        linear::gpu::input_grad(grad, weight)
    }

    fn linear_weight_grad(
        grad: CubeTensor,
        x: CubeTensor,
        has_bias: bool,
    ) -> (CubeTensor, Option<CubeTensor>) {
        linear::gpu::weight_grad(grad, x, has_bias)
    }
}

impl NormOps for CubeBackend {
    fn normalize(
        x: CubeTensor,
        weight: CubeTensor,
        bias: Optional<Self>,
        eps: f64,
        rms: bool,
    ) -> CubeTensor {
        norm::gpu::forward(x, weight, bias.into_option(), eps, rms)
    }
}

impl NormKernels for CubeBackend {
    fn norm_backward(
        saved: norm::Saved<Self>,
        grad: CubeTensor,
    ) -> (CubeTensor, CubeTensor, Option<CubeTensor>) {
        let norm::Saved { x, weight, has_bias, eps, rms } = saved;
        norm::gpu::backward(x, weight, has_bias, eps, rms, grad)
    }
}

impl AttentionOps for CubeBackend {
    fn attend(
        qkv: CubeTensor,
        documents: OptionalInts<Self>,
        options: attention::Options,
    ) -> CubeTensor {
        attention::gpu::forward(qkv, documents.into_option(), &options).0
    }
}

impl AttentionKernels for CubeBackend {
    fn attention_forward(
        qkv: CubeTensor,
        documents: Option<CubeTensor>,
        options: &attention::Options,
    ) -> (CubeTensor, CubeTensor) {
        attention::gpu::forward(qkv, documents, options)
    }

    fn attention_backward(saved: attention::Saved<Self>, grad: CubeTensor) -> CubeTensor {
        attention::gpu::backward(saved, grad)
    }
}

impl ActivationOps for CubeBackend {
    fn activate(x: CubeTensor, gate: Optional<Self>, kind: Kind) -> CubeTensor {
        activation::gpu::forward(x, gate.into_option(), kind)
    }
}

impl ActivationKernels for CubeBackend {
    fn activation_backward(
        x: CubeTensor,
        gate: Option<CubeTensor>,
        kind: Kind,
        grad: CubeTensor,
    ) -> (CubeTensor, Option<CubeTensor>) {
        activation::gpu::backward(x, gate, grad, kind)
    }
}

impl CrossEntropyOps for CubeBackend {
    fn head_loss(
        x: CubeTensor,
        weight: CubeTensor,
        targets: CubeTensor,
        options: cross_entropy::Options,
    ) -> CubeTensor {
        cross_entropy::sum(Inputs::<Self> { x, weight, targets, options }, [false; 2]).0
    }

    fn head_losses(
        x: CubeTensor,
        weight: CubeTensor,
        targets: CubeTensor,
        options: cross_entropy::Options,
    ) -> CubeTensor {
        cross_entropy::rows(Inputs::<Self> { x, weight, targets, options }, None, [false; 2]).0
    }
}

impl CrossEntropyKernels for CubeBackend {
    fn cross_entropy_rows(
        logits: CubeTensor,
        targets: CubeTensor,
        weights: Option<CubeTensor>,
        options: cross_entropy::Options,
        want_grad: bool,
    ) -> (CubeTensor, Option<CubeTensor>) {
        cross_entropy::gpu::rows(logits, targets, weights, options, want_grad)
    }
}

impl EmbeddingOps for CubeBackend {
    fn look_up(table: CubeTensor, ids: CubeTensor, _order: CubeTensor) -> CubeTensor {
        embedding::gpu::forward(table, ids)
    }
}

impl EmbeddingKernels for CubeBackend {
    fn look_up_backward(saved: embedding::Saved<Self>, grad: CubeTensor) -> CubeTensor {
        embedding::gpu::backward(saved.ids, saved.order, grad, saved.vocab)
    }
}

impl KvCacheOps for CubeBackend {
    fn cache_write(cache: CubeTensor, qkv: CubeTensor, start: usize) -> CubeTensor {
        let cache = own(cache);
        kv_cache::gpu::write(&cache, qkv, start);
        cache
    }

    fn cache_attend(
        qkv: CubeTensor,
        cache: CubeTensor,
        start: usize,
        options: attention::Options,
    ) -> CubeTensor {
        kv_cache::gpu::attend(qkv, cache, start, &options)
    }
}

impl RotaryOps for CubeBackend {
    fn rotary_pack(
        q: CubeTensor,
        k: CubeTensor,
        v: CubeTensor,
        cos: Optional<Self>,
        sin: Optional<Self>,
        heads: Heads,
    ) -> CubeTensor {
        rotary::gpu::pack(q, k, v, cos.into_option().zip(sin.into_option()), heads)
    }

    fn rotary_rotate(
        qkv: CubeTensor,
        cos: CubeTensor,
        sin: CubeTensor,
        heads: Heads,
        inverse: bool,
    ) -> CubeTensor {
        rotary::gpu::rotate(qkv, (cos, sin), heads, inverse)
    }
}

impl RotaryKernels for CubeBackend {
    fn rotary_unpack(
        qkv: CubeTensor,
        table: Option<(CubeTensor, CubeTensor)>,
        heads: Heads,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        rotary::gpu::unpack(qkv, table, heads)
    }
}

impl DropoutOps for CubeBackend {
    fn drop_out(x: CubeTensor, residual: Optional<Self>, dropout: Dropout) -> CubeTensor {
        dropout::gpu::apply(x, residual.into_option(), dropout)
    }
}

impl AdamwKernels for CubeBackend {
    fn largest(like: &CubeTensor) -> usize {
        like.client.properties().memory.max_page_size as usize / size_of::<f32>()
    }

    fn clip(
        grads: &[CubeTensor],
        state: Vec<CubeTensor>,
        max_norm: Option<f32>,
        scaled: bool,
    ) -> (CubeTensor, Vec<CubeTensor>) {
        let state: Vec<_> = state.into_iter().map(own).collect();
        (adamw::gpu::clip(grads, &state, max_norm.unwrap_or(f32::MAX), scaled), state)
    }

    fn update(
        params: Vec<CubeTensor>,
        grads: Vec<CubeTensor>,
        state: Vec<CubeTensor>,
        update: Update<'_>,
    ) -> (Vec<CubeTensor>, Vec<CubeTensor>) {
        let state: Vec<_> = state.into_iter().map(own).collect();
        let params = params.into_iter().map(own).collect();
        (adamw::gpu::update(params, grads, &state, update), state)
    }
}

impl MuonKernels for CubeBackend {
    fn gather(matrices: Vec<CubeTensor>, stack: &Stack) -> CubeTensor {
        muon::gpu::gather(matrices, stack)
    }

    fn descend(
        matrices: Vec<CubeTensor>,
        directions: CubeTensor,
        stack: &Stack,
        keep: f32,
        rates: &[f32],
    ) -> Vec<CubeTensor> {
        let matrices = matrices.into_iter().map(own).collect();
        muon::gpu::descend(matrices, directions, stack, keep, rates)
    }
}
