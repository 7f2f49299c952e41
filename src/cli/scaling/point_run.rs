//! One run of a grid: started, or resumed from its checkpoint, and trained to its end.

use std::cell::RefCell;

use burn::tensor::Device;
use serde_json::json;

use super::grid::{Cell, Outcome, POINT};
use super::progress::Progress;
use crate::checkpoint::unpack;
use crate::cli::failure::{CliResult, Failure, usage};
use crate::cli::interrupt;
use crate::cli::lock::Lock;
use crate::cli::metrics::Metrics;
use crate::cli::spike;
use crate::cli::stderr::note;
use crate::data::Corpus;
use crate::error::{Error, Result};
use crate::platform::Store;
use crate::run::directory::RunDir;
use crate::run::{
    Control, EncodedData, GivenSettings, Pace, Run, RunConfig, Saving, TrainEvent, train,
};
use crate::tokenizer::Tokenizer;

/// Inputs that all runs of a grid share.
pub struct Shared {
    /// Directory of the grid.
    pub out: String,
    pub tokenizer: Tokenizer,
    pub corpus: Corpus,
    /// Separate validation data.
    pub validation: Option<Corpus>,
    /// The data as it was named.
    pub data: String,
    pub device: Device,
}

/// Returns the result of a run that has ended; none if it has not.
///
/// # Errors
/// The file has another form.
pub async fn finished(shared: &Shared, cell: &Cell) -> Result<Option<Outcome>> {
    let folder = folder(shared, cell);
    let store = Store::open(&folder).await?;
    if !store.list("").await?.iter().any(|name| name == POINT) {
        return Ok(None);
    }
    let outcome = serde_json::from_slice(&store.read(POINT).await?);
    outcome.map(Some).map_err(|error| {
        let remedy = "delete it, and the run is evaluated again";
        Error::malformed(format!("{folder}/{POINT}"), error.to_string(), remedy)
    })
}

fn folder(shared: &Shared, cell: &Cell) -> String {
    format!("{}/{}", shared.out, cell.outcome.run)
}

/// Trains a run to its end and writes its result, which it returns.
///
/// # Errors
/// A signal stopped training, after a checkpoint was saved; training diverged; the data is not that of the steps before.
pub async fn train_to_end(
    shared: &Shared,
    cell: &Cell,
    progress: &RefCell<Progress>,
) -> CliResult<Outcome> {
    let folder = folder(shared, cell);
    let store = Store::open(&folder).await?;
    let _lock = Lock::acquire(&folder).await.map_err(usage)?;
    let directory = RunDir::new(store.clone());
    let run = prepare(shared, cell, &directory, &folder).await?;
    directory.recover(&run.config.train.checkpoints).await?;
    let metrics = Metrics::open(&store, &folder, run.step()).await?;
    let control = PointRun {
        steps: run.config.train.steps,
        name: &cell.outcome.run,
        run: RefCell::new(run),
        directory,
        metrics: RefCell::new(metrics),
        progress,
    };
    let trained = train(&control, Pace::default()).await?;
    if trained.step < control.steps {
        return Err(Failure::Interrupted);
    }
    // A signal ends the last evaluation, too.
    let loss = trained.val_loss.ok_or(Failure::Interrupted)?;
    let outcome = Outcome { loss, ..cell.outcome.clone() };
    let bytes = serde_json::to_vec(&outcome).expect("plain data serializes");
    store.write(POINT, &bytes).await?;
    Ok(outcome)
}

/// Starts a run, or resumes it from its newest checkpoint.
async fn prepare(shared: &Shared, cell: &Cell, directory: &RunDir, folder: &str) -> CliResult<Run> {
    let is_resumed = directory.holds_run().await?;
    let mut run = if is_resumed {
        let loaded = unpack(directory.load().await?, folder)?;
        let state = loaded.training.as_ref().map(|(state, _)| state.clone()).unwrap_or_default();
        let saved = RunConfig::of_checkpoint(folder, loaded.config.clone(), &state);
        let config = saved.resumed(&GivenSettings::default(), state.step).map_err(usage)?;
        if config.train != cell.config.train {
            let problem = format!("{folder} holds a run with other settings");
            let remedy = "use the settings that the grid was started with, or another --out";
            return Err(usage(Error::config("--out", problem, remedy)));
        }
        let mut run = Run::resumed(config, loaded, &shared.device).map_err(usage)?;
        run.saved = Some(state.step);
        run
    } else {
        Run::fresh(cell.config.clone(), shared.tokenizer.clone(), &shared.device)?
    };
    let (corpus, validation) = (shared.corpus.clone(), shared.validation.clone());
    let data = EncodedData::new(&mut run.config, &run.tokenizer, corpus, validation);
    let data = data.map_err(usage)?;
    if let Some(other) = run.other_corpus(&data) {
        return Err(usage(other.into_error(&shared.data)));
    }
    match is_resumed {
        true => run.learn_from(data)?,
        false => run.begin(data).await?,
    }
    Ok(run)
}

/// Edge of the training loop for a run of a grid.
struct PointRun<'a> {
    name: &'a str,
    run: RefCell<Run>,
    directory: RunDir,
    metrics: RefCell<Metrics>,
    progress: &'a RefCell<Progress>,
    steps: u64,
}

impl Control for PointRun<'_> {
    type Failure = Failure;

    fn with_run<T>(&self, act: impl FnOnce(&mut Run) -> Result<T>) -> Result<T> {
        act(&mut self.run.borrow_mut())
    }

    fn until(&self) -> u64 {
        self.steps
    }

    fn is_paused(&self) -> bool {
        interrupt::pressed()
    }

    fn take_profile(&self, _step: u64) -> u64 {
        0
    }

    async fn save(&self, val_loss: Option<f64>) -> Result<Saving> {
        let snapshot = self.run.borrow().snapshot();
        let step = snapshot.step();
        snapshot.save(&self.directory, val_loss).await?;
        self.run.borrow_mut().saved = Some(step);
        self.directory.publish(step).await?;
        Ok(Saving::Done)
    }

    fn emit(&self, event: TrainEvent) -> CliResult<()> {
        match event {
            TrainEvent::Step { figures, steps, tokens_per_second, .. } => {
                self.metrics.borrow_mut().append(&json!({
                    "type": "step", "step": figures.step, "steps": steps, "loss": figures.loss,
                    "grad_norm": figures.grad_norm, "lr": figures.lr,
                    "tokens": figures.tokens_seen, "tokens_per_second": tokens_per_second,
                }))?;
                self.progress.borrow().step(figures.step, steps, figures.loss, tokens_per_second);
            }
            TrainEvent::Evaluated { step, evaluation } => {
                self.metrics.borrow_mut().append(&json!({
                    "type": "eval", "step": step, "loss": evaluation.loss,
                    "tokens": evaluation.tokens,
                }))?;
            }
            TrainEvent::Evaluating { tokens, total } => {
                self.progress.borrow().evaluating(tokens, total);
            }
            TrainEvent::Spike(found) => {
                self.metrics.borrow_mut().append(&spike::event(&found))?;
                note(&format!("{}: {}", self.name, spike::sentence(&found)));
            }
            TrainEvent::Compiling { .. }
            | TrainEvent::Started { .. }
            | TrainEvent::Sampled { .. }
            | TrainEvent::Saved { .. }
            | TrainEvent::SaveRefused { .. }
            | TrainEvent::StoppedEarly { .. }
            | TrainEvent::Ranks(_)
            | TrainEvent::Profiled(_) => {}
        }
        Ok(())
    }
}
