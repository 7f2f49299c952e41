//! No operation computes empty tensors: each refuses them by name.

use blankslate::kernels::activation::{Kind, activation};
use blankslate::kernels::attention::{Options, attention};
use blankslate::kernels::cross_entropy::{self, Targets, head_loss, head_losses};
use blankslate::kernels::dropout::{Dropout, dropout};
use blankslate::kernels::embedding::{Ids, embedding};
use blankslate::kernels::kv_cache;
use blankslate::kernels::linear::linear;
use blankslate::kernels::norm::norm;
use blankslate::kernels::rotary::{Heads, pack, rotate};
use burn::tensor::Tensor;

use crate::harness::{Harness, on_cpu};

fn empty_refusals(harness: &mut Harness) {
    let device = harness.device.clone();
    let matrix = |rows, columns| Tensor::<2>::zeros([rows, columns], &device);
    harness.refuses("activation: `x` has shape [0, 4]: it is empty", || {
        activation(matrix(0, 4), None, Kind::Relu2)
    });
    harness.refuses("dropout: `x` has shape [0, 4]: it is empty", || {
        dropout(matrix(0, 4), None, Dropout { probability: 0.5, seed: 1 })
    });
    harness.refuses("norm: `x` has shape [0, 4]: it is empty", || {
        norm(matrix(0, 4), Tensor::ones([4], &device), None, 1e-5, true)
    });
    harness.refuses("linear: `x` has shape [0, 4]: it is empty", || {
        linear(matrix(0, 4), matrix(3, 4), None, None)
    });
    harness.refuses("linear: `weight` has shape [0, 4]: it is empty", || {
        linear(matrix(3, 4), matrix(0, 4), None, None)
    });
    harness.refuses("embedding: `ids` has shape [0]: it is empty", || {
        embedding(matrix(3, 4), Ids::new(&[], 3, &device).unwrap())
    });

    let targets = || Targets::new(&[], u32::MAX, 3, &device).unwrap();
    let options = cross_entropy::Options { scale: 1.0, z_loss: 0.0, soft_cap: None };
    harness.refuses("head_loss: `x` has shape [0, 4]: it is empty", || {
        head_loss(matrix(0, 4), matrix(3, 4), targets(), options)
    });
    harness.refuses("head_losses: `x` has shape [0, 4]: it is empty", || {
        head_losses(matrix(0, 4), matrix(3, 4), targets(), options)
    });

    let options = Options {
        batch: 0,
        tokens: 5,
        heads: 2,
        kv_heads: 1,
        head_dim: 2,
        causal: true,
        scale: 1.0,
        soft_cap: None,
        window: None,
        dropout: None,
    };
    harness.refuses("attention: `qkv` has shape [0, 8]: it is empty", || {
        attention(matrix(0, 8), None, options.clone())
    });
    let cache = |batch| Tensor::<5>::zeros([2, batch, 1, 5, 2], &device);
    harness.refuses("kv_cache::write: `qkv` has shape [0, 8]: it is empty", || {
        kv_cache::write(cache(1), matrix(0, 8), 0)
    });
    harness.refuses("kv_cache::attend: `qkv` has shape [0, 8]: it is empty", || {
        kv_cache::attend(matrix(0, 8), cache(0), 0, options.clone())
    });

    let heads = Heads { query: 2, kv: 1, dim: 2 };
    harness.refuses("rotary::pack: `q` has shape [0, 4]: it is empty", || {
        pack(matrix(0, 4), matrix(0, 2), matrix(0, 2), None, heads)
    });
    harness.refuses("rotary::rotate: `qkv` has shape [0, 8]: it is empty", || {
        rotate(matrix(0, 8), (matrix(1, 1), matrix(1, 1)), heads)
    });
}

#[test]
fn operations_refuse_empty_tensors() {
    on_cpu(empty_refusals);
}
