//! Comparison with PyTorch and transformers on every backend: logits, every gradient, ten AdamW steps, greedy text.

use std::fs;
use std::path::Path;

use blankslate::check::{TOLERANCE, check, relative_error};
use blankslate::checkpoint::{
    CONFIG, Files, WEIGHTS, from_hf, read_float_tensors, read_ids, to_hf, unpack,
};
use blankslate::config::{ModelConfig, RopeType};
use blankslate::model::{TokenIds, read_floats};
use blankslate::platform::{DeviceInfo, block_on, open_device};
use burn::tensor::Device;

use crate::common;

fn passes((device, info): &(Device, DeviceInfo), case: &str) {
    let report = block_on(check(&common::golden(case), device, &info.name)).unwrap();
    for comparison in &report.comparisons {
        println!("{case} on {} ({}): {comparison:?}", info.name, info.adapter);
    }
    assert!(report.comparisons.len() > 40, "only {} comparisons", report.comparisons.len());
    assert!(report.passed, "{case} on {}: worst {:e}", info.name, report.worst);
}

#[test]
fn gpt2_and_llama_on_the_cpu() {
    let cpu = block_on(open_device("cpu")).unwrap();
    passes(&cpu, "gpt2-tiny");
    passes(&cpu, "llama-tiny");
}

#[test]
fn gpt2_and_llama_on_vulkan() {
    if let Some(gpu) = common::described_gpu() {
        passes(&gpu, "gpt2-tiny");
        passes(&gpu, "llama-tiny");
    }
}

/// Returns the relative error of the logits of `tests/golden/NAME`, with the configuration changed by `edit`.
fn distance(name: &str, edit: impl FnOnce(&mut ModelConfig)) -> f64 {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let read = |file: &str| fs::read(folder.join(file)).expect(file);
    let mut config = from_hf(&read(CONFIG)).unwrap();
    edit(&mut config);
    let files: Files = [(CONFIG.into(), to_hf(&config)), (WEIGHTS.into(), read(WEIGHTS))].into();
    let model = unpack(files, name).unwrap().model(&common::cpu()).unwrap();
    let io = read("io.safetensors");
    let (shape, ids) = read_ids(name, &io, "input_ids").unwrap();
    assert_eq!(shape, [1, 200]);
    let ids = TokenIds::new(&ids, 1, config.vocab_size, &model.device()).unwrap();
    let logits = model.forward(ids, None, None).unwrap();
    let ours = block_on(read_floats(logits.reshape([200 * config.vocab_size]))).unwrap();
    let theirs = &read_float_tensors(name, &io).unwrap()["logits"].values;
    assert_eq!(ours.len(), theirs.len());
    relative_error(&ours, theirs)
}

#[test]
fn rope_scaling_equals_that_of_transformers() {
    for (name, rope_type) in [("rope-linear", RopeType::Linear), ("rope-llama3", RopeType::Llama3)]
    {
        let error = distance(name, |c| assert_eq!(c.rope_scaling.unwrap().rope_type, rope_type));
        println!("{name}: {error:e}");
        assert!(error < TOLERANCE, "{name}: {error:e}");
        // Without scaling the comparison must fail.
        let plain = distance(name, |c| c.rope_scaling = None);
        let half = distance(name, |c| c.rope_scaling.as_mut().unwrap().factor /= 2.0);
        println!("{name}: {plain:e} unstretched, {half:e} by half the factor");
        assert!(plain.min(half) > 100.0 * TOLERANCE, "{name}: {plain:e}, {half:e}");
    }
    let blended = distance("rope-llama3", |c| {
        // Without the interpolation between the two limits.
        c.rope_scaling.as_mut().unwrap().high_freq_factor = 1.000_001;
    });
    assert!(blended > 100.0 * TOLERANCE, "{blended:e}");
}

#[test]
fn a_sliding_window_equals_mistrals() {
    let error = distance("window", |c| assert_eq!(c.sliding_window, Some(24)));
    println!("window: {error:e}");
    assert!(error < TOLERANCE, "{error:e}");
    for wrong in [None, Some(23), Some(25)] {
        // Without a window the model is saved as a Llama with the same tensors.
        let other = distance("window", |c| c.sliding_window = wrong);
        println!("window {wrong:?}: {other:e}");
        assert!(other > 100.0 * TOLERANCE, "{wrong:?}: {other:e}");
    }
}
