//! Settings that follow from others unless they are given themselves.

use serde_json::{Map, Value};

use crate::config::{ModelConfig, TrainConfig};

/// Updates the sizes that follow from the given ones: the MLP's width follows the model's width, and key-value heads and
/// head width follow the heads.
pub(super) fn derive_sizes(mut model: ModelConfig, given: &Map<String, Value>) -> ModelConfig {
    let has = |key| given.contains_key(key);
    if has("num_attention_heads") && !has("num_key_value_heads") {
        model.num_key_value_heads = model.num_attention_heads;
    }
    if (has("hidden_size") || has("num_attention_heads")) && !has("head_dim") {
        model.head_dim = model.default_head_dim();
    }
    if (has("hidden_size") || has("hidden_act")) && !has("intermediate_size") {
        model.intermediate_size = model.default_intermediate_size();
    }
    model
}

/// Keeps `min_lr` in proportion to `lr`, as it was in `base`.
pub(super) fn derive_min_lr(
    mut train: TrainConfig,
    base: &TrainConfig,
    given: &Map<String, Value>,
) -> TrainConfig {
    let lr = train.optimizer.lr;
    let before = base.optimizer.lr;
    if !given.contains_key("min_lr") && lr != before && before > 0.0 {
        train.schedule.min_lr = lr * (base.schedule.min_lr / before);
    }
    train
}
