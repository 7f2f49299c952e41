//! Answers to queries about the current model. Token ids become text, and figures take the form that the page shows.
//!
//! A query may arrive during training. It first copies what it needs out of the run, so that training continues while the
//! query waits for the device.

use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};

use super::models::encode_end;
use super::spelling::{candidates, token, tokens};
use super::{Engine, tokenizers};
use crate::config::{Estimate, SampleConfig, TrainConfig};
use crate::error::Result;
use crate::inspect::{
    CircuitOptions, ForwardTrace, HeadCircuits, KvCacheRms, LensPrediction, Neuron, NeuronOptions,
    Score, find_strongest_neurons, inspect_head, measure_kv_cache, next_logits, project_to_plane,
    report_activations, report_tensors, score, trace_forward,
};
use crate::model::Component;
use crate::protocol::{
    Answer, CacheReport, Circuit, Inspection, LensCell, Likely, NeuronReport, Part, Promoted, Query,
};
use crate::sample::Prediction;
use crate::tokenizer::Tokenizer;

impl Engine {
    /// Answers a query about the current model. The run does not change.
    ///
    /// # Errors
    /// No model is loaded; the text is empty; the step, component or pair does not exist; the device was lost.
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
            Query::Embeddings { step, limit, find } => self.embeddings(step, limit, &find).await?,
            Query::Circuit { text, step, layer, head, top } => {
                let options = CircuitOptions { layer, head, top };
                Answer::Circuit { circuit: self.circuit(&text, step, options).await? }
            }
            Query::Neurons { text, step, layer, place, count, top } => {
                let options = NeuronOptions { layer, position: place, count, top };
                self.neurons(&text, step, options).await?
            }
            Query::Activations { text, step } => {
                let (model, _, ids, _) = self.text_at(&text, step).await?;
                Answer::Activations { activations: report_activations(&model, &ids).await? }
            }
            Query::Cached { text, step } => {
                Answer::Cached { cache: self.cache(&text, step).await? }
            }
            Query::Pair { number } => Answer::Pair { pair: self.pair(number).await? },
            Query::Fit { mut config } => {
                self.fit(&mut config)?;
                Answer::Fit { config: *config }
            }
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

        // The distribution of the model itself, unfiltered.
        let unfiltered = SampleConfig { temperature: 1.0, top_p: 1.0, ..Default::default() };
        let predict = |score: &Score| Prediction::new(score.logits.clone(), &ids, &unfiltered);
        let next = predict(&after);
        let next_before = before.as_ref().map(predict);
        // Both predictions list the same tokens, so that they can be compared.
        let mut listed = next.top(top);
        for id in next_before.iter().flat_map(|before| before.top(top)) {
            if !listed.contains(&id) {
                listed.push(id);
            }
        }
        let of_listed = |prediction| candidates(&tokenizer, prediction, listed.iter().copied());
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
            next: of_listed(&next),
            next_before: next_before.as_ref().map(of_listed),
            losses: after.losses,
            losses_before: before.map(|before| before.losses),
            tokens: tokens(&tokenizer, ids),
        })
    }

    async fn cut(
        &self,
        text: &str,
        step: Option<u64>,
        config: &SampleConfig,
        top: usize,
    ) -> Result<Answer> {
        config.validate()?;
        let (model, tokenizer, _) = self.model_at(step).await?;
        let ids = encode_end(&tokenizer, text, model.config().max_position_embeddings)?;
        let prediction = Prediction::new(next_logits(&model, &ids).await?, &ids, config);
        let candidates = candidates(&tokenizer, &prediction, prediction.top(top));
        Ok(Answer::Cut { candidates, kept: prediction.candidates() })
    }

    /// Reports all weights and, if there is training data, their gradients on the next batch.
    async fn tensors(&self, step: Option<u64>) -> Result<Answer> {
        let (name, current) = self.with_run(|run| Ok((run.config.name.clone(), run.step())))?;
        let kept = match step.filter(|step| *step != current) {
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
        options: CircuitOptions,
    ) -> Result<Circuit> {
        let (model, tokenizer, ids, step) = self.text_at(text, step).await?;
        let HeadCircuits { scores, scores_alone, promoted } =
            inspect_head(&model, &ids, options).await?;
        Ok(Circuit {
            step,
            scores: bytes(scores),
            scores_alone: bytes(scores_alone),
            promoted: promoted.into_iter().map(|list| promoted_tokens(&tokenizer, list)).collect(),
            tokens: tokens(&tokenizer, ids),
        })
    }

    async fn neurons(
        &self,
        text: &str,
        step: Option<u64>,
        options: NeuronOptions,
    ) -> Result<Answer> {
        let (model, tokenizer, ids, _) = self.text_at(text, step).await?;
        let found = find_strongest_neurons(&model, &ids, options).await?;
        let neuron = |Neuron { neuron, activations, promoted }| NeuronReport {
            neuron,
            activations,
            promoted: promoted_tokens(&tokenizer, promoted),
        };
        Ok(Answer::Neurons { neurons: found.into_iter().map(neuron).collect() })
    }

    async fn cache(&self, text: &str, step: Option<u64>) -> Result<CacheReport> {
        let (model, tokenizer, ids, _) = self.text_at(text, step).await?;
        let KvCacheRms { keys, values } = measure_kv_cache(&model, &ids).await?;
        let c = model.config();
        let context = c.max_position_embeddings;
        let train = TrainConfig::default();
        let token_bytes = Estimate::new(c, &train, 1).kv_cache_bytes / context as u64;
        Ok(CacheReport { tokens: tokens(&tokenizer, ids), keys, values, context, token_bytes })
    }

    async fn embeddings(&self, step: Option<u64>, limit: usize, find: &str) -> Result<Answer> {
        let (model, tokenizer, _) = self.model_at(step).await?;
        let rows = model.config().vocab_size;
        let count = limit.clamp(1, rows);
        let mut shown = tokens(&tokenizer, 0..count as u32);
        if !find.is_empty() {
            let others = (count as u32..rows as u32).map(|id| token(&tokenizer, id));
            shown.extend(others.filter(|token| token.text.contains(find)).take(limit));
        }
        let ids: Vec<i32> = shown.iter().map(|token| token.id as i32).collect();
        let table = model.token_embeddings();
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [shown.len()]), &table.device());
        let plane = project_to_plane(table.select(0, ids), count).await?;
        model.require_finite(plane.points.as_flattened()).await?;
        Ok(Answer::Embeddings { tokens: shown, points: plane.points, explained: plane.explained })
    }
}

fn promoted_tokens(tokenizer: &Tokenizer, promoted: Vec<(u32, f32)>) -> Vec<Promoted> {
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
