//! Models of the current run at its kept steps, and the texts on which they are inspected.

use burn::module::Module;

use super::Engine;
use super::state::Kept;
use crate::checkpoint::{CONFIG, Files, WEIGHTS, unpack};
use crate::error::{Error, Result};
use crate::inspect::require_tokens;
use crate::model::Decoder;
use crate::run::directory::RunDir;
use crate::tokenizer::Tokenizer;

/// Maximum tokens of an inspected text: attention weights grow with its square.
const INSPECT_TOKENS: usize = 256;

impl Engine {
    /// Returns the model at a kept step, or the current model, with its tokenizer and step, not on an autodiff device.
    pub(super) async fn model_at(&self, step: Option<u64>) -> Result<(Decoder, Tokenizer, u64)> {
        let (name, current, model, tokenizer) = self.with_run(|run| {
            Ok((run.config.name.clone(), run.step(), run.model(), run.tokenizer.clone()))
        })?;
        match step.filter(|step| *step != current) {
            Some(step) => Ok((self.model_of(&name, step).await?.valid(), tokenizer, step)),
            None => self.require_finite().map(|()| (model, tokenizer, current)),
        }
    }

    /// Returns the model of a kept checkpoint, on the autodiff device. It stays in memory for the next query.
    pub(super) async fn model_of(&self, run: &str, step: u64) -> Result<Decoder> {
        if let Some(kept) = &*self.kept.borrow()
            && (kept.run.as_str(), kept.step) == (run, step)
        {
            return Ok(kept.model.clone());
        }
        let store = self.store(run).await?;
        if !RunDir::new(store.clone()).steps().await?.contains(&step) {
            let problem = format!("no checkpoint of step {step} is kept");
            return Err(Error::config("step", problem, "choose one of the kept steps"));
        }
        let path = RunDir::path_of(step);
        let mut files = Files::new();
        if store.list(&path).await?.iter().any(|name| name == WEIGHTS) {
            // The optimizer state, twice as large as the weights, is not read.
            for name in [CONFIG, WEIGHTS] {
                files.insert(name.into(), store.read(&format!("{path}/{name}")).await?);
            }
        } else {
            files =
                self.with_base(&store, RunDir::new(store.clone()).load_step(step).await?).await?;
        }
        let model = unpack(files, &path)?.model(&self.device()?.0.autodiff())?;
        self.kept.replace(Some(Kept { run: run.into(), step, model: model.clone() }));
        Ok(model)
    }

    /// Returns the model at a step with its tokenizer, the tokens of the inspected text, and the step.
    pub(super) async fn text_at(
        &self,
        text: &str,
        step: Option<u64>,
    ) -> Result<(Decoder, Tokenizer, Vec<u32>, u64)> {
        let (model, tokenizer, step) = self.model_at(step).await?;
        let room = model.config().max_position_embeddings.min(INSPECT_TOKENS);
        let ids = encode_end(&tokenizer, text, room)?;
        Ok((model, tokenizer, ids, step))
    }
}

/// Encodes a text, cut to its last tokens so that there are at most `limit`, the tokens included with which the tokenizer
/// starts every text.
pub(super) fn encode_end(tokenizer: &Tokenizer, text: &str, limit: usize) -> Result<Vec<u32>> {
    let mut ids = tokenizer.encode(text)?;
    require_tokens(&ids)?;
    let opening = tokenizer.opening();
    let room = limit.saturating_sub(opening.len());
    ids.drain(..ids.len().saturating_sub(room));
    ids.splice(0..0, opening.iter().copied());
    Ok(ids)
}
