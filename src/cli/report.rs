//! Reports the progress of training: as a progress bar on a terminal, as plain lines elsewhere, or as JSON objects.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde_json::{Value, json};

use super::failure::{CliResult, Failure};
use super::output::{self, bytes, grouped, short};
use super::prepare::Prepared;
use super::{spike, stderr};
use crate::config::{ModelConfig, ShareEstimate};
use crate::eval::Evaluation;
use crate::model::Part;
use crate::objective::Metric;
use crate::parallel::Layout;
use crate::platform::parallel::Connection;
use crate::platform::{KernelTime, ProfileReport};
use crate::run::{RankFigures, RunConfig, Spike};
use crate::train::StepFigures;

/// Minimum steps and time between two plain lines, and the time after which a line is printed regardless of the steps.
const MIN_LINE_STEPS: u64 = 10;
const MIN_LINE_TIME: Duration = Duration::from_millis(500);
const MAX_LINE_TIME: Duration = Duration::from_secs(3);
/// Time between two lines about the ranks.
const RANKS_TIME: Duration = Duration::from_secs(10);

/// Prints the progress of training. A closed or full standard output does not end training.
pub struct Reporter {
    json: bool,
    bar: ProgressBar,
    last_line: Option<(u64, Instant)>,
    last_ranks: Option<Instant>,
    /// Metrics that the run reports.
    metrics: Vec<Metric>,
    /// Why nothing is printed any more.
    failure: RefCell<Option<Failure>>,
}

impl Reporter {
    /// Creates a reporter that prints JSON or text.
    pub fn new(json: bool) -> Self {
        let bar = if json { ProgressBar::hidden() } else { ProgressBar::new(0) };
        let bar = bar.with_finish(ProgressFinish::AndClear);
        let template = "{pos}/{len} {wide_bar} {msg} eta {eta}";
        bar.set_style(ProgressStyle::with_template(template).expect("a valid template"));
        Self {
            json,
            bar,
            last_line: None,
            last_ranks: None,
            metrics: Vec::new(),
            failure: RefCell::default(),
        }
    }

    /// Reports the device, the model, the data and the steps before training.
    pub fn start(&mut self, prepared: &Prepared, connection: Option<&Connection>, until: u64) {
        let Prepared { run, device, source, resumed, .. } = prepared;
        self.metrics = run.metrics();
        let RunConfig { model, train, data, tokenizer, .. } = &run.config;
        let estimate = run.estimate();
        let val_tokens = run.validation.len() as u64;
        let train_tokens = run.train_tokens();
        let tokens_per_step = run.tokens_per_step() as u64;
        let bytes_per_token = run.bytes_per_token();
        let step = run.step();
        let left_out = run.left_out();
        let layout = run.mesh().layout();
        if self.json {
            return self.print_json(&json!({
                "type": "start", "step": step, "steps": train.steps, "until": until,
                "resumed": resumed, "device": device, "model": model, "train": train,
                "data": data, "tokenizer": tokenizer, "estimate": estimate,
                "train_tokens": train_tokens, "val_tokens": val_tokens,
                "bytes_per_token": bytes_per_token, "tokens_per_step": tokens_per_step,
                "left_out": left_out, "dp": layout.dp, "pp": layout.pp, "tp": layout.tp,
                "collective": connection.map(ToString::to_string),
            }));
        }
        let reason =
            device.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let software = if device.software { ", executed in software" } else { "" };
        self.print(&format!("device     {}: {}{software}{reason}", device.name, device.adapter));
        self.print(&format!(
            "model      {} parameters: {} layers, {} wide, context {}, {} tokens ({})",
            grouped(estimate.parameters),
            model.num_hidden_layers,
            model.hidden_size,
            model.max_position_embeddings,
            grouped(model.vocab_size as u64),
            tokenizer,
        ));
        if train.adapts() {
            let tables = if train.lora.embeddings { ", the embedding and the head" } else { "" };
            self.print(&format!(
                "trained    {} parameters: adapters of rank {}{tables}",
                grouped(estimate.trained_parameters),
                train.lora.rank,
            ));
        }
        let ShareEstimate { state_bytes, activation_bytes } = run.rank_estimate();
        let here = if layout.ranks() > 1 { " on this rank" } else { "" };
        self.print(&format!(
            "memory     about {}{here}: {} for weights, gradients and optimizer state, {} for activations",
            bytes(state_bytes + activation_bytes),
            bytes(state_bytes),
            bytes(activation_bytes),
        ));
        let skipped = match left_out {
            0 => String::new(),
            pairs => format!(", {pairs} pairs longer than a window are left out"),
        };
        self.print(&format!(
            "data       {} training and {} validation tokens of {bytes_per_token:.2} bytes from {source}{skipped}",
            grouped(train_tokens),
            grouped(val_tokens),
        ));
        let begin = if *resumed { format!("resumed at step {step}, ") } else { String::new() };
        self.print(&format!(
            "training   {begin}to step {until}, {} tokens each: {:.2} epochs in all",
            grouped(tokens_per_step),
            until as f64 * tokens_per_step as f64 / train_tokens.max(1) as f64,
        ));
        if let Some(connection) = connection {
            self.print(&format!("ranks      {}, connected by {connection}", layout.ranks()));
        }
        if layout.tp > 1 {
            self.print(&tensor_parallel(model, layout.tp));
        }
        if layout.pp > 1 {
            self.print(&pipeline(model, layout, train.grad_accum / layout.dp));
        }
        self.bar.set_length(until);
        self.bar.set_position(step);
        self.bar.reset_eta();
    }

    /// Reports one step; `event` is its JSON.
    pub fn step(&mut self, figures: &StepFigures, speed: f64, until: u64, event: &Value) {
        if self.json {
            return self.print_json(event);
        }
        let metrics = figures.metrics.describe(&self.metrics);
        let words = format!("loss {:.4}{metrics}, {} tokens/s", figures.loss, short(speed));
        if !self.bar.is_hidden() {
            self.bar.set_position(figures.step);
            self.bar.set_message(words);
            return;
        }
        let due = self.last_line.is_none_or(|(step, at)| {
            // Smaller after a return to a checkpoint.
            let steps = figures.step.abs_diff(step);
            let time = at.elapsed();
            (steps >= MIN_LINE_STEPS && time >= MIN_LINE_TIME) || time >= MAX_LINE_TIME
        });
        if due || figures.step == until {
            self.last_line = Some((figures.step, Instant::now()));
            let norm = figures.grad_norm.map_or("too large for f16".into(), |x| format!("{x:.3}"));
            self.print(&format!(
                "step {}/{until}: {words}, gradient norm {norm}, lr {:.2e}",
                figures.step, figures.lr
            ));
        }
    }

    /// Reports the progress of an evaluation.
    pub fn evaluating(&self, tokens: u64, of: u64) {
        self.bar.set_message(format!("evaluating {} of {} tokens", grouped(tokens), grouped(of)));
    }

    /// Reports an evaluation of the validation split; `event` is its JSON.
    pub fn evaluated(&self, step: u64, found: &Evaluation, event: &Value) {
        if self.json {
            return self.print_json(event);
        }
        self.print(&format!(
            "step {step}: validation loss {:.4}{}{}",
            found.loss,
            found.metrics.describe(&self.metrics),
            found
                .sources
                .iter()
                .map(|one| format!(", {} {:.4}", one.name, one.loss))
                .collect::<String>(),
        ));
    }

    /// Reports a saved checkpoint.
    pub fn saved(&self, step: u64, path: &str) {
        if self.json {
            self.print_json(&json!({"type": "saved", "step": step, "path": path}));
        } else {
            self.print(&format!("step {step}: saved {path}"));
        }
    }

    /// Reports figures of the machine, which are in `metrics.jsonl` as well.
    pub fn machine(&self, event: &Value) {
        if self.json {
            self.print_json(event);
        }
    }

    /// Reports a loss spike; `event` is its JSON.
    pub fn spike(&self, spike: &Spike, event: &Value) {
        if self.json {
            self.print_json(event);
        }
        self.warn(&spike::sentence(spike));
    }

    /// Reports that training ends early.
    pub fn stopped_early(&self, step: u64, best: f64, evaluations: u64) {
        if self.json {
            let (kind, best_loss) = ("stopped_early", best);
            return self.print_json(&json!({
                "type": kind, "step": step, "best": best_loss, "evaluations": evaluations,
            }));
        }
        self.print(&format!(
            "step {step}: training ends early: no evaluation of the last {evaluations} improved on the validation loss {best:.4}"
        ));
    }

    /// Reports a checkpoint that the disk has no room for.
    pub fn save_refused(&self, step: u64, needed: u64, free: u64) {
        if self.json {
            let event =
                json!({"type": "save_refused", "step": step, "needed": needed, "free": free});
            self.print_json(&event);
        }
        self.warn(&format!(
            "step {step} is not saved: a checkpoint takes {}, but {} are free; free some space: training continues, \
             and the next save asks again",
            bytes(needed),
            bytes(free),
        ));
    }

    /// Reports a live sample.
    pub fn sampled(&self, step: u64, text: &str) {
        if self.json {
            self.print_json(&json!({"type": "sample", "step": step, "text": text}));
        } else {
            self.print(&format!("step {step}: sample:\n{text}\n"));
        }
    }

    /// Reports the work of the ranks of a run on several.
    pub fn ranks(&mut self, figures: &RankFigures, event: &Value) {
        if self.json {
            return self.print_json(event);
        }
        let RankFigures { step, compute_ms, exposed_ms, hidden_ms, bytes: sent, .. } = figures;
        let (slowest, straggler) = (figures.slowest(), figures.straggler());
        let is_due = self.last_ranks.is_none_or(|at| at.elapsed() >= RANKS_TIME);
        if !is_due || !self.bar.is_hidden() && straggler.is_none() {
            return;
        }
        self.last_ranks = Some(Instant::now());
        let late = match straggler {
            Some(rank) => format!("rank {rank} is a straggler"),
            None => format!("rank {slowest} is the slowest"),
        };
        let (longest, median) = (compute_ms[slowest], figures.median_ms());
        self.print(&format!(
            "step {step}: {late}: it computes {longest:.1} ms a step, the median is {median:.1} ms; \
             rank 0 waits {exposed_ms:.1} ms for others, {hidden_ms:.1} ms of transfers are hidden, {} are sent",
            bytes(*sent as u64),
        ));
    }

    /// Reports the time of each kernel in the profiled steps.
    pub fn profiled(&self, report: &ProfileReport) {
        if self.json {
            return self.print_json(&json!({"type": "profile", "profile": report}));
        }
        let ProfileReport { steps, ms, kernels } = report;
        let per_step = |sum: f64| sum / *steps as f64;
        let busy: f64 = kernels.iter().filter_map(|kernel| kernel.ms).sum();
        let mut table = format!("{:>9}  {:>10}  {:>6}  kernel\n", "calls", "ms", "share");
        for KernelTime { kernel, calls, ms: spent } in kernels {
            let calls = per_step(*calls as f64);
            let (spent, share) = match spent {
                Some(spent) => {
                    (format!("{:.3}", per_step(*spent)), format!("{:.1} %", 100.0 * spent / ms))
                }
                None => ("unknown".into(), String::new()),
            };
            table += &format!("{calls:>9.1}  {spent:>10}  {share:>6}  {kernel}\n");
        }
        self.print(&format!(
            "profile of {steps} steps, without evaluations, saves and samples; per step: {:.3} ms in total, {:.3} ms of it in the kernels below\n{table}",
            per_step(*ms),
            per_step(busy),
        ));
    }

    /// Reports the end of training. `resume` is the command that continues it, if steps are left.
    ///
    /// # Errors
    /// Something could not be printed, except to a reader that closed its end.
    pub fn done(self, event: &Value, words: &str, resume: Option<&str>) -> CliResult<()> {
        self.bar.finish_and_clear();
        if self.json {
            self.print_json(event);
        } else {
            self.print(words);
        }
        if let Some(resume) = resume {
            stderr::line(&format!("resume with: {resume}"));
        }
        match self.failure.into_inner() {
            None | Some(Failure::ClosedPipe) => Ok(()),
            Some(failure) => Err(failure),
        }
    }

    fn print_json(&self, value: &Value) {
        self.write(|| output::json(value));
    }

    fn print(&self, text: &str) {
        self.write(|| output::line(text));
    }

    /// Prints a line on standard error, above the bar.
    fn warn(&self, text: &str) {
        self.bar.suspend(|| stderr::message(text));
    }

    /// Writes above the bar, unless it failed before.
    fn write(&self, write: impl FnOnce() -> CliResult<()>) {
        if self.failure.borrow().is_some() {
            return;
        }
        let Err(failure) = self.bar.suspend(write) else { return };
        let reason = match &failure {
            Failure::Failed(error) => error.to_string(),
            _ => "standard output was closed".into(),
        };
        stderr::note(&format!("{reason}: training continues without it"));
        self.failure.replace(Some(failure));
    }
}

/// Describes the part of every layer on each of `ranks` ranks: the largest, if parts are uneven.
fn tensor_parallel(model: &ModelConfig, ranks: usize) -> String {
    let of = |all: usize| format!("{} of {all}", all.div_ceil(ranks));
    format!(
        "layers     divided among {ranks} ranks, each with {} query heads, {} key-value heads and {} neurons",
        of(model.num_attention_heads),
        of(model.num_key_value_heads),
        of(model.intermediate_size),
    )
}

/// Describes a pipeline in whose stages each replica computes `batches` batches a step.
fn pipeline(model: &ModelConfig, Layout { pp, .. }: Layout, batches: usize) -> String {
    let parts = Part::divide(model, pp).unwrap_or_default();
    let layers = |part: &Part| format!("{} to {}", part.layers.start, part.layers.end - 1);
    let layers: Vec<String> = parts.iter().map(layers).collect();
    let idle = 100.0 * (pp - 1) as f64 / (batches + pp - 1) as f64;
    format!(
        "pipeline   stages with layers {}; {batches} batches a step, idle for {idle:.0} % of the time",
        layers.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divided_layers_are_described_by_what_a_rank_has() {
        let model = ModelConfig::gpt2(65).with_hidden_size(64).with_heads(4);
        assert_eq!(
            tensor_parallel(&model, 2),
            "layers     divided among 2 ranks, each with 2 of 4 query heads, 2 of 4 key-value heads and 128 of 256 neurons"
        );
    }

    #[test]
    fn a_pipeline_is_described_by_its_layers_and_its_idle_time() {
        let model = ModelConfig::gpt2(65).with_layers(4);
        assert_eq!(
            pipeline(&model, Layout { dp: 2, pp: 2, tp: 1 }, 3),
            "pipeline   stages with layers 0 to 1, 2 to 3; 3 batches a step, idle for 25 % of the time"
        );
    }
}
