//! Shared by several test files: golden folders, devices and small models.

#![allow(dead_code, reason = "every test file uses its own part")]

pub mod memory;
pub mod missing;
pub mod others;
pub mod tokenizers;

use std::path::Path;

use blankslate::check::GoldenCase;
use blankslate::config::*;
use blankslate::data::Batch;
use blankslate::kernels::precision::require;
use blankslate::kernels::prefer_serial;
use blankslate::model::{Decoder, NamedGradients};
use blankslate::objective::{GradientOptions, LOSS, NextToken, loss_and_gradients};
use blankslate::platform::{DeviceInfo, block_on, open_device};
use burn::tensor::Device;

use missing::{Need, missing, record};

/// Reads a golden case of this repository.
pub fn golden(name: &str) -> GoldenCase {
    read_golden(&Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/golden").join(name))
}

/// Reads a golden case from a folder.
pub fn read_golden(folder: &Path) -> GoldenCase {
    let read = |file: &str| std::fs::read(folder.join(file)).expect(file);
    GoldenCase {
        name: folder.file_name().expect("a name").to_string_lossy().into(),
        config: read("config.json"),
        model: read("model.safetensors"),
        io: read("io.safetensors"),
        train: read("train.json"),
    }
}

/// Returns loss and gradients of next-token prediction.
pub fn next_token(
    model: &Decoder,
    batch: &Batch,
    options: &GradientOptions,
) -> (f32, NamedGradients) {
    let objective = NextToken::default();
    let (values, gradients) = loss_and_gradients(&objective, model, batch, options).unwrap();
    (block_on(values.read()).unwrap().get(LOSS).unwrap() as f32, gradients)
}

/// Opens the CPU.
pub fn cpu() -> Device {
    block_on(open_device("cpu")).expect("the CPU is always there").0
}

/// The name of the device that GPU tests use: `BLANKSLATE_TEST_GPU`, or Vulkan. `none` leaves them out, also with
/// `CI=true`.
pub fn gpu_name() -> String {
    std::env::var("BLANKSLATE_TEST_GPU").unwrap_or_else(|_| "vulkan".into())
}

/// Opens a GPU for a test; none, after [`missing`], if there is none.
fn open_gpu(name: &str) -> Option<(Device, DeviceInfo)> {
    match block_on(open_device(name)) {
        Ok(open) => {
            println!("on {} ({})", open.1.name, open.1.adapter);
            Some(open)
        }
        Err(error) => {
            missing(Need::Vulkan, &error);
            None
        }
    }
}

/// The GPU, software adapters included, that tests use, and its description; see [`gpu_name`].
pub fn described_gpu() -> Option<(Device, DeviceInfo)> {
    match gpu_name().as_str() {
        "none" => {
            record("Vulkan: BLANKSLATE_TEST_GPU is none");
            None
        }
        name => open_gpu(name),
    }
}

/// The GPU that tests use.
pub fn vulkan() -> Option<Device> {
    described_gpu().map(|(device, _)| device)
}

/// The GPU that tests use, if it computes in `precision`.
pub fn gpu_in(precision: Precision) -> Option<Device> {
    let (device, info) = described_gpu()?;
    if require(precision, &device).is_ok() {
        return Some(device);
    }
    let need = match precision {
        Precision::F16 => Need::F16,
        Precision::Bf16 => Need::Bf16,
        Precision::Tf32 => Need::Tf32,
        Precision::F32 => unreachable!("every device computes in f32"),
    };
    missing(need, &info.adapter);
    None
}

/// Two devices on that GPU for the two kinds of kernels: for a software adapter, whose units work alone, and for a GPU,
/// whose units share memory. CUDA has the second kind only.
pub fn gpus() -> Vec<(&'static str, Device)> {
    let Some(first) = vulkan() else { return Vec::new() };
    let name = gpu_name();
    let mut all = Vec::new();
    let parallel = if name.starts_with("cuda") {
        Some(first)
    } else {
        prefer_serial(&first, true);
        all.push(("serial", first));
        // The same adapter under another name is another device.
        open_gpu(if name == "wgpu" { "vulkan" } else { "wgpu" }).map(|(device, _)| device)
    };
    if let Some(parallel) = parallel {
        prefer_serial(&parallel, false);
        all.push(("parallel", parallel));
    }
    all
}

/// Returns one configuration per architecture option.
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
    let base = |change: fn(&mut ModelConfig)| {
        let mut config = gpt2.clone();
        change(&mut config);
        config
    };
    vec![
        ("sinusoidal", base(|c| c.position_embedding = PositionEmbedding::Sinusoidal)),
        ("no positions", base(|c| c.position_embedding = PositionEmbedding::None)),
        ("rope in gpt2", base(|c| c.position_embedding = PositionEmbedding::Rope)),
        ("rms norm", base(|c| c.norm = NormKind::RmsNorm)),
        ("no norm bias", base(|c| c.norm_bias = false)),
        ("gelu erf", base(|c| c.hidden_act = HiddenAct::GeluErf)),
        ("relu2", base(|c| c.hidden_act = HiddenAct::Relu2)),
        ("swiglu", base(|c| c.hidden_act = HiddenAct::Swiglu)),
        ("split qkv", base(|c| c.fused_qkv = false)),
        ("no biases", base(|c| (c.attention_bias, c.mlp_bias) = (false, false))),
        ("own head", base(|c| c.tie_word_embeddings = false)),
        ("qk norm", base(|c| c.qk_norm = true)),
        (
            "soft caps",
            base(|c| {
                c.attn_logit_softcapping = Some(5.0);
                c.final_logit_softcapping = Some(3.0);
            }),
        ),
        ("multi-query", base(|c| c.num_key_value_heads = 1)),
        ("sliding window", ModelConfig { sliding_window: Some(4), ..llama.clone() }),
        ("fan-in", base(|c| c.init = InitScheme::FanIn)),
        ("gpt2", gpt2.clone()),
        ("llama", llama),
    ]
}
