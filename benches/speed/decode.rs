//! Decoding speed: tokens per second, one token at a time with a KV cache, with random weights in f32.

use crate::common::{Outcome, spread};
use crate::device::{Place, is_cuda};
use crate::output::{Output, spread_json};
use crate::peaks::{Given, Peaks};
use crate::peer::Peer;
use blankslate::config::{ModelConfig, PositionEmbedding, preset};
use blankslate::model::{Decoder, KvCache, TokenIds, random_source, read_floats, top_k};
use blankslate::platform::block_on;
use burn::module::Module;
use clap::Args;
use serde_json::json;
use std::time::Instant;

const SCRIPT: &str = include_str!("decode_torch.py");

/// Options of `decode`.
#[derive(Args)]
pub struct Options {
    /// Device to decode on: cpu, vulkan or cuda
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Preset of the model
    #[arg(long, default_value = "gpt2")]
    preset: String,
    /// Tokens decoded per round
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=48))]
    tokens: u16,
    /// Rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Decode without a comparison with PyTorch, whose script has GPT-2's 124M shape only
    #[arg(long)]
    alone: bool,
    #[command(flatten)]
    given: Given,
}

/// Decodes early and late in the context, alone or beside PyTorch.
pub fn run(options: &Options, output: Output) -> Outcome<()> {
    let place = Place::open(&options.device, Some("f32"))?;
    let config = preset(&options.preset)?.model;
    let peaks = Peaks::of(&place, &options.given, config.vocab_size * config.hidden_size)?;
    let mut start = place.json();
    start["type"] = "start".into();
    start["preset"] = options.preset.as_str().into();
    start["peaks"] = peaks.json();
    output.print(&start, &format!("{}\n{}", place.describe(), peaks.describe()));
    let mut peer = None;
    if !options.alone {
        match start_peer(options) {
            Ok(started) => {
                let event = json!({"type": "peer", "contestant": "PyTorch", "name": started.name});
                output.print(&event, &started.name);
                peer = Some(started);
            }
            Err(reason) => output.skipped("PyTorch", &reason.to_string()),
        }
    }
    rayon::scope(|_| compare(options, output, &config, &place, &mut peer, peaks))
}

fn start_peer(options: &Options) -> Outcome<Peer> {
    let device = match options.device.as_str() {
        "cpu" => "cpu",
        name if is_cuda(name) => "cuda",
        name => return Err(format!("it has no device {name}").into()),
    };
    if options.preset != "gpt2" {
        return Err("its script has only GPT-2's 124M shape".into());
    }
    Peer::start(SCRIPT, &[&rayon::current_num_threads().to_string(), device])
}

/// Alternates rounds of both and prints their speed.
fn compare(
    options: &Options,
    output: Output,
    config: &ModelConfig,
    place: &Place,
    peer: &mut Option<Peer>,
    peaks: Peaks,
) -> Outcome<()> {
    let count = usize::from(options.tokens);
    let mut ours = Ours::new(config, place)?;
    let context = config.max_position_embeddings;
    let late = if context >= 128 { context - 64 } else { context / 2 };
    for start in [late.min(16), late] {
        // Compiles and tunes kernels.
        ours.prefill(start)?;
        let prefill = ours.prefill(start)?;
        let event = json!({"type": "prefill", "tokens": start, "ms": 1e3 * prefill});
        output.print(&event, &format!("\nprefilled {start} tokens in {:.1} ms", 1e3 * prefill));
        let mut times = [const { Vec::new() }; 2];
        // The first round compiles and tunes kernels.
        for round in 0..=options.rounds {
            let time = ours.decode(start, count)?;
            times[0].extend((round > 0).then_some(time));
            if let Some(running) = peer {
                match running.ask(&format!("{start} {count}")) {
                    Ok(answer) => times[1].extend((round > 0).then_some(answer[0])),
                    Err(reason) => {
                        output.skipped("PyTorch", &reason.to_string());
                        *peer = None;
                    }
                }
            }
        }
        let cached = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim;
        let bytes = 4.0 * (ours.weights + cached * (start + count / 2)) as f64;
        let bound = peaks.bytes_per_second / bytes;
        for (name, seconds) in ["blankslate", "PyTorch"].iter().zip(&times) {
            if seconds.is_empty() {
                continue;
            }
            let rates = spread(seconds.iter().map(|seconds| count as f64 / seconds).collect());
            let ratios =
                spread(seconds.iter().zip(&times[0]).map(|(time, ours)| time / ours).collect());
            let event = json!({
                "type": "result", "contestant": name, "from": start, "tokens": count,
                "tokens_per_second": spread_json(rates), "time_ratio": spread_json(ratios),
                "bytes_per_token": bytes, "bound_tokens_per_second": bound,
            });
            let ([low, middle, high], [least, ratio, most]) = (rates, ratios);
            output.print(
                &event,
                &format!(
                    "{name:<12} {middle:7.1} tokens/s ({low:.1}-{high:.1}) from token {start}, takes x{ratio:.2} ({least:.2}-{most:.2})"
                ),
            );
        }
        if !output.json {
            println!("reading {:.0} MB allows {bound:.1} tokens/s", bytes / 1e6);
        }
    }
    Ok(())
}

/// A model with its KV cache.
struct Ours {
    model: Decoder,
    cache: KvCache,
    /// Weights read per token; of the position embeddings only one row.
    weights: usize,
}

impl Ours {
    fn new(config: &ModelConfig, place: &Place) -> Outcome<Self> {
        let model = Decoder::new(config, &place.device, &mut random_source(1))?;
        let cache = KvCache::new(config, 1, config.max_position_embeddings, &place.device);
        let learned = config.position_embedding == PositionEmbedding::Learned;
        let positions =
            if learned { config.max_position_embeddings * config.hidden_size } else { 0 };
        Ok(Self { weights: model.num_params() - positions, model, cache })
    }

    /// Prefills the cache with `count` tokens and returns the seconds.
    fn prefill(&mut self, count: usize) -> Outcome<f64> {
        self.cache.truncate(0);
        let vocab = self.model.config().vocab_size;
        let text: Vec<u32> = (0..count).map(|i| (i * 7919 % vocab) as u32).collect();
        let begun = Instant::now();
        self.next(&text)?;
        Ok(begun.elapsed().as_secs_f64())
    }

    /// Decodes `count` tokens greedily after the first `start` and returns the seconds.
    fn decode(&mut self, start: usize, count: usize) -> Outcome<f64> {
        self.cache.truncate(start);
        let mut id = 1;
        let begun = Instant::now();
        for _ in 0..count {
            id = self.next(&[id])?;
        }
        Ok(begun.elapsed().as_secs_f64())
    }

    /// Returns the most likely token after `ids`.
    fn next(&mut self, ids: &[u32]) -> Outcome<u32> {
        let vocab = self.model.config().vocab_size;
        let last = ids.len() - 1;
        let ids = TokenIds::new(ids, 1, vocab, &self.model.device())?;
        let residual = self.model.forward_residual(ids, Some(&mut self.cache), None)?;
        let logits = self.model.unembed(residual.slice_dim(0, last..last + 1));
        Ok(top_k(&block_on(read_floats(logits.reshape([vocab])))?, 1)[0])
    }
}
