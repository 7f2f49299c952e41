//! Saves, lists and loads runs in storage.

use super::Engine;
use super::state::Notices;
use crate::checkpoint::{
    CONFIG, Files, STATE, TOKENIZER_CONFIG, TrainingState, from_hf, has_chat_template,
};
use crate::config::Estimate;
use crate::error::{Error, Result};
use crate::platform::{Store, now_ms};
use crate::protocol::RunSummary;
use crate::run::directory::{RunDir, valid_name};
use crate::run::{Run, RunConfig};

/// File with the time of the last save, in milliseconds since 1970.
const SAVED_AT: &str = "saved_at";

impl Engine {
    /// Saves the current run as it is now and returns its name and step. `val_loss` is its validation loss, if it was just
    /// evaluated.
    pub(super) async fn save(&self, val_loss: Option<f64>) -> Result<(String, u64)> {
        let (snapshot, name) =
            self.with_run(|run| Ok((run.snapshot(), run.config.name.clone())))?;
        let store = self.store(&name).await?;
        snapshot.save(&RunDir::new(store.clone()), val_loss).await?;
        store.write(SAVED_AT, now_ms().to_string().as_bytes()).await?;
        let step = snapshot.step();
        self.with_run(|run| {
            run.saved = Some(step);
            Ok(())
        })?;
        // It may have replaced an older checkpoint of the same step.
        self.forget_stored();
        Ok((name, step))
    }

    /// Loads the newest checkpoint of a run, or that of `step`, as a branch named `branch` if there is one.
    pub(super) async fn load(
        &self,
        name: &str,
        step: Option<u64>,
        branch: Option<&str>,
    ) -> Result<(Run, Notices)> {
        valid_name(name)?;
        if let Some(branch) = branch {
            self.require_free(branch).await?;
        }
        let directory = RunDir::new(self.store(name).await?);
        let files = match step {
            Some(step) => directory.load_step(step).await?,
            None => directory.load().await?,
        };
        let (mut run, notices) = self.loaded(branch.unwrap_or(name), files)?;
        // A branch has no checkpoint under its own name yet.
        run.saved = branch.is_none().then(|| run.step());
        Ok((run, notices))
    }

    /// Returns the name of a stored run, the step of its newest checkpoint, and the files of that checkpoint.
    pub(super) async fn stored(&self, name: String) -> Result<(String, u64, Files)> {
        valid_name(&name)?;
        let directory = RunDir::new(self.store(&name).await?);
        let step = Self::newest_step(&directory, &name).await?;
        Ok((name, step, directory.load_step(step).await?))
    }

    /// Returns the step of the newest checkpoint of a stored run.
    pub(super) async fn newest_step(directory: &RunDir, name: &str) -> Result<u64> {
        directory.steps().await?.last().copied().ok_or_else(|| {
            let problem = format!("`{name}` has no checkpoint in storage");
            Error::config("run", problem, "choose one of the stored runs")
        })
    }

    /// Returns an error if a run named `name` is stored: a new run must not overwrite another.
    pub(super) async fn require_free(&self, name: &str) -> Result<()> {
        valid_name(name)?;
        if !self.names().await?.iter().any(|other| other == name) {
            return Ok(());
        }
        let problem = format!("there is already a run named `{name}`");
        Err(Error::config("name", problem, "choose another name"))
    }

    /// Returns `name`, or the first of `name-2`, `name-3`, … that no stored run has.
    pub(super) async fn free_name(&self, name: &str) -> Result<String> {
        let taken = self.names().await?;
        let mut names = std::iter::once(name.to_string())
            .chain((2..).map(|number: u32| format!("{name}-{number}")));
        Ok(names.find(|name| !taken.contains(name)).expect("there are more numbers than runs"))
    }

    async fn names(&self) -> Result<Vec<String>> {
        Store::open(&self.root).await?.list("").await
    }

    /// Lists the stored runs, newest first.
    pub(super) async fn runs(&self) -> Result<Vec<RunSummary>> {
        let mut runs = Vec::new();
        for name in self.names().await? {
            runs.push(self.summary(name).await?);
        }
        runs.sort_by(|a, b| b.saved_at.total_cmp(&a.saved_at));
        Ok(runs)
    }

    /// Summarizes a stored run as far as it can be read: a damaged run must be listed so that it can be deleted.
    async fn summary(&self, name: String) -> Result<RunSummary> {
        let store = self.store(&name).await?;
        let directory = RunDir::new(store.clone());
        let kept = directory.steps().await.unwrap_or_default();
        let step = kept.last().copied().unwrap_or(0);
        let (config, tokens_seen) = read_config(&store, &name, step).await.ok().unzip();
        let estimate = config.as_ref().map(|config| Estimate::new(&config.model, &config.train, 1));
        let saved_at = store.read(SAVED_AT).await.unwrap_or_default();
        let tokenizer = format!("{}/{TOKENIZER_CONFIG}", RunDir::path_of(step));
        let tokenizer = store.read(&tokenizer).await.unwrap_or_default();
        Ok(RunSummary {
            has_chat_template: has_chat_template(&tokenizer),
            step,
            saved_at: String::from_utf8_lossy(&saved_at).parse().unwrap_or(0.0),
            parameters: estimate.map_or(0, |estimate| estimate.parameters),
            config,
            tokens_seen: tokens_seen.unwrap_or(0),
            best_val_loss: directory.best().await.map(|best| best.val_loss),
            kept,
            bytes: store.size("").await.unwrap_or(0),
            name,
        })
    }

    pub(super) async fn store(&self, run: &str) -> Result<Store> {
        Store::open(&format!("{}/{run}", self.root)).await
    }
}

/// Reads the settings of a run and the tokens it was trained on from a checkpoint, without its weights.
async fn read_config(store: &Store, name: &str, step: u64) -> Result<(RunConfig, u64)> {
    let path = RunDir::path_of(step);
    let model = from_hf(&store.read(&format!("{path}/{CONFIG}")).await?)?;
    let state = TrainingState::from_json(&store.read(&format!("{path}/{STATE}")).await?)?;
    Ok((RunConfig::of_checkpoint(name, model, &state), state.tokens_seen))
}
