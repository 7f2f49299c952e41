//! Shared by several test files: golden folders, devices and small models.

#![allow(dead_code, reason = "every test file uses its own part")]

pub mod memory;
pub mod tokenizers;

use std::path::{Path, PathBuf};

use blankslate::check::GoldenCase;
use blankslate::config::*;
use blankslate::data::Batch;
use blankslate::kernels::prefer_serial;
use blankslate::model::{Decoder, NamedGradients};
use blankslate::objective::{GradientOptions, LOSS, NextToken, loss_and_gradients};
use blankslate::platform::{block_on, open_device};
use burn::tensor::Device;

/// Returns a file or folder beside the repository with optional test data; prints SKIPPED if it is absent.
pub fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if !path.exists() {
        eprintln!("SKIPPED: {} is absent", path.display());
        return None;
    }
    Some(path)
}

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

/// Reports that a test cannot run here for want of a device or driver.
///
/// With `CI=true` all of them must be present, so the test fails instead.
pub fn skip(reason: &dyn std::fmt::Display) {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    assert!(!ci, "with CI=true this test must run: {reason}");
    eprintln!("SKIPPED: {reason}");
}

/// The name of the device that GPU tests use: `BLANKSLATE_TEST_GPU`, or Vulkan. `none` skips them, also with `CI=true`.
fn gpu_name() -> String {
    std::env::var("BLANKSLATE_TEST_GPU").unwrap_or_else(|_| "vulkan".into())
}

/// Opens a GPU for a test; none, after [`skip`], if it is missing.
fn open_gpu(name: &str) -> Option<Device> {
    match block_on(open_device(name)) {
        Ok((device, info)) => {
            println!("on {} ({})", info.name, info.adapter);
            Some(device)
        }
        Err(error) => {
            skip(&error);
            None
        }
    }
}

/// The GPU, software adapters included, that tests use; see [`gpu_name`].
pub fn vulkan() -> Option<Device> {
    match gpu_name().as_str() {
        "none" => {
            eprintln!("SKIPPED: BLANKSLATE_TEST_GPU is none");
            None
        }
        name => open_gpu(name),
    }
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
        open_gpu(if name == "wgpu" { "vulkan" } else { "wgpu" })
    };
    if let Some(parallel) = parallel {
        prefer_serial(&parallel, false);
        all.push(("parallel", parallel));
    }
    all
}

/// Returns one configuration per architecture option.
pub fn variants() -> Vec<(&'static str, ModelConfig)> {
    let gpt2 = ModelConfig::gpt2(23, 24, 16, 2, 4);
    let llama = ModelConfig::llama(23, 24, 16, 2, 4, 2, 40);
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
