//! The memory that `blankslate plan` predicts, beside the peak of a process that trains: on the CPU, for runs of different kinds.
//!
//! `cargo test --release --test cli memory_is_predicted -- --nocapture` prints the figures of docs/measurements/plan.md.

use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::support::{Place, command, run};

/// Largest relative error of a prediction.
const LIMIT: f64 = 0.15;
/// Steps of a run: the first creates the optimizer's state, which is there during all of the second.
const STEPS: u64 = 2;

/// A kind of run: name and settings.
const CASES: [(&str, &str); 7] = [
    ("GPT-2", "--layers 6 --hidden-size 256 --heads 8 --seq-len 256 --batch-size 8"),
    (
        "LLaMA, grouped queries",
        "--preset llama-60m --layers 6 --hidden-size 256 --heads 8 --kv-heads 2 --seq-len 512 --batch-size 4 --grad-accum 1",
    ),
    (
        "recomputation",
        "--layers 12 --hidden-size 256 --heads 8 --seq-len 256 --batch-size 12 --gradient-checkpointing true",
    ),
    (
        "accumulation, large weights",
        "--layers 4 --hidden-size 1024 --heads 8 --seq-len 32 --batch-size 2 --grad-accum 4",
    ),
    ("Muon", "--layers 4 --hidden-size 512 --heads 8 --seq-len 64 --batch-size 2 --optimizer muon"),
    ("long context", "--layers 4 --hidden-size 256 --heads 4 --seq-len 2048 --batch-size 1"),
    ("adapters", "--seq-len 128 --batch-size 24 --lora-rank 8"),
];

/// Distinct characters of the text.
const VOCABULARY: u32 = 8000;

#[test]
fn memory_is_predicted_within_15_percent() {
    let place = Place::new();
    let characters = (0..VOCABULARY).filter_map(|i| char::from_u32(0x4e00 + i));
    let text: String = characters.cycle().take(3 * VOCABULARY as usize).collect();
    place.write("large.txt", text);
    let least = "--preset small --layers 1 --hidden-size 8 --heads 1 --seq-len 8 --batch-size 1";
    let base = measure(&place, "least", least);
    let base_model = "--preset small --layers 6 --hidden-size 512 --heads 8 --seq-len 128";
    run(&train(&place, "base", &format!("{base_model} --batch-size 1 --steps 1"))).ok();

    let mut table =
        String::from("| run | measured | predicted | error |\n| --- | --- | --- | --- |\n");
    let mut wrong = Vec::new();
    for (name, settings) in CASES {
        let settings = match name {
            "adapters" => format!("--from {} {settings}", place.at("base")),
            _ if settings.contains("--preset") => settings.to_string(),
            _ => format!("--preset small {settings}"),
        };
        let measured = measure(&place, name, &settings);
        let predicted = predict(&place.at(&directory(name)), &settings) + base;
        let error = predicted / measured - 1.0;
        let [measured, predicted] = [measured, predicted].map(|bytes| bytes / 1e6);
        let percent = 100.0 * error;
        table += &format!("| {name} | {measured:.0} MB | {predicted:.0} MB | {percent:+.0} % |\n");
        if error.abs() > LIMIT {
            wrong.push(name);
        }
    }
    println!("base {:.0} MB\n{table}", base / 1e6);
    assert!(wrong.is_empty(), "{wrong:?} in\n{table}");
}

/// Directory of a run.
fn directory(name: &str) -> String {
    name.replace(' ', "-")
}

fn train(place: &Place, out: &str, settings: &str) -> String {
    let data = place.at("large.txt");
    let common = "--tokenizer char --device cpu --warmup-steps 0 --eval-every 0 --val-fraction 0";
    let common = match settings.contains("--from") {
        true => common.replace("--tokenizer char ", ""),
        false => common.to_string(),
    };
    format!("train {settings} {common} --json --data {data} --out {}", place.at(&directory(out)))
}

/// Trains, saves, and returns the peak of the process in bytes. Freed memory is given back at once: by default the allocator
/// keeps it for a tenth of a second, so that a peak depends on the speed of the machine.
fn measure(place: &Place, name: &str, settings: &str) -> f64 {
    let mut train = command(&format!("{} --steps {STEPS}", train(place, name, settings)));
    train.env("MIMALLOC_PURGE_DELAY", "0");
    let mut child = train.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut peak = 0.0;
    while let Some(bytes) = high_water(&child) {
        peak = bytes;
        sleep(Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success(), "{name} failed");
    peak
}

/// Peak of the resident memory of a process that runs, in bytes.
fn high_water(child: &Child) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024.0 * line.split_whitespace().next()?.parse::<f64>().unwrap())
}

/// Settings of training, which a model's config.json does not have.
const OF_TRAINING: [&str; 6] = [
    "--seq-len",
    "--batch-size",
    "--grad-accum",
    "--optimizer",
    "--gradient-checkpointing",
    "--lora-rank",
];

/// Returns the bytes that the planner predicts for these settings and the model in `place`.
fn predict(place: &str, settings: &str) -> f64 {
    let words: Vec<&str> = settings.split_whitespace().collect();
    let of_training = words.chunks(2).filter(|flag| OF_TRAINING.contains(&flag[0]));
    let mut flags: Vec<&str> = of_training.flatten().copied().collect();
    if !flags.contains(&"--gradient-checkpointing") {
        flags.extend(["--gradient-checkpointing", "false"]);
    }
    let device = "--gpu cpu --peak-flops 1 --memory 1000 --memory-bandwidth 1";
    let plan = format!("plan --json {device} --model {place} {}", flags.join(" "));
    let object = run(&plan).json().remove(0);
    object["plans"][0]["peak"].as_f64().unwrap()
}
