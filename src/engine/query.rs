//! Queries about the current model: ids become text here, and figures take the form in which the page shows them.
//!
//! A query may come during training. What it needs is copied out of the run first, so that steps continue while it waits
//! for the device.

use super::spelling::{candidates, token, tokens};
use super::state::Kept;
use super::{Engine, tokenizers};
use burn::module::Module;

use crate::checkpoint::{CONFIG, Files, WEIGHTS, unpack};
use crate::config::{Estimate, SampleConfig, TrainConfig};
use crate::error::{Error, Result};
use crate::inspect::{
    ForwardTrace, HeadCircuits, KvCacheRms, LensPrediction, Neuron, Score, find_strongest_neurons,
    inspect_head, measure_kv_cache, next_logits, project_to_plane, report_activations,
    report_tensors, require_tokens, score, trace_forward,
};
use crate::model::{Component, Decoder};
use crate::protocol::{
    Answer, CacheReport, Circuit, Inspection, LensCell, Likely, NeuronReport, Part, Promoted, Query,
};
use crate::run::directory::RunDir;
use crate::sample::Prediction;
use crate::tokenizer::Tokenizer;

/// Maximum tokens of an inspected text: attention weights grow with its square.
const INSPECT_TOKENS: usize = 256;

impl Engine {
    /// Answers a query about the current model. The run does not change.
    ///
    /// # Errors
    /// No model to ask about; a text, a step or a part that there is nothing to say of; a lost device.
    pub async fn ask(&self, query: Query) -> Result<Answer> {
        Ok(match query {
            Query::Tokens { text } => self.with_run(|run| {
                let ids = run.tokenizer.encode(&text)?;
                Ok(Answer::Tokens { tokens: tokens(&run.tokenizer, ids) })
            })?,
            Query::Vocabulary => self.with_run(|run| {
                let ids = 0..run.tokenizer.vocab_size() as u32;
                let special = run.tokenizer.special_tokens().map(|(_, id)| id).collect();
                Ok(Answer::Vocabulary { tokens: tokens(&run.tokenizer, ids), special })
            })?,
            Query::Tokenizers { corpus, text, specs } => {
                Answer::Tokenizers { reports: tokenizers::compare(&corpus, &text, &specs) }
            }
            Query::Merges { corpus, text, vocab_size } => {
                let (merges, stages) = tokenizers::merges(&corpus, &text, vocab_size)?;
                Answer::Merges { merges, stages }
            }
            Query::Inspect { text, step, ablate, top } => {
                Answer::Inspect { inspection: self.inspect(&text, step, &ablate, top).await? }
            }
            Query::Cut { text, step, config, top } => self.cut(&text, step, &config, top).await?,
            Query::Tensors { step } => self.tensors(step).await?,
            Query::Embeddings { step, limit } => self.embeddings(step, limit).await?,
            Query::Circuit { text, step, layer, head, top } => {
                Answer::Circuit { circuit: self.circuit(&text, step, layer, head, top).await? }
            }
            Query::Neurons { text, step, layer, place, count, top } => {
                self.neurons(&text, step, layer, place, count, top).await?
            }
            Query::Activations { text, step } => {
                let (model, _, ids, _) = self.text_at(&text, step).await?;
                Answer::Activations { activations: report_activations(&model, &ids).await? }
            }
            Query::Cached { text, step } => {
                Answer::Cached { cache: self.cached(&text, step).await? }
            }
            Query::Pair { number } => Answer::Pair { pair: self.pair(number).await? },
            Query::Speed { config } => {
                Answer::Speed { tokens_per_second: self.speed(&config).await? }
            }
        })
    }

    async fn inspect(
        &self,
        text: &str,
        step: Option<u64>,
        ablate: &[Part],
        top: usize,
    ) -> Result<Inspection> {
        let (model, tokenizer, ids, step) = self.text_at(text, step).await?;
        let c = model.config();
        let ablated: Vec<Component> = ablate.iter().map(|part| component(*part)).collect();
        let ForwardTrace { attention, residual_rms, attention_rms, mlp_rms, lens, score: after } =
            trace_forward(&model, &ids, &ablated, top).await?;
        let before = if ablated.is_empty() { None } else { Some(score(&model, &ids).await?) };

        // As the model has it, nothing cut off.
        let drawn = SampleConfig { temperature: 1.0, top_p: 1.0, ..Default::default() };
        let predict = |score: &Score| Prediction::new(score.logits.clone(), &ids, &drawn);
        let next = predict(&after);
        let next_before = before.as_ref().map(predict);
        // Both tell of the same tokens, so that they can be compared.
        let mut named = next.top(top);
        for id in next_before.iter().flat_map(|before| before.top(top)) {
            if !named.contains(&id) {
                named.push(id);
            }
        }
        let of_named = |prediction| candidates(&tokenizer, prediction, named.iter().copied());
        let cell = |LensPrediction { top, entropy }: LensPrediction| {
            let likely = |(id, probability)| Likely { token: token(&tokenizer, id), probability };
            LensCell { top: top.into_iter().map(likely).collect(), entropy }
        };
        Ok(Inspection {
            step,
            layers: c.num_hidden_layers,
            heads: c.num_attention_heads,
            attention: bytes(attention),
            residual_rms,
            attention_rms,
            mlp_rms,
            lens: lens.into_iter().map(|row| row.into_iter().map(cell).collect()).collect(),
            next: of_named(&next),
            next_before: next_before.as_ref().map(of_named),
            losses: after.losses,
            losses_before: before.map(|before| before.losses),
            tokens: tokens(&tokenizer, ids),
        })
    }

    /// Returns the model of a kept step, or the current one, with its tokenizer and step, on a device without autodiff.
    pub(super) async fn at(&self, step: Option<u64>) -> Result<(Decoder, Tokenizer, u64)> {
        let (name, at_hand, model, tokenizer) = self.with_run(|run| {
            Ok((run.config.name.clone(), run.step(), run.model(), run.tokenizer.clone()))
        })?;
        match step.filter(|step| *step != at_hand) {
            Some(step) => Ok((self.model_of(&name, step).await?.valid(), tokenizer, step)),
            None => Ok((model, tokenizer, at_hand)),
        }
    }

    /// Returns the model of a kept checkpoint, on the autodiff device. The last one stays in memory for the next query.
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
        // The optimizer's memory, twice as large as the weights, stays where it is.
        let path = RunDir::path_of(step);
        let mut files = Files::new();
        for name in [CONFIG, WEIGHTS] {
            files.insert(name.into(), store.read(&format!("{path}/{name}")).await?);
        }
        let model = unpack(files, &path)?.model(&self.device()?.0.autodiff())?;
        self.kept.replace(Some(Kept { run: run.into(), step, model: model.clone() }));
        Ok(model)
    }

    async fn cut(
        &self,
        text: &str,
        step: Option<u64>,
        config: &SampleConfig,
        top: usize,
    ) -> Result<Answer> {
        config.validate()?;
        let (model, tokenizer, _) = self.at(step).await?;
        let ids = read(&tokenizer, text, model.config().max_position_embeddings)?;
        let prediction = Prediction::new(next_logits(&model, &ids).await?, &ids, config);
        let candidates = candidates(&tokenizer, &prediction, prediction.top(top));
        Ok(Answer::Cut { candidates, kept: prediction.candidates() })
    }

    /// Weights and gradients; a model that has no text to learn from has no gradients.
    async fn tensors(&self, step: Option<u64>) -> Result<Answer> {
        let (name, at_hand) = self.with_run(|run| Ok((run.config.name.clone(), run.step())))?;
        let kept = match step.filter(|step| *step != at_hand) {
            Some(step) => Some((self.model_of(&name, step).await?, step)),
            None => None,
        };
        let (model, gradients) = self.with_run(|run| {
            let model = kept.as_ref().map_or_else(|| run.model(), |(model, _)| model.valid());
            let gradients = match (run.trainer(), kept) {
                (Ok(trainer), Some((kept, step))) => trainer.next_gradients_of(kept, step)?,
                (Ok(trainer), None) => trainer.next_gradients()?,
                (Err(_), _) => Default::default(),
            };
            Ok((model, gradients))
        })?;
        Ok(Answer::Tensors { tensors: report_tensors(&model, gradients).await? })
    }

    async fn circuit(
        &self,
        text: &str,
        step: Option<u64>,
        layer: usize,
        head: usize,
        top: usize,
    ) -> Result<Circuit> {
        let (model, tokenizer, ids, step) = self.text_at(text, step).await?;
        let HeadCircuits { scores, scores_alone, promoted } =
            inspect_head(&model, &ids, layer, head, top).await?;
        Ok(Circuit {
            step,
            scores: bytes(scores),
            scores_alone: bytes(scores_alone),
            promoted: promoted.into_iter().map(|list| named(&tokenizer, list)).collect(),
            tokens: tokens(&tokenizer, ids),
        })
    }

    async fn neurons(
        &self,
        text: &str,
        step: Option<u64>,
        layer: usize,
        place: usize,
        count: usize,
        top: usize,
    ) -> Result<Answer> {
        let (model, tokenizer, ids, _) = self.text_at(text, step).await?;
        let found = find_strongest_neurons(&model, &ids, layer, place, count, top).await?;
        let neuron = |Neuron { neuron, activations, promoted }| NeuronReport {
            neuron,
            activations,
            promoted: named(&tokenizer, promoted),
        };
        Ok(Answer::Neurons { neurons: found.into_iter().map(neuron).collect() })
    }

    async fn cached(&self, text: &str, step: Option<u64>) -> Result<CacheReport> {
        let (model, tokenizer, ids, _) = self.text_at(text, step).await?;
        let KvCacheRms { keys, values } = measure_kv_cache(&model, &ids).await?;
        let c = model.config();
        let context = c.max_position_embeddings;
        let train = TrainConfig::default();
        let token_bytes = Estimate::new(c, &train, 1).kv_cache_bytes / context as u64;
        Ok(CacheReport { tokens: tokens(&tokenizer, ids), keys, values, context, token_bytes })
    }

    /// Returns the model of a step with its tokenizer, the tokens of the inspected text, and the step.
    async fn text_at(
        &self,
        text: &str,
        step: Option<u64>,
    ) -> Result<(Decoder, Tokenizer, Vec<u32>, u64)> {
        let (model, tokenizer, step) = self.at(step).await?;
        let room = model.config().max_position_embeddings.min(INSPECT_TOKENS);
        let ids = read(&tokenizer, text, room)?;
        Ok((model, tokenizer, ids, step))
    }

    async fn embeddings(&self, step: Option<u64>, limit: usize) -> Result<Answer> {
        let (model, tokenizer, _) = self.at(step).await?;
        let count = limit.clamp(1, model.config().vocab_size);
        let plane = project_to_plane(model.token_embeddings().slice_dim(0, 0..count)).await?;
        Ok(Answer::Embeddings {
            tokens: tokens(&tokenizer, 0..count as u32),
            points: plane.points,
            explained: plane.explained,
        })
    }
}

/// The tokens of a text as the model reads it: no more than `limit`, its end, behind the token that opens
/// every text, if the tokenizer has one.
fn read(tokenizer: &Tokenizer, text: &str, limit: usize) -> Result<Vec<u32>> {
    let mut ids = tokenizer.encode(text)?;
    require_tokens(&ids)?;
    let opening = tokenizer.bos();
    let room = limit.saturating_sub(opening.iter().count());
    ids.drain(..ids.len().saturating_sub(room));
    ids.splice(0..0, opening);
    Ok(ids)
}

fn named(tokenizer: &Tokenizer, promoted: Vec<(u32, f32)>) -> Vec<Promoted> {
    let name = |(id, logit)| Promoted { token: token(tokenizer, id), logit };
    promoted.into_iter().map(name).collect()
}

fn bytes(values: Vec<f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

fn component(Part { layer, head, neuron }: Part) -> Component {
    match (head, neuron) {
        (Some(head), _) => Component::Head { layer, head },
        (None, Some(neuron)) => Component::Neuron { layer, neuron },
        (None, None) => Component::Mlp { layer },
    }
}
