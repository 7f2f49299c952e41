//! Saves, lists and loads runs in storage.

use std::rc::Rc;

use super::Engine;
use super::reference::base_of;
use super::state::{Claim, Notices};
use crate::checkpoint::{
    CONFIG, Files, STATE, TOKENIZER_CONFIG, TrainingState, from_hf, has_chat_template,
};
use crate::config::Estimate;
use crate::error::{Error, Result};
use crate::platform::{NameLock, Store, now_ms};
use crate::protocol::RunSummary;
use crate::run::directory::{RunDir, valid_name};
use crate::run::{Run, RunConfig};

/// File with the time of the last save, in milliseconds since 1970.
const SAVED_AT: &str = "saved_at";

impl Engine {
    /// Saves the current run as it is now and returns its name and step. `val_loss` is its validation loss, if it was just
    /// evaluated.
    pub(super) async fn save(&self, val_loss: Option<f64>) -> Result<(String, u64)> {
        self.require_finite()?;
        let (snapshot, name, is_first) = self
            .with_run(|run| Ok((run.snapshot(), run.config.name.clone(), run.saved.is_none())))?;
        let store = self.store(&name).await?;
        let directory = RunDir::new(store.clone());
        // Where the browser has no locks, another tab may have saved a run of this name.
        if is_first && !directory.steps().await?.is_empty() {
            let problem = format!("another tab has saved a run named `{name}`");
            let remedy = "download this model, then open the file: it gets another name";
            return Err(Error::config("name", problem, remedy));
        }
        let (saved, adapts) = self.with_run(|run| Ok((run.saved, run.config.train.adapts())))?;
        if saved != Some(snapshot.step()) {
            // This may replace or remove checkpoints that other runs refer to.
            self.release_base(&name).await?;
        }
        snapshot.save(&directory, val_loss).await?;
        store.write(SAVED_AT, now_ms().to_string().as_bytes()).await?;
        let step = snapshot.step();
        self.with_run(|run| {
            run.saved = Some(step);
            Ok(())
        })?;
        if adapts {
            self.share_base(&store, step).await?;
        }
        // It may have replaced an older checkpoint of the same step.
        self.forget_stored();
        Ok((name, step))
    }

    /// Loads the newest checkpoint of a run, or that of `step`, as a run named `to`: itself or a branch.
    pub(super) async fn load(
        &self,
        name: &str,
        step: Option<u64>,
        to: &str,
    ) -> Result<(Run, Notices)> {
        valid_name(name)?;
        let store = self.store(name).await?;
        let directory = RunDir::new(store.clone());
        let (files, older) = match step {
            Some(step) => (directory.load_step(step).await?, None),
            None => (directory.load().await?, directory.older().await),
        };
        let files = self.with_base(&store, files).await?;
        let loaded = self.loaded(to, files);
        let (mut run, notices) = loaded.map_err(|error| match older {
            None => error,
            Some(older) => error
                .with_older_checkpoint(format!("or branch from its checkpoint of step {older}")),
        })?;
        // A branch has no checkpoint under its own name yet.
        run.saved = (to == name).then(|| run.step());
        Ok((run, notices))
    }

    /// Returns the name of a stored run, the step of its newest checkpoint, and the files of that checkpoint.
    pub(super) async fn stored(&self, name: String) -> Result<(String, u64, Files)> {
        valid_name(&name)?;
        let store = self.store(&name).await?;
        let directory = RunDir::new(store.clone());
        let step = Self::newest_step(&directory, &name).await?;
        let files = self.with_base(&store, directory.load_step(step).await?).await?;
        Ok((name, step, files))
    }

    /// Returns the step of the newest checkpoint of a stored run.
    pub(super) async fn newest_step(directory: &RunDir, name: &str) -> Result<u64> {
        directory.newest().await?.ok_or_else(|| {
            let problem = format!("`{name}` has no checkpoint in storage");
            Error::config("run", problem, "choose one of the stored runs")
        })
    }

    /// Claims the name of a run until the claim is dropped.
    ///
    /// # Errors
    /// It cannot be the name of a run; another tab has the run open.
    pub(super) async fn claim(&self, name: &str) -> Result<Rc<Claim>> {
        self.try_claim(name).await?.ok_or_else(|| {
            let problem = format!("`{name}` is open in another tab");
            Error::config("name", problem, "close it there, branch from it, or use another name")
        })
    }

    /// Claims the name of a new run, which must not overwrite another.
    pub(super) async fn claim_new(&self, name: &str) -> Result<Rc<Claim>> {
        let claim = self.claim(name).await?;
        if !self.names().await?.iter().any(|other| other == name) {
            return Ok(claim);
        }
        let problem = format!("there is already a run named `{name}`");
        Err(Error::config("name", problem, "choose another name"))
    }

    /// Claims `name`, or the first of `name-2`, `name-3`, … that neither a stored run nor another tab has.
    pub(super) async fn claim_free(&self, name: &str) -> Result<Rc<Claim>> {
        let taken = self.names().await?;
        let mut candidate = name.to_string();
        for number in 2_u32.. {
            if !taken.contains(&candidate)
                && let Some(claim) = self.try_claim(&candidate).await?
            {
                return Ok(claim);
            }
            candidate = format!("{name}-{number}");
        }
        unreachable!("there are more numbers than runs")
    }

    /// Claims a name; none if another tab has a run of that name open.
    async fn try_claim(&self, name: &str) -> Result<Option<Rc<Claim>>> {
        valid_name(name)?;
        let own = self.claim.borrow().clone().filter(|own| own.name == name);
        if own.is_some() {
            return Ok(own);
        }
        let lock = NameLock::take(&self.root, name).await?;
        Ok(lock.map(|lock| Rc::new(Claim { name: name.into(), _lock: lock })))
    }

    /// Lists the names of the stored runs; hidden directories, such as that of the locks, are none.
    pub(super) async fn names(&self) -> Result<Vec<String>> {
        let mut names = Store::open(&self.root).await?.list("").await?;
        names.retain(|name| !name.starts_with('.'));
        Ok(names)
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
            base: base_of(&store).await.map(|base| base.run),
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
