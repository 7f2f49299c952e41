//! Training in the worker: steps, and between them everything else.

use super::Engine;
use crate::config::{SampleConfig, TrainConfig};
use crate::error::Result;
use crate::eval::{EvalOptions, Evaluator};
use crate::platform::{Profiler, compile_ahead, now_ms, yield_now};
use crate::protocol::{Event, StepEvent, by_name};
use crate::sample::Generator;
use crate::train::StepReport;

/// How long reports may stay on the device before they are read and shown.
const SHOW_EVERY_MS: f64 = 200.0;
/// Steps that may be queued on the device: the browser's queue has no limit of its own.
const QUEUE_STEPS: usize = 4;
/// Tokens per evaluation batch: enough to keep a device busy, little enough to pause soon.
const EVAL_TOKENS: usize = 2048;
/// How often it is measured for how much of the time a GPU computes: from one reading of reports to the next,
/// so that nothing waits for it.
const BUSY_EVERY_MS: f64 = 5000.0;
/// Length of a live sample.
const LIVE_TOKENS: usize = 64;

impl Engine {
    /// Trains until step `until` is done (or what [`Command::Adjust`](crate::protocol::Command::Adjust) makes of
    /// it) or a pause is asked for; then evaluates, if it is the end, and saves.
    pub(super) async fn train(&self, until: u64) -> Result<()> {
        let (mut step, config, sample_every) = self.with_run(|run| {
            let sample_every = run.config.sample_every;
            let trainer = run.trainer()?;
            Ok((trainer.steps_done(), trainer.config().clone(), sample_every))
        })?;
        self.until.set(until);
        self.compile_ahead().await?;
        self.emit(Event::Training { running: true, step });
        let mut meter = Meter::new(self.device()?.1.is_gpu());
        let mut saved = None;
        let due = |every: u64, step: u64| every > 0 && step.is_multiple_of(every);
        while step < self.until.get() && !self.pause.get() {
            if self.profile.get() > 0 {
                let room =
                    config.steps_undisturbed(step, sample_every).min(self.until.get() - step);
                let steps = self.profile.take().min(room);
                self.profiled(steps, &mut meter).await?;
            } else {
                meter.pending.push(self.step()?);
            }
            step = self.with_run(|run| Ok(run.step()))?;
            let evaluate = due(config.eval_every, step);
            let save = due(config.checkpoints.save_every, step);
            let sample = due(sample_every, step);
            if meter.must_show() || evaluate || save || sample || step >= self.until.get() {
                self.show(&mut meter).await?;
            }
            let val_loss = match evaluate {
                true => self.evaluate(step).await?,
                false => None,
            };
            if sample {
                self.live_sample(step).await?;
            }
            if save || val_loss.is_some() {
                self.save(val_loss).await?;
                saved = Some(step);
            }
            if evaluate || save || sample {
                meter.restart();
            }
            meter.measure();
            yield_now().await;
        }
        self.show(&mut meter).await?;
        let evaluated = due(config.eval_every, step);
        let steps = self.with_run(|run| Ok(run.config.train.steps))?;
        if step >= steps && !evaluated && !self.pause.get() {
            let val_loss = self.evaluate(step).await?;
            self.save(val_loss).await
        } else if saved == Some(step) {
            Ok(())
        } else {
            self.save(None).await
        }
    }

    /// Makes one step.
    fn step(&self) -> Result<StepReport> {
        self.weights_change();
        self.with_run(|run| run.trainer()?.step())
    }

    /// Has what a step launches compiled before the first of a run.
    async fn compile_ahead(&self) -> Result<()> {
        // Two rehearsals at a time would be taken for one.
        while self.measuring.get() {
            yield_now().await;
        }
        let (_, device) = self.device()?;
        let rehearsal = self.with_run(|run| Ok(run.rehearsal()))?;
        match rehearsal.filter(|_| device.is_gpu()) {
            Some(trainer) => {
                let progress =
                    |done, total| self.progress("Compiling for this device", done, total);
                compile_ahead(|| trainer.rehearse(), progress).await
            }
            None => Ok(()),
        }
    }

    /// Makes `steps` steps, shows them, and tells what the device spent its time on.
    async fn profiled(&self, steps: u64, meter: &mut Meter) -> Result<()> {
        self.show(meter).await?;
        let profiler = Profiler::start();
        for _ in 0..steps {
            meter.pending.push(self.step()?);
        }
        self.show(meter).await?;
        self.emit(Event::Profiled { report: profiler.finish(steps).await });
        Ok(())
    }

    /// Reads the reports that are due and shows them.
    async fn show(&self, meter: &mut Meter) -> Result<()> {
        let (TrainConfig { steps, batch_size, .. }, seq_len) =
            self.with_run(|run| Ok((run.config.train.clone(), run.config.data.seq_len)))?;
        let reports = std::mem::take(&mut meter.pending);
        let mut figures = Vec::new();
        for report in reports {
            figures.push(report.read(&self.last_saved()?).await?);
        }
        let per_second = meter.rate(figures.iter().map(|figures| figures.tokens).sum());
        let busy = meter.measured(figures.len() as u64).await;
        let last = figures.last().map(|f| f.step);
        for f in figures {
            let per_step = f.tokens.max(batch_size * seq_len) as f64;
            let seconds_left = steps.saturating_sub(f.step) as f64 * per_step / per_second;
            self.emit(Event::Step {
                report: StepEvent {
                    step: f.step,
                    steps,
                    loss: f64::from(f.loss),
                    metrics: by_name(&f.metrics),
                    grad_norm: f.grad_norm.map(f64::from),
                    lr: f.lr,
                    tokens: f.tokens_seen,
                    tokens_per_second: per_second,
                    seconds_left,
                    busy: busy.filter(|_| last == Some(f.step)),
                },
            });
        }
        Ok(())
    }

    fn last_saved(&self) -> Result<String> {
        let name = self.with_run(|run| Ok(run.config.name.clone()))?;
        Ok(format!("the checkpoints of `{name}` saved before it are still good: restore the run"))
    }

    /// Evaluates the whole validation split. None if there is none, or if a pause came first.
    async fn evaluate(&self, step: u64) -> Result<Option<f64>> {
        let (model, objective, val, tokenizer, seq_len) = self.with_run(|run| {
            let seq_len = run.config.data.seq_len;
            let objective = run.trainer()?.objective().clone();
            Ok((run.model(), objective, run.val.clone(), run.tokenizer.clone(), seq_len))
        })?;
        if val.len() < 2 {
            return Ok(None);
        }
        let bytes_of = |id| tokenizer.text_bytes(id);
        let options = EvalOptions { seq_len, batch_size: eval_rows(seq_len) };
        let mut evaluator = Evaluator::new(model, objective, &val, options, &bytes_of)?;
        while evaluator.advance().await? {
            self.progress("Evaluating", evaluator.tokens(), val.len() as u64);
            yield_now().await;
            if self.pause.get() {
                return Ok(None);
            }
        }
        let found = evaluator.finish()?;
        let loss = found.loss;
        self.emit(Event::Evaluated { step, loss, metrics: by_name(&found.metrics) });
        self.with_run(|run| {
            run.best_val_loss = Some(run.best_val_loss.map_or(loss, |best| best.min(loss)));
            Ok(())
        })?;
        Ok(Some(loss))
    }

    async fn live_sample(&self, step: u64) -> Result<()> {
        let (model, tokenizer) = self.with_run(|run| Ok((run.model(), run.tokenizer.clone())))?;
        let config =
            SampleConfig { max_new_tokens: LIVE_TOKENS, seed: step, ..SampleConfig::default() };
        let mut generator = Generator::new(model, &tokenizer, "", &config)?;
        let mut text = String::new();
        while let Some(piece) = generator.next().await? {
            text.push_str(&piece.text);
            if self.pause.get() {
                return Ok(());
            }
            yield_now().await;
        }
        self.emit(Event::LiveSample { step, text });
        Ok(())
    }
}

/// Sequences per batch of an evaluation.
pub fn eval_rows(seq_len: usize) -> usize {
    (EVAL_TOKENS / seq_len).max(1)
}

/// Reports not yet read, and the speed of those that were.
struct Meter {
    pending: Vec<StepReport>,
    since_ms: f64,
    rate: f64,
    first: bool,
    gpu: bool,
    measured_ms: f64,
    profiler: Option<Profiler>,
}

impl Meter {
    fn new(gpu: bool) -> Self {
        let now = now_ms();
        let (pending, profiler) = (Vec::new(), None);
        Self { pending, since_ms: now, rate: 0.0, first: true, gpu, measured_ms: now, profiler }
    }

    /// Begins to measure a GPU if it is time, and nothing waits on it.
    fn measure(&mut self) {
        let due = self.gpu && now_ms() - self.measured_ms >= BUSY_EVERY_MS;
        if due && self.pending.is_empty() && self.profiler.is_none() {
            self.profiler = Some(Profiler::start());
        }
    }

    /// The share of the time that a GPU computed during the steps just read, if it was measured.
    async fn measured(&mut self, steps: u64) -> Option<f64> {
        let report = self.profiler.take()?.finish(steps).await;
        self.measured_ms = now_ms();
        report.utilization()
    }

    fn must_show(&self) -> bool {
        // The first step is shown at once: it tells that the pipelines are compiled and training runs.
        self.first || self.pending.len() >= QUEUE_STEPS || now_ms() - self.since_ms >= SHOW_EVERY_MS
    }

    /// Tokens per second of the steps just read.
    fn rate(&mut self, tokens: usize) -> f64 {
        let seconds = (now_ms() - self.since_ms).max(0.1) / 1e3;
        if tokens > 0 {
            self.rate = tokens as f64 / seconds;
            self.first = false;
        }
        self.since_ms = now_ms();
        self.rate.max(f64::MIN_POSITIVE)
    }

    /// Time spent on something other than steps does not count.
    fn restart(&mut self) {
        self.since_ms = now_ms();
    }
}
