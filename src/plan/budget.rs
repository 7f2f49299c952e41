//! A run that uses a budget of compute: parameters, tokens, batch, steps, learning rate.

use super::recipe::{batch_tokens, critical_batch, learning_rate, warmup_steps};
use super::shape::model_of;
use crate::config::{Estimate, ModelConfig, TrainConfig};
use crate::error::{Error, Result};
use crate::scaling::{FLOPS_PER_PARAMETER, Law};

/// Final learning rate as a fraction of the peak (Hoffmann et al. 2022, appendix B).
const FINAL_LR: f64 = 0.1;
/// Largest number of sequences in a step.
const MOST_SEQUENCES: f64 = (1u64 << 30) as f64;

/// Requirements for a run.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    /// Floating-point operations of training.
    pub flops: f64,
    /// Training tokens, if they are given. Otherwise the law decides.
    pub tokens: Option<f64>,
    /// Scaling law.
    pub law: &'a Law,
    /// Architecture whose kind and vocabulary are kept, and whose sizes as well if `is_sized`.
    pub model: &'a ModelConfig,
    /// True if the sizes of the model are given.
    pub is_sized: bool,
    /// Training settings. Those that the recipe decides are replaced unless they are `given`.
    pub train: &'a TrainConfig,
    /// Keys of the training settings that are given.
    pub given: &'a [String],
    /// Tokens per sequence.
    pub seq_len: usize,
    /// Devices, which divide the sequences of a step.
    pub devices: usize,
    /// Sequences of a step, if they are given.
    pub global_batch: Option<usize>,
}

/// A run for a budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The model.
    pub model: ModelConfig,
    /// Its training settings, but for the layout: batch size and accumulation.
    pub train: TrainConfig,
    /// Number of parameters, embeddings included.
    pub params: f64,
    /// Operations per token, as the planner counts them.
    pub flops_per_token: f64,
    /// Sequences of a step.
    pub global_batch: usize,
    /// Tokens of a step.
    pub tokens_per_step: f64,
    /// Tokens of a batch that the compute suggests, before rounding.
    pub suggested_batch: f64,
    /// Critical batch at the predicted loss, in tokens.
    pub critical_batch: f64,
    /// Predicted loss, in nats per token of the law's tokenizer.
    pub loss: f64,
    law: Law,
}

impl Recipe {
    /// Returns the run that `wish` describes.
    ///
    /// # Errors
    /// The budget is too small for one step; as [`model_of`].
    pub fn new(wish: &Wish<'_>) -> Result<Self> {
        let model = match (wish.is_sized, wish.tokens) {
            (true, _) => wish.model.clone(),
            (false, Some(tokens)) => {
                model_of(wish.model, wish.flops / (FLOPS_PER_PARAMETER * tokens))?
            }
            (false, None) => model_of(wish.model, wish.law.optimum(wish.flops).params)?,
        };
        let estimate = Estimate::new(&model, wish.train, wish.seq_len);
        let params = estimate.parameters as f64;
        let flops_per_token = estimate.train_flops_per_token as f64;
        let tokens = wish.tokens.unwrap_or(wish.flops / flops_per_token);
        let critical_batch = critical_batch(predicted_loss(wish.law, &model, params, tokens));
        let suggested_batch = batch_tokens(tokens * flops_per_token);
        let sequences = suggested_batch.min(critical_batch) / wish.seq_len as f64;
        let global_batch =
            wish.global_batch.unwrap_or_else(|| rounded_batch(sequences, wish.devices));
        let recipe = Self {
            model,
            train: wish.train.clone(),
            params,
            flops_per_token,
            global_batch,
            tokens_per_step: global_batch as f64 * wish.seq_len as f64,
            suggested_batch,
            critical_batch,
            loss: 0.0,
            law: *wish.law,
        };
        let steps = (tokens / recipe.tokens_per_step).round();
        if steps < 1.0 {
            let problem = format!(
                "{tokens:.0} tokens are less than a step of {global_batch} sequences of {}",
                wish.seq_len
            );
            let remedy = "use a larger budget, fewer `gpus`, or a smaller `global_batch`";
            return Err(Error::config("budget_flops", problem, remedy));
        }
        Ok(recipe.with_steps(steps as u64, wish.given))
    }

    /// Returns the run with another number of steps and the settings that depend on it, except for those that are `given`.
    pub fn with_steps(self, steps: u64, given: &[String]) -> Self {
        let is_free = |key: &str| !given.iter().any(|given| given == key);
        let mut recipe = self;
        recipe.train.steps = steps;
        recipe.loss = predicted_loss(&recipe.law, &recipe.model, recipe.params, recipe.tokens());
        let flops = recipe.flops();
        let train = &mut recipe.train;
        if is_free("lr") {
            train.optimizer.lr = learning_rate(flops);
        }
        if is_free("min_lr") {
            train.schedule.min_lr = FINAL_LR * train.optimizer.lr;
        }
        if is_free("warmup_steps") {
            train.schedule.warmup_steps = warmup_steps(steps);
        }
        if is_free("decay_steps") {
            train.schedule.decay_steps = (steps / 5).max(1);
        }
        recipe
    }

    /// Returns the training tokens.
    pub fn tokens(&self) -> f64 {
        self.train.steps as f64 * self.tokens_per_step
    }

    /// Returns the operations of training, as the planner counts them.
    pub fn flops(&self) -> f64 {
        self.tokens() * self.flops_per_token
    }
}

/// Returns the loss of the law, at most that of a uniform distribution over the vocabulary: small runs are far from those that
/// the law was fitted to.
fn predicted_loss(law: &Law, model: &ModelConfig, params: f64, tokens: f64) -> f64 {
    law.loss(params, tokens).min((model.vocab_size as f64).ln())
}

/// Rounds a batch to a power of two, and from there to a multiple of the devices.
fn rounded_batch(sequences: f64, devices: usize) -> usize {
    let power = sequences.clamp(1.0, MOST_SEQUENCES).log2().round().exp2() as usize;
    match power.is_multiple_of(devices) {
        true => power,
        false => ((power as f64 / devices as f64).round() as usize).max(1) * devices,
    }
}

/// Device hours, energy and cost of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expense {
    /// Hours that all devices work, added up.
    pub device_hours: f64,
    /// Energy in kilowatt-hours.
    pub kilowatt_hours: f64,
    /// Price, in the currency of the price per device-hour, if that is given.
    pub cost: Option<f64>,
}

impl Expense {
    /// Returns the expense of `devices` of `watts` each for `hours`. `overhead` is the energy of the data center divided by that
    /// of its computers (PUE), by which power times time is multiplied (Patterson et al. 2021, section 2).
    pub fn new(devices: usize, hours: f64, watts: f64, overhead: f64, price: Option<f64>) -> Self {
        let device_hours = devices as f64 * hours;
        Self {
            device_hours,
            kilowatt_hours: device_hours * watts * overhead / 1000.0,
            cost: price.map(|price| device_hours * price),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Preset, preset};

    fn base() -> Preset {
        preset("llama-130m").unwrap()
    }

    fn wish(base: &Preset, flops: f64) -> Wish<'_> {
        Wish {
            flops,
            tokens: None,
            law: &Law::BESIROGLU,
            model: &base.model,
            is_sized: false,
            train: &base.train,
            given: &[],
            seq_len: 1024,
            devices: 8,
            global_batch: None,
        }
    }

    #[test]
    fn the_budget_is_used_and_split_as_the_law_says() {
        let base = base();
        for flops in [1e18, 1e20, 1e22, 1e24] {
            let recipe = Recipe::new(&wish(&base, flops)).unwrap();
            assert!((recipe.flops() / flops - 1.0).abs() < 0.05, "{recipe:?}");
            let best = Law::BESIROGLU.optimum(flops);
            assert!((0.7..1.4).contains(&(recipe.params / best.params)), "{recipe:?}");
            assert!((recipe.loss - best.loss).abs() < 0.05, "{recipe:?}");
            assert!(recipe.global_batch.is_power_of_two());
            assert!(recipe.tokens_per_step < 1.5 * recipe.critical_batch);
            assert!(recipe.train.validate().is_ok() && recipe.model.validate().is_ok());
        }
    }

    #[test]
    fn what_is_given_is_kept() {
        let base = base();
        let given = ["lr".to_string()];
        let recipe = Recipe::new(&Wish { given: &given, ..wish(&base, 1e20) }).unwrap();
        let lr = base.train.optimizer.lr;
        assert_eq!(recipe.train.optimizer.lr, lr);
        assert!((recipe.train.schedule.min_lr / lr - 0.1).abs() < 1e-12);
        let half = recipe.clone().with_steps(recipe.train.steps / 2, &given);
        assert!(half.loss > recipe.loss && half.train.optimizer.lr == lr);

        let recipe = Recipe::new(&Wish { tokens: Some(5e9), ..wish(&base, 1e20) }).unwrap();
        assert!((recipe.tokens() / 5e9 - 1.0).abs() < 0.01);
        assert!((recipe.params / (1e20 / 3e10) - 1.0).abs() < 0.3, "{recipe:?}");
        let recipe = Recipe::new(&Wish { is_sized: true, ..wish(&base, 1e20) }).unwrap();
        assert_eq!(recipe.model, base.model);
        let recipe = Recipe::new(&Wish { global_batch: Some(96), ..wish(&base, 1e20) }).unwrap();
        assert_eq!(recipe.global_batch, 96);
    }

    #[test]
    fn batches_are_divided_among_the_devices() {
        assert_eq!(rounded_batch(100.0, 8), 128);
        assert_eq!(rounded_batch(100.0, 24), 120);
        assert_eq!(rounded_batch(3.0, 24), 24);
        assert_eq!(rounded_batch(f64::MAX, 1), 1 << 30);
        let base = base();
        let large = Wish { global_batch: Some(1 << 20), is_sized: true, ..wish(&base, 1e13) };
        let refused = Recipe::new(&large).unwrap_err().to_string();
        assert!(refused.contains("less than a step"), "{refused}");
    }

    /// Patterson et al. 2021, table 4: GPT-3 took 14.8 days on 10,000 V100 of 330 W with a PUE of 1.10, 1,287 MWh.
    #[test]
    fn energy_is_that_of_a_published_run() {
        let expense = Expense::new(10_000, 14.8 * 24.0, 330.0, 1.10, Some(1.5));
        assert!((expense.kilowatt_hours / 1.287e6 - 1.0).abs() < 0.01, "{expense:?}");
        assert_eq!(expense.cost, Some(1.5 * expense.device_hours));
    }
}
