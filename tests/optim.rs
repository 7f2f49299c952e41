//! Muon on batches of matrices against a reference for single matrices: weights, momentum, resumption and kernel launches.
//!
//! A program of its own: a profile counts the launches of the whole process.

mod common;

use std::collections::BTreeMap;

use blankslate::checkpoint::read_params;
use blankslate::config::{
    ModelConfig, OptimizerConfig, OptimizerKind, ScheduleConfig, TrainConfig,
};
use blankslate::model::{Decoder, NamedGradients, random_source, read_floats};
use blankslate::optim::Optimizer;
use blankslate::platform::{Profiler, block_on};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

/// Maximum difference relative to the largest expected value. Each of the five Newton-Schulz iterations amplifies rounding
/// errors in small singular values by up to 3.4.
const TOLERANCE: f32 = 3e-4;

fn rule() -> TrainConfig {
    TrainConfig {
        optimizer: OptimizerConfig {
            kind: OptimizerKind::Muon,
            weight_decay: 0.3,
            grad_clip: 0.5,
            ..Default::default()
        },
        schedule: ScheduleConfig::with_warmup(2),
        ..Default::default()
    }
}

/// A model with tall, wide and square matrices of several shapes.
fn configs(layers: usize) -> [(&'static str, ModelConfig); 2] {
    [
        (
            "gpt2",
            ModelConfig::gpt2(11)
                .with_context(8)
                .with_hidden_size(12)
                .with_layers(layers)
                .with_heads(2),
        ),
        (
            "llama",
            ModelConfig::llama(11)
                .with_context(8)
                .with_hidden_size(16)
                .with_layers(layers)
                .with_heads(4)
                .with_kv_heads(2)
                .with_intermediate_size(40),
        ),
    ]
}

/// Reads name, shape and values of every parameter.
fn params(model: &Decoder) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let tensors = block_on(read_params(model)).unwrap();
    tensors.into_iter().map(|(name, tensor)| (name, (tensor.shape, tensor.values))).collect()
}

/// Returns the gradients of a step, which are the same on every device.
fn gradients(model: &Decoder, device: &Device, step: u64) -> NamedGradients {
    let mut rng = ChaCha8Rng::seed_from_u64(step);
    let gradient = |(name, (_, values)): (String, (Vec<usize>, Vec<f32>))| {
        let drawn: Vec<f32> = values.iter().map(|_| StandardNormal.sample(&mut rng)).collect();
        let len = drawn.len();
        (name, Tensor::from_data(TensorData::new(drawn, [len]), device))
    };
    params(model).into_iter().map(gradient).collect()
}

/// Updates one matrix with momentum and Newton-Schulz, as in Jordan's reference.
struct Plain {
    value: Tensor<2>,
    momentum: Tensor<2>,
}

impl Plain {
    fn step(&mut self, gradient: Tensor<2>, config: &TrainConfig, norm: f32, lr: f64) {
        let clip = (config.optimizer.grad_clip / (f64::from(norm) + 1e-6)).min(1.0);
        let gradient = gradient.mul_scalar(clip);
        let momentum =
            self.momentum.clone().mul_scalar(config.optimizer.muon_momentum) + gradient.clone();
        let ahead = gradient + momentum.clone().mul_scalar(config.optimizer.muon_momentum);
        self.momentum = momentum;
        let [rows, columns] = self.value.dims();
        let scale = (rows as f64 / columns as f64).max(1.0).sqrt();
        let value = self.value.clone().mul_scalar(1.0 - lr * config.optimizer.weight_decay);
        self.value = value - orthogonalize(ahead).mul_scalar(lr * scale);
    }
}

fn orthogonalize(matrix: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = matrix.dims();
    let tall = rows > columns;
    let x = if tall { matrix.transpose() } else { matrix };
    let norm = (x.clone() * x.clone()).sum().sqrt().add_scalar(1e-7);
    let mut x = x / norm.unsqueeze::<2>();
    for _ in 0..5 {
        let gram = x.clone().matmul(x.clone().transpose());
        let poly = gram.clone().mul_scalar(-4.7750) + gram.clone().matmul(gram).mul_scalar(2.0315);
        x = x.clone().mul_scalar(3.4445) + poly.matmul(x);
    }
    if tall { x.transpose() } else { x }
}

fn floats<const N: usize>(tensor: Tensor<N>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

fn compare(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().map(|x| x.abs()).fold(0.0, f32::max);
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= TOLERANCE * largest, "{what}: {a} instead of {b}");
    }
}

/// Makes four steps on `device`. Before the last one the optimizer is restored from the reference's state, as from a
/// checkpoint.
fn agrees(name: &str, config: &ModelConfig, device: &Device) {
    let train = rule();
    let host = common::cpu();
    let put = |shape: &[usize], values: Vec<f32>| {
        Tensor::<2>::from_data(TensorData::new(values, [shape[0], shape[1]]), &host)
    };
    let mut model =
        Decoder::new(config, &device.clone().autodiff(), &mut random_source(1)).unwrap();
    let blocks = |(name, (shape, _)): &(String, (Vec<usize>, Vec<f32>))| {
        name.starts_with("layers.") && shape.len() == 2
    };
    let mut plain: BTreeMap<String, Plain> = params(&model)
        .into_iter()
        .filter(blocks)
        .map(|(name, (shape, values))| {
            let value = put(&shape, values);
            (name, Plain { momentum: value.zeros_like(), value })
        })
        .collect();
    let mut optimizer = Optimizer::new(&train);
    for step in 1..=4 {
        let gradients = gradients(&model.valid(), device, step);
        let host_gradients: BTreeMap<_, _> =
            gradients.iter().map(|(n, g)| (n.clone(), floats(g.clone()))).collect();
        let (after, norm) = optimizer.step(model, gradients, step).unwrap();
        model = after;
        let norm = floats(norm)[0];
        let lr = train.optimizer.muon_lr * blankslate::optim::schedule_factor(&train, step);
        for (name, one) in &mut plain {
            let gradient = put(&one.value.dims(), host_gradients[name].clone());
            one.step(gradient, &train, norm, lr);
        }

        let found = params(&model.valid());
        for (of, one) in &plain {
            let what = format!("{name}, step {step}, {of}");
            compare(&found[of].1, &floats(one.value.clone()), &what);
        }
        let mut state: BTreeMap<String, Vec<f32>> =
            optimizer.state().map(|(n, t)| (n, floats(t))).collect();
        for (of, one) in &plain {
            let (momentum, first) = (floats(one.momentum.clone()), format!("{of}.first"));
            compare(&state[&first], &momentum, &format!("{name}, step {step}, {first}"));
            state.insert(first, momentum);
        }
        if step == 3 {
            optimizer = Optimizer::new(&train);
            optimizer.load_state(state.clone(), device).unwrap();
            let restored: BTreeMap<_, _> = optimizer.state().map(|(n, t)| (n, floats(t))).collect();
            assert_eq!(restored, state, "{name}: what is restored is saved again");
        }
    }
}

/// Counts the launches of a Muon step, without AdamW's for the other parameters and the norm.
fn launches(config: &ModelConfig, device: &Device) -> u64 {
    let model = Decoder::new(config, &device.clone().autodiff(), &mut random_source(1)).unwrap();
    let mut optimizer = Optimizer::new(&rule());
    let first = gradients(&model.valid(), device, 1);
    let (model, _) = optimizer.step(model, first, 1).unwrap();
    let second = gradients(&model.valid(), device, 2);
    let profiler = Profiler::start();
    let (_, norm) = optimizer.step(model, second, 2).unwrap();
    block_on(read_floats(norm)).unwrap();
    let report = block_on(profiler.finish(1));
    let muon = report.kernels.iter().filter(|kernel| !kernel.kernel.starts_with("adamw"));
    muon.map(|kernel| kernel.calls).sum()
}

#[test]
fn muon_on_the_cpu() {
    for (name, config) in configs(3) {
        agrees(name, &config, &common::cpu());
    }
}

/// One test for both devices: a profile counts the launches of the whole process.
#[test]
fn muon_on_vulkan() {
    for (kind, device) in common::gpus() {
        for (name, config) in configs(3) {
            agrees(name, &config, &device);
        }
        for (few, many) in configs(2).iter().zip(configs(4)) {
            let [few, many] = [&few.1, &many.1].map(|config| launches(config, &device));
            println!("{kind}: {few} launches for 2 layers, {many} for 4");
            assert_eq!(few, many);
        }
    }
}

#[test]
fn the_cost_of_a_step_counts_every_parameter_once() {
    let shapes: [(&str, &[usize]); 4] = [
        ("embed_tokens.weight", &[11, 12]),
        ("layers.0.mlp.up_proj.weight", &[48, 12]),
        ("layers.0.mlp.up_proj.bias", &[48]),
        ("norm.weight", &[12]),
    ];
    let adamw = blankslate::optim::cost(&TrainConfig::default(), shapes);
    assert_eq!((adamw.bytes, adamw.flops), (32.0 * (132 + 576 + 48 + 12) as f64, 0.0));
    let muon = blankslate::optim::cost(&rule(), shapes);
    assert_eq!(muon.bytes, (32 * (132 + 48 + 12) + 24 * 576) as f64);
    // Three products in each of five iterations, of [12, 48], [12, 12] and [12, 48].
    let products = 12 * 12 * 48 + 12 * 12 * 12 + 12 * 12 * 48;
    assert_eq!(muon.flops, (5 * 2 * products) as f64);
}
