//! Time of a training step, beside PyTorch with the same architecture, batch and precision on the same device.
//!
//! ```text
//! cargo bench --bench train                                  nanoGPT's CPU configuration on the CPU
//! cargo bench --bench train -- --device cuda                 GPT-2 124M in bf16 on an NVIDIA GPU
//! cargo bench --bench train -- --device vulkan --preset gpt2 the same model with the kernels of the page
//! ```
//!
//! Contestants alternate, so that other load on the machine affects both. `PYTHON` names an interpreter with PyTorch.
//! Utilization is printed if `--peak` gives the device's peak.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/peer.rs"]
mod peer;

use blankslate::config::{
    DataConfig, Estimate, ModelConfig, Precision, ScheduleConfig, ScheduleKind, TrainConfig, preset,
};
use blankslate::data::{Corpus, Tokens, Windows};
use blankslate::model::{Decoder, random_source};
use blankslate::platform::{block_on, open_device};
use blankslate::train::Trainer;
use clap::Parser;
use common::{Outcome, cpu_name, spread};
use peer::Peer;
use std::io::Write;
use std::time::Instant;

const TEXT: &str = include_str!("../../assets/text/shakespeare.txt");

/// Time of a training step beside PyTorch.
#[derive(Parser)]
struct Options {
    /// Where to train: cpu, vulkan or cuda.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Preset of model and batch; `small` on the CPU, `gpt2` elsewhere.
    #[arg(long)]
    preset: Option<String>,
    /// Sequences per step; by default the preset's.
    #[arg(long)]
    batch_size: Option<usize>,
    /// f32, f16 or bf16; bf16 on CUDA, f32 elsewhere.
    #[arg(long)]
    precision: Option<String>,
    /// Steps per round.
    #[arg(long, default_value_t = 20)]
    steps: u64,
    /// Rounds, after one warm-up round.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The device's peak in TFLOP/s at this precision, for the utilization.
    #[arg(long)]
    peak: Option<f64>,
    /// Train without PyTorch beside it.
    #[arg(long)]
    alone: bool,
    /// Added by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Outcome<()> {
    let options = Options::parse();
    let on_cpu = options.device == "cpu";
    let preset =
        preset(options.preset.as_deref().unwrap_or(if on_cpu { "small" } else { "gpt2" }))?;
    let precision = match options.precision.as_deref() {
        None if options.device.starts_with("cuda") => Precision::Bf16,
        None => Precision::F32,
        Some(name) => serde_json::from_value(name.into())?,
    };
    // Dropout and gradient accumulation differ between the contestants, so both are off.
    let model = ModelConfig { dropout: 0.0, ..preset.model };
    let train = TrainConfig {
        batch_size: options.batch_size.unwrap_or(preset.train.batch_size),
        grad_accum: 1,
        precision,
        schedule: ScheduleConfig {
            kind: ScheduleKind::Constant,
            warmup_steps: 0,
            ..preset.train.schedule
        },
        ..preset.train
    };
    // Bytes, modulo the vocabulary size: the tokens' values do not change the amount of work.
    let ids: Vec<u32> =
        TEXT.bytes().map(|byte| u32::from(byte) % model.vocab_size as u32).collect();

    println!("CPU: {}, {} threads", cpu_name(), rayon::current_num_threads());
    let mut peer = if options.alone {
        None
    } else {
        start_peer(&model, &train, preset.data.seq_len, &ids, on_cpu)?
    };
    let ours = Ours::new(&model, &train, preset.data, ids, &options.device)?;
    rayon::scope(|_| compare(ours, &mut peer, &options))
}

/// Our trainer.
struct Ours {
    trainer: Trainer,
    tokens_per_step: usize,
    costs: Estimate,
}

impl Ours {
    fn new(
        model: &ModelConfig,
        train: &TrainConfig,
        data: DataConfig,
        ids: Vec<u32>,
        device: &str,
    ) -> Outcome<Self> {
        let (device, info) = block_on(open_device(device))?;
        println!("blankslate on {} ({})", info.name, info.adapter);
        let corpus = Corpus::new(Tokens::from_ids(ids));
        let windows = Windows::new(corpus, &data, train.batch_size, train.seed)?;
        let decoder = Decoder::new(model, &device.autodiff(), &mut random_source(train.seed))?;
        Ok(Self {
            trainer: Trainer::new(decoder, train, windows)?,
            tokens_per_step: train.batch_size * data.seq_len,
            costs: Estimate::new(model, train, data.seq_len),
        })
    }

    /// Trains for `steps` steps and returns the seconds and the last loss.
    fn train(&mut self, steps: u64) -> Outcome<[f64; 2]> {
        let begun = Instant::now();
        for _ in 1..steps {
            self.trainer.step()?;
        }
        let figures = block_on(self.trainer.step()?.read("nothing"))?;
        Ok([begun.elapsed().as_secs_f64(), figures.loss.into()])
    }
}

/// Alternates rounds of both and prints their times.
fn compare(mut ours: Ours, peer: &mut Option<Peer>, options: &Options) -> Outcome<()> {
    let mut seconds = [const { Vec::new() }; 2];
    let mut losses = [0.0; 2];
    for round in 0..=options.rounds {
        let [time, loss] = ours.train(options.steps)?;
        losses[0] = loss;
        seconds[0].extend((round > 0).then_some(time));
        if let Some(peer) = peer {
            let answer = peer.ask(&options.steps.to_string())?;
            losses[1] = answer[1];
            seconds[1].extend((round > 0).then_some(answer[0]));
        }
    }
    println!(
        "{} parameters, {} tokens per step, {} rounds of {} steps after one warm-up round:",
        ours.costs.parameters, ours.tokens_per_step, options.rounds, options.steps
    );
    let tokens = (options.steps as usize * ours.tokens_per_step) as f64;
    for ((name, times), loss) in ["blankslate", "PyTorch"].iter().zip(&seconds).zip(losses) {
        if times.is_empty() {
            println!("{name:<12} not run");
            continue;
        }
        let per_step = times.iter().map(|time| 1e3 * time / options.steps as f64).collect();
        let [low, middle, high] = spread(per_step);
        let ratios = times.iter().zip(&seconds[0]).map(|(theirs, ours)| theirs / ours).collect();
        let [least, ratio, most] = spread(ratios);
        let rate = tokens / (middle * 1e-3 * options.steps as f64);
        println!(
            "{name:<12} {middle:8.2} ms/step ({low:.2}-{high:.2}), {rate:.0} tokens/s, takes x{ratio:.2} ({least:.2}-{most:.2}), loss {loss:.3}"
        );
        if let Some(peak) = options.peak {
            let share = |flops: u64| 100.0 * flops as f64 * rate / (peak * 1e12);
            println!(
                "{:<12} {:.1} % of {peak} TFLOP/s by PaLM's count, {:.1} % by 6N",
                "",
                share(ours.costs.train_flops_per_token),
                share(6 * ours.costs.parameters)
            );
        }
    }
    Ok(())
}

/// Starts PyTorch with the same model on the same text. Prints SKIPPED and returns none if that is not possible.
fn start_peer(
    model: &ModelConfig,
    train: &TrainConfig,
    seq_len: usize,
    ids: &[u32],
    on_cpu: bool,
) -> Outcome<Option<Peer>> {
    let ModelConfig { vocab_size, hidden_size: width, num_hidden_layers: layers, .. } = *model;
    let context = model.max_position_embeddings;
    let heads = model.num_attention_heads;
    let supported = ModelConfig::gpt2(vocab_size)
        .with_context(context)
        .with_hidden_size(width)
        .with_layers(layers)
        .with_heads(heads);
    if *model != supported {
        eprintln!("SKIPPED: PyTorch: its script supports only GPT-2's architecture");
        return Ok(None);
    }
    // The script reads it before it prints its first line, so it may be deleted afterwards.
    let mut data = tempfile::NamedTempFile::new()?;
    for id in ids {
        data.write_all(&u16::try_from(*id)?.to_le_bytes())?;
    }
    data.flush()?;
    let settings = serde_json::json!({
        "vocab": vocab_size,
        "context": seq_len,
        "width": width,
        "layers": layers,
        "heads": heads,
        "batch": train.batch_size,
        "lr": train.optimizer.lr,
        "betas": [train.optimizer.beta1, train.optimizer.beta2],
        "weight_decay": train.optimizer.weight_decay,
        "grad_clip": train.optimizer.grad_clip,
        "precision": train.precision,
        "device": if on_cpu { "cpu" } else { "cuda" },
        "threads": rayon::current_num_threads(),
        "data": data.path(),
    });
    let peer = Peer::start("train/train_torch.py", &settings.to_string());
    Ok(peer.inspect_err(|reason| eprintln!("SKIPPED: PyTorch: {reason}")).ok())
}
