//! Reports the progress of a grid: a bar over the compute of all runs on a terminal, a line or a JSON object for each run.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde_json::json;

use super::grid::{Cell, Outcome};
use crate::cli::failure::CliResult;
use crate::cli::output::{self, short, spaced};

/// Parts into which the bar divides the compute of a grid.
const PARTS: f64 = 10_000.0;

/// The progress of the runs of this process.
pub struct Progress {
    json: bool,
    bar: ProgressBar,
    /// Compute of all its runs.
    total: f64,
    /// Compute of the runs that have ended.
    done: f64,
    /// Number of its runs, and of those that have ended.
    runs: usize,
    /// True if these are all runs of the grid.
    is_whole: bool,
    ended: usize,
    current: Option<(String, f64, Instant)>,
}

impl Progress {
    /// Reports the runs of the grid, those of this process and those that have ended before.
    pub fn start(json: bool, all: usize, mine: &[&Cell], before: usize) -> CliResult<Self> {
        let total: f64 = mine.iter().map(|cell| cell.outcome.flops).sum();
        if json {
            output::json(&json!({
                "type": "grid", "runs": all, "here": mine.len(), "done": before, "flops": total,
            }))?;
        } else {
            let here = if mine.len() == all {
                String::new()
            } else {
                format!(", {} of them here", mine.len())
            };
            output::line(&format!(
                "grid       {all} runs{here}: {}FLOPs; {before} have ended before",
                spaced(total)
            ))?;
        }
        let bar = if json { ProgressBar::hidden() } else { ProgressBar::new(PARTS as u64) };
        let bar = bar.with_finish(ProgressFinish::AndClear);
        let template = "{percent} % {wide_bar} {msg} eta {eta}";
        bar.set_style(ProgressStyle::with_template(template).expect("a valid template"));
        Ok(Self {
            json,
            bar,
            total,
            done: 0.0,
            runs: mine.len(),
            is_whole: mine.len() == all,
            ended: 0,
            current: None,
        })
    }

    /// Begins a run.
    pub fn begin(&mut self, cell: &Cell) {
        self.current = Some((cell.outcome.run.clone(), cell.outcome.flops, Instant::now()));
        self.show(0.0, "starts");
    }

    /// Reports a step of the current run.
    pub fn step(&self, step: u64, steps: u64, loss: f32, tokens_per_second: f64) {
        let words =
            format!("step {step}/{steps}: loss {loss:.4}, {} tokens/s", short(tokens_per_second));
        self.show(step as f64 / steps as f64, &words);
    }

    /// Reports an evaluation of the current run.
    pub fn evaluating(&self, tokens: u64, total: u64) {
        self.show(1.0, &format!("evaluating {tokens} of {total} tokens"));
    }

    fn show(&self, share: f64, words: &str) {
        if let Some((run, flops, _)) = &self.current {
            let place = (self.done + share * flops) / self.total;
            self.bar.set_position((PARTS * place) as u64);
            self.bar.set_message(format!("run {}/{} {run} {words}", self.ended + 1, self.runs));
        }
    }

    /// Reports the end of a run.
    pub fn end(&mut self, outcome: &Outcome, is_new: bool) -> CliResult<()> {
        self.done += outcome.flops;
        self.ended += 1;
        let seconds =
            self.current.take().map_or(0.0, |(_, _, since)| since.elapsed().as_secs_f64());
        if self.json {
            let mut event = json!(outcome);
            event["type"] = "point".into();
            event["new"] = is_new.into();
            return output::json(&event);
        }
        if !is_new {
            return Ok(());
        }
        let Outcome { run, params, tokens, loss, .. } = outcome;
        let words = format!(
            "run {}/{} {run}: {} parameters, {} tokens: validation loss {loss:.4} after {seconds:.1} s",
            self.ended,
            self.runs,
            short(*params as f64),
            short(*tokens as f64)
        );
        self.bar.suspend(|| output::line(&words))
    }

    /// Reports a run that failed.
    pub fn fail(&mut self, cell: &Cell) {
        self.done += cell.outcome.flops;
        self.ended += 1;
        self.current = None;
    }

    /// Reports the end of the grid.
    pub fn finish(self, out: &str, left: usize) -> CliResult<()> {
        self.bar.finish_and_clear();
        if self.json {
            let kind = if left == 0 { "done" } else { "interrupted" };
            return output::json(&json!({"type": kind, "left": left, "out": out}));
        }
        match (left, self.is_whole) {
            (0, true) => output::line(&format!(
                "all runs have ended; fit their losses with: blankslate scaling fit {out}"
            )),
            (0, false) => output::line(&format!("the {} runs of this rank have ended", self.runs)),
            (left, _) => {
                output::line(&format!("{left} runs are left; the same command continues the grid"))
            }
        }
    }
}
