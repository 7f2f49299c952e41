//! The CPU kernels on burn's CPU tensors.

use std::borrow::Cow;

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Shape, TensorData};

use super::activation::{self, ActivationKernels, ActivationOps, Kind};
use super::adamw::{self, AdamwKernels, Step, Update};
use super::attention::{self, AttentionKernels, AttentionOps};
use super::cross_entropy::{self, CrossEntropyKernels, CrossEntropyOps, Inputs};
use super::dropout::{self, Dropout, DropoutOps};
use super::embedding::{self, EmbeddingKernels, EmbeddingOps};
use super::kv_cache::{self, KvCacheOps};
use super::linear::{self, LinearKernels, LinearOps};
use super::muon::MuonKernels;
use super::norm::{self, NormKernels, NormOps};
use super::optional::{Optional, OptionalInts};
use super::rotary::{self, Heads, RotaryKernels, RotaryOps};
use super::span::span;

/// The numbers of a tensor, row by row.
struct Floats(FlexTensor);

impl Floats {
    fn of(tensor: FlexTensor) -> Self {
        Self(tensor.to_contiguous())
    }

    fn get(&self) -> &[f32] {
        self.0.as_slice().expect("made contiguous; models on the CPU are f32")
    }
}

fn slice(floats: &Option<Floats>) -> Option<&[f32]> {
    floats.as_ref().map(Floats::get)
}

/// Ids row by row, whatever the width burn keeps them in.
fn ids(tensor: &FlexTensor) -> Cow<'_, [i32]> {
    match tensor.dtype() {
        DType::I32 => Cow::Borrowed(tensor.as_slice().expect("made from a vector")),
        _ => {
            let wide: &[i64] = tensor.as_slice().expect("integers have 32 or 64 bits here");
            Cow::Owned(wide.iter().map(|id| *id as i32).collect())
        }
    }
}

/// A tensor whose numbers `fill` writes.
fn build(shape: impl Into<Shape>, fill: impl FnOnce(&mut [f32])) -> FlexTensor {
    let shape = shape.into();
    let mut values = vec![0.0; shape.num_elements()];
    fill(&mut values);
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// Rows and columns.
fn dims(tensor: &FlexTensor) -> [usize; 2] {
    let shape = tensor.shape();
    [shape[0], shape[1]]
}

impl LinearOps for Flex {
    fn project(
        x: FlexTensor,
        weight: FlexTensor,
        bias: Optional<Self>,
        residual: Optional<Self>,
    ) -> FlexTensor {
        let _span = span("linear");
        let ([n, i], [o, _]) = (dims(&x), dims(&weight));
        let (x, weight) = (Floats::of(x), Floats::of(weight));
        let (bias, residual) =
            (bias.into_option().map(Floats::of), residual.into_option().map(Floats::of));
        let shape = linear::cpu::Shape { n, i, o };
        build([n, o], |out| {
            let (bias, residual) = (slice(&bias), slice(&residual));
            linear::cpu::forward(x.get(), weight.get(), bias, residual, out, shape);
        })
    }
}

impl LinearKernels for Flex {
    fn linear_input_grad(grad: FlexTensor, weight: FlexTensor) -> FlexTensor {
        let _span = span("linear, input gradient");
        let ([n, o], [_, i]) = (dims(&grad), dims(&weight));
        let (grad, weight) = (Floats::of(grad), Floats::of(weight));
        let shape = linear::cpu::Shape { n, i, o };
        build([n, i], |dx| linear::cpu::input_grad(grad.get(), weight.get(), dx, shape))
    }

    fn linear_weight_grad(
        grad: FlexTensor,
        x: FlexTensor,
        has_bias: bool,
    ) -> (FlexTensor, Option<FlexTensor>) {
        let _span = span("linear, weight gradient");
        let ([n, o], [_, i]) = (dims(&grad), dims(&x));
        let (grad, x) = (Floats::of(grad), Floats::of(x));
        let shape = linear::cpu::Shape { n, i, o };
        let mut bias = has_bias.then(|| vec![0.0; o]);
        let weight = build([o, i], |dw| {
            linear::cpu::weight_grad(grad.get(), x.get(), dw, bias.as_deref_mut(), shape);
        });
        (weight, bias.map(|bias| FlexTensor::from_data(TensorData::new(bias, [o]))))
    }
}

impl NormOps for Flex {
    fn normalize(
        x: FlexTensor,
        weight: FlexTensor,
        bias: Optional<Self>,
        eps: f64,
        rms: bool,
    ) -> FlexTensor {
        let _span = span("norm");
        let [n, c] = dims(&x);
        let (x, weight, bias) =
            (Floats::of(x), Floats::of(weight), bias.into_option().map(Floats::of));
        let shape = norm::cpu::Shape { c, eps: eps as f32, rms };
        build([n, c], |out| {
            norm::cpu::forward(x.get(), weight.get(), slice(&bias), out, shape);
        })
    }
}

impl NormKernels for Flex {
    fn norm_backward(
        saved: norm::Saved<Self>,
        grad: FlexTensor,
    ) -> (FlexTensor, FlexTensor, Option<FlexTensor>) {
        let _span = span("norm, backward");
        let [n, c] = dims(&saved.x);
        let shape = norm::cpu::Shape { c, eps: saved.eps as f32, rms: saved.rms };
        let (x, weight, grad) = (Floats::of(saved.x), Floats::of(saved.weight), Floats::of(grad));
        let mut bias = saved.has_bias.then(|| vec![0.0; c]);
        let mut weight_grad = vec![0.0; c];
        let x = build([n, c], |dx| {
            let bias = bias.as_deref_mut();
            norm::cpu::backward(
                x.get(),
                weight.get(),
                grad.get(),
                dx,
                &mut weight_grad,
                bias,
                shape,
            );
        });
        let row = |values| FlexTensor::from_data(TensorData::new(values, [c]));
        (x, row(weight_grad), bias.map(row))
    }
}

impl AttentionOps for Flex {
    fn attend(
        qkv: FlexTensor,
        documents: OptionalInts<Self>,
        options: attention::Options,
    ) -> FlexTensor {
        Self::attention_forward(qkv, documents.into_option(), &options).0
    }
}

impl AttentionKernels for Flex {
    fn attention_forward(
        qkv: FlexTensor,
        documents: Option<FlexTensor>,
        options: &attention::Options,
    ) -> (FlexTensor, FlexTensor) {
        let _span = span("attention");
        let (qkv, documents) = (Floats::of(qkv), documents.as_ref().map(ids));
        let rows = options.batch * options.tokens;
        let mut log_normalizer = vec![0.0; rows * options.heads];
        let out = build([rows, options.heads * options.head_dim], |out| {
            let documents = documents.as_deref();
            attention::cpu::forward(qkv.get(), documents, out, &mut log_normalizer, options);
        });
        let shape = [log_normalizer.len()];
        (out, FlexTensor::from_data(TensorData::new(log_normalizer, shape)))
    }

    fn attention_backward(saved: attention::Saved<Self>, grad: FlexTensor) -> FlexTensor {
        let _span = span("attention, backward");
        let shape = saved.qkv.shape();
        let (qkv, out) = (Floats::of(saved.qkv), Floats::of(saved.out));
        let (lse, dout) = (Floats::of(saved.log_normalizer), Floats::of(grad));
        let documents = saved.documents.as_ref().map(ids);
        let saved_slices = attention::cpu::Saved {
            qkv: qkv.get(),
            out: out.get(),
            lse: lse.get(),
            documents: documents.as_deref(),
            dout: dout.get(),
        };
        build(shape, |dqkv| attention::cpu::backward(saved_slices, dqkv, &saved.options))
    }
}

impl ActivationOps for Flex {
    fn activate(x: FlexTensor, gate: Optional<Self>, kind: Kind) -> FlexTensor {
        let _span = span("activation");
        let shape = x.shape();
        let (x, gate) = (Floats::of(x), gate.into_option().map(Floats::of));
        build(shape, |out| activation::cpu::forward(x.get(), slice(&gate), out, kind))
    }
}

impl ActivationKernels for Flex {
    fn activation_backward(
        x: FlexTensor,
        gate: Option<FlexTensor>,
        kind: Kind,
        grad: FlexTensor,
    ) -> (FlexTensor, Option<FlexTensor>) {
        let _span = span("activation, backward");
        let shape = x.shape();
        let (x, gate, grad) = (Floats::of(x), gate.map(Floats::of), Floats::of(grad));
        let mut gate_grad = gate.as_ref().map(|gate| vec![0.0; gate.get().len()]);
        let x_grad = build(shape.clone(), |dx| {
            let dgate = gate_grad.as_deref_mut();
            activation::cpu::backward(x.get(), slice(&gate), grad.get(), dx, dgate, kind);
        });
        (x_grad, gate_grad.map(|values| FlexTensor::from_data(TensorData::new(values, shape))))
    }
}

impl CrossEntropyOps for Flex {
    fn head_loss(
        x: FlexTensor,
        weight: FlexTensor,
        targets: FlexTensor,
        options: cross_entropy::Options,
    ) -> FlexTensor {
        cross_entropy::sum(Inputs::<Self> { x, weight, targets, options }, [false; 2]).0
    }

    fn head_losses(
        x: FlexTensor,
        weight: FlexTensor,
        targets: FlexTensor,
        options: cross_entropy::Options,
    ) -> FlexTensor {
        cross_entropy::rows(Inputs::<Self> { x, weight, targets, options }, None, [false; 2]).0
    }
}

impl CrossEntropyKernels for Flex {
    fn cross_entropy_rows(
        logits: FlexTensor,
        targets: FlexTensor,
        weights: Option<FlexTensor>,
        options: cross_entropy::Options,
        want_grad: bool,
    ) -> (FlexTensor, Option<FlexTensor>) {
        let _span = span("cross-entropy");
        let n = logits.shape()[0];
        let targets = targets.to_contiguous();
        let weights = weights.map(Floats::of);
        let mut logits = logits.to_contiguous();
        let losses = build([n], |losses| {
            let (logits, weights) = (logits.storage_mut(), slice(&weights));
            cross_entropy::cpu::rows(logits, &ids(&targets), weights, losses, options, want_grad);
        });
        (losses, want_grad.then_some(logits))
    }
}

impl EmbeddingOps for Flex {
    fn look_up(table: FlexTensor, rows: FlexTensor, _order: FlexTensor) -> FlexTensor {
        let _span = span("embedding");
        let ([_, c], n) = (dims(&table), rows.shape()[0]);
        let table = Floats::of(table);
        build([n, c], |out| embedding::cpu::forward(table.get(), &ids(&rows), out))
    }
}

impl EmbeddingKernels for Flex {
    fn look_up_backward(saved: embedding::Saved<Self>, grad: FlexTensor) -> FlexTensor {
        let _span = span("embedding, backward");
        let [_, c] = dims(&grad);
        let grad = Floats::of(grad);
        build([saved.vocab, c], |table| {
            embedding::cpu::backward(&ids(&saved.ids), grad.get(), table);
        })
    }
}

impl KvCacheOps for Flex {
    fn cache_write(mut cache: FlexTensor, qkv: FlexTensor, start: usize) -> FlexTensor {
        let _span = span("cache, writing");
        let place = kv_cache::Place::new(&qkv.shape(), &cache.shape(), start);
        let qkv = Floats::of(qkv);
        cache = cache.to_contiguous();
        kv_cache::cpu::write(cache.storage_mut(), qkv.get(), place);
        cache
    }

    fn cache_attend(
        qkv: FlexTensor,
        cache: FlexTensor,
        start: usize,
        options: attention::Options,
    ) -> FlexTensor {
        let _span = span("cache, attention");
        let place = kv_cache::Place::new(&qkv.shape(), &cache.shape(), start);
        let rows = qkv.shape()[0];
        let (qkv, cache) = (Floats::of(qkv), Floats::of(cache));
        build([rows, options.heads * options.head_dim], |out| {
            kv_cache::cpu::attend(qkv.get(), cache.get(), out, place, &options);
        })
    }
}

impl RotaryOps for Flex {
    fn rotary_pack(
        q: FlexTensor,
        k: FlexTensor,
        v: FlexTensor,
        cos: Optional<Self>,
        sin: Optional<Self>,
        heads: Heads,
    ) -> FlexTensor {
        let _span = span("rotary");
        let n = q.shape()[0];
        let (q, k, v) = (Floats::of(q), Floats::of(k), Floats::of(v));
        let (cos, sin) = (cos.into_option().map(Floats::of), sin.into_option().map(Floats::of));
        build([n, (heads.query + 2 * heads.kv) * heads.dim], |qkv| {
            let table = slice(&cos).zip(slice(&sin));
            rotary::cpu::forward([q.get(), k.get(), v.get()], qkv, table, heads);
        })
    }

    fn rotary_rotate(
        qkv: FlexTensor,
        cos: FlexTensor,
        sin: FlexTensor,
        heads: Heads,
        inverse: bool,
    ) -> FlexTensor {
        let _span = span("rotary");
        let shape = qkv.shape();
        let (qkv, cos, sin) = (Floats::of(qkv), Floats::of(cos), Floats::of(sin));
        build(shape, |out| {
            rotary::cpu::rotate_packed(qkv.get(), out, (cos.get(), sin.get()), heads, inverse);
        })
    }
}

impl RotaryKernels for Flex {
    fn rotary_unpack(
        qkv: FlexTensor,
        table: Option<(FlexTensor, FlexTensor)>,
        heads: Heads,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let _span = span("rotary, backward");
        let n = qkv.shape()[0];
        let qkv = Floats::of(qkv);
        let table = table.map(|(cos, sin)| (Floats::of(cos), Floats::of(sin)));
        let (query, kv) = (heads.query * heads.dim, heads.kv * heads.dim);
        let [mut q, mut k, mut v] = [query, kv, kv].map(|width| vec![0.0; n * width]);
        let slices = table.as_ref().map(|(cos, sin)| (cos.get(), sin.get()));
        rotary::cpu::backward(qkv.get(), [&mut q, &mut k, &mut v], slices, heads);
        let rows = |values, width| FlexTensor::from_data(TensorData::new(values, [n, width]));
        (rows(q, query), rows(k, kv), rows(v, kv))
    }
}

impl DropoutOps for Flex {
    fn drop_out(x: FlexTensor, residual: Optional<Self>, dropout: Dropout) -> FlexTensor {
        let _span = span("dropout");
        let shape = x.shape();
        let (x, residual) = (Floats::of(x), residual.into_option().map(Floats::of));
        build(shape, |out| dropout::cpu::apply(x.get(), slice(&residual), out, dropout))
    }
}

impl AdamwKernels for Flex {
    fn largest(_: &FlexTensor) -> usize {
        usize::MAX
    }

    fn clip(
        grads: &[FlexTensor],
        mut state: Vec<FlexTensor>,
        max_norm: Option<f32>,
        scaled: bool,
    ) -> (FlexTensor, Vec<FlexTensor>) {
        let _span = span("gradient norm");
        let squares = |grad: &FlexTensor| adamw::cpu::sum_squares(Floats::of(grad.clone()).get());
        let length = grads.iter().map(squares).sum::<f64>().sqrt() as f32;
        let mut norm = length;
        for state in &mut state {
            norm = adamw::cpu::clip(state.storage_mut(), length, max_norm, scaled);
        }
        (build([1], |out| out[0] = norm), state)
    }

    fn update(
        mut params: Vec<FlexTensor>,
        grads: Vec<FlexTensor>,
        mut state: Vec<FlexTensor>,
        Update { layout, decays, step }: Update<'_>,
    ) -> (Vec<FlexTensor>, Vec<FlexTensor>) {
        let _span = span("AdamW");
        for (i, (param, grad)) in params.iter_mut().zip(grads).enumerate() {
            let (slot, size) = layout.slot(i);
            let (first, second) = state[slot.buffer].storage_mut::<f32>().split_at_mut(slot.second);
            let factor = first[0];
            if factor < 0.0 {
                continue;
            }
            let (first, second) = (&mut first[slot.first..][..size], &mut second[..size]);
            let step = match decays[i] {
                true => step,
                false => Step { weight_decay: 0.0, ..step },
            };
            *param = param.to_contiguous();
            let (weights, grad) = (param.storage_mut(), Floats::of(grad));
            adamw::cpu::update(weights, grad.get(), first, second, factor, &step);
        }
        (params, state)
    }
}

impl MuonKernels for Flex {}
