//! `RUN.md`, a human-readable description of a run: result, curve, settings, data, hardware, and the commands that reproduce it.

use std::env;

use serde_json::{Value, json};

use super::curve::Curve;
use super::log_to::folders;
use super::output::{bytes, grouped};
use super::resume::{quoted, resume_command};
use super::stderr;
use super::train_args::TrainArgs;
use crate::config::{DataKind, LongRunConfig, Settings};
use crate::error::printable;
use crate::platform::{DeviceInfo, Store, host_name};
use crate::run::directory::RUN_CARD;
use crate::run::{Run, RunConfig};

/// Maximum characters of an external text.
const TEXT: usize = 500;

/// Constant parts of a run card.
pub struct RunCard {
    store: Store,
    out: String,
    /// Everything after the curve.
    rest: String,
}

impl RunCard {
    /// Describes a run that was started with `args` on `device` with data from `source`.
    pub fn new(
        store: Store,
        args: &TrainArgs,
        run: &Run,
        device: &DeviceInfo,
        source: &str,
    ) -> Self {
        let rest = [settings(run), data(run, source), hardware(run, device), commands(args, run)];
        Self { store, out: args.out.clone(), rest: rest.concat() }
    }

    /// Writes the card. A failure is noted, and does not end the run.
    pub async fn write(&self, run: &Run, status: &str, curve: &Curve) {
        let text = format!("{}{}", result(&self.out, run, status, curve), self.rest);
        if let Err(error) = self.store.write(RUN_CARD, text.as_bytes()).await {
            stderr::note(&format!("{RUN_CARD} is not up to date: {error}"));
        }
    }
}

/// Escapes a text from outside for a cell of a table.
fn cell(text: &str) -> String {
    printable(text, TEXT).replace('|', "\\|").replace('`', "'")
}

fn table(rows: &[(&str, String)]) -> String {
    let rows = rows.iter().map(|(name, value)| format!("| {name} | {} |\n", cell(value)));
    format!("| | |\n| --- | --- |\n{}\n", rows.collect::<String>())
}

fn result(out: &str, run: &Run, status: &str, curve: &Curve) -> String {
    let steps = run.config.train.steps;
    let mut rows = vec![("Steps", format!("{} of {steps}: {status}", run.step()))];
    let at = |(step, loss): (u64, f64)| format!("{loss:.4} at step {step}");
    rows.extend(curve.last().map(|last| ("Training loss", at(last))));
    rows.extend(curve.last_evaluation().map(|last| ("Validation loss", at(last))));
    rows.extend(run.best_val_loss.map(|best| ("Lowest validation loss", format!("{best:.4}"))));
    let long_run = run.long_run();
    let skipped = &long_run.skipped;
    if !skipped.is_empty() {
        let last = skipped.iter().rev().take(20).map(u64::to_string).collect::<Vec<_>>();
        rows.push((
            "Skipped steps",
            format!("{}: the last are {}", skipped.len(), last.join(", ")),
        ));
    }
    if !long_run.rollbacks.is_empty() {
        let returns = long_run.rollbacks.iter().rev().take(20);
        let returns = returns.map(|back| format!("{} to {}", back.spike, back.to));
        rows.push(("Rollbacks", returns.collect::<Vec<_>>().join(", ")));
    }
    let drawing = match curve.draw() {
        drawing if drawing.is_empty() => String::new(),
        drawing => format!(
            "## Loss\n\n```text\n{drawing}```\n\n`·` training loss, `o` validation loss, in nats per term; every step is in \
             metrics.jsonl.\n\n"
        ),
    };
    format!("# {}\n\n{}{drawing}", cell(out), table(&rows))
}

fn settings(run: &Run) -> String {
    let RunConfig { model, train, data, tokenizer, sample_every, .. } = &run.config;
    let usual = LongRunConfig::default().to_map();
    let mut long_run = run.long_run().config.to_map();
    long_run.retain(|key, value| usual.get(key) != Some(&*value));
    let mut train = train.to_map();
    if data.kind != DataKind::Preferences {
        // It is refused without preference pairs.
        train.remove("dpo_beta");
    }
    let all: Value = json!({
        "model": model, "train": train, "data": data, "tokenizer": tokenizer,
        "sample_every": sample_every, "long_run": long_run,
    });
    let json = serde_json::to_string_pretty(&all).expect("settings serialize");
    format!("## Configuration\n\n```json\n{json}\n```\n\n")
}

fn data(run: &Run, source: &str) -> String {
    let rows = [
        ("Source", source.to_string()),
        ("Training tokens", grouped(run.train_tokens())),
        ("Fingerprint of the training tokens", run.data_fingerprint().to_string()),
        ("Validation tokens", grouped(run.validation.len() as u64)),
        ("Bytes of text per token", format!("{:.3}", run.bytes_per_token())),
        ("Tokens per step", grouped(run.tokens_per_step() as u64)),
    ];
    format!("## Data\n\n{}", table(&rows))
}

fn hardware(run: &Run, device: &DeviceInfo) -> String {
    let (layout, estimate) = (run.mesh().layout(), run.estimate());
    let rows = [
        ("Program", format!("blankslate {}", env!("CARGO_PKG_VERSION"))),
        ("Host", format!("{}, {} {}", host_name(), env::consts::OS, env::consts::ARCH)),
        ("Device", format!("{}: {}", device.name, device.adapter)),
        ("Ranks", format!("{}: {layout}", layout.ranks())),
        ("Parameters", grouped(estimate.parameters)),
        ("Estimated memory", bytes(estimate.state_bytes + estimate.activation_bytes)),
        ("FLOPs per token", grouped(estimate.train_flops_per_token)),
    ];
    format!("## Hardware\n\n{}", table(&rows))
}

fn commands(args: &TrainArgs, run: &Run) -> String {
    let layout = run.mesh().layout();
    let words = env::args_os().skip(1).map(|word| quoted(&word.to_string_lossy()));
    let launcher = match layout.ranks() {
        1 => String::new(),
        ranks => format!("mpirun -n {ranks} --bind-to none "),
    };
    let trained = format!("{launcher}blankslate {}", words.collect::<Vec<_>>().join(" "));
    let out = quoted(&args.out);
    let mut lines = vec![
        "# this run".to_string(),
        trained,
        "# continue it".into(),
        resume_command(args, layout),
        "# use it".into(),
        format!("blankslate sample --model {out}"),
    ];
    for folder in folders(&args.log_to) {
        lines.push(format!("tensorboard --logdir {}", quoted(&folder.display().to_string())));
    }
    let lines = lines.iter().map(|line| printable(line, usize::MAX)).collect::<Vec<_>>();
    format!("## Reproduce\n\n```sh\n{}\n```\n", lines.join("\n"))
}
