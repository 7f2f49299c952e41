//! Log-probabilities of one of the preference pairs of the current run.

use super::Engine;
use crate::config::DataKind;
use crate::data::{IGNORE, eval_batches};
use crate::error::{Error, Result};
use crate::objective::reference_log_probs;
use crate::protocol::{AnswerReport, PairReport};

impl Engine {
    /// Returns the log-probabilities of both completions of pair `number` under the current model and under the reference
    /// model.
    pub(super) async fn pair(&self, number: usize) -> Result<PairReport> {
        self.require_finite()?;
        let (model, tokenizer, corpus, seq_len, beta) = self.with_run(|run| {
            let model = run.model();
            let tokenizer = run.tokenizer.clone();
            let data = &run.config.data;
            if data.kind != DataKind::Preferences {
                let problem = "the current run is not trained on preference pairs";
                return Err(Error::config("pair", problem, "fine-tune a model with them"));
            }
            let seq_len = data.seq_len;
            let beta = run.config.train.objective.dpo_beta;
            let corpus = run.trainer()?.source().corpus().cloned().unwrap_or_default();
            Ok((model, tokenizer, corpus, seq_len, beta))
        })?;
        let pairs = corpus.segments.len() / 2;
        let one = corpus.pair(number).ok_or_else(|| {
            Error::config("pair", format!("there are only {pairs} pairs"), "choose one of them")
        })?;
        let found = reference_log_probs(&model, &one, seq_len, 2).await?;
        model.require_finite(&found).await?;
        let reference = one.reference_log_probs.clone();
        let batch = eval_batches(&one, seq_len, 2).next();
        let (Some(reference), Some(batch)) = (reference, batch) else {
            unreachable!("a pair in training has a reference and makes a batch")
        };
        let targets: Vec<&[u32]> = batch.targets.chunks(seq_len).collect();
        let answer = |row: usize| {
            let completion: Vec<u32> =
                targets[row].iter().copied().filter(|id| *id != IGNORE).collect();
            Ok(AnswerReport {
                text: tokenizer.decode(&completion)?,
                tokens: completion.len(),
                log_probability: found[row],
                reference: reference[row],
            })
        };
        let first = targets[0].iter().position(|id| *id != IGNORE).unwrap_or(0);
        let prompt = tokenizer.decode(&batch.inputs[..=first])?;
        let (chosen, rejected) = (answer(0)?, answer(1)?);
        Ok(PairReport { pairs, prompt, beta, chosen, rejected })
    }
}
