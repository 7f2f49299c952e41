//! The weights that runs with adapters share with the run that they fine-tune.
//!
//! The checkpoints of such a run hold neither the weights that it does not train nor the merged ones. They are those of a
//! stored checkpoint, which `base.json` names, or else once in a file of the run. Before the other run's checkpoint changes
//! or is deleted, its weights are copied into the runs that refer to it.

use super::Engine;
use super::reference::{BaseCheckpoint, REFERENCE, base_of};
use crate::checkpoint::{
    ADAPTER_WEIGHTS, BASE_WEIGHTS, CONFIG, FROZEN, Files, HostTensor, HostTensors, STATE, WEIGHTS,
    add_frozen, frozen_parameters, parameters, read_safetensors, write_safetensors,
};
use crate::error::{Error, Result};
use crate::platform::Store;
use crate::run::directory::RunDir;

impl Engine {
    /// Removes from the checkpoint of `step` in `store`, which was just saved, what follows from the weights of its base.
    pub(super) async fn share_base(&self, store: &Store, step: u64) -> Result<()> {
        let path = RunDir::path_of(step);
        if !store.list(&path).await?.iter().any(|name| name == BASE_WEIGHTS) {
            return Ok(());
        }
        let has_own = store.list("").await?.iter().any(|name| name == FROZEN);
        if !has_own && base_of(store).await.is_none() {
            let names = [CONFIG, STATE, WEIGHTS, BASE_WEIGHTS];
            let frozen = frozen_parameters(&read(store, step, &names).await?)?;
            match self.matching_base(&frozen).await {
                Some(base) => {
                    let json = serde_json::to_vec(&base).expect("a name and a number serialize");
                    store.write(REFERENCE, &json).await?;
                }
                None => store.write(FROZEN, &write_safetensors(&frozen)?).await?,
            }
        }
        for name in [WEIGHTS, BASE_WEIGHTS] {
            store.remove(&format!("{path}/{name}")).await?;
        }
        Ok(())
    }

    /// Returns the checkpoint from which the current run was fine-tuned, if it is stored with exactly these weights.
    async fn matching_base(&self, frozen: &HostTensors) -> Option<BaseCheckpoint> {
        let base = self.base.borrow().clone()?;
        let theirs = self.parameters_of(&base).await.ok()?;
        let same = |(name, tensor): (&String, &HostTensor)| {
            theirs.get(name).is_some_and(|other| other.values == tensor.values)
        };
        frozen.iter().all(same).then_some(base)
    }

    async fn parameters_of(&self, base: &BaseCheckpoint) -> Result<HostTensors> {
        let store = self.store(&base.run).await?;
        parameters(&read(&store, base.step, &[CONFIG, WEIGHTS]).await?)
    }

    /// Completes the files of a checkpoint in `store` that were stored without the weights of its base.
    pub(super) async fn with_base(&self, store: &Store, files: Files) -> Result<Files> {
        if files.contains_key(WEIGHTS) || !files.contains_key(ADAPTER_WEIGHTS) {
            return Ok(files);
        }
        let frozen = match base_of(store).await {
            Some(base) => self.parameters_of(&base).await.map_err(|_| Error::MissingFile {
                file: format!("the model of step {}", base.step),
                place: base.run,
                remedy: "the run consists of changes to it and cannot be opened without".into(),
            })?,
            None => read_safetensors(FROZEN, &store.read(FROZEN).await?)?,
        };
        add_frozen(files, frozen, &self.device()?.0).await
    }

    /// Copies the weights that other runs share with the stored run `name` into those runs.
    pub(super) async fn release_base(&self, name: &str) -> Result<()> {
        for other in self.names().await? {
            let store = self.store(&other).await?;
            let Some(base) = base_of(&store).await.filter(|base| base.run == name) else {
                continue;
            };
            // If they are gone already, there is nothing to keep.
            let Ok(weights) = self.parameters_of(&base).await else { continue };
            store.write(FROZEN, &write_safetensors(&weights)?).await?;
            store.remove(REFERENCE).await?;
        }
        Ok(())
    }
}

/// Reads some files of the checkpoint of `step`.
async fn read(store: &Store, step: u64, names: &[&str]) -> Result<Files> {
    let mut files = Files::new();
    for name in names {
        let path = format!("{}/{name}", RunDir::path_of(step));
        files.insert((*name).into(), store.read(&path).await?);
    }
    Ok(files)
}
