//! The runs of a grid: sizes, tokens and the settings that follow from them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::{Costs, Estimate};
use crate::error::{Error, Result};
use crate::plan::{SIZE_SETTINGS, learning_rate, model_of};
use crate::run::{GivenSettings, RunConfig};
use crate::scaling::{FLOPS_PER_PARAMETER, tokens_for};

/// Name of the file with the result of a run, in its directory.
pub const POINT: &str = "point.json";

/// Result of a run, as stored in its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Name of its directory.
    pub run: String,
    /// Parameters, embeddings included.
    pub params: u64,
    /// Parameters without token and position embeddings.
    pub non_embedding_params: u64,
    /// Training tokens.
    pub tokens: u64,
    /// `6 N D`.
    pub flops: f64,
    /// Operations as the planner counts them, attention included.
    pub counted_flops: f64,
    /// Validation loss at the end, in nats per token.
    pub loss: f64,
}

/// A run of the grid.
pub struct Cell {
    /// Its settings.
    pub config: RunConfig,
    /// Its result, except for the loss.
    pub outcome: Outcome,
}

/// Definition of a grid.
pub struct Grid<'a> {
    /// Sizes in parameters.
    pub sizes: &'a [f64],
    /// Numbers of tokens of every size; empty if there are `flops`.
    pub tokens: &'a [f64],
    /// Budgets of every size; empty if there are `tokens`.
    pub flops: &'a [f64],
    /// Base settings, which the given ones override.
    pub preset: RunConfig,
    /// Settings that were given.
    pub given: Vec<GivenSettings>,
    /// Size of the tokenizer's vocabulary.
    pub vocab_size: usize,
    /// Specification of a tokenizer like it, which the runs record.
    pub tokenizer: String,
}

impl Grid<'_> {
    /// Returns all runs, by size and then by tokens.
    ///
    /// # Errors
    /// Settings among those given that the grid decides; two runs are the same; a run has less than one step.
    pub fn cells(&self) -> Result<Vec<Cell>> {
        self.refuse_given()?;
        let mut cells: Vec<Cell> = Vec::new();
        for size in self.sizes {
            let lengths = match self.tokens {
                [] => self.flops.iter().map(|flops| (Some(*flops), 0.0)).collect(),
                tokens => tokens.iter().map(|tokens| (None, *tokens)).collect::<Vec<_>>(),
            };
            for (flops, tokens) in lengths {
                let cell = self.cell(*size, flops, tokens)?;
                let name = &cell.outcome.run;
                if cells.iter().any(|other| other.outcome.run == *name) {
                    let problem = format!("two runs have the same parameters and tokens ({name})");
                    let remedy = "leave one out, or use sizes that differ more";
                    return Err(Error::config("sizes", problem, remedy));
                }
                cells.push(cell);
            }
        }
        Ok(cells)
    }

    fn refuse_given(&self) -> Result<()> {
        for given in &self.given {
            if let Some(key) = given.long_run.keys().next() {
                let problem = "the runs of a grid do not have it";
                return Err(Error::config(key.as_str(), problem, "leave it out"));
            }
            if let Some(key) = SIZE_SETTINGS.iter().find(|key| given.model.contains_key(**key)) {
                let problem = "the sizes of the grid decide it";
                return Err(Error::config(key, problem, "leave it out"));
            }
            if given.train.contains_key("steps") {
                let problem = "the tokens of each run decide it";
                return Err(Error::config("steps", problem, "leave it out"));
            }
        }
        Ok(())
    }

    fn cell(&self, size: f64, flops: Option<f64>, tokens: f64) -> Result<Cell> {
        let base = RunConfig::fresh(self.preset.clone(), &self.given)?;
        let mut model = base.model.clone();
        model.vocab_size = self.vocab_size;
        let model = model_of(&model, size)?;
        let params = Costs::new(&model, base.data.seq_len).parameters();
        let tokens = flops.map_or(tokens, |flops| tokens_for(flops, params));
        let examples = base.train.batch_size as f64 * base.train.grad_accum as f64;
        let per_step = examples * base.data.seq_len as f64;
        let steps = (tokens / per_step).round();
        if steps < 1.0 {
            let problem = format!(
                "{tokens:.0} tokens for {params:.0} parameters are less than a step of {per_step:.0}"
            );
            let key = if flops.is_some() { "flops" } else { "tokens" };
            return Err(Error::config(key, problem, "use more, or a smaller `batch_size`"));
        }
        let tokens = steps * per_step;
        let flops = FLOPS_PER_PARAMETER * params * tokens;
        let layer = GivenSettings {
            model: of_size(&json!(model)),
            train: self.train(&base, steps, flops, per_step),
            tokenizer: Some(self.tokenizer.clone()),
            sample_every: Some(0),
            ..GivenSettings::default()
        };
        let layers: Vec<GivenSettings> = self.given.iter().cloned().chain([layer]).collect();
        let run = format!("n{params:.0}-d{tokens:.0}");
        let preset = RunConfig { name: run.clone(), ..self.preset.clone() };
        let config = RunConfig::fresh(preset, &layers)?;
        let estimate = Estimate::new(&model, &config.train, config.data.seq_len);
        let outcome = Outcome {
            run,
            params: estimate.parameters,
            non_embedding_params: estimate.non_embedding_parameters,
            tokens: tokens as u64,
            flops,
            counted_flops: estimate.train_flops_per_token as f64 * tokens,
            loss: f64::NAN,
        };
        Ok(Cell { config, outcome })
    }

    /// Returns the training settings of a run, except those given: warm-up and decay are the same share of all runs, and the learning
    /// rate follows compute from that of the preset.
    fn train(&self, base: &RunConfig, steps: f64, flops: f64, per_step: f64) -> Map<String, Value> {
        let train = &base.train;
        let share = |of: u64| (of as f64 * steps / train.steps.max(1) as f64).round() as u64;
        let preset_params = Costs::new(&base.model, base.data.seq_len).parameters();
        let preset_flops = FLOPS_PER_PARAMETER * preset_params * train.steps as f64 * per_step;
        let lr = train.optimizer.lr * learning_rate(flops) / learning_rate(preset_flops);
        let settings = [
            ("steps", json!(steps as u64)),
            ("warmup_steps", json!(share(train.schedule.warmup_steps))),
            ("decay_steps", json!(share(train.schedule.decay_steps).max(1))),
            ("lr", json!(lr)),
            ("eval_every", json!(0)),
            ("keep_last", json!(1)),
        ];
        let is_given = |key: &str| self.given.iter().any(|given| given.train.contains_key(key));
        let own = settings.into_iter().filter(|(key, _)| !is_given(key));
        own.map(|(key, value)| (key.to_string(), value)).collect()
    }
}

fn of_size(model: &Value) -> Map<String, Value> {
    SIZE_SETTINGS.iter().map(|key| (key.to_string(), model[*key].clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::preset;

    fn grid<'a>(sizes: &'a [f64], tokens: &'a [f64], flops: &'a [f64]) -> Grid<'a> {
        let preset = RunConfig::from_preset("grid", preset("tiny").unwrap());
        let tokenizer = preset.tokenizer.clone();
        Grid { sizes, tokens, flops, preset, given: Vec::new(), vocab_size: 65, tokenizer }
    }

    #[test]
    fn runs_of_a_budget_have_the_same_compute() {
        let cells = grid(&[3e4, 1e5, 3e5], &[], &[1e12, 1e13]).cells().unwrap();
        assert_eq!(cells.len(), 6);
        for (index, cell) in cells.iter().enumerate() {
            let budget = [1e12, 1e13][index % 2];
            assert!((cell.outcome.flops / budget - 1.0).abs() < 0.01, "{:?}", cell.outcome);
            assert!(cell.outcome.counted_flops > 0.5 * cell.outcome.flops);
            assert_eq!(cell.config.train.steps * 1024, cell.outcome.tokens);
            // 50 of 1000 steps, as in the preset.
            let warmup = cell.config.train.schedule.warmup_steps as f64;
            assert!((warmup / cell.config.train.steps as f64 - 0.05).abs() < 0.01);
        }
        let [small, large] = [0, 1].map(|i| cells[i].config.train.optimizer.lr);
        assert!((small / large - 10f64.powf(0.125)).abs() < 0.01, "{small} {large}");
    }

    #[test]
    fn what_is_given_stays_and_what_the_grid_decides_is_refused() {
        let with = |settings: Value| {
            let given = vec![serde_json::from_value(settings).unwrap()];
            Grid { given, ..grid(&[1e5], &[1e6], &[]) }.cells()
        };
        let cells =
            with(json!({"train": {"lr": 0.01, "warmup_steps": 7, "eval_every": 3}})).unwrap();
        let train = &cells[0].config.train;
        assert_eq!(
            (train.optimizer.lr, train.schedule.warmup_steps, train.eval_every),
            (0.01, 7, 3)
        );
        for (settings, key) in [
            (json!({"model": {"hidden_size": 64}}), "hidden_size"),
            (json!({"train": {"steps": 5}}), "steps"),
        ] {
            let error = with(settings).err().unwrap().to_string();
            assert!(error.starts_with(key) && error.contains("leave it out"), "{error}");
        }
        let same = grid(&[1e5, 1.0001e5], &[1e6], &[]).cells().err().unwrap().to_string();
        assert!(same.contains("two runs"), "{same}");
        let short = grid(&[1e5], &[10.0], &[]).cells().err().unwrap().to_string();
        assert!(short.starts_with("tokens: 10 tokens"), "{short}");
    }
}
