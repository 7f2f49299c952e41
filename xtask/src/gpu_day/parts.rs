//! The parts of a GPU day, most important first.

use super::kit::Kit;
use super::machine::Machine;
use super::runner::Done;
use super::training::{self, TARGET};
use super::verdict::{self, Verdict};
use crate::cuda::{PRECISIONS, SMALL, TENSOR_CORES};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// Names of the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// List the devices
    Devices,
    /// Compare logits, gradients and training steps with PyTorch's
    Check,
    /// Compare the losses of training runs on the CPU and in each precision
    Losses,
    /// Train GPT-2 124M in bf16
    Train,
    /// Time every kernel against its floor
    Kernels,
    /// Train GPT-2 124M in bf16 and compare with torch.compile
    Torch,
    /// Decode with a KV cache
    Decode,
    /// Compare a training run with CUDA and with Vulkan
    Vulkan,
    /// Train nanoGPT's shakespeare_char
    Shakespeare,
}

/// Computes the verdict on a part from the results of its tasks, by label.
pub type Judge = Box<dyn Fn(&[(String, Done)]) -> Verdict>;

/// A part of the day.
pub struct Part {
    pub name: Name,
    pub title: &'static str,
    /// Time limit in seconds, in a day of ten minutes.
    pub limit: f64,
    pub tasks: Vec<Task>,
    /// Computes the verdict on the tasks that ran.
    pub judge: Judge,
}

/// A run of the program.
pub struct Task {
    pub label: String,
    pub arguments: Vec<String>,
    /// Returns true if the run can end after an event.
    pub enough: fn(&Value) -> bool,
}

impl Task {
    /// Creates a run with `arguments`, separated by spaces, in which `paths` replace `{}`.
    fn new(label: &str, arguments: &str, paths: &[&Path]) -> Self {
        let mut paths = paths.iter().map(|path| path.display().to_string());
        let arguments = arguments.split_whitespace().map(|word| match word {
            "{}" => paths.next().expect("a path for each pair of braces"),
            word => word.into(),
        });
        Self { label: label.into(), arguments: arguments.collect(), enough: |_| false }
    }
}

/// Returns all parts. A dry run has small models and few steps. Training runs are saved below `work`.
pub fn all(kit: &Kit, machine: &Machine, dry: bool, work: &Path) -> Vec<Part> {
    let pick = |dry_run: &'static str, real: &'static str| if dry { dry_run } else { real };
    let batch = machine.batch_size();
    let gpt2 = match dry {
        true => "--preset tiny --batch-size 1 --steps 2 --rounds 1".to_owned(),
        false => format!("--preset gpt2 --batch-size {batch} --precision bf16 --steps 10"),
    };
    let cuda = format!("--json train --device cuda {gpt2}");
    vec![
        Part {
            name: Name::Devices,
            title: "Devices",
            limit: 15.0,
            tasks: vec![Task::new("devices", "blankslate devices --json", &[])],
            judge: Box::new(verdict::devices),
        },
        Part {
            name: Name::Check,
            title: "Agreement with PyTorch",
            limit: 75.0,
            tasks: [
                ("nothing kept", "gpt2-tiny"),
                ("choices kept", "gpt2-tiny"),
                ("choices kept", "llama-tiny"),
            ]
            .into_iter()
            .map(|(label, golden)| {
                let label = format!("{golden}, {label}");
                let arguments = "blankslate check --device cuda --json --golden {}";
                Task::new(&label, arguments, &[&kit.golden(golden)])
            })
            .collect(),
            judge: Box::new(verdict::check),
        },
        Part {
            name: Name::Losses,
            title: "The same losses as on the CPU",
            limit: 60.0,
            tasks: losses(kit, pick("4", "20"), work),
            judge: Box::new(training::losses),
        },
        Part {
            name: Name::Train,
            title: "Training GPT-2 124M in bf16",
            limit: 100.0,
            tasks: vec![Task::new("blankslate", &format!("{cuda} --alone --profile"), &[])],
            judge: Box::new(training::speed),
        },
        Part {
            name: Name::Kernels,
            title: "Kernels beside their floors",
            limit: 90.0,
            tasks: {
                let sizes = match dry {
                    true => "--preset tiny --batch-size 1 --rounds 1".to_owned(),
                    false => format!("--preset gpt2 --batch-size {batch}"),
                };
                let arguments = format!("--json kernels --device cuda {sizes}");
                vec![Task::new("kernels", &arguments, &[])]
            },
            judge: Box::new(verdict::kernels),
        },
        Part {
            name: Name::Torch,
            title: "Training beside torch.compile",
            limit: 100.0,
            tasks: vec![Task {
                // Without PyTorch, it would repeat the previous part.
                enough: |event| event["type"] == "skipped",
                ..Task::new("both", &cuda, &[])
            }],
            judge: Box::new(training::speed),
        },
        Part {
            name: Name::Decode,
            title: "Decoding with a KV cache, GPT-2 124M, f32",
            limit: 35.0,
            tasks: {
                let sizes = pick("--preset tiny --tokens 2 --rounds 1", "--preset gpt2");
                vec![Task::new("decode", &format!("--json decode --device cuda {sizes}"), &[])]
            },
            judge: Box::new(verdict::decode),
        },
        Part {
            name: Name::Vulkan,
            title: "Vulkan beside CUDA, f32",
            limit: 50.0,
            tasks: ["cuda", "vulkan"]
                .map(|device| {
                    let sizes = pick(
                        "--preset tiny --batch-size 1 --steps 2 --rounds 1",
                        "--preset char --steps 10 --rounds 3",
                    );
                    let arguments = "--json train --precision f32 --alone --device";
                    Task::new(device, &format!("{arguments} {device} {sizes}"), &[])
                })
                .into(),
            judge: Box::new(training::devices),
        },
        Part {
            name: Name::Shakespeare,
            title: "nanoGPT's shakespeare_char",
            limit: 200.0,
            tasks: vec![shakespeare(kit, dry, work)],
            judge: {
                let comparable = kit.identity.is_tiny_shakespeare && !dry;
                Box::new(move |done| training::shakespeare(done, comparable))
            },
        },
    ]
}

/// Returns equal training runs on the CPU and, in each precision, on the GPU.
fn losses(kit: &Kit, steps: &str, work: &Path) -> Vec<Task> {
    let text = kit.excerpt();
    let on_gpu = ["f32"].into_iter().chain(PRECISIONS.map(|(precision, _)| precision));
    let runs = [("cpu", "f32")].into_iter().chain(on_gpu.map(|precision| ("cuda", precision)));
    let task = |(device, precision): (&str, &str)| {
        let label = format!("{device} {precision}");
        let out = work.join(label.replace(' ', "-"));
        let arguments = format!(
            "blankslate train --json --steps {steps} {SMALL} {TENSOR_CORES} --precision {precision} --device {device} --data {{}} --out {{}}"
        );
        Task::new(&label, &arguments, &[&text, &out])
    };
    runs.map(task).collect()
}

fn shakespeare(kit: &Kit, dry: bool, work: &Path) -> Task {
    let (sizes, text) = match dry {
        true => ("--preset tiny --batch-size 1 --steps 4 --eval-every 2", kit.excerpt()),
        false => ("--preset char --precision bf16 --eval-every 250", kit.text()),
    };
    let arguments = format!(
        "blankslate train --json --device cuda {sizes} --save-every 0 --data {{}} --out {{}}"
    );
    let enough = |event: &Value| {
        event["type"] == "eval" && event["loss"].as_f64().is_some_and(|loss| loss <= TARGET)
    };
    Task { enough, ..Task::new("train", &arguments, &[&text, &work.join("shakespeare")]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_may_contain_spaces() {
        let task = Task::new("a", "train --data {} --out {}", &["x y".as_ref(), "z".as_ref()]);
        assert_eq!(task.arguments, ["train", "--data", "x y", "--out", "z"]);
    }

    #[test]
    fn every_part_has_tasks_and_ten_minutes_suffice_before_the_last_one() {
        let kit = Kit::example();
        for dry in [false, true] {
            let parts = all(&kit, &Machine::default(), dry, Path::new("work"));
            let names: Vec<Name> = parts.iter().map(|part| part.name).collect();
            assert_eq!(names, Name::value_variants());
            assert!(parts.iter().all(|part| !part.tasks.is_empty()));
            let (last, others) = parts.split_last().unwrap();
            assert_eq!(last.name, Name::Shakespeare, "it takes what time is left");
            let sum: f64 = others.iter().map(|part| part.limit).sum();
            assert!(sum + 60.0 <= 600.0, "{sum}");
        }
    }
}
