//! The training loop: steps, interleaved with evaluation, sampling, saving and profiling.

use std::pin::Pin;

use super::control::{Control, Pace, Saving, SpikeAction, TrainEvent, Trained};
use super::live_sample::draw;
use super::meter::Meter;
use super::ranks::{Facts, Ranks};
use super::watch::{Outcome, look_for_spike, step_unless_spike};
use crate::HAS_LONG_RUNS;
use crate::HAS_MIXTURES;
use crate::config::SampleConfig;
use crate::data::Corpus;
use crate::error::{Error, Result};
use crate::eval::{EvalOptions, Evaluation, Evaluator};
use crate::model::Decoder;
use crate::platform::{Profiler, compile_ahead, yield_now};
use crate::tokenizer::Tokenizer;
use crate::train::StepFigures;

/// Trains until [`Control::until`] or a pause. Evaluates at the last step of the run, and saves at the end.
///
/// # Errors
/// The loss or a weight is not finite, in which case nothing is saved; the disk is full; the device was lost; any error of the
/// edge.
pub async fn train<C: Control>(
    control: &C,
    pace: Pace,
) -> std::result::Result<Trained, C::Failure> {
    let first = control.with_run(|run| Ok(run.trainer()?.steps_done()))?;
    compile(control, pace).await?;
    let ranks = control.with_run(|run| Ok(Ranks::new(run.mesh())))?;
    if !ranks.are_alone() {
        let until = control.until();
        let compared_every = pace.compare_weights_every;
        let facts = control.with_run(|run| Ok(Facts::of(run, until, compared_every)))?;
        ranks.require_same(facts)?;
    }
    control.emit(TrainEvent::Started { step: first })?;
    let (holds_steps, has_ended) = control.with_run(|run| {
        let long_run = run.long_run();
        Ok((long_run.config.holds_steps(), long_run.has_ended()))
    })?;
    TrainLoop {
        control,
        pace,
        meter: Meter::new(pace),
        ranks,
        first,
        saved: None,
        evaluated: None,
        holds_steps: HAS_LONG_RUNS && holds_steps,
        has_ended: HAS_LONG_RUNS && has_ended,
    }
    .run(first)
    .await
}

/// Compiles the kernels of a step before the first step of a run.
async fn compile<C: Control>(control: &C, pace: Pace) -> std::result::Result<(), C::Failure> {
    if !pace.watches_gpu {
        return Ok(());
    }
    let Some(trainer) = control.with_run(|run| Ok(run.rehearsal()))? else { return Ok(()) };
    let progress = |done, total| {
        // If the edge cannot report, the first step fails.
        let _ = control.emit(TrainEvent::Compiling { done, total });
    };
    Ok(compile_ahead(|| trainer.rehearse(), progress).await?)
}

struct TrainLoop<'a, C> {
    control: &'a C,
    pace: Pace,
    meter: Meter,
    ranks: Ranks,
    /// Step at which the loop began.
    first: u64,
    /// Step of the last checkpoint of this loop.
    saved: Option<u64>,
    /// Step and loss of the last evaluation.
    evaluated: Option<(u64, f64)>,
    /// True if each step waits for its loss.
    holds_steps: bool,
    /// True if the last evaluations were no improvement.
    has_ended: bool,
}

impl<C: Control> TrainLoop<'_, C> {
    async fn run(mut self, first: u64) -> std::result::Result<Trained, C::Failure> {
        let mut step = first;
        let (config, sample_every) =
            self.control.with_run(|run| Ok((run.config.train.clone(), run.config.sample_every)))?;
        let is_due = |every: u64, step: u64| every > 0 && step.is_multiple_of(every);
        let saved_before = self.control.with_run(|run| Ok(run.saved))?;
        if first == 0 && saved_before.is_none() && self.pace.keeps_start {
            if sample_every > 0 {
                self.sample(0).await?;
            }
            self.save(0).await?;
            self.meter.restart();
        }
        while step < self.control.until() && !self.has_ended && !self.is_stopped_after(step)? {
            let room = config.steps_undisturbed(step, sample_every);
            let room = room.min(self.control.until() - step);
            match self.control.take_profile(step).min(room) {
                0 => self.step().await?,
                steps => self.profile(steps).await?,
            }
            let before = step;
            step = self.control.with_run(|run| Ok(run.step()))?;
            if step <= before {
                // Back at a checkpoint, which was evaluated and saved.
                continue;
            }
            let evaluate = is_due(config.eval_every, step);
            if is_due(self.pace.compare_weights_every, step) {
                self.compare_weights(step).await?;
            }
            let reads = self.reads_figures();
            let save = is_due(config.checkpoints.save_every, step);
            let sample = is_due(sample_every, step);
            if reads || evaluate || save || sample || step >= self.control.until() {
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
            self.report_saved(false)?;
            self.meter.begin_measuring();
            yield_now().await;
        }
        self.read_figures().await?;
        if self.is_last(step)? && self.val_loss(step).is_none() && !self.is_paused() {
            self.evaluate(step).await?;
        }
        if self.saved != Some(step) && (step > first || saved_before != Some(step)) {
            self.save(step).await?;
            if self.saved != Some(step) {
                // Otherwise the steps since the last checkpoint would be lost without an error.
                let out = self.control.with_run(|run| Ok(run.config.name.clone()))?;
                return Err(Error::io(out, std::io::ErrorKind::StorageFull.into()).into());
            }
        }
        self.report_saved(true)?;
        self.ranks.wait_for_first(step, "completes its checkpoint")?;
        if self.has_ended
            && let Some((best, evaluations)) =
                self.control.with_run(|run| Ok(run.long_run().best()))?
        {
            self.control.emit(TrainEvent::StoppedEarly { step, best, evaluations })?;
        }
        Ok(Trained { step, val_loss: self.val_loss(step), stopped_early: self.has_ended })
    }

    /// Returns true if `step` ends both this session and the run.
    fn is_last(&self, step: u64) -> Result<bool> {
        let steps = self.control.with_run(|run| Ok(run.config.train.steps))?;
        Ok(step >= self.control.until() && step >= steps)
    }

    /// Returns true if training ends after `step`. Several ranks agree on it.
    fn is_stopped_after(&mut self, step: u64) -> Result<bool> {
        if !self.ranks.are_alone() {
            self.ranks.agree(step, self.control.is_paused(), self.meter.is_due())?;
        }
        Ok(self.is_paused())
    }

    /// Returns true if training is paused. With several ranks, each continues until all have agreed at the end of a step.
    fn is_paused(&self) -> bool {
        if self.ranks.are_alone() { self.control.is_paused() } else { self.ranks.have_stopped() }
    }

    /// Returns true if the figures of the last steps should be read. Several ranks read them after the same step, so that all
    /// detect divergence together.
    fn reads_figures(&self) -> bool {
        if self.ranks.are_alone() { self.meter.is_due() } else { self.ranks.read_figures() }
    }

    async fn compare_weights(&mut self, step: u64) -> Result<()> {
        if !self.ranks.are_alone() && self.pace.compare_weights_every > 0 {
            let model = self.control.with_run(|run| Ok(run.in_training()))?;
            self.ranks.compare_weights(step, &model).await?;
        }
        Ok(())
    }

    fn val_loss(&self, step: u64) -> Option<f64> {
        self.evaluated.filter(|(of, _)| *of == step).map(|(_, loss)| loss)
    }

    async fn step(&mut self) -> std::result::Result<(), C::Failure> {
        self.control.before_step();
        if HAS_LONG_RUNS && self.holds_steps {
            // Boxed, so that the wasm, which never creates it, omits the code.
            let held: Pin<Box<dyn Future<Output = _> + '_>> = Box::pin(self.held_step());
            return held.await;
        }
        let control = self.control;
        let report = self.ranks.measure(|| control.with_run(|run| run.trainer()?.step()))?;
        self.meter.pending.push(report);
        Ok(())
    }

    /// Makes the next step unless it is a spike, which is reported after the steps before.
    async fn held_step(&mut self) -> std::result::Result<(), C::Failure> {
        let spike = match step_unless_spike(self.control, &mut self.ranks).await? {
            Outcome::Made(report) => {
                self.meter.pending.push(report);
                return Ok(());
            }
            Outcome::Passed(spike) => spike,
        };
        self.read_figures().await?;
        if let SpikeAction::RolledBack { to } = spike.action {
            self.saved = Some(to);
            self.evaluated = None;
        }
        self.meter.restart();
        self.control.emit(TrainEvent::Spike(spike))
    }

    /// Profiles `steps` steps and reports the time of each kernel.
    async fn profile(&mut self, steps: u64) -> std::result::Result<(), C::Failure> {
        self.read_figures().await?;
        let profiler = Profiler::start();
        for _ in 0..steps {
            self.step().await?;
        }
        self.read_figures().await?;
        self.control.emit(TrainEvent::Profiled(profiler.finish(steps).await))
    }

    /// Waits for the device and emits the figures of every step since the last call.
    async fn read_figures(&mut self) -> std::result::Result<(), C::Failure> {
        let (steps, per_step) =
            self.control.with_run(|run| Ok((run.config.train.steps, run.tokens_per_step())))?;
        let mut figures: Vec<StepFigures> = Vec::new();
        let mut outcome = Ok(());
        for report in std::mem::take(&mut self.meter.pending) {
            let good = self.control.with_run(|run| Ok(run.good_checkpoint(report.step)))?;
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
            let spike = match HAS_LONG_RUNS && !self.holds_steps {
                true => look_for_spike(self.control, &figures)?,
                false => None,
            };
            self.control.emit(TrainEvent::Step {
                figures,
                steps,
                tokens_per_second,
                seconds_left,
                busy,
            })?;
            if let Some(spike) = spike {
                self.control.emit(TrainEvent::Spike(spike))?;
            }
        }
        if let Some(figures) = last.and_then(|step| self.ranks.take_figures(step)) {
            self.control.emit(TrainEvent::Ranks(figures))?;
        }
        outcome
    }

    /// Evaluates the whole validation split, if there is one. A pause ends the evaluation without a result.
    async fn evaluate(&mut self, step: u64) -> std::result::Result<(), C::Failure> {
        let corpus = self.control.with_run(|run| Ok(run.validation.clone()))?;
        // Fewer than two tokens have no target.
        if corpus.require_window("", 1).is_err() {
            return Ok(());
        }
        let model = self.control.with_run(|run| run.model_to_evaluate())?;
        let evaluation = match model {
            Some(model) => self.evaluate_model(model, &corpus).await?,
            None => None,
        };
        let loss = evaluation.as_ref().map(|evaluation| evaluation.loss);
        let Some(loss) = self.ranks.share_loss(step, loss)? else { return Ok(()) };
        self.control.with_run(|run| {
            if !loss.is_finite() {
                let saved = run.good_checkpoint(step + 1);
                return Err(Error::Diverged { step, loss: loss as f32, saved });
            }
            run.best_val_loss = Some(run.best_val_loss.map_or(loss, |best| best.min(loss)));
            Ok(())
        })?;
        self.evaluated = Some((step, loss));
        // The evaluation of a run that was complete before is no new one.
        if HAS_LONG_RUNS && step > self.first {
            self.has_ended =
                self.control.with_run(|run| Ok(run.long_run_mut().note_evaluation(loss)))?;
        }
        match evaluation {
            Some(evaluation) => self.control.emit(TrainEvent::Evaluated { step, evaluation }),
            None => Ok(()),
        }
    }

    /// Evaluates a model. Returns none after a pause.
    async fn evaluate_model(
        &self,
        model: Decoder,
        corpus: &Corpus,
    ) -> std::result::Result<Option<Evaluation>, C::Failure> {
        let (objective, tokenizer, seq_len) = self.control.with_run(|run| {
            let seq_len = run.config.data.seq_len;
            Ok((run.trainer()?.objective().clone(), run.tokenizer.clone(), seq_len))
        })?;
        let bytes_of = |id| tokenizer.text_bytes(id);
        let options = EvalOptions::for_model(model.config(), seq_len);
        let total = corpus.len() as u64;
        if HAS_MIXTURES && !corpus.sources.is_empty() {
            let sources = corpus.sources.iter().enumerate();
            let mut parts: Vec<(String, Corpus)> = sources
                .map(|(index, share)| (share.name.clone(), corpus.of_source(index)))
                .collect();
            parts.retain(|(_, part)| part.require_window("", 1).is_ok());
            let mut finished = Vec::new();
            let mut before = 0;
            for (name, part) in &parts {
                let (model, objective) = (model.clone(), objective.clone());
                let mut evaluator = Evaluator::new(model, objective, part, options, &bytes_of)?;
                if !self.advance(&mut evaluator, before, total).await? {
                    return Ok(None);
                }
                before += evaluator.tokens();
                finished.push((name.clone(), evaluator));
            }
            return Ok(Some(Evaluator::finish_sources(finished)?));
        }
        let mut evaluator = Evaluator::new(model, objective, corpus, options, &bytes_of)?;
        if !self.advance(&mut evaluator, 0, total).await? {
            return Ok(None);
        }
        Ok(Some(evaluator.finish()?))
    }

    /// Evaluates everything, after `before` of `total` tokens. Returns false after a pause.
    async fn advance(
        &self,
        evaluator: &mut Evaluator<'_>,
        before: u64,
        total: u64,
    ) -> std::result::Result<bool, C::Failure> {
        while evaluator.advance().await? {
            let tokens = before + evaluator.tokens();
            self.control.emit(TrainEvent::Evaluating { tokens, total })?;
            yield_now().await;
            if self.is_paused() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn save(&mut self, step: u64) -> std::result::Result<(), C::Failure> {
        // Weights that differ between ranks must not replace a good checkpoint.
        self.compare_weights(step).await?;
        self.report_saved(true)?;
        // Rank 0 may have waited long for the checkpoint before.
        self.ranks.wait_for_first(step, "completes the checkpoint before")?;
        let saving = self.control.save(self.val_loss(step)).await?;
        self.ranks.wait_for_first(step, "saves")?;
        let is_refused = matches!(saving, Saving::Refused { .. });
        let is_refused = self.ranks.decide(step, "whether the disk has room", is_refused)?;
        match saving {
            // Rank 0 reports it.
            Saving::Done | Saving::UnderWay if is_refused => Ok(()),
            Saving::Done => {
                self.saved = Some(step);
                self.control.emit(TrainEvent::Saved { step })
            }
            Saving::UnderWay => {
                self.saved = Some(step);
                Ok(())
            }
            Saving::Refused { needed, free } => {
                self.control.emit(TrainEvent::SaveRefused { step, needed, free })
            }
        }
    }

    /// Reports a checkpoint that was being written, once it is complete. With `wait`, waits for it.
    fn report_saved(&self, wait: bool) -> std::result::Result<(), C::Failure> {
        match self.control.saved(wait)? {
            Some(step) => self.control.emit(TrainEvent::Saved { step }),
            None => Ok(()),
        }
    }

    /// Generates a sample. A pause ends it without a result.
    async fn sample(&self, step: u64) -> std::result::Result<(), C::Failure> {
        let (model, tokenizer) =
            self.control.with_run(|run| Ok((run.model_to_evaluate()?, run.tokenizer.clone())))?;
        let sampled = match model {
            Some(model) => self.sample_model(step, model, &tokenizer).await,
            None => Ok(()),
        };
        self.ranks.wait_for_first(step, "draws a sample")?;
        sampled
    }

    async fn sample_model(
        &self,
        step: u64,
        model: Decoder,
        tokenizer: &Tokenizer,
    ) -> std::result::Result<(), C::Failure> {
        let max_new_tokens = self.pace.sample_tokens;
        let config = SampleConfig { max_new_tokens, seed: step, ..SampleConfig::default() };
        let text = match draw(model, tokenizer, &config, || self.is_paused()).await {
            Ok(None) => return Ok(()),
            Ok(Some(text)) => text,
            // A sample is only for display, so its failure does not end the run.
            Err(error) => format!("(no sample: {error})"),
        };
        self.control.emit(TrainEvent::Sampled { step, text })
    }
}
