//! Checks that models fit into memory before anything is allocated, since operating systems and browsers kill programs that run
//! out of it.

use burn::tensor::Device;

use super::spec::RunConfig;
use crate::config::{
    Costs, Estimate, ModelConfig, Replicas, Share, ShareEstimate, TrainConfig, bytes,
};
use crate::error::{Error, Result};
use crate::model::Part;
use crate::parallel::{Layout, Sharding};
use crate::platform::{MEMORY_OWNER, Room};
use crate::sample::Generator;

/// Checks that a run fits into memory on a single rank.
///
/// # Errors
/// As [`require_training_memory`].
pub fn require_memory_alone(config: &RunConfig, room: &Room) -> Result<()> {
    require_training_memory(config, Layout::ALONE, Sharding::None, room)
}

/// Checks that a run fits into memory on each rank of `layout`. If the model is divided, rank 0 also gathers all of it to save.
/// With `sharding`, replicas divide the optimizer state.
///
/// Counts only half of the estimated activations, an estimate within a factor of two, and no gradients, since they replace
/// activations.
///
/// # Errors
/// Returns [`Error::TooLarge`] with the estimate if the run, its largest tensor or its checkpoints do not fit.
pub fn require_training_memory(
    config: &RunConfig,
    layout: Layout,
    sharding: Sharding,
    room: &Room,
) -> Result<()> {
    let RunConfig { model, train, data, .. } = config;
    let estimate = Estimate::of_run(model, train, data);
    let Estimate { weight_bytes, state_bytes, activation_bytes, checkpoint_bytes, .. } = estimate;
    let remedy = "lower `batch_size`, `seq_len`, `hidden_size` or `num_hidden_layers`";
    let needed = || {
        format!(
            "{} of memory ({} for weights, gradients and optimizer state, {} for activations)",
            bytes(state_bytes.saturating_add(activation_bytes)),
            bytes(state_bytes),
            bytes(activation_bytes)
        )
    };
    let owners = match sharding {
        Sharding::None => 1,
        Sharding::State | Sharding::Gradients => layout.dp as u64,
    };
    let moments = checkpoint_bytes.saturating_sub(weight_bytes) / owners;
    let ranks = layout.ranks_of_replica() as u64;
    let own = weight_bytes.saturating_add(moments) / ranks;
    let gathered = if ranks == 1 { 0 } else { weight_bytes };
    let needed_most = own.saturating_add(gathered.max(activation_bytes / 2 / ranks));
    fits(needed_most, room.device)
        .map_err(|there| too_large("the run", needed(), &room.limit(there), remedy))?;
    let tensor = estimate.largest_tensor_bytes;
    fits(tensor, room.largest_tensor).map_err(|most| {
        too_large("the run's largest tensor", bytes(tensor), &of_tensor(most), remedy)
    })?;
    // A checkpoint is packed in the program's memory, which also holds the run if it trains on the CPU.
    let saving = checkpoint_bytes.saturating_mul(if room.shared { 2 } else { 1 });
    fits(saving, Some(room.host))
        .map_err(|there| too_large("saving the run", bytes(saving), &of_program(there), remedy))
}

/// Estimates the memory of a rank that trains `part` of the model, divided further by the tensor parallelism of `layout`, and
/// keeps the activations of `kept` micro-batches.
pub fn estimate_share(
    config: &RunConfig,
    part: &Part,
    layout: Layout,
    sharding: Sharding,
    kept: usize,
) -> ShareEstimate {
    let RunConfig { model, train, data, .. } = config;
    let rows = train.batch_size.saturating_mul(data.kind.rows());
    let share = Share {
        blocks: part.layers.len() as f64,
        tp: layout.tp as f64,
        embeds: part.has_entry(),
        has_head: part.has_head(),
        tokens: rows as f64 * data.seq_len as f64,
        micro_batches: train.grad_accum / layout.dp,
        in_flight: kept as f64,
        replicas: Replicas { dp: layout.dp, zero: sharding.level() },
    };
    let costs = Costs::new(model, data.seq_len);
    ShareEstimate::new(&costs, train.lora.parameters(model), train, &share)
}

/// Checks that the gradients of a batch of `model` fit into memory, without training it.
///
/// # Errors
/// Returns [`Error::TooLarge`] with the estimate.
pub fn require_gradient_memory(
    model: &ModelConfig,
    batch_size: usize,
    seq_len: usize,
    room: &Room,
) -> Result<()> {
    let train = TrainConfig { batch_size, ..TrainConfig::default() };
    let Estimate { weight_bytes, activation_bytes, .. } = Estimate::new(model, &train, seq_len);
    let needed = weight_bytes.saturating_mul(2).saturating_add(activation_bytes / 2);
    let remedy = "use a smaller model or `seq_len`";
    fits(needed, room.device).map_err(|there| {
        too_large("measuring the gradients", bytes(needed), &room.limit(there), remedy)
    })
}

/// Checks that the KV caches of a text fit into memory beside the weights, which are on `device` already.
///
/// # Errors
/// Returns [`Error::TooLarge`] if the prompt and the new tokens do not fit.
pub fn require_generation_memory(generator: &Generator, device: &Device) -> Result<()> {
    let models: Vec<_> = generator.models().collect();
    let tokens = generator.total_tokens();
    text_fits(&models, tokens, |held| Room::of(device, held))
}

/// As [`require_generation_memory`], for `tokens` tokens. `room` returns the available memory, given the bytes of the weights.
fn text_fits(models: &[&ModelConfig], tokens: usize, room: impl FnOnce(u64) -> Room) -> Result<()> {
    let [mut weights, mut cache, mut largest_block] = [0u64; 3];
    for model in models {
        let tokens = tokens.min(model.max_position_embeddings);
        let text = ModelConfig { max_position_embeddings: tokens, ..(*model).clone() };
        let estimate = Estimate::new(&text, &TrainConfig::default(), 1);
        weights = weights.saturating_add(estimate.weight_bytes);
        cache = cache.saturating_add(estimate.kv_cache_bytes);
        largest_block = largest_block.max(estimate.kv_cache_bytes / model.num_hidden_layers as u64);
    }
    let room = room(weights);
    let remedy = "lower `max_new_tokens` or shorten the prompt";
    let what = format!("a text of {tokens} tokens");
    let all = weights.saturating_add(cache);
    let needed = || {
        let [all, weights, cache] = [all, weights, cache].map(bytes);
        format!("{all} of memory ({weights} for weights, {cache} for the KV cache)")
    };
    fits(all, room.device)
        .map_err(|there| too_large(&what, needed(), &room.limit(there), remedy))?;
    fits(largest_block, room.largest_tensor)
        .map_err(|most| too_large(&what, bytes(largest_block), &of_tensor(most), remedy))
}

/// Returns the limit `there` as an error if it is less than `needed`. None is an unknown limit.
fn fits(needed: u64, there: Option<u64>) -> std::result::Result<(), u64> {
    match there {
        Some(there) if needed > there => Err(there),
        _ => Ok(()),
    }
}

impl Room {
    /// Describes the memory available for a model on the device.
    fn limit(&self, there: u64) -> String {
        match self.shared {
            true if there < self.host => format!("{} for each of its ranks", of_program(there)),
            true => of_program(there),
            false => format!("the device has {}", bytes(there)),
        }
    }
}

fn of_program(there: u64) -> String {
    format!("{MEMORY_OWNER} has {}", bytes(there))
}

fn of_tensor(most: u64) -> String {
    format!("a tensor on this device has at most {}", bytes(most))
}

fn too_large(what: &str, needed: String, limit: &str, remedy: &str) -> Error {
    Error::TooLarge { what: what.into(), needed, limit: limit.into(), remedy: remedy.into() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::label;
    use crate::run::spec::fixtures::{given, small};

    /// A tab that computes on the CPU, with 4 GiB.
    const TAB: Room =
        Room { host: 1 << 32, device: Some(1 << 32), shared: true, largest_tensor: None };
    /// A GPU in a tab, which does not report its memory.
    const GPU: Room =
        Room { host: 1 << 32, device: None, shared: false, largest_tensor: Some(1 << 30) };

    fn refusal(model: serde_json::Value, train: serde_json::Value, room: &Room) -> Option<String> {
        let config = small().with(&given(model, train)).unwrap();
        require_memory_alone(&config, room).err().map(|error| error.message(label))
    }

    #[test]
    fn a_run_that_cannot_fit_is_refused_with_its_estimate() {
        assert_eq!(refusal(json!({}), json!({}), &TAB), None);
        assert_eq!(refusal(json!({}), json!({}), &GPU), None);
        for (model, train) in [
            (json!({}), json!({"batch_size": 1_000_000_000})),
            (json!({}), json!({"batch_size": usize::MAX})),
            (json!({"num_hidden_layers": 1_000_000}), json!({})),
            (json!({"intermediate_size": 1_000_000_000}), json!({})),
            (json!({"hidden_size": 1 << 30}), json!({})),
            (json!({"vocab_size": 1 << 30}), json!({})),
        ] {
            let words = refusal(model.clone(), train.clone(), &TAB);
            let words = words.unwrap_or_else(|| panic!("{model} {train} fits"));
            assert!(words.contains("needs about ") && words.contains("has 4.29 GB"), "{words}");
            assert!(words.contains("for weights, gradients and optimizer state"), "{words}");
            assert!(words.contains("lower Batch size, Sequence length, Width"), "{words}");
        }
    }

    #[test]
    fn a_device_that_hides_its_memory_is_limited_by_its_tensors_and_by_saving() {
        let words = refusal(json!({}), json!({"batch_size": 1_000_000}), &GPU).unwrap();
        assert!(words.contains("the run's largest tensor needs about"), "{words}");
        assert!(words.contains("a tensor on this device has at most 1.07 GB"), "{words}");
        let words = refusal(json!({"num_hidden_layers": 10_000}), json!({}), &GPU).unwrap();
        assert!(words.contains("saving the run needs about"), "{words}");
    }

    #[test]
    fn the_ranks_of_a_machine_share_its_memory() {
        let room = Room { host: 1 << 33, ..TAB };
        let words = refusal(json!({}), json!({"batch_size": 1_000_000_000}), &room).unwrap();
        assert!(words.contains("has 4.29 GB for each of its ranks"), "{words}");
    }

    #[test]
    fn half_of_the_activations_and_no_gradients_count() {
        let estimate =
            |config: &RunConfig| Estimate::of_run(&config.model, &config.train, &config.data);
        let config = small().with(&given(json!({}), json!({"batch_size": 64}))).unwrap();
        let Estimate { checkpoint_bytes, activation_bytes, .. } = estimate(&config);
        let least = checkpoint_bytes + activation_bytes / 2;
        let room = |device| Room { device: Some(device), ..TAB };
        let sharded = |layout, sharding, bytes| {
            require_training_memory(&config, layout, sharding, &room(bytes)).is_ok()
        };
        let fits = |layout, bytes| sharded(layout, Sharding::None, bytes);
        assert!(fits(Layout::ALONE, least) && !fits(Layout::ALONE, least - 1));
        // Each of two replicas needs all of the memory, unless they divide the optimizer state.
        let replicas = Layout { dp: 2, ..Layout::ALONE };
        assert!(fits(replicas, least) && !fits(replicas, least - 1));
        let divided = least - (checkpoint_bytes - estimate(&config).weight_bytes) / 2;
        for sharding in [Sharding::State, Sharding::Gradients] {
            assert!(sharded(replicas, sharding, divided));
            assert!(!sharded(replicas, sharding, divided - 1));
        }
        // Each of two stages or tensor-parallel ranks needs half of it, and the first rank also the whole weights.
        let half =
            checkpoint_bytes / 2 + (activation_bytes / 2 / 2).max(estimate(&config).weight_bytes);
        for layout in [Layout { pp: 2, ..Layout::ALONE }, Layout { tp: 2, ..Layout::ALONE }] {
            assert!(half < least && fits(layout, half) && !fits(layout, half - 1));
        }
    }

    #[test]
    fn ranks_hold_what_they_do_not_divide() {
        let model = json!({"num_hidden_layers": 4});
        let config = small().with(&given(model, json!({"grad_accum": 4}))).unwrap();
        let whole = Part::whole(&config.model);
        let share = |part: &Part, layout, sharding| {
            let ShareEstimate { state_bytes, activation_bytes } =
                estimate_share(&config, part, layout, sharding, 1);
            [state_bytes, activation_bytes]
        };
        let estimate = Estimate::of_run(&config.model, &config.train, &config.data);
        let Estimate { state_bytes, activation_bytes, checkpoint_bytes, weight_bytes, .. } =
            estimate;
        let alone = [state_bytes, activation_bytes];
        assert_eq!(share(&whole, Layout::ALONE, Sharding::None), alone);
        // Two replicas divide the moments, and the gradients as well.
        let replicas = Layout { dp: 2, ..Layout::ALONE };
        let moments = checkpoint_bytes - weight_bytes;
        let gradients = state_bytes - checkpoint_bytes;
        assert_eq!(share(&whole, replicas, Sharding::None), alone);
        let of_state = share(&whole, replicas, Sharding::State);
        assert_eq!(of_state, [state_bytes - moments / 2, activation_bytes]);
        let of_gradients = share(&whole, replicas, Sharding::Gradients);
        assert_eq!(of_gradients[0], state_bytes - moments / 2 - gradients / 2);
        // Stages or tensor-parallel ranks together hold no less than a single rank.
        let stages = Layout { pp: 2, ..Layout::ALONE };
        let parts = Part::divide(&config.model, 2).unwrap();
        let held: Vec<_> = parts.iter().map(|part| share(part, stages, Sharding::None)).collect();
        let divided = share(&whole, Layout { tp: 2, ..Layout::ALONE }, Sharding::None);
        for held in [held, vec![divided; 2]] {
            for i in 0..2 {
                assert!(held.iter().all(|held| held[i] < alone[i]), "{held:?}, {alone:?}");
                // Each is rounded down.
                assert!(held[0][i] + held[1][i] + 1 >= alone[i], "{held:?}, {alone:?}");
            }
        }
    }

    #[test]
    fn a_text_takes_the_memory_of_its_own_tokens() {
        // Llama 3.2 1B: 1.24 billion weights, a context of 131,072 tokens.
        let llama = ModelConfig::llama(128_256)
            .with_context(131_072)
            .with_hidden_size(2048)
            .with_layers(16)
            .with_heads(32)
            .with_kv_heads(8)
            .with_intermediate_size(8192);
        let llama = ModelConfig { tie_word_embeddings: true, ..llama };
        let machine = |held| Room { host: held + (4 << 30), device: Some(held + (4 << 30)), ..TAB };
        text_fits(&[&llama], 2, machine).unwrap();
        let words = text_fits(&[&llama], 131_072, machine).unwrap_err().to_string();
        assert!(words.contains("8.59 GB for the KV cache"), "{words}");
        assert!(words.contains("`max_new_tokens`"), "{words}");
        // The cache never holds more tokens than the context; a draft model has its own cache.
        text_fits(&[&llama.clone().with_context(64)], usize::MAX, machine).unwrap();
        let half = 65_536;
        text_fits(&[&llama.clone().with_layers(15)], half, machine).unwrap();
        text_fits(&[&llama, &llama], half, machine).unwrap_err();
    }
}
