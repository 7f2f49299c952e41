//! `blankslate train`: prepares a run, trains it, and prints and logs its events.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use serde_json::{Value, json};

use super::failure::{CliResult, Failure, usage};
use super::interrupt;
use super::parallel::{Follower, Ranks, refuse_profile};
use super::prepare::{Prepared, prepare};
use super::record::Record;
use super::report::Reporter;
use super::resume::resume_command;
use super::spike;
use super::train_args::TrainArgs;
use super::writer::Writer;
use crate::checkpoint::{Checkpoint, unpack};
use crate::error::{Error, Result};
use crate::objective;
use crate::run::directory::RunDir;
use crate::run::{Control, Pace, RankFigures, Run, Saving, TrainEvent, Trained, train};

/// Steps before a profile: the first ones compile kernels.
const WARM_STEPS: u64 = 10;

/// Trains a run.
pub async fn run(args: &TrainArgs) -> CliResult<()> {
    interrupt::watch()?;
    let Ranks { mesh, device, connection } = args.ranks.join(&args.device).await?;
    refuse_profile(&*mesh.all, args.profile)?;
    let prepared = prepare(args, &mesh, &device).await?;
    let first = prepared.run.step();
    let steps = prepared.run.config.train.steps;
    let until = args.stop_at.unwrap_or(steps).min(steps);
    if until < first {
        let problem = format!("the run has done {first} steps already");
        return Err(usage(Error::config("--stop-at", problem, "give a larger number")));
    }
    let compare_weights_every = args.ranks.compare_weights;
    let pace = Pace { compare_weights_every, ..Pace::default() };
    if mesh.all.rank() > 0 {
        let follower = Follower { run: RefCell::new(prepared.run), until };
        let trained = train(&follower, pace).await?;
        mesh.all.leave()?;
        return if trained.step < until && !trained.stopped_early {
            Err(Failure::Interrupted)
        } else {
            Ok(())
        };
    }
    let directory = RunDir::new(prepared.store.clone());
    directory.recover_at(first, &prepared.run.config.train.checkpoints).await?;
    let record = Record::open(args, &prepared, first).await?;
    let mut reporter = Reporter::new(args.json);
    reporter.start(&prepared, connection.as_ref(), until);
    let Prepared { run, lock: _lock, .. } = prepared;
    let in_background = run.long_run().config.background_saves;
    let terminal = Terminal {
        args,
        run: RefCell::new(run),
        writer: Writer::new(directory, &args.out, in_background),
        record,
        reporter: RefCell::new(reporter),
        first,
        until,
        profile: Cell::new(args.profile.unwrap_or(0)),
    };
    let started = Instant::now();
    let trained = train(&terminal, pace).await?;
    // A rank that ends without leaving has failed: the others must not wait for it.
    mesh.all.leave()?;
    terminal.finish(trained, started)
}

/// The terminal's side of the training loop.
struct Terminal<'a> {
    args: &'a TrainArgs,
    run: RefCell<Run>,
    writer: Writer,
    record: Record,
    reporter: RefCell<Reporter>,
    /// Step at which training begins.
    first: u64,
    until: u64,
    /// Steps to profile once the first ones are done.
    profile: Cell<u64>,
}

impl Control for Terminal<'_> {
    type Failure = Failure;

    fn with_run<T>(&self, act: impl FnOnce(&mut Run) -> Result<T>) -> Result<T> {
        act(&mut self.run.borrow_mut())
    }

    fn until(&self) -> u64 {
        self.until
    }

    fn is_paused(&self) -> bool {
        interrupt::pressed()
    }

    fn take_profile(&self, step: u64) -> u64 {
        if step - self.first >= WARM_STEPS { self.profile.take() } else { 0 }
    }

    async fn save(&self, val_loss: Option<f64>) -> Result<Saving> {
        let began = Instant::now();
        let saving = self.writer.save(&self.run, val_loss).await;
        self.record.add_waiting(began);
        saving
    }

    async fn load(&self, step: u64) -> Result<Checkpoint> {
        let directory = self.writer.directory();
        if directory.newest().await?.is_none() {
            // The run continues from files at the top of its directory, and has not been saved since.
            return unpack(directory.load().await?, &self.args.out);
        }
        let place = format!("{}/{}", self.args.out, RunDir::path_of(step));
        unpack(directory.load_step(step).await?, &place)
    }

    fn saved(&self, wait: bool) -> Result<Option<u64>> {
        let began = Instant::now();
        let saved = if wait { self.writer.finish(&self.run) } else { self.writer.saved(&self.run) };
        self.record.add_waiting(began);
        saved
    }

    fn emit(&self, event: TrainEvent) -> CliResult<()> {
        let mut reporter = self.reporter.borrow_mut();
        match event {
            TrainEvent::Compiling { .. } | TrainEvent::Started { .. } => {}
            TrainEvent::Step { figures, steps, tokens_per_second, .. } => {
                let mut event = json!({
                    "type": "step", "step": figures.step, "steps": steps, "loss": figures.loss,
                    "grad_norm": figures.grad_norm, "lr": figures.lr, "tokens": figures.tokens_seen,
                    "tokens_per_second": tokens_per_second,
                });
                add_metrics(&mut event, &figures.metrics);
                self.record.event(&event)?;
                reporter.step(&figures, tokens_per_second, self.until, &event);
                if let Some(measured) = self.record.step(figures.step, tokens_per_second)? {
                    reporter.machine(&measured);
                }
            }
            TrainEvent::Evaluating { tokens, total } => {
                reporter.evaluating(tokens, total);
            }
            TrainEvent::Evaluated { step, evaluation } => {
                let mut event = json!({
                    "type": "eval", "step": step, "loss": evaluation.loss,
                    "tokens": evaluation.tokens,
                });
                add_metrics(&mut event, &evaluation.metrics);
                if !evaluation.sources.is_empty() {
                    let losses =
                        evaluation.sources.iter().map(|one| (one.name.clone(), one.loss.into()));
                    event["sources"] = Value::Object(losses.collect());
                }
                self.record.event(&event)?;
                reporter.evaluated(step, &evaluation, &event);
            }
            TrainEvent::Sampled { step, text } => reporter.sampled(step, &text),
            TrainEvent::Saved { step } => {
                reporter.saved(step, &format!("{}/{}", self.args.out, RunDir::path_of(step)));
                self.record.update(&self.run.borrow(), "in training");
            }
            TrainEvent::Spike(spike) => {
                let event = spike::event(&spike);
                self.record.event(&event)?;
                reporter.spike(&spike, &event);
            }
            TrainEvent::StoppedEarly { step, best, evaluations } => {
                reporter.stopped_early(step, best, evaluations);
            }
            TrainEvent::SaveRefused { step, needed, free } => {
                reporter.save_refused(step, needed, free);
            }
            TrainEvent::Ranks(figures) => {
                let RankFigures { step, compute_ms, exposed_ms, hidden_ms, bytes, .. } = &figures;
                let event = json!({
                    "type": "ranks", "step": step, "compute_ms": compute_ms,
                    "slowest": figures.slowest(), "straggler": figures.straggler(),
                    "exposed_ms": exposed_ms, "hidden_ms": hidden_ms, "bytes": bytes,
                });
                self.record.event(&event)?;
                reporter.ranks(&figures, &event);
            }
            TrainEvent::Profiled(report) => reporter.profiled(&report),
        }
        Ok(())
    }
}

impl Terminal<'_> {
    /// Reports how training ended and, where steps are left, how to resume it.
    fn finish(self, trained: Trained, started: Instant) -> CliResult<()> {
        let Trained { step, val_loss, stopped_early } = trained;
        let run = self.run.borrow();
        let steps = run.config.train.steps;
        let best_val_loss = run.best_val_loss;
        let seconds = started.elapsed().as_secs_f64();
        let is_interrupted = step < self.until && !stopped_early;
        let layout = run.mesh().layout();
        let resume = (step < steps && !stopped_early).then(|| resume_command(self.args, layout));
        let out = &self.args.out;
        let event = json!({
            "type": if is_interrupted { "interrupted" } else { "done" }, "step": step, "steps": steps,
            "seconds": seconds, "val_loss": val_loss, "best_val_loss": best_val_loss, "out": out,
            "resume": resume, "stopped_early": stopped_early,
        });
        let words = format!(
            "{} steps in {seconds:.1} s; step {step} of {steps} is in {out}",
            step - self.first
        );
        let status = match (is_interrupted, stopped_early) {
            (true, _) => "interrupted",
            (_, true) => "stopped early",
            _ if step < steps => "stopped at --stop-at",
            _ => "complete",
        };
        self.record.update(&run, status);
        let printed = self.reporter.into_inner().done(&event, &words, resume.as_deref());
        if is_interrupted { Err(Failure::Interrupted) } else { printed }
    }
}

/// Adds metrics to the JSON of a step or an evaluation, each under its own name.
fn add_metrics(event: &mut Value, metrics: &objective::Metrics) {
    for (name, value) in metrics.iter() {
        event[name] = value.into();
    }
}
