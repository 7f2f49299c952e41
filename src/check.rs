//! Comparison with PyTorch on golden cases: logits, every gradient by name, ten AdamW steps.
//!
//! ```
//! use blankslate::check::relative_error;
//!
//! assert_eq!(relative_error(&[1.0, 2.0], &[1.0, 2.0]), 0.0);
//! assert!((relative_error(&[3.0, 4.5], &[3.0, 4.0]) - 0.1).abs() < 1e-12);
//! ```

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{
    HostTensor, HostTensors, from_file_layout, from_hf, read_float_tensors, read_ids,
    read_safetensors, tensor_source, to_file_layout,
};
use crate::config::{OptimizerConfig, ScheduleConfig, ScheduleKind, TrainConfig};
use crate::data::Batch;
use crate::error::{Error, Result, json_problem};
use crate::model::{Decoder, NamedGradients, TokenIds, for_each_param, read_floats};
use crate::objective::{GradientOptions, LOSS, NextToken, loss_and_gradients};
use crate::optim::Optimizer;

/// Maximum relative error of a passed check in f32.
pub const TOLERANCE: f64 = 1e-4;

/// Files of a folder written by `make_golden.py`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct GoldenCase {
    /// Name of the folder.
    pub name: String,
    /// `config.json`.
    #[serde(with = "serde_bytes")]
    #[cfg_attr(test, ts(type = "Uint8Array"))]
    pub config: Vec<u8>,
    /// `model.safetensors`.
    #[serde(with = "serde_bytes")]
    #[cfg_attr(test, ts(type = "Uint8Array"))]
    pub model: Vec<u8>,
    /// `io.safetensors`.
    #[serde(with = "serde_bytes")]
    #[cfg_attr(test, ts(type = "Uint8Array"))]
    pub io: Vec<u8>,
    /// `train.json`.
    #[serde(with = "serde_bytes")]
    #[cfg_attr(test, ts(type = "Uint8Array"))]
    pub train: Vec<u8>,
}

/// Comparison of one quantity with its reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Comparison {
    /// `logits`, `loss`, `grad.<parameter>`, `step <n> loss`, `step <n> grad_norm`.
    pub name: String,
    /// Relative error; none if the quantity is missing or has the wrong number of elements.
    pub error: Option<f64>,
}

/// Result of running a golden case on a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct CheckReport {
    /// Name of the case.
    pub golden: String,
    /// Name of the device.
    pub device: String,
    /// Maximum allowed relative error.
    pub tolerance: f64,
    /// All comparisons.
    pub comparisons: Vec<Comparison>,
    /// Largest relative error; infinite if a quantity is missing or not finite.
    pub worst: f64,
    /// True if no error exceeds the tolerance.
    pub passed: bool,
}

/// `train.json` of a golden case.
#[derive(Debug, Serialize, Deserialize)]
struct GoldenTraining {
    lr: f64,
    betas: [f64; 2],
    eps: f64,
    weight_decay: f64,
    clip: f64,
    loss: Vec<f64>,
    grad_norm: Vec<f64>,
}

/// Runs a golden case on `device`, which must not be an autodiff device.
///
/// # Errors
/// Returns an error if the case cannot be read. Deviations are not errors but part of the report.
pub async fn check(golden: &GoldenCase, device: &Device, device_name: &str) -> Result<CheckReport> {
    let config = from_hf(&golden.config)?;
    let (shape, inputs) = read_ids("io.safetensors", &golden.io, "input_ids")?;
    let (target_shape, targets) = read_ids("io.safetensors", &golden.io, "targets")?;
    let rows = match shape[..] {
        [rows, tokens] if rows * tokens > 0 && shape == target_shape => rows,
        _ => {
            return Err(Error::malformed(
                "io.safetensors",
                format!("input_ids is {shape:?} and targets is {target_shape:?}"),
                "both must be [sequences, tokens]: generate the golden case again",
            ));
        }
    };
    let expected = read_float_tensors("io.safetensors", &golden.io)?;
    let training: GoldenTraining = serde_json::from_slice(&golden.train).map_err(|e| {
        Error::malformed("train.json", json_problem(&e), "generate the golden case again")
    })?;
    let weights = read_safetensors("model.safetensors", &golden.model)?;
    let weights = from_file_layout(&config, "model.safetensors", weights)?;
    let device = device.clone().autodiff();
    let source = &mut *tensor_source(weights, "model.safetensors".into());
    let mut model = Decoder::new(&config, &device, source)?;
    let ids = TokenIds::new(&inputs, rows, config.vocab_size, &device)?;

    let mut comparisons = Vec::new();
    let mut compare = |name: &str, ours: &[f32]| {
        let theirs = expected.get(name).filter(|theirs| theirs.values.len() == ours.len());
        let error = theirs.map(|theirs| relative_error(ours, &theirs.values));
        comparisons.push(Comparison { name: name.into(), error });
    };

    let objective = NextToken::default();
    let options = GradientOptions::scaled(1.0 / targets.len() as f64);
    let batch = Batch::new(inputs, targets, rows);
    let logits = model.forward(ids, None, None)?;
    let (values, gradients) = loss_and_gradients(&objective, &model, &batch, &options)?;
    let count = logits.shape().num_elements();
    compare("logits", &read_floats(logits.without_autodiff().reshape([count])).await?);
    let loss = values.read().await?.get(LOSS).map(|loss| loss as f32);
    compare("loss", loss.as_slice());
    let gradients = read_gradients(&model.valid(), gradients).await?;
    let gradients = to_file_layout(&config, &gradients);
    for name in expected.keys().filter_map(|name| name.strip_prefix("grad.")) {
        let none = HostTensor { shape: vec![0], values: Vec::new() };
        compare(&format!("grad.{name}"), &gradients.get(name).unwrap_or(&none).values);
    }

    let train = TrainConfig {
        steps: training.loss.len() as u64,
        optimizer: OptimizerConfig {
            lr: training.lr,
            beta1: training.betas[0],
            beta2: training.betas[1],
            eps: training.eps,
            weight_decay: training.weight_decay,
            grad_clip: training.clip,
            ..Default::default()
        },
        schedule: ScheduleConfig {
            min_lr: training.lr,
            kind: ScheduleKind::Constant,
            warmup_steps: 0,
            ..Default::default()
        },
        ..Default::default()
    };
    let mut optimizer = Optimizer::new(&train);
    let pairs = training.loss.iter().zip(&training.grad_norm);
    for (step, (golden_loss, golden_norm)) in (1..).zip(pairs) {
        let (mut values, gradients) = loss_and_gradients(&objective, &model, &batch, &options)?;
        let norm: Tensor<1>;
        (model, norm) = optimizer.step(model, gradients, step)?;
        values.push("grad_norm", norm);
        let found = values.read().await?;
        for (what, theirs) in [(LOSS, golden_loss), ("grad_norm", golden_norm)] {
            let error = found.get(what).map(|ours| (ours - theirs).abs() / theirs.abs());
            comparisons.push(Comparison { name: format!("step {step} {what}"), error });
        }
    }

    // `f64::max` ignores NaN, which must count as the largest error.
    let worst = comparisons
        .iter()
        .map(|c| c.error.filter(|e| e.is_finite()).unwrap_or(f64::INFINITY))
        .fold(0.0, f64::max);
    Ok(CheckReport {
        golden: golden.name.clone(),
        device: device_name.into(),
        tolerance: TOLERANCE,
        passed: worst <= TOLERANCE,
        worst,
        comparisons,
    })
}

/// Computes `||ours - theirs|| / ||theirs||` in f64.
pub fn relative_error(ours: &[f32], theirs: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let difference: f64 =
        ours.iter().zip(theirs).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let scale: f64 = theirs.iter().map(|b| square(f64::from(*b))).sum();
    (difference / scale).sqrt()
}

/// Reads the gradients in the parameters' shapes; zeros for a parameter without a gradient.
async fn read_gradients(model: &Decoder, mut gradients: NamedGradients) -> Result<HostTensors> {
    let mut shapes = Vec::new();
    for_each_param(model, &mut |name, shape, _| shapes.push((name.to_string(), shape.to_vec())));
    let mut tensors = HostTensors::new();
    for (name, shape) in shapes {
        let values = match gradients.remove(&name) {
            Some(gradient) => read_floats(gradient).await?,
            None => vec![0.0; shape.iter().product()],
        };
        tensors.insert(name, HostTensor { shape, values });
    }
    Ok(tensors)
}
