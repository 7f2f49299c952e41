//! State of a long run besides its weights and step: settings, recent losses, skipped batches, and the evaluations without
//! improvement.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::spikes::{Figures, Recent, Scores};
use crate::checkpoint::STATE;
use crate::config::{LongRunConfig, Settings};
use crate::error::{Error, Result, json_problem};

/// Maximum rollbacks to one checkpoint: spikes on so many different batches are not caused by the data.
const MAX_ROLLBACKS: usize = 5;

/// A rollback to a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollback {
    /// The step of the spike, which was not made.
    pub spike: u64,
    /// The step of the checkpoint.
    pub to: u64,
}

/// State of a long run. `training_state.json` contains the values that differ from their defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LongRun {
    /// Settings.
    #[serde(with = "changed")]
    pub config: LongRunConfig,
    /// Steps by which the batches are ahead of the run's steps, because rollbacks skipped batches.
    pub passed_over: u64,
    /// Steps whose batches did not change the weights.
    pub skipped: Vec<u64>,
    /// Rollbacks, in order.
    pub rollbacks: Vec<Rollback>,
    /// Figures of the last steps.
    recent: Recent,
    /// The validation loss that later ones are compared with.
    best: Option<f64>,
    /// Evaluations since then.
    waited: u64,
}

impl LongRun {
    /// Reads the part of a training state.
    ///
    /// # Errors
    /// An unknown key, a value of another type, a setting out of range.
    pub fn from_map(map: &Map<String, Value>) -> Result<Self> {
        let read: Self = serde_json::from_value(Value::Object(map.clone())).map_err(|error| {
            let what = format!("`long_run` of {STATE}");
            Error::malformed(what, json_problem(&error), "restore the original file")
        })?;
        read.config.validate_ranges()?;
        Ok(read)
    }

    /// Returns the part of a training state: the values that differ from their defaults. The figures of the last steps are left
    /// out if no decision depends on them: a warning does not change the run.
    pub fn to_map(&self) -> Map<String, Value> {
        let mut own = self.clone();
        if !own.config.holds_steps() {
            own.recent.clear();
        }
        let json = |long_run: &Self| match serde_json::to_value(long_run) {
            Ok(Value::Object(map)) => map,
            _ => unreachable!("a struct of numbers and lists is an object"),
        };
        let usual = json(&Self::default());
        let mut map = json(&own);
        map.retain(|key, value| usual.get(key) != Some(&*value));
        map
    }

    /// Compares the figures of a step with those before, and records them. Returns its scores if it is a spike.
    pub fn judge(&mut self, figures: Figures) -> Option<Scores> {
        let LongRunConfig { spike_threshold, spike_window, .. } = self.config;
        if spike_threshold == 0.0 {
            return None;
        }
        let scores = self.recent.scores(figures, spike_window);
        self.recent.push(figures, spike_window);
        scores.filter(|scores| scores.loss.max(scores.grad_norm) >= spike_threshold)
    }

    /// Records a rollback to the checkpoint of step `to`, from which `self` was read, instead of step `spike`.
    ///
    /// # Errors
    /// There were too many rollbacks to that checkpoint, which `before` counts.
    pub fn roll_back(&mut self, before: &Self, spike: u64, to: u64) -> Result<()> {
        let returns = before.rollbacks.iter().filter(|rollback| rollback.to == to).count();
        if returns >= MAX_ROLLBACKS {
            let problem = format!(
                "the loss spiked {MAX_ROLLBACKS} times after the checkpoint of step {to}, each time on other batches"
            );
            let remedy = "it does not come from the data: resume with a lower `lr`, or raise `spike_threshold`";
            return Err(Error::config("on_spike", problem, remedy));
        }
        self.rollbacks.clone_from(&before.rollbacks);
        self.rollbacks.push(Rollback { spike, to });
        self.passed_over = before.passed_over.saturating_add(spike.saturating_sub(to));
        Ok(())
    }

    /// Records a validation loss. Returns true if training should end, since none of the last ones was an improvement.
    pub fn note_evaluation(&mut self, loss: f64) -> bool {
        let LongRunConfig { early_stopping_patience, early_stopping_min_delta, .. } = self.config;
        if early_stopping_patience == 0 {
            return false;
        }
        let improves = |best: f64| loss < best && best - loss >= early_stopping_min_delta;
        if self.best.is_none_or(improves) {
            self.best = Some(loss);
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        self.has_ended()
    }

    /// Returns true if the last evaluations were no improvement.
    pub fn has_ended(&self) -> bool {
        let patience = self.config.early_stopping_patience;
        patience > 0 && self.waited >= patience
    }

    /// Returns the validation loss that the last ones were compared with, and the number of evaluations since.
    pub fn best(&self) -> Option<(f64, u64)> {
        Some((self.best?, self.waited))
    }
}

/// Settings as those that differ from their defaults.
mod changed {
    use std::result::Result;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use serde_json::Map;

    use crate::config::{LongRunConfig, Settings, overridden};

    pub fn serialize<S: Serializer>(config: &LongRunConfig, to: S) -> Result<S::Ok, S::Error> {
        let usual = LongRunConfig::default().to_map();
        let mut changed = config.to_map();
        changed.retain(|key, value| usual.get(key) != Some(&*value));
        changed.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<LongRunConfig, D::Error> {
        let given = Map::deserialize(from)?;
        let known = LongRunConfig::default();
        if let Some(key) = given.keys().find(|key| !known.to_map().contains_key(*key)) {
            return Err(D::Error::custom(format!("there is no setting `{key}`")));
        }
        overridden(&known, &given).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OnSpike;

    fn figures(loss: f32) -> Figures {
        Figures { loss, grad_norm: Some(1.5) }
    }

    #[test]
    fn a_usual_run_adds_nothing_to_its_state() {
        let mut run = LongRun::default();
        assert!(run.judge(figures(2.0)).is_none());
        assert!(run.to_map().is_empty());
        assert_eq!(LongRun::from_map(&Map::new()).unwrap(), LongRun::default());
    }

    #[test]
    fn what_decides_is_saved_exactly() {
        let config = LongRunConfig {
            on_spike: OnSpike::Skip,
            ema_decay: 0.1 + 0.2,
            early_stopping_patience: 3,
            ..LongRunConfig::default()
        };
        let mut run = LongRun { config, passed_over: 3, skipped: vec![7], ..LongRun::default() };
        for i in 0..70 {
            run.judge(Figures { loss: 1.0 / 3.0 + i as f32, grad_norm: None });
        }
        run.note_evaluation(0.1 + 0.7);
        let map = run.to_map();
        assert_eq!(map["config"].as_object().unwrap().len(), 3);
        assert_eq!(LongRun::from_map(&map).unwrap(), run);
        let unknown = serde_json::json!({"config": {"ema": 1}});
        let error = LongRun::from_map(unknown.as_object().unwrap()).unwrap_err().to_string();
        assert!(error.contains("training_state.json") && error.contains("`ema`"), "{error}");
    }

    #[test]
    fn training_ends_after_evaluations_without_improvement() {
        let config = LongRunConfig {
            early_stopping_patience: 2,
            early_stopping_min_delta: 0.1,
            ..LongRunConfig::default()
        };
        let mut run = LongRun { config, ..LongRun::default() };
        let ends: Vec<bool> =
            [3.0, 2.95, 2.8, 2.75, 2.71].map(|loss| run.note_evaluation(loss)).into();
        assert_eq!(ends, [false, false, false, false, true]);
        assert_eq!(run.best(), Some((2.8, 2)));
        assert!(!LongRun::default().note_evaluation(9.0));
    }

    #[test]
    fn rollbacks_add_up_and_end() {
        let mut run = LongRun::default();
        for i in 1..=MAX_ROLLBACKS as u64 {
            // The checkpoint does not contain it.
            let mut read = LongRun::default();
            read.roll_back(&run, 14, 10).unwrap();
            assert_eq!(read.passed_over, 4 * i);
            run = read;
        }
        let error = LongRun::default().roll_back(&run, 14, 10).unwrap_err().to_string();
        assert!(error.starts_with("on_spike: the loss spiked 5 times"), "{error}");
        LongRun::default().roll_back(&run, 24, 20).unwrap();
    }
}
