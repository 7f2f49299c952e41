//! Self-attention on the CPU.
//!
//! A task computes the query heads of one key/value head of one sequence, a block of queries at a time against all the
//! keys that these see, so that the softmax of a row needs no rescaling and a block's scores stay in the cache.

mod backward;
mod block;
mod forward;
mod rows;
mod scores;

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use burn::tensor::TensorData;

use super::{AttentionKernels, AttentionOps, Options, Saved};
use crate::kernels::cpu::tensor::{Floats, build, ids};
use crate::kernels::dispatch::OptionalInts;
use crate::kernels::span::span;
use backward::{Slices, backward};
use forward::forward;

impl AttentionOps for Flex {
    fn attend(qkv: FlexTensor, documents: OptionalInts<Self>, options: Options) -> FlexTensor {
        Self::attention_forward(qkv, documents.into_option(), &options).0
    }
}

impl AttentionKernels for Flex {
    fn attention_forward(
        qkv: FlexTensor,
        documents: Option<FlexTensor>,
        options: &Options,
    ) -> (FlexTensor, FlexTensor) {
        let _span = span("attention");
        let qkv = Floats::of(qkv);
        let documents = documents.as_ref().map(ids);
        let rows = options.batch * options.tokens;
        let mut log_normalizer = vec![0.0; rows * options.heads];
        let out = build([rows, options.heads * options.head_dim], |out| {
            forward(qkv.get(), documents, out, &mut log_normalizer, options);
        });
        let shape = [log_normalizer.len()];
        (out, FlexTensor::from_data(TensorData::new(log_normalizer, shape)))
    }

    fn attention_backward(saved: Saved<Self>, grad: FlexTensor) -> FlexTensor {
        let _span = span("attention, backward");
        let shape = saved.qkv.shape();
        let (qkv, out) = (Floats::of(saved.qkv), Floats::of(saved.out));
        let lse = Floats::of(saved.log_normalizer);
        let dout = Floats::of(grad);
        let documents = saved.documents.as_ref().map(ids);
        let saved_slices =
            Slices { qkv: qkv.get(), out: out.get(), lse: lse.get(), documents, dout: dout.get() };
        build(shape, |dqkv| backward(saved_slices, dqkv, &saved.options))
    }
}
