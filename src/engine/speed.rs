//! Estimates the training speed of a configuration on this device. A few steps on arbitrary tokens are timed, of the model or
//! of a smaller part of it.

use burn::tensor::Device;

use super::Engine;
use crate::config::{DataConfig, Estimate, LoraConfig, ModelConfig, TrainConfig};
use crate::data::{Corpus, Tokens, Windows};
use crate::error::Result;
use crate::model::{Decoder, random_source};
use crate::platform::{compile_ahead, tick_ms, yield_now};
use crate::protocol::RunConfig;
use crate::train::Trainer;

/// Maximum floating-point operations of one sequence, forward and backward: 0.2 s on a slow processor.
const SEQUENCE_FLOPS: u64 = 1_000_000_000;
/// Maximum parameters: they are in memory beside the current run, with gradients and optimizer state.
const PARAMETERS: u64 = 10_000_000;
/// Milliseconds of a step that is long enough: larger batches would not be faster.
const ENOUGH_MS: f64 = 40.0;
/// Steps that are timed together: on a GPU, a single step would mostly be the wait for its result.
const STEPS: u32 = 3;
/// Time budget in milliseconds: a browser compiles quickly at first and optimizes later.
const BUDGET_MS: f64 = 1000.0;
const NOT_SAVED: &str = "nothing was saved or lost: only the speed was measured";

impl Engine {
    /// Returns tokens per second; none while the engine is busy, or if even a part of the model is too large to time.
    pub(super) async fn speed(&self, config: &RunConfig) -> Result<Option<f64>> {
        let trial = Trial::of(config);
        if self.busy.get().is_some()
            || self.measuring.get()
            || parameters(&trial.model) > PARAMETERS
        {
            return Ok(None);
        }
        self.measuring.set(true);
        let rate = self.rate(&trial).await;
        self.measuring.set(false);
        Ok(Some(rate? * trial.flops_per_token() / flops_per_token(&config.model, &config.data)))
    }

    /// Returns tokens per second of the trial.
    async fn rate(&self, trial: &Trial) -> Result<f64> {
        let (device, info) = self.device()?;
        let mut trainer = trial.trainer(&device)?;
        if info.is_gpu() {
            compile_ahead(|| trainer.rehearse(), |_, _| ()).await?;
        }
        let start = tick_ms();
        let mut batch_size = 1;
        let mut fastest = 0.0;
        loop {
            trainer.adjust(&TrainConfig { batch_size, ..trial.train.clone() });
            let step_ms = time(&mut trainer).await?;
            fastest = f64::max(fastest, (batch_size * trial.data.seq_len) as f64 / step_ms * 1e3);
            yield_now().await;
            let spent = tick_ms() - start > BUDGET_MS;
            if spent || self.busy.get().is_some() {
                return Ok(fastest);
            }
            if step_ms < ENOUGH_MS {
                batch_size = (4 * batch_size).min(trial.train.batch_size);
            }
        }
    }
}

/// Returns the milliseconds of a step.
async fn time(trainer: &mut Trainer) -> Result<f64> {
    // The first step of a shape may compile kernels or allocate memory.
    trainer.step()?.read(NOT_SAVED).await?;
    let start = tick_ms();
    for _ in 1..STEPS {
        trainer.step()?;
    }
    trainer.step()?.read(NOT_SAVED).await?;
    Ok((tick_ms() - start) / f64::from(STEPS))
}

/// The part of a configuration that is timed.
struct Trial {
    model: ModelConfig,
    train: TrainConfig,
    data: DataConfig,
}

impl Trial {
    /// Returns as much of a configuration as can be computed quickly: fewer layers, then shorter sequences, then a smaller
    /// vocabulary. Speeds are in proportion to the floating-point operations per token.
    fn of(config: &RunConfig) -> Self {
        let RunConfig { mut model, train, .. } = config.clone();
        // A fresh model has no adapters.
        let train = TrainConfig { grad_accum: 1, lora: LoraConfig::default(), ..train };
        let mut seq_len = config.data.seq_len;
        let data = |seq_len| DataConfig { seq_len, ..Default::default() };
        loop {
            let flops = flops_per_token(&model, &data(seq_len)) * seq_len as f64;
            let slow = flops > SEQUENCE_FLOPS as f64;
            let large = parameters(&model) > PARAMETERS;
            let halved = match () {
                () if !slow && !large => break,
                () if model.num_hidden_layers > 1 => &mut model.num_hidden_layers,
                () if slow && seq_len > 16 => &mut seq_len,
                () if model.vocab_size > 1024 => &mut model.vocab_size,
                () => break,
            };
            *halved /= 2;
        }
        model.max_position_embeddings = seq_len;
        Self { model, train, data: data(seq_len) }
    }

    fn flops_per_token(&self) -> f64 {
        flops_per_token(&self.model, &self.data)
    }

    fn trainer(&self, device: &Device) -> Result<Trainer> {
        let source = &mut random_source(self.train.seed);
        let model = Decoder::new(&self.model, &device.clone().autodiff(), source)?;
        let ids = (0..=2 * self.data.seq_len as u32).map(|id| id % self.model.vocab_size as u32);
        let corpus = Corpus::new(Tokens::from_ids(ids.collect()));
        let windows = Windows::new(corpus, &self.data, self.train.batch_size, self.train.seed)?;
        Trainer::new(model, &self.train, windows)
    }
}

fn parameters(model: &ModelConfig) -> u64 {
    Estimate::new(model, &TrainConfig::default(), 1).parameters
}

fn flops_per_token(model: &ModelConfig, data: &DataConfig) -> f64 {
    Estimate::new(model, &TrainConfig::default(), data.seq_len).train_flops_per_token as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::preset;

    fn of_preset(name: &str) -> RunConfig {
        let preset = preset(name).unwrap();
        RunConfig {
            name: name.into(),
            tokenizer: preset.tokenizer.into(),
            model: preset.model,
            train: preset.train,
            data: preset.data,
            sample_every: 0,
        }
    }

    #[test]
    fn small_models_are_timed_whole_and_large_ones_in_part() {
        let whole = of_preset("tiny");
        let trial = Trial::of(&whole);
        assert_eq!((trial.model, trial.data.seq_len), (whole.model, whole.data.seq_len));
        for name in ["char", "gpt2", "llama-60m"] {
            let whole = of_preset(name);
            let trial = Trial::of(&whole);
            let sequence = trial.flops_per_token() * trial.data.seq_len as f64;
            assert!(sequence <= SEQUENCE_FLOPS as f64, "{name}: {sequence}");
            assert!(parameters(&trial.model) <= PARAMETERS, "{name}");
            // The width, on which the speed of kernels depends most, is unchanged.
            assert_eq!(trial.model.hidden_size, whole.model.hidden_size);
            trial.model.validate().unwrap();
        }
    }
}
