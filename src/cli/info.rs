//! `blankslate info` and `blankslate devices`.

use clap::Args;
use serde_json::json;

use super::failure::{CliResult, Failure, usage};
use super::model::load;
use super::output::{self, bytes, grouped, spaced};
use crate::checkpoint::{Checkpoint, bytes_of};
use crate::config::{DataConfig, Estimate, ModelConfig, TrainConfig, preset};
use crate::data::Batch;
use crate::error::Error;
use crate::inspect::{LayerScale, measure_layer_scales};
use crate::model::{Decoder, random_source};
use crate::platform::{Room, list_devices, open_device};
use crate::run::require_gradient_memory;

/// Options of `blankslate info`.
#[derive(Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["model", "preset"]))]
pub struct InfoArgs {
    /// Model directory: a run, a checkpoint, a transformers directory, or a zip of one
    #[arg(long, value_name = "DIR")]
    model: Option<String>,
    /// Name of a preset
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Sequences per batch, for the memory of training [default: the preset's, or 1]
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    /// Tokens per sequence [default: the context]
    #[arg(long, value_name = "N")]
    seq_len: Option<usize>,
    /// Also measure the scale of activations and gradients in every block (of fresh weights for a preset)
    #[arg(long)]
    scales: bool,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Options of `blankslate devices`.
#[derive(Args)]
pub struct DevicesArgs {
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Prints the size and the costs of a model.
pub async fn run(args: &InfoArgs) -> CliResult<()> {
    let (name, config, batch_size, loaded) = subject(args).await?;
    let batch_size = args.batch_size.unwrap_or(batch_size);
    let seq_len = args.seq_len.unwrap_or(config.max_position_embeddings);
    let train = TrainConfig { batch_size, ..Default::default() };
    train.validate().map_err(usage)?;
    DataConfig { seq_len, ..Default::default() }
        .validate(config.max_position_embeddings)
        .map_err(usage)?;
    let estimate = Estimate::new(&config, &train, seq_len);
    let scales = if args.scales { Some(scales(&config, loaded, seq_len).await?) } else { None };
    if args.json {
        return output::json(&json!({
            "name": name, "config": config, "batch_size": batch_size, "seq_len": seq_len,
            "estimate": estimate, "parameters": estimate.parameters,
            "forward_flops_per_token": estimate.forward_flops_per_token,
            "train_flops_per_token": estimate.train_flops_per_token, "scales": scales,
        }));
    }
    let rows = [
        ("model", name),
        ("shape", shape(&config)),
        (
            "parameters",
            format!(
                "{} ({} without embeddings)",
                grouped(estimate.parameters),
                grouped(estimate.non_embedding_parameters)
            ),
        ),
        (
            "forward",
            format!(
                "{}FLOPs per token at {seq_len} tokens",
                spaced(estimate.forward_flops_per_token as f64)
            ),
        ),
        ("training", format!("{}FLOPs per token", spaced(estimate.train_flops_per_token as f64))),
        ("weights", format!("{} in f32", bytes(estimate.weight_bytes))),
        (
            "state",
            format!("{}: weights, gradients, AdamW's two moments", bytes(estimate.state_bytes)),
        ),
        (
            "activations",
            format!(
                "about {} for {batch_size} x {seq_len} tokens",
                bytes(estimate.activation_bytes)
            ),
        ),
        ("KV cache", format!("{} per sequence of full length", bytes(estimate.kv_cache_bytes))),
    ];
    for (label, value) in rows {
        output::line(&format!("{label:12} {value}"))?;
    }
    for scale in scales.into_iter().flatten() {
        output::line(&format!(
            "block {:<6} activations {:.3e}, gradients {:.3e} (root mean squares)",
            scale.layer, scale.activation_rms, scale.gradient_rms
        ))?;
    }
    Ok(())
}

async fn subject(args: &InfoArgs) -> CliResult<(String, ModelConfig, usize, Option<Checkpoint>)> {
    match (&args.model, &args.preset) {
        (Some(place), _) => {
            let (loaded, _) = load(place, false).await?;
            Ok((place.clone(), loaded.config.clone(), 1, Some(loaded)))
        }
        (None, Some(name)) => {
            let found = preset(name).map_err(usage)?;
            let title = format!("{name}: {}", found.description);
            Ok((title, found.model, found.train.batch_size, None))
        }
        (None, None) => Err(Failure::Usage(Error::config(
            "info",
            "no model is given",
            "give --model or --preset",
        ))),
    }
}

/// Measures the scales on one sequence of ids spread over the vocabulary, on the CPU.
async fn scales(
    config: &ModelConfig,
    loaded: Option<Checkpoint>,
    seq_len: usize,
) -> CliResult<Vec<LayerScale>> {
    let device = open_device("cpu").await?.0;
    let held = loaded.as_ref().map_or(0, |loaded| bytes_of(&loaded.weights));
    require_gradient_memory(config, 1, seq_len, &Room::of(&device, held))?;
    let device = device.autodiff();
    let model = match loaded {
        Some(mut loaded) => loaded.model(&device)?,
        None => Decoder::new(config, &device, &mut random_source(TrainConfig::default().seed))?,
    };
    // Multiplicative hashing: every id is equally likely, and each call gives the same ids.
    let id = |position: usize| {
        ((position as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) as usize
    };
    let ids: Vec<u32> =
        (0..=seq_len).map(|position| (id(position) % config.vocab_size) as u32).collect();
    let batch = Batch::new(ids[..seq_len].to_vec(), ids[1..].to_vec(), 1);
    Ok(measure_layer_scales(&model, &batch).await?)
}

fn shape(c: &ModelConfig) -> String {
    format!(
        "{} layers, {} wide, {} heads ({} for keys and values), MLP {}, context {}, vocabulary {}",
        c.num_hidden_layers,
        c.hidden_size,
        c.num_attention_heads,
        c.num_key_value_heads,
        c.intermediate_size,
        c.max_position_embeddings,
        grouped(c.vocab_size as u64),
    )
}

/// Lists the available devices.
pub async fn devices(args: &DevicesArgs) -> CliResult<()> {
    let devices = list_devices().await;
    let chosen = devices.iter().position(|device| !device.software).unwrap_or(0);
    if args.json {
        let auto = devices.get(chosen).map(|device| &device.name);
        return output::json(&json!({ "devices": devices, "auto": auto }));
    }
    for (index, device) in devices.iter().enumerate() {
        let software = if device.software { " (executed in software)" } else { "" };
        let auto = if index == chosen { "  <- auto" } else { "" };
        output::line(&format!("{:8} {}{software}{auto}", device.name, device.adapter))?;
    }
    Ok(())
}
