//! Models to inspect, and a probe that records everything.

use std::collections::BTreeMap;

use blankslate::config::*;
use blankslate::error::Result;
use blankslate::model::{
    Component, Decoder, Init, KvCache, Probe, TokenIds, random_source, read_floats,
};
use blankslate::platform::block_on;
use burn::tensor::{Device, Tensor};

use crate::common;

pub const IDS: [u32; 12] = [3, 14, 15, 9, 2, 6, 5, 3, 5, 8, 9, 7];

/// Configurations with different kinds of attention.
pub fn variants() -> Vec<(&'static str, ModelConfig)> {
    let gpt2 =
        ModelConfig::gpt2(23).with_context(24).with_hidden_size(16).with_layers(2).with_heads(4);
    let llama = ModelConfig::llama(23)
        .with_context(24)
        .with_hidden_size(16)
        .with_layers(2)
        .with_heads(4)
        .with_kv_heads(2)
        .with_intermediate_size(40);
    let caps = |config: &ModelConfig| ModelConfig {
        attn_logit_softcapping: Some(2.0),
        final_logit_softcapping: Some(3.0),
        ..config.clone()
    };
    vec![
        ("gpt2", gpt2.clone()),
        ("gpt2 with caps", caps(&gpt2)),
        ("multi-query", ModelConfig { num_key_value_heads: 1, ..gpt2 }),
        ("llama", llama.clone()),
        ("llama with caps and qk norm", ModelConfig { qk_norm: true, ..caps(&llama) }),
        ("fused llama with qk norm", ModelConfig { qk_norm: true, fused_qkv: true, ..llama }),
    ]
}

/// Builds a model with non-uniform attention and nonzero biases. `edit` changes parameters by name.
pub fn edited(config: &ModelConfig, edit: impl Fn(&str, &mut [f32])) -> Decoder {
    edited_on(&common::cpu(), config, edit)
}

pub fn edited_on(
    device: &Device,
    config: &ModelConfig,
    edit: impl Fn(&str, &mut [f32]),
) -> Decoder {
    let mut random = random_source(1);
    let mut source = |name: &str, shape: &[usize], init| -> Result<Vec<f32>> {
        let init = match init {
            Init::Normal(_) => Init::Normal(0.4),
            Init::Zeros => Init::Normal(0.1),
            Init::Ones | Init::Uniform(_) => init,
        };
        let mut values = random(name, shape, init)?;
        edit(name, &mut values);
        Ok(values)
    };
    Decoder::new(config, device, &mut source).unwrap()
}

pub fn model(config: &ModelConfig) -> Decoder {
    edited(config, |_, _| ())
}

pub fn token_ids(model: &Decoder, ids: &[u32]) -> TokenIds {
    TokenIds::new(ids, 1, model.config().vocab_size, &model.device()).unwrap()
}

pub fn read<const N: usize>(tensor: Tensor<N>) -> Vec<f32> {
    let count = tensor.shape().num_elements();
    block_on(read_floats(tensor.reshape([count]))).unwrap()
}

/// Computes the logits of all positions with a plain forward pass.
pub fn plain(model: &Decoder) -> Vec<f32> {
    read(model.forward(token_ids(model, &IDS), None, None).unwrap())
}

pub fn assert_near(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (place, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= 1e-4, "{name}, number {place}: {a} and {b}");
    }
}

pub fn less(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// A probe that records everything.
#[derive(Default)]
pub struct All {
    pub hidden: Vec<Vec<f32>>,
    pub between: Vec<Vec<f32>>,
    pub attention: Vec<Vec<f32>>,
    pub neurons: Vec<Vec<f32>>,
    pub ablated: Vec<Component>,
}

impl Probe for All {
    fn hidden(&mut self, layer: usize, stream: &Tensor<3>) {
        assert_eq!(layer, self.hidden.len());
        self.hidden.push(read(stream.clone()));
    }
    fn between(&mut self, layer: usize, stream: &Tensor<3>) {
        assert_eq!(layer, self.between.len());
        self.between.push(read(stream.clone()));
    }
    fn attention(&mut self, layer: usize, weights: &dyn Fn() -> Tensor<4>) {
        assert_eq!(layer, self.attention.len());
        self.attention.push(read(weights()));
    }
    fn neurons(&mut self, layer: usize, neurons: &Tensor<3>) {
        assert_eq!(layer, self.neurons.len());
        self.neurons.push(read(neurons.clone()));
    }
    fn ablated(&self) -> &[Component] {
        &self.ablated
    }
}

pub fn probed(
    model: &Decoder,
    ids: &[u32],
    ablated: &[Component],
    cache: Option<&mut KvCache>,
) -> (All, Vec<f32>) {
    let mut probe = All { ablated: ablated.to_vec(), ..Default::default() };
    let logits = model.forward(token_ids(model, ids), cache, Some(&mut probe)).unwrap();
    let logits = read(logits);
    (probe, logits)
}

/// A model with its parameters, none of which is all ones.
pub fn open_model(config: &ModelConfig) -> (Decoder, BTreeMap<String, Vec<f32>>) {
    let params = std::cell::RefCell::new(BTreeMap::new());
    let model = edited(config, |name, values| {
        if name.ends_with("norm.weight") {
            values.iter_mut().enumerate().for_each(|(i, w)| *w += 0.1 * (i % 7) as f32);
        }
        params.borrow_mut().insert(name.to_string(), values.to_vec());
    });
    (model, params.into_inner())
}
