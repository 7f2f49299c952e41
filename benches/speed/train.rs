//! Time of a training step, beside PyTorch with the same architecture, batch and precision on the same device.

use crate::common::{Outcome, spread};
use crate::device::{Place, preset_for};
use crate::output::{Output, spread_json};
use crate::peaks::{Given, flops_per_second};
use crate::peer::Peer;
use crate::timing::time;
use blankslate::config::{
    DataConfig, Estimate, ModelConfig, ScheduleConfig, ScheduleKind, TrainConfig,
};
use blankslate::data::{Corpus, Tokens, Windows};
use blankslate::model::{Decoder, random_source};
use blankslate::platform::block_on;
use blankslate::train::Trainer;
use clap::Args;
use serde_json::json;
use std::io::Write;
use std::time::Instant;

const TEXT: &str = include_str!("../../assets/text/shakespeare.txt");
const SCRIPT: &str = include_str!("train_torch.py");

/// Options of `train`.
#[derive(Args)]
pub struct Options {
    /// Device to train on: cpu, vulkan or cuda
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Preset of model and batch; `small` on the CPU, `gpt2` elsewhere
    #[arg(long)]
    preset: Option<String>,
    /// Sequences per step; by default the preset's
    #[arg(long)]
    batch_size: Option<usize>,
    /// f32, tf32, f16 or bf16; bf16 on CUDA, f32 elsewhere
    #[arg(long)]
    precision: Option<String>,
    /// Steps per round
    #[arg(long, default_value_t = 20)]
    steps: u64,
    /// Rounds, after one warm-up round
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Train without a comparison with PyTorch
    #[arg(long)]
    alone: bool,
    /// Also time every kernel in a step
    #[arg(long)]
    profile: bool,
    #[command(flatten)]
    given: Given,
}

/// Trains, alone or beside PyTorch.
pub fn run(options: &Options, output: Output) -> Outcome<()> {
    let on_cpu = options.device == "cpu";
    let preset = preset_for(&options.device, options.preset.as_deref())?;
    let place = Place::open(&options.device, options.precision.as_deref())?;
    // Dropout and gradient accumulation differ between the contestants, so both are off.
    let model = ModelConfig { dropout: 0.0, ..preset.model };
    let train = TrainConfig {
        batch_size: options.batch_size.unwrap_or(preset.train.batch_size),
        grad_accum: 1,
        precision: place.precision,
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
    let costs = Estimate::new(&model, &train, preset.data.seq_len);
    let peak = flops_per_second(&place, place.precision, &options.given);
    let tokens = train.batch_size * preset.data.seq_len;
    let mut start = place.json();
    start["type"] = "start".into();
    start["parameters"] = costs.parameters.into();
    start["tokens_per_step"] = tokens.into();
    start["flops_per_token"] = costs.train_flops_per_token.into();
    start["peak_flops_per_second"] = peak.into();
    let words = format!(
        "{}\n{} parameters, {tokens} tokens per step, {} rounds of {} steps after one warm-up round",
        place.describe(),
        costs.parameters,
        options.rounds,
        options.steps
    );
    output.print(&start, &words);

    let mut peer = None;
    if !options.alone {
        match start_peer(&model, &train, preset.data.seq_len, &ids, on_cpu) {
            Ok(started) => {
                let event = json!({"type": "peer", "contestant": "PyTorch", "name": started.name});
                output.print(&event, &started.name);
                peer = Some(started);
            }
            Err(reason) => output.skipped("PyTorch", &reason.to_string()),
        }
    }
    let ours = Ours::new(&model, &train, preset.data, ids, &place)?;
    let contest = Contest { options, output, costs, peak, tokens };
    rayon::scope(|_| contest.run(ours, peer, &place))
}

/// Our trainer.
struct Ours(Trainer);

impl Ours {
    fn new(
        model: &ModelConfig,
        train: &TrainConfig,
        data: DataConfig,
        ids: Vec<u32>,
        place: &Place,
    ) -> Outcome<Self> {
        let device = place.device.clone().autodiff();
        let corpus = Corpus::new(Tokens::from_ids(ids));
        let windows = Windows::new(corpus, &data, train.batch_size, train.seed)?;
        let decoder = Decoder::new(model, &device, &mut random_source(train.seed))?;
        Ok(Self(Trainer::new(decoder, train, windows)?))
    }

    /// Trains for `steps` steps and returns the seconds and the last loss.
    fn train(&mut self, steps: u64) -> Outcome<[f64; 2]> {
        let begun = Instant::now();
        for _ in 1..steps {
            self.0.step()?;
        }
        let figures = block_on(self.0.step()?.read("nothing"))?;
        Ok([begun.elapsed().as_secs_f64(), figures.loss.into()])
    }
}

/// Rounds of both contestants.
struct Contest<'a> {
    options: &'a Options,
    output: Output,
    costs: Estimate,
    /// Of the device, in operations per second.
    peak: Option<f64>,
    /// Tokens per step.
    tokens: usize,
}

impl Contest<'_> {
    /// Alternates rounds of both and prints their times.
    fn run(&self, mut ours: Ours, mut peer: Option<Peer>, place: &Place) -> Outcome<()> {
        let Self { options, output, .. } = *self;
        let mut seconds = [const { Vec::new() }; 2];
        let mut losses = [0.0; 2];
        for round in 0..=options.rounds {
            let mut record = |which: usize, [time, loss]: [f64; 2]| {
                losses[which] = loss;
                seconds[which].extend((round > 0).then_some(time));
                if round == 0 {
                    let event =
                        json!({"type": "warm_up", "contestant": NAMES[which], "seconds": time});
                    output.print(&event, &format!("{} warmed up in {time:.1} s", NAMES[which]));
                }
            };
            record(0, ours.train(options.steps)?);
            if let Some(running) = &mut peer {
                match running.ask(&options.steps.to_string()) {
                    Ok(answer) => record(1, [answer[0], answer[1]]),
                    Err(reason) => {
                        output.skipped(NAMES[1], &reason.to_string());
                        peer = None;
                    }
                }
            }
            // In JSON after each round, so that a time limit leaves a result.
            let due = output.json || round == options.rounds;
            for which in (0..NAMES.len()).filter(|which| due && !seconds[*which].is_empty()) {
                self.report(NAMES[which], &seconds[which], &seconds[0], losses[which]);
            }
        }
        if options.profile {
            let timed = time(&place.device, || ours.train(1))?;
            let event = json!({
                "type": "profile", "ms": 1e3 * timed.elapsed, "computed_ms": 1e3 * timed.seconds,
                "kernels": timed.kernels,
            });
            let kernels = timed.kernels.iter().map(|kernel| {
                format!(
                    "{:>6} {:>9.3} ms  {}",
                    kernel.calls,
                    kernel.ms.unwrap_or(0.0),
                    kernel.kernel
                )
            });
            output.print(&event, &kernels.collect::<Vec<_>>().join("\n"));
        }
        Ok(())
    }

    fn report(&self, name: &str, times: &[f64], ours: &[f64], loss: f64) {
        let steps = self.options.steps as f64;
        let per_step = spread(times.iter().map(|time| 1e3 * time / steps).collect());
        let [low, middle, high] = per_step;
        // PyTorch may have ended before the last round.
        let ratios = spread(times.iter().zip(ours).map(|(time, ours)| time / ours).collect());
        let [least, ratio, most] = ratios;
        let rate = self.tokens as f64 / (middle * 1e-3);
        let share = |flops: u64| self.peak.map(|peak| flops as f64 * rate / peak);
        let mfu = share(self.costs.train_flops_per_token);
        let event = json!({
            "type": "result", "contestant": name, "ms_per_step": spread_json(per_step),
            "tokens_per_second": rate, "mfu": mfu, "time_ratio": spread_json(ratios), "loss": loss,
        });
        let mut text = format!(
            "{name:<12} {middle:8.2} ms/step ({low:.2}-{high:.2}), {rate:.0} tokens/s, takes x{ratio:.2} ({least:.2}-{most:.2}), loss {loss:.3}"
        );
        if let (Some(mfu), Some(by_6n)) = (mfu, share(6 * self.costs.parameters)) {
            text += &format!(
                "\n{:<12} {:.1} % of the peak by PaLM's count, {:.1} % by 6N",
                "",
                100.0 * mfu,
                100.0 * by_6n
            );
        }
        self.output.print(&event, &text);
    }
}

const NAMES: [&str; 2] = ["blankslate", "PyTorch"];

/// Starts PyTorch with the same model on the same text.
fn start_peer(
    model: &ModelConfig,
    train: &TrainConfig,
    seq_len: usize,
    ids: &[u32],
    on_cpu: bool,
) -> Outcome<Peer> {
    let ModelConfig { vocab_size, hidden_size: width, num_hidden_layers: layers, .. } = *model;
    let context = model.max_position_embeddings;
    let heads = model.num_attention_heads;
    let supported = ModelConfig::gpt2(vocab_size)
        .with_context(context)
        .with_hidden_size(width)
        .with_layers(layers)
        .with_heads(heads);
    if *model != supported {
        return Err("its script supports only GPT-2's architecture".into());
    }
    // The script reads it before it prints its first line, so it may be deleted afterwards.
    let mut data = tempfile::NamedTempFile::new()?;
    for id in ids {
        data.write_all(&u16::try_from(*id)?.to_le_bytes())?;
    }
    data.flush()?;
    let settings = json!({
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
    Peer::start(SCRIPT, &[&settings.to_string()])
}
