//! Against PyTorch and transformers: logits, every gradient, ten AdamW steps, greedy text — on every backend.

mod common;

use blankslate::check::check;
use blankslate::platform::{block_on, open_device};

fn passes(device: &str, case: &str) {
    let (device, info) = match block_on(open_device(device)) {
        Ok(open) => open,
        Err(error) => {
            eprintln!("SKIPPED: {error}");
            return;
        }
    };
    let report = block_on(check(&common::golden(case), &device, &info.name)).unwrap();
    for comparison in &report.comparisons {
        println!("{case} on {} ({}): {comparison:?}", info.name, info.adapter);
    }
    assert!(report.comparisons.len() > 40, "only {} comparisons", report.comparisons.len());
    assert!(report.passed, "{case} on {}: worst {:e}", info.name, report.worst);
}

#[test]
fn gpt2_on_the_cpu() {
    passes("cpu", "gpt2-tiny");
}

#[test]
fn llama_on_the_cpu() {
    passes("cpu", "llama-tiny");
}

#[test]
fn gpt2_on_vulkan() {
    passes("vulkan", "gpt2-tiny");
}

#[test]
fn llama_on_vulkan() {
    passes("vulkan", "llama-tiny");
}
