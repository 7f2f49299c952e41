//! Runs of the binary on the GPU, compared with the CPU, and precisions compared with f32.

use super::gpu::Simulation;
use super::session::Session;
use crate::process::{output, step};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A small model with grouped-query attention, for a short text that is long enough for every run below.
pub const SMALL: &str = "--layers 2 --hidden-size 32 --heads 4 --seq-len 48 --batch-size 2 --tokenizer bpe:300 \
                     --lr 1e-3 --warmup-steps 2";

/// Heads of 16 numbers, for which 16-bit attention has kernels on tensor cores, and more than one block of 64 tokens.
pub const TENSOR_CORES: &str = "--heads 2 --seq-len 80";

/// Name and options of each run. `{…}` are the files and folders of [`Files`].
const RUNS: [(&str, &str); 8] = [
    ("base", "--data {text} --steps 4 {small}"),
    ("accumulation", "--data {text} --steps 3 {small} --grad-accum 2 --dropout 0.1 --z-loss 1e-4"),
    ("recomputation", "--data {text} --steps 3 {small} --gradient-checkpointing"),
    (
        "llama",
        "--preset llama-60m --data {text} --steps 3 {small} --kv-heads 2 --intermediate-size 80 --sliding-window 20",
    ),
    ("muon", "--data {text} --steps 3 {small} --optimizer muon"),
    ("conversations", "--data {chat} --steps 3 {small} --document-boundaries"),
    ("lora", "--from {base} --data {text} --steps 3 --batch-size 2 --lora-rank 4"),
    ("preferences", "--from {base} --data {pairs} --steps 3 --batch-size 2"),
];

/// Maximum relative difference of a loss from the CPU's.
pub const SAME: f64 = 1e-4;

/// Precisions, with the maximum relative difference of a loss from f32's in 20 steps. No difference at all would mean that
/// nothing was rounded.
pub const PRECISIONS: [(&str, f64); 3] = [("bf16", 1e-2), ("f16", 1e-2), ("tf32", 1e-3)];

/// Trains and samples in a separate folder.
pub fn compare(session: &Session) -> Result<()> {
    let folder = session.folder.join("runs");
    fs::create_dir_all(&folder)?;
    write_data(session, &folder)?;
    for (name, options) in RUNS {
        step(&format!("train on both devices: {name}"), || {
            let [ours, cpu] =
                ["cuda", "cpu"].map(|device| train(session, &folder, name, device, options));
            let difference = difference(&ours?, &cpu?)?;
            println!("    losses differ by {difference:.1e}");
            ensure!(
                difference <= SAME,
                "the losses differ by {difference:.1e}, more than {SAME:e}"
            );
            Ok(())
        })?;
    }
    step("sample on both devices", || {
        let [ours, cpu] = ["cuda", "cpu"].map(|device| sample(session, &folder, device));
        let (ours, cpu) = (ours?, cpu?);
        ensure!(ours == cpu, "the texts differ:\n{ours}\n{cpu}");
        Ok(())
    })?;
    let options = format!("--data {{text}} --steps 20 {{small}} {TENSOR_CORES}");
    let exact = step("train 20 steps in f32", || train(session, &folder, "f32", "cuda", &options))?;
    for (precision, tolerance) in PRECISIONS {
        step(&format!("train 20 steps in {precision}"), || {
            let options = format!("{options} --precision {precision}");
            let losses = train(session, &folder, precision, "cuda", &options)?;
            let difference = difference(&losses, &exact)?;
            println!("    losses differ from f32's by {difference:.1e}");
            ensure!(difference > 0.0, "the losses are f32's: nothing was computed in {precision}");
            ensure!(difference <= tolerance, "the losses differ by {difference:.1e} from f32's");
            Ok(())
        })?;
    }
    Ok(())
}

/// Writes a text, conversations and preference pairs.
fn write_data(session: &Session, folder: &Path) -> Result<()> {
    let text = fs::read_to_string(session.repo.root.join("assets/text/shakespeare.txt"))?;
    let text: String = text.chars().take(6000).collect();
    let mut chat = String::new();
    let mut pairs = String::new();
    for i in 1..=8 {
        let (question, answer) = (format!("What is {i} and {i}?"), format!("It is {}.", i + i));
        chat += &format!(
            r#"{{"messages":[{{"role":"user","content":"{question}"}},{{"role":"assistant","content":"{answer}"}}]}}"#
        );
        pairs += &format!(
            r#"{{"prompt":"{question}","chosen":"{answer}","rejected":"I do not know."}}"#
        );
        chat.push('\n');
        pairs.push('\n');
    }
    for (name, data) in [("text.txt", text), ("chat.jsonl", chat), ("pairs.jsonl", pairs)] {
        fs::write(folder.join(name), data)?;
    }
    Ok(())
}

/// Trains and returns the loss of each step.
fn train(
    session: &Session,
    folder: &Path,
    name: &str,
    device: &str,
    options: &str,
) -> Result<Vec<f64>> {
    let out = folder.join(format!("{name}-{device}"));
    let options = options.replace("{small}", SMALL);
    let place = |word: &str| match word {
        "{text}" => folder.join("text.txt"),
        "{chat}" => folder.join("chat.jsonl"),
        "{pairs}" => folder.join("pairs.jsonl"),
        "{base}" => folder.join("base-cpu"),
        word => word.into(),
    };
    let mut program = session.program("train", Simulation::default())?;
    program.args(["--json", "--device", device, "--out"]).arg(&out);
    program.args(options.split_whitespace().map(place));
    let losses = output(&mut program)?
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).context("a line of JSON"))
        .filter_map(|line| match line {
            Ok(line) => (line["type"] == "step").then(|| line["loss"].as_f64().context("a loss")),
            Err(error) => Some(Err(error)),
        })
        .collect::<Result<Vec<f64>>>()?;
    ensure!(!losses.is_empty(), "the run made no step");
    Ok(losses)
}

/// Returns a sample from the model of the first run.
fn sample(session: &Session, folder: &Path, device: &str) -> Result<String> {
    let mut program = session.program("sample", Simulation::default())?;
    program.args([
        "--device",
        device,
        "--prompt",
        "We are",
        "--seed",
        "3",
        "--max-new-tokens",
        "24",
    ]);
    program.arg("--model").arg(folder.join("base-cpu"));
    output(&mut program)
}

/// Returns the maximum relative difference between two lists of losses. Fails if their lengths differ.
pub fn difference(ours: &[f64], theirs: &[f64]) -> Result<f64> {
    ensure!(ours.len() == theirs.len(), "{} steps and {}", ours.len(), theirs.len());
    ensure!(ours.iter().chain(theirs).all(|loss| loss.is_finite()), "{ours:?} and {theirs:?}");
    let pairs = ours.iter().zip(theirs);
    Ok(pairs.map(|(ours, theirs)| (ours - theirs).abs() / theirs).fold(0.0, f64::max))
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn differences_are_relative_and_never_ignored() {
        assert_eq!(difference(&[1.0, 3.0], &[1.0, 2.0]).unwrap(), 0.5);
        assert!(difference(&[1.0], &[1.0, 2.0]).is_err());
        assert!(difference(&[f64::NAN], &[1.0]).is_err());
    }
}
