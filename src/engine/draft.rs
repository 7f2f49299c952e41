//! The drafter for speculative decoding.

use burn::module::Module;

use super::Engine;
use crate::checkpoint::TOKENIZER;
use crate::error::{Error, Result};
use crate::protocol::Draft;
use crate::run::directory::{RunDir, valid_name};
use crate::sample::Drafter;

impl Engine {
    /// Takes the drafter of the last text with its KV cache, or loads a new one.
    ///
    /// # Errors
    /// The step is not kept; no run of that name is stored; the run has another tokenizer.
    pub(super) async fn draft(&self, draft: &Draft) -> Result<Drafter> {
        if let Some((last, kept)) = self.draft.take()
            && last == *draft
        {
            return Ok(kept);
        }
        Ok(match draft {
            Draft::Ngram => Drafter::Ngram,
            Draft::Step { step } => Drafter::model(self.model_at(Some(*step)).await?.0),
            Draft::Run { run } => {
                valid_name(run)?;
                let store = self.store(run).await?;
                let step = Self::newest_step(&RunDir::new(store.clone()), run).await?;
                let path = format!("{}/{TOKENIZER}", RunDir::path_of(step));
                let (name, own) =
                    self.with_run(|run| Ok((run.config.name.clone(), run.tokenizer.to_json())))?;
                if store.read(&path).await? != own {
                    let problem = format!("`{run}` has another tokenizer than `{name}`");
                    let remedy = "choose a run that was trained with the model's tokenizer";
                    return Err(Error::config("draft", problem, remedy));
                }
                Drafter::model(self.model_of(run, step).await?.valid())
            }
        })
    }
}
