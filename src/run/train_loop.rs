//! The training loop of every edge: steps, and between them evaluations, samples, saves and profiles.
//!
//! The edge implements [`Control`]: it receives typed events, and between two steps it may pause, move the end, adjust
//! settings or use the run for something else.

use super::{Run, eval_batch_size};
use crate::config::SampleConfig;
use crate::error::{Error, Result};
use crate::eval::{EvalOptions, Evaluation, Evaluator};
use crate::platform::{ProfileReport, Profiler, compile_ahead, now_ms, yield_now};
use crate::sample::Generator;
use crate::train::{StepFigures, StepReport};

/// Time between two measurements of how busy a GPU is. Each spans the steps between two readings of figures, so that
/// nothing waits for it.
const BUSY_EVERY_MS: f64 = 5000.0;

/// What the loop requires of the edge that drives it.
pub trait Control {
    /// Failures of the edge.
    type Failure: From<Error>;

    /// Runs `act` on the run. The loop does not hold the run while it waits, so other work may use it in between.
    ///
    /// # Errors
    /// No run; the errors of `act`.
    fn with_run<T>(&self, act: impl FnOnce(&mut Run) -> Result<T>) -> Result<T>;

    /// Receives an event.
    ///
    /// # Errors
    /// An edge that cannot report any more; training ends then.
    fn emit(&self, event: TrainEvent) -> std::result::Result<(), Self::Failure>;

    /// The step after which training ends. It may change between steps.
    fn until(&self) -> u64;

    /// Whether training is to end after the current step.
    fn is_paused(&self) -> bool;

    /// Takes the number of steps to profile from `step` on; 0 for none.
    fn take_profile(&self, step: u64) -> u64;

    /// Called before every step, which changes the weights.
    fn before_step(&self) {}

    /// Saves a checkpoint of the run as it is now, with its validation loss if it was just evaluated, and records its step in
    /// [`Run::saved`].
    ///
    /// # Errors
    /// As of [`Snapshot::save`](super::Snapshot::save).
    fn save(&self, val_loss: Option<f64>) -> impl Future<Output = Result<()>>;
}

/// How an edge wants to be served.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Steps that may be queued on the device before their figures are read together.
    pub queued_steps: usize,
    /// Time after which figures are read even of fewer steps, in milliseconds.
    pub read_every_ms: f64,
    /// Length of a live sample, in tokens.
    pub sample_tokens: usize,
    /// Whether to save at every evaluation too.
    pub save_evaluated: bool,
    /// Whether to measure how busy the device is, which must be a GPU, and to compile its kernels ahead.
    pub watches_gpu: bool,
}

impl Default for Pace {
    /// Settings for a program that nobody watches closely.
    fn default() -> Self {
        Self {
            queued_steps: 10,
            read_every_ms: 500.0,
            sample_tokens: 120,
            save_evaluated: false,
            watches_gpu: false,
        }
    }
}

/// An event of training.
#[derive(Debug)]
pub enum TrainEvent {
    /// Kernels are being compiled before the first step.
    Compiling {
        /// Kernels compiled so far.
        done: u64,
        /// All kernels.
        total: u64,
    },
    /// Training begins after this step.
    Started {
        /// Steps done.
        step: u64,
    },
    /// Figures of one step.
    Step {
        /// The figures.
        figures: StepFigures,
        /// Steps in all.
        steps: u64,
        /// Tokens per second of the steps that were read together.
        tokens_per_second: f64,
        /// Seconds until the last step at this speed.
        seconds_left: f64,
        /// Share of the time that a GPU computed, if it was measured for the steps up to this one.
        busy: Option<f64>,
    },
    /// An evaluation is under way.
    Evaluating {
        /// Tokens predicted so far.
        tokens: u64,
        /// All tokens.
        total: u64,
    },
    /// The validation split was evaluated.
    Evaluated {
        /// Steps done.
        step: u64,
        /// The result.
        evaluation: Evaluation,
    },
    /// A live sample was drawn.
    Sampled {
        /// Steps done.
        step: u64,
        /// The text.
        text: String,
    },
    /// A checkpoint was saved.
    Saved {
        /// The step it holds.
        step: u64,
    },
    /// Some steps were profiled.
    Profiled(ProfileReport),
}

/// The outcome of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trained {
    /// Steps done.
    pub step: u64,
    /// Validation loss after that step, if it was evaluated.
    pub val_loss: Option<f64>,
}

/// Trains until [`Control::until`] or a pause; evaluates at the last step of the run; saves at the end.
///
/// # Errors
/// A loss or weights that are not finite, of which nothing is saved; a full disk; a lost device; the edge's failures.
pub async fn train<C: Control>(
    control: &C,
    pace: Pace,
) -> std::result::Result<Trained, C::Failure> {
    let first = control.with_run(|run| Ok(run.trainer()?.steps_done()))?;
    compile(control, pace).await?;
    control.emit(TrainEvent::Started { step: first })?;
    TrainLoop { control, pace, meter: Meter::new(pace), saved: None, evaluated: None }
        .run(first)
        .await
}

/// Compiles what a step launches before the first step of a run.
async fn compile<C: Control>(control: &C, pace: Pace) -> std::result::Result<(), C::Failure> {
    if !pace.watches_gpu {
        return Ok(());
    }
    let Some(trainer) = control.with_run(|run| Ok(run.rehearsal()))? else { return Ok(()) };
    let progress = |done, total| {
        // An edge that cannot report fails at the first step.
        let _ = control.emit(TrainEvent::Compiling { done, total });
    };
    Ok(compile_ahead(|| trainer.rehearse(), progress).await?)
}

struct TrainLoop<'a, C> {
    control: &'a C,
    pace: Pace,
    meter: Meter,
    /// Step of the last checkpoint of this loop.
    saved: Option<u64>,
    /// Step and loss of the last evaluation.
    evaluated: Option<(u64, f64)>,
}

impl<C: Control> TrainLoop<'_, C> {
    async fn run(mut self, first: u64) -> std::result::Result<Trained, C::Failure> {
        let mut step = first;
        let (config, sample_every) =
            self.control.with_run(|run| Ok((run.config.train.clone(), run.config.sample_every)))?;
        let is_due = |every: u64, step: u64| every > 0 && step.is_multiple_of(every);
        while step < self.control.until() && !self.control.is_paused() {
            let room = config.steps_undisturbed(step, sample_every);
            let room = room.min(self.control.until() - step);
            match self.control.take_profile(step).min(room) {
                0 => self.step()?,
                steps => self.profile(steps).await?,
            }
            step = self.control.with_run(|run| Ok(run.step()))?;
            let evaluate = is_due(config.eval_every, step);
            let save = is_due(config.checkpoints.save_every, step);
            let sample = is_due(sample_every, step);
            if self.meter.is_due() || evaluate || save || sample || step >= self.control.until() {
                self.read_figures().await?;
            }
            if evaluate {
                self.evaluate(step).await?;
            }
            if sample {
                self.sample(step).await?;
            }
            let evaluated = self.val_loss(step).is_some();
            // The last step of the run is saved after its evaluation, below.
            if (save || (evaluated && self.pace.save_evaluated)) && !self.is_last(step)? {
                self.save(step).await?;
            }
            if evaluate || save || sample {
                self.meter.restart();
            }
            self.meter.begin_measuring();
            yield_now().await;
        }
        self.read_figures().await?;
        if self.is_last(step)? && self.val_loss(step).is_none() && !self.control.is_paused() {
            self.evaluate(step).await?;
        }
        let saved_before = self.control.with_run(|run| Ok(run.saved))?;
        if self.saved != Some(step) && (step > first || saved_before != Some(step)) {
            self.save(step).await?;
        }
        Ok(Trained { step, val_loss: self.val_loss(step) })
    }

    /// Whether `step` ends both this training and the run.
    fn is_last(&self, step: u64) -> Result<bool> {
        let steps = self.control.with_run(|run| Ok(run.config.train.steps))?;
        Ok(step >= self.control.until() && step >= steps)
    }

    fn val_loss(&self, step: u64) -> Option<f64> {
        self.evaluated.filter(|(of, _)| *of == step).map(|(_, loss)| loss)
    }

    fn step(&mut self) -> Result<()> {
        self.control.before_step();
        self.meter.pending.push(self.control.with_run(|run| run.trainer()?.step())?);
        Ok(())
    }

    /// Makes `steps` steps and reports where their time went.
    async fn profile(&mut self, steps: u64) -> std::result::Result<(), C::Failure> {
        self.read_figures().await?;
        let profiler = Profiler::start();
        for _ in 0..steps {
            self.step()?;
        }
        self.read_figures().await?;
        self.control.emit(TrainEvent::Profiled(profiler.finish(steps).await))
    }

    /// Waits for the device and emits the figures of every step since the last time.
    async fn read_figures(&mut self) -> std::result::Result<(), C::Failure> {
        let (good, steps, per_step) = self.control.with_run(|run| {
            Ok((run.good_checkpoint(), run.config.train.steps, run.tokens_per_step()))
        })?;
        let mut figures: Vec<StepFigures> = Vec::new();
        let mut outcome = Ok(());
        for report in std::mem::take(&mut self.meter.pending) {
            match report.read(&good).await {
                Ok(read) => figures.push(read),
                Err(error) => {
                    outcome = Err(error.into());
                    break;
                }
            }
        }
        let tokens_per_second = self.meter.rate(figures.iter().map(|step| step.tokens).sum());
        let busy = self.meter.measured(figures.len() as u64).await;
        let last = figures.last().map(|figures| figures.step);
        for figures in figures {
            let left = steps.saturating_sub(figures.step) as f64 * per_step as f64;
            let busy = busy.filter(|_| last == Some(figures.step));
            let seconds_left = left / tokens_per_second;
            self.control.emit(TrainEvent::Step {
                figures,
                steps,
                tokens_per_second,
                seconds_left,
                busy,
            })?;
        }
        outcome
    }

    /// Evaluates on the whole validation split, if there is one; a pause ends that early and without a result.
    async fn evaluate(&mut self, step: u64) -> std::result::Result<(), C::Failure> {
        let (model, objective, corpus, tokenizer, seq_len) = self.control.with_run(|run| {
            let seq_len = run.config.data.seq_len;
            let objective = run.trainer()?.objective().clone();
            Ok((run.model(), objective, run.validation.clone(), run.tokenizer.clone(), seq_len))
        })?;
        // Two tokens are the fewest with something to predict.
        if corpus.require_window("", 1).is_err() {
            return Ok(());
        }
        let bytes_of = |id| tokenizer.text_bytes(id);
        let batch_size = eval_batch_size(model.config(), seq_len);
        let options = EvalOptions { seq_len, batch_size };
        let mut evaluator = Evaluator::new(model, objective, &corpus, options, &bytes_of)?;
        while evaluator.advance().await? {
            let (tokens, total) = (evaluator.tokens(), corpus.len() as u64);
            self.control.emit(TrainEvent::Evaluating { tokens, total })?;
            yield_now().await;
            if self.control.is_paused() {
                return Ok(());
            }
        }
        let evaluation = evaluator.finish()?;
        let loss = evaluation.loss;
        self.control.with_run(|run| {
            if !loss.is_finite() {
                let saved = run.good_checkpoint();
                return Err(Error::Diverged { step, loss: loss as f32, saved });
            }
            run.best_val_loss = Some(run.best_val_loss.map_or(loss, |best| best.min(loss)));
            Ok(())
        })?;
        self.evaluated = Some((step, loss));
        self.control.emit(TrainEvent::Evaluated { step, evaluation })
    }

    async fn save(&mut self, step: u64) -> std::result::Result<(), C::Failure> {
        self.control.save(self.val_loss(step)).await?;
        self.saved = Some(step);
        self.control.emit(TrainEvent::Saved { step })
    }

    /// Draws a text from the model as it is now; a pause ends that early and without a result.
    async fn sample(&self, step: u64) -> std::result::Result<(), C::Failure> {
        let (model, tokenizer) =
            self.control.with_run(|run| Ok((run.model(), run.tokenizer.clone())))?;
        let max_new_tokens = self.pace.sample_tokens;
        let config = SampleConfig { max_new_tokens, seed: step, ..SampleConfig::default() };
        let mut generator = Generator::new(model, &tokenizer, "", &config)?;
        let mut text = String::new();
        while let Some(piece) = generator.next().await? {
            text.push_str(&piece.text);
            if self.control.is_paused() {
                return Ok(());
            }
            yield_now().await;
        }
        self.control.emit(TrainEvent::Sampled { step, text })
    }
}

/// Steps whose figures were not read yet, and the speed of those that were.
struct Meter {
    pace: Pace,
    pending: Vec<StepReport>,
    read_ms: f64,
    tokens_per_second: f64,
    /// Whether no figures were read yet: the first step is shown at once, since it shows that training runs.
    is_first: bool,
    measured_ms: f64,
    profiler: Option<Profiler>,
}

impl Meter {
    fn new(pace: Pace) -> Self {
        let now = now_ms();
        Self {
            pace,
            pending: Vec::new(),
            read_ms: now,
            tokens_per_second: 0.0,
            is_first: true,
            measured_ms: now,
            profiler: None,
        }
    }

    /// Whether figures are to be read.
    fn is_due(&self) -> bool {
        let waited = now_ms() - self.read_ms;
        self.is_first
            || self.pending.len() >= self.pace.queued_steps
            || waited >= self.pace.read_every_ms
    }

    /// Starts to measure a GPU if it is time, and nothing waits on it.
    fn begin_measuring(&mut self) {
        let due = self.pace.watches_gpu && now_ms() - self.measured_ms >= BUSY_EVERY_MS;
        if due && self.pending.is_empty() && self.profiler.is_none() {
            self.profiler = Some(Profiler::start());
        }
    }

    /// Share of the time that a GPU computed during the steps just read, if it was measured.
    async fn measured(&mut self, steps: u64) -> Option<f64> {
        let report = self.profiler.take()?.finish(steps).await;
        self.measured_ms = now_ms();
        report.utilization()
    }

    /// Tokens per second of the steps just read.
    fn rate(&mut self, tokens: usize) -> f64 {
        let seconds = (now_ms() - self.read_ms).max(0.1) / 1e3;
        if tokens > 0 {
            self.tokens_per_second = tokens as f64 / seconds;
            self.is_first = false;
        }
        self.read_ms = now_ms();
        self.tokens_per_second.max(f64::MIN_POSITIVE)
    }

    /// Leaves the time out that was spent on something other than steps.
    fn restart(&mut self) {
        self.read_ms = now_ms();
    }
}
