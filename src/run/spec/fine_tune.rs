//! Suggested settings for fine-tuning.

use serde_json::Value;

use super::{GivenSettings, RunConfig};
use crate::config::{DataKind, ObjectiveConfig, OptimizerKind};
use crate::error::Result;
use crate::tokenizer::CHAT_TOKENS;

/// Steps of fine-tuning, unless given.
const FINE_TUNING_STEPS: u64 = 200;
/// Tokens per window of conversations and preference pairs, unless given: they are learned whole where they fit.
const CHAT_WINDOW: usize = 256;

impl RunConfig {
    /// Returns the suggested settings for fine-tuning the model of the run that these settings define on data of `kind`, with
    /// adapters of `rank` or, for 0, without. `chats` is true if that model was trained on conversations.
    pub fn suggested_for_tuning(&self, kind: DataKind, rank: usize, chats: bool) -> Self {
        let tuned_before = self.data.kind != DataKind::Text && !self.train.adapts();
        let every = FINE_TUNING_STEPS / 10;
        let mut config = self.clone();
        let mut train = self.train.clone();
        if !tuned_before {
            train = train.for_fine_tuning();
        }
        if rank > 0 {
            train = train.for_adapters();
        }
        train.steps = FINE_TUNING_STEPS;
        train.eval_every = every;
        train.checkpoints.save_every = every;
        train.schedule.warmup_steps = every;
        train.schedule.decay_steps = every;
        train.lora.rank = rank;
        train.lora.embeddings = rank > 0 && kind.has_turns() && !chats;
        if rank > 0 {
            train.optimizer.kind = OptimizerKind::Adamw;
        }
        if kind != DataKind::Preferences {
            train.objective.dpo_beta = ObjectiveConfig::default().dpo_beta;
        }
        if kind.has_turns() && !chats {
            // The tokens that the run adds count in its costs. The model's own vocabulary decides about them later.
            config.model.vocab_size += CHAT_TOKENS.len();
        }
        if kind.has_turns() {
            config.data.seq_len = self.model.max_position_embeddings.min(CHAT_WINDOW);
        }
        config.train = train;
        config.data.kind = kind;
        config.sample_every = every;
        config
    }

    /// Returns the suggested settings for fine-tuning ([`Self::suggested_for_tuning`]) with `given` over them, whose
    /// `lora_rank` is the rank. Warm-up takes at most a tenth of the steps unless it is given.
    ///
    /// # Errors
    /// A value of the wrong type.
    pub fn tuning_form(&self, kind: DataKind, chats: bool, given: &GivenSettings) -> Result<Self> {
        let rank = given.train.get("lora_rank").and_then(Value::as_u64).unwrap_or(0);
        let mut config = self.suggested_for_tuning(kind, rank as usize, chats).with(given)?;
        if !given.train.contains_key("warmup_steps") {
            let schedule = &mut config.train.schedule;
            schedule.warmup_steps = schedule.warmup_steps.min(config.train.steps / 10);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::TrainConfig;
    use crate::run::spec::fixtures::{given, small};

    #[test]
    fn fine_tuning_learns_a_tenth_as_fast_and_adapters_ten_times_that() {
        let base = RunConfig { train: TrainConfig::fine_tuning(), ..small() };
        assert_eq!((base.train.optimizer.lr, base.train.schedule.min_lr), (1e-4, 1e-5));
        let adapters = given(json!({}), json!({"lora_rank": 4}));
        let config = RunConfig::fine_tuned(base, &[adapters]).unwrap();
        assert_eq!((config.train.optimizer.lr, config.train.schedule.min_lr), (1e-3, 1e-4));

        let rate = |base: &RunConfig, kind, rank| {
            base.suggested_for_tuning(kind, rank, false).train.optimizer.lr
        };
        let lr = small().train.optimizer.lr;
        assert_eq!(rate(&small(), DataKind::Text, 0), small().train.for_fine_tuning().optimizer.lr);
        assert_eq!(rate(&small(), DataKind::Text, 8), lr);
        // A model that was tuned already has the rate of tuning, unless that was the rate of adapters.
        let tuned = small().suggested_for_tuning(DataKind::Conversations, 0, false);
        assert_eq!(rate(&tuned, DataKind::Preferences, 0), tuned.train.optimizer.lr);
        let adapted = small().suggested_for_tuning(DataKind::Conversations, 8, false);
        assert!(adapted.train.lora.embeddings);
        assert_eq!(tuned.model.vocab_size, small().model.vocab_size + 2);
        let again = small().suggested_for_tuning(DataKind::Conversations, 0, true);
        assert_eq!(again.model, small().model, "its chat tokens are there already");
        assert_eq!(rate(&adapted, DataKind::Preferences, 8), adapted.train.optimizer.lr);
    }

    #[test]
    fn settings_given_for_tuning_go_over_the_suggested_ones() {
        let form =
            |train| small().tuning_form(DataKind::Text, false, &given(json!({}), train)).unwrap();
        assert_eq!(form(json!({})), small().suggested_for_tuning(DataKind::Text, 0, false));
        let short = form(json!({"steps": 50, "lr": 2e-4})).train;
        assert_eq!((short.steps, short.schedule.warmup_steps, short.optimizer.lr), (50, 5, 2e-4));
        assert!((short.schedule.min_lr - 2e-5).abs() < 1e-15);
        let adapted = form(json!({"lora_rank": 4, "lora_alpha": 9.0}));
        let suggested = small().suggested_for_tuning(DataKind::Text, 4, false);
        assert_eq!(adapted.train.optimizer, suggested.train.optimizer);
        assert_eq!((adapted.train.lora.rank, adapted.train.lora.alpha), (4, 9.0));
    }
}
