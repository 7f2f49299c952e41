//! `blankslate train`: the edge around [`crate::train::Trainer`] that reads figures back, evaluates, saves
//! and stops.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::data::DataArgs;
use super::eval::eval_batch_size;
use super::failure::{CliResult, Failure, usage};
use super::flags::{BaseArgs, SettingsArgs};
use super::interrupt;
use super::metrics::Metrics;
use super::report::Reporter;
use super::resume::resume_command;
use super::session::Session;
use crate::checkpoint::{STATE, WEIGHTS, pack, read_safetensors};
use crate::config::SampleConfig;
use crate::error::{Error, Result};
use crate::eval::{EvalOptions, Evaluator};
use crate::platform::Profiler;
use crate::run::directory::{FILES, RunDir, files_in};
use crate::sample::Generator;
use crate::train::{StepFigures, StepReport};

/// Steps, or time, after which figures are read back together, so that the device need not wait for the
/// host after every step.
const READ_STEPS: usize = 10;
const READ_TIME: Duration = Duration::from_millis(500);
/// Steps before a profile: the first ones compile kernels.
const WARM_STEPS: u64 = 10;
/// Tokens of a live sample.
const SAMPLE_TOKENS: usize = 120;

/// Options of `blankslate train`.
#[derive(Args)]
#[command(allow_negative_numbers = true, args_override_self = true)]
pub struct TrainArgs {
    #[command(flatten)]
    pub(super) base: BaseArgs,
    #[command(flatten)]
    pub(super) data: DataArgs,
    /// Texts or shards to validate on, instead of a share of --data
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(super) val_data: Vec<PathBuf>,
    /// tokenizer.json, char, byte, bpe:N or wordpiece:N (trained on the data) [default: the preset's]
    #[arg(long, value_name = "SPEC")]
    pub(super) tokenizer: Option<String>,
    /// How bpe:N, or a tiktoken file, cuts text before merging [default: gpt2]
    #[arg(long, value_parser = ["gpt2", "cl100k", "llama3", "smollm"])]
    pub(super) pattern: Option<String>,
    /// Fine-tune: begin with the weights and the tokenizer of this model
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["resume", "preset", "tokenizer", "pattern"])]
    pub(super) from: Option<String>,
    /// Directory of the run: checkpoints, metrics.jsonl, and the newest model as transformers expects it
    #[arg(long, value_name = "DIR")]
    pub(super) out: String,
    /// Go on from the newest checkpoint in --out, with its settings but for flags given here
    #[arg(long)]
    pub(super) resume: bool,
    /// End this session after step N, as if interrupted there: the schedule stays that of --steps
    #[arg(long, value_name = "N")]
    pub(super) stop_at: Option<u64>,
    /// After ten steps, take the device's time over N more, or fewer where an evaluation, a save or a sample
    /// is due before, and print it, kernel by kernel
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "10", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) profile: Option<u64>,
    /// auto, cpu, wgpu, vulkan or cuda[:N]
    #[arg(long, default_value = "auto")]
    pub(super) device: String,
    /// One JSON object per line instead of text
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
}

/// A session under way.
struct Run<'a> {
    args: &'a TrainArgs,
    session: Session,
    directory: RunDir,
    metrics: Metrics,
    reporter: Reporter,
    until: u64,
    /// Steps whose figures are still on the device.
    pending: Vec<StepReport>,
    /// When figures were last read.
    clock: Instant,
    saved: Option<u64>,
    evaluated: Option<(u64, f64)>,
}

/// Trains.
pub async fn run(args: &TrainArgs) -> CliResult<()> {
    interrupt::watch()?;
    let session = Session::prepare(args).await?;
    let state = &session.state;
    let steps = state.train.steps;
    let mut run = Run {
        args,
        directory: RunDir::new(session.store.clone()),
        metrics: Metrics::open(&session.store, &args.out, state.step).await?,
        reporter: Reporter::new(args.json),
        until: args.stop_at.unwrap_or(steps).min(steps),
        pending: Vec::new(),
        clock: Instant::now(),
        saved: session.resumed.then_some(state.step),
        evaluated: None,
        session,
    };
    if run.until < run.session.state.step {
        return Err(usage(Error::config(
            "--stop-at",
            format!("the run has done {} steps already", run.session.state.step),
            "give a larger number",
        )));
    }
    run.reporter.start(&run.session, run.until)?;
    run.train().await
}

impl Run<'_> {
    async fn train(mut self) -> CliResult<()> {
        let train = self.session.trainer.config().clone();
        let (begun, first) = (Instant::now(), self.done());
        let mut profile = self.args.profile;
        self.clock = Instant::now();
        while self.done() < self.until && !interrupt::pressed() {
            let steps = profile.take_if(|_| self.done() - first >= WARM_STEPS);
            let room = train
                .steps_undisturbed(self.done(), self.session.state.sample_every)
                .min(self.until - self.done());
            match steps.map(|steps| steps.min(room)) {
                Some(steps) => self.profile(steps).await?,
                None => self.pending.push(self.session.trainer.step()?),
            }
            let (step, last) = (self.done(), self.done() == self.until);
            let due = |every: u64| every > 0 && step.is_multiple_of(every);
            let evaluate = due(train.eval_every) || last;
            let save = due(train.checkpoints.save_every) || last;
            let sample = due(self.session.state.sample_every);
            let full = self.pending.len() >= READ_STEPS || self.clock.elapsed() >= READ_TIME;
            if full || evaluate || save || sample {
                self.read_figures().await?;
            }
            if evaluate {
                self.evaluate().await?;
            }
            if save {
                self.save().await?;
            }
            if sample {
                self.sample().await?;
            }
            if evaluate || save || sample {
                self.clock = Instant::now();
            }
        }
        self.read_figures().await?;
        if self.saved != Some(self.done()) {
            self.save().await?;
        }
        self.publish().await?;
        self.finish(first, begun)
    }

    /// Says how it ended and, where steps are left, how to go on.
    fn finish(&self, first: u64, begun: Instant) -> CliResult<()> {
        let (step, steps) = (self.done(), self.session.state.train.steps);
        let seconds = begun.elapsed().as_secs_f64();
        let interrupted = step < self.until;
        let resume = (step < steps).then(|| resume_command(self.args));
        let event = json!({
            "type": if interrupted { "interrupted" } else { "done" }, "step": step, "steps": steps,
            "seconds": seconds, "val_loss": self.evaluated.filter(|(of, _)| *of == step).map(|(_, loss)| loss),
            "best_val_loss": self.session.state.best_val_loss, "out": self.args.out, "resume": resume,
        });
        let words = format!(
            "{} steps in {seconds:.1} s; step {step} of {steps} is in {}",
            step - first,
            self.args.out
        );
        self.reporter.done(&event, &words, resume.as_deref())?;
        if interrupted { Err(Failure::Interrupted) } else { Ok(()) }
    }

    fn done(&self) -> u64 {
        self.session.trainer.steps_done()
    }

    /// Makes `steps` steps and tells what the device spent its time on.
    async fn profile(&mut self, steps: u64) -> CliResult<()> {
        self.read_figures().await?;
        let profiler = Profiler::start();
        for _ in 0..steps {
            self.pending.push(self.session.trainer.step()?);
        }
        self.read_figures().await?;
        self.reporter.profiled(&profiler.finish(steps).await)
    }

    /// Waits for the device and reports every step since the last time.
    async fn read_figures(&mut self) -> CliResult<()> {
        let good = self.good_checkpoint();
        let mut figures: Vec<StepFigures> = Vec::new();
        let mut outcome = Ok(());
        for report in std::mem::take(&mut self.pending) {
            match report.read(&good).await {
                Ok(read) => figures.push(read),
                Err(error) => {
                    outcome = Err(error.into());
                    break;
                }
            }
        }
        let tokens: usize = figures.iter().map(|step| step.tokens).sum();
        let speed = tokens as f64 / self.clock.elapsed().as_secs_f64().max(1e-9);
        self.clock = Instant::now();
        for step in figures {
            let mut event = json!({
                "type": "step", "step": step.step, "steps": self.session.state.train.steps,
                "loss": step.loss, "grad_norm": step.grad_norm, "lr": step.lr,
                "tokens": step.tokens_seen, "tokens_per_second": speed,
            });
            add_metrics(&mut event, &step.metrics);
            self.metrics.append(&event)?;
            self.reporter.step(&step, speed, self.until, &event)?;
        }
        outcome
    }

    /// Evaluates on the whole validation split; Ctrl-C ends that early and without a result.
    async fn evaluate(&mut self) -> CliResult<()> {
        let Some(corpus) = &self.session.validation else { return Ok(()) };
        let (model, step) = (self.session.trainer.model(), self.session.trainer.steps_done());
        let seq_len = self.session.state.data.seq_len;
        let options = EvalOptions { seq_len, batch_size: eval_batch_size(model.config(), seq_len) };
        let objective = self.session.trainer.objective().clone();
        let bytes = |id| self.session.tokenizer.text_bytes(id);
        let mut evaluator = Evaluator::new(model, objective, corpus, options, &bytes)?;
        while evaluator.advance().await? {
            self.reporter.evaluating(evaluator.tokens(), corpus.len() as u64);
            if interrupt::pressed() {
                return Ok(());
            }
        }
        let found = evaluator.finish()?;
        if !found.loss.is_finite() {
            let loss = found.loss as f32;
            return Err(Error::Diverged { step, loss, saved: self.good_checkpoint() }.into());
        }
        let best = self.session.state.best_val_loss.map_or(found.loss, |best| best.min(found.loss));
        self.session.state.best_val_loss = Some(best);
        self.evaluated = Some((step, found.loss));
        let mut event = json!({
            "type": "eval", "step": step, "loss": found.loss, "tokens": found.tokens,
        });
        add_metrics(&mut event, &found.metrics);
        self.metrics.append(&event)?;
        self.reporter.evaluated(step, &found, &event)
    }

    async fn save(&mut self) -> CliResult<()> {
        let (good, session) = (self.good_checkpoint(), &mut self.session);
        let step = session.trainer.steps_done();
        session.state.step = step;
        session.state.batches_drawn = step * session.state.train.grad_accum as u64;
        session.state.tokens_seen = session.trainer.tokens_seen();
        let training = Some((&session.state, session.trainer.optimizer()));
        let files =
            pack(&session.trainer.in_training(), Some(&session.tokenizer), training).await?;
        // A loss is of the weights before its step: the last update may have broken them since.
        let weights = read_safetensors(WEIGHTS, files.get(WEIGHTS).map_or(&[], Vec::as_slice))?;
        if weights.values().any(|tensor| tensor.values.iter().any(|value| !value.is_finite())) {
            return Err(Error::Diverged { step: step + 1, loss: f32::NAN, saved: good }.into());
        }
        let val_loss = self.evaluated.filter(|(of, _)| *of == step).map(|(_, loss)| loss);
        self.directory.save(&files, &session.state, val_loss).await?;
        self.saved = Some(step);
        self.publish().await?;
        self.reporter.saved(step, &format!("{}/{}", self.args.out, RunDir::path_of(step)))
    }

    /// Makes the run's top the newest checkpoint as well: transformers finds the model there, and a copy
    /// of those files alone can be gone on with. The state is last, as it is in every checkpoint.
    async fn publish(&self) -> Result<()> {
        let Some(step) = self.saved else { return Ok(()) };
        let (store, path) = (&self.session.store, RunDir::path_of(step));
        let there = files_in(store, &path).await?;
        store.remove(STATE).await?;
        for name in FILES {
            if there.iter().any(|file| file == name) {
                store.publish(&format!("{path}/{name}"), name).await?;
            }
        }
        Ok(())
    }

    async fn sample(&mut self) -> CliResult<()> {
        let config = SampleConfig { max_new_tokens: SAMPLE_TOKENS, ..Default::default() };
        let model = self.session.trainer.model();
        let mut generator = Generator::new(model, &self.session.tokenizer, "", &config)?;
        let mut text = String::new();
        while let Some(piece) = generator.next().await? {
            text.push_str(&piece.text);
        }
        self.reporter.sampled(self.done(), &text)
    }

    /// Which checkpoint is still good, in words.
    fn good_checkpoint(&self) -> String {
        match self.saved {
            Some(step) => {
                format!("the checkpoint of step {step} in {} is still good", self.args.out)
            }
            None => "no checkpoint had been saved yet".into(),
        }
    }
}

/// Adds metrics to the JSON of a step or an evaluation, each under its own name.
fn add_metrics(event: &mut Value, metrics: &crate::objective::Metrics) {
    for (name, value) in metrics.iter() {
        event[name] = value.into();
    }
}
