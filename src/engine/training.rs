//! Trains the current run and passes its events to the page.

use super::Engine;
use crate::error::{Error, Result};
use crate::platform::yield_now;
use crate::protocol::{Event, StepEvent, by_name};
use crate::run::directory::RunDir;
use crate::run::{Control, Pace, Run, Saving, TrainEvent, train};

/// The page shows figures several times a second. Few steps are queued, since the browser's queue has no limit of its own.
/// Every evaluation is saved, since a tab may be closed at any time, and the start, from which Look inside plays a run.
const PACE: Pace = Pace {
    queued_steps: 4,
    read_every_ms: 200.0,
    sample_tokens: 64,
    save_evaluated: true,
    keeps_start: true,
    compare_weights_every: 0,
    watches_gpu: true,
};

impl Engine {
    /// Trains until step `until`, which [`Command::Adjust`](crate::protocol::Command::Adjust) may change, or until a pause.
    pub(super) async fn train(&self, until: u64) -> Result<()> {
        self.until.set(until);
        // Two rehearsals at once would be taken for one.
        while self.measuring.get() {
            yield_now().await;
        }
        let watches_gpu = self.device()?.1.is_gpu();
        train(&Tab(self), Pace { watches_gpu, ..PACE }).await?;
        Ok(())
    }

    /// Ends the current run after the loss of `step` was not finite: its weights compute nothing any more.
    pub(super) async fn end_diverged(&self, step: u64) -> Result<()> {
        self.diverged.set(Some(step));
        self.forget_weights();
        let name = self.with_run(|run| Ok(run.config.name.clone()))?;
        let kept = RunDir::new(self.store(&name).await?).steps().await?;
        // That loss was computed with the weights of the step before.
        let good = kept.into_iter().rfind(|kept| kept + 1 < step);
        self.emit(Event::Diverged { step, good });
        Ok(())
    }

    /// Returns an error if the current run has diverged.
    pub(super) fn require_finite(&self) -> Result<()> {
        let Some(step) = self.diverged.get() else { return Ok(()) };
        let problem = format!("its loss is not a finite number since step {step}");
        Err(Error::config("model", problem, "open an earlier checkpoint, or start a new run"))
    }
}

/// The tab as the training loop sees it.
struct Tab<'a>(&'a Engine);

impl Control for Tab<'_> {
    type Failure = Error;

    fn with_run<T>(&self, act: impl FnOnce(&mut Run) -> Result<T>) -> Result<T> {
        self.0.with_run(act)
    }

    fn until(&self) -> u64 {
        self.0.until.get()
    }

    fn is_paused(&self) -> bool {
        self.0.pause.get()
    }

    fn take_profile(&self, _step: u64) -> u64 {
        self.0.profile.take()
    }

    fn before_step(&self) {
        self.0.forget_weights();
    }

    async fn save(&self, val_loss: Option<f64>) -> Result<Saving> {
        self.0.save(val_loss).await.map(|_| Saving::Done)
    }

    fn emit(&self, event: TrainEvent) -> Result<()> {
        let event = match event {
            TrainEvent::Compiling { done, total } => {
                self.0.progress("Compiling for this device", done, total);
                return Ok(());
            }
            TrainEvent::Evaluating { tokens, total } => {
                self.0.progress("Evaluating", tokens, total);
                return Ok(());
            }
            TrainEvent::Started { step } => Event::Training { running: true, step },
            TrainEvent::Step { figures, steps, tokens_per_second, seconds_left, busy } => {
                Event::Step {
                    report: StepEvent {
                        step: figures.step,
                        steps,
                        loss: f64::from(figures.loss),
                        metrics: by_name(&figures.metrics),
                        grad_norm: figures.grad_norm.map(f64::from),
                        lr: figures.lr,
                        tokens: figures.tokens_seen,
                        tokens_per_second,
                        seconds_left,
                        busy,
                    },
                }
            }
            TrainEvent::Evaluated { step, evaluation } => {
                let metrics = by_name(&evaluation.metrics);
                Event::Evaluated { step, loss: evaluation.loss, metrics }
            }
            TrainEvent::Sampled { step, text } => Event::LiveSample { step, text },
            TrainEvent::Saved { step } => {
                let run = self.0.with_run(|run| Ok(run.config.name.clone()))?;
                Event::Saved { run, step }
            }
            // A tab trains alone, and has no runs of weeks.
            TrainEvent::Ranks(_)
            | TrainEvent::SaveRefused { .. }
            | TrainEvent::Spike(_)
            | TrainEvent::StoppedEarly { .. } => return Ok(()),
            TrainEvent::Profiled(report) => Event::Profiled { report },
        };
        self.0.emit(event);
        Ok(())
    }
}
