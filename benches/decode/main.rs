//! Decoding speed: tokens per second, one token at a time with a KV cache.
//!
//! ```text
//! cargo bench --bench decode                GPT-2's 124M shape on the CPU, beside PyTorch
//! cargo bench --bench decode -- DEVICE      a small model on that device, alone
//! ```
//!
//! Weights are random. Contestants alternate, so that other load on the machine affects both. `PYTHON` names an
//! interpreter with PyTorch; BLANKSLATE_ROUNDS sets the number of rounds (5).

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/peer.rs"]
mod peer;

use blankslate::config::ModelConfig;
use blankslate::model::{Decoder, KvCache, TokenIds, random_source, read_floats, top_k};
use blankslate::platform::{block_on, open_device};
use burn::module::Module;
use common::{Outcome, cpu_name, spread};
use peer::Peer;
use rayon::prelude::*;
use std::time::Instant;

/// Tokens decoded per round.
const COUNT: usize = 32;

fn main() -> Outcome<()> {
    // `cargo bench` passes flags of the standard harness; the device is the first argument that is none.
    let device = std::env::args().skip(1).find(|word| !word.starts_with("--"));
    let rounds: usize = std::env::var("BLANKSLATE_ROUNDS").ok().map_or(Ok(5), |n| n.parse())?;
    println!("CPU: {}, {} threads", cpu_name(), rayon::current_num_threads());
    match device {
        None => rayon::scope(|_| beside_pytorch(rounds)),
        Some(device) => rayon::scope(|_| alone(&device, rounds)),
    }
}

/// Compares GPT-2's smallest shape with PyTorch, early and late in its context.
fn beside_pytorch(rounds: usize) -> Outcome<()> {
    let config = ModelConfig::gpt2(50_257)
        .with_context(1024)
        .with_hidden_size(768)
        .with_layers(12)
        .with_heads(12);
    let mut ours = Ours::new(&config, "cpu")?;
    let mut peer =
        match Peer::start("decode/decode_torch.py", &rayon::current_num_threads().to_string()) {
            Ok(peer) => Some(peer),
            Err(reason) => {
                eprintln!("SKIPPED: PyTorch: {reason}");
                None
            }
        };
    let bandwidth = read_bandwidth();
    for start in [16, 960] {
        ours.prefill(start)?;
        let mut times = [const { Vec::new() }; 2];
        for _ in 0..rounds {
            times[0].push(ours.decode(start)?);
            if let Some(peer) = &mut peer {
                times[1].push(peer.ask(&format!("{start} {COUNT}"))?[0]);
            }
        }
        let cached = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim;
        let bytes = 4.0 * (ours.weights + cached * (start + COUNT / 2)) as f64;
        println!("\ntokens {start} to {}, {rounds} rounds of {COUNT}:", start + COUNT);
        report("blankslate", &times[0], &times[0]);
        report("PyTorch", &times[1], &times[0]);
        println!(
            "reading {:.0} MB at {:.1} GB/s allows {:.1} tokens/s",
            bytes / 1e6,
            bandwidth / 1e9,
            bandwidth / bytes
        );
    }
    Ok(())
}

/// Times a small model on a given device.
fn alone(device: &str, rounds: usize) -> Outcome<()> {
    let mut ours = Ours::new(
        &ModelConfig::gpt2(65).with_context(256).with_hidden_size(128).with_layers(4).with_heads(4),
        device,
    )?;
    for start in [16, 200] {
        ours.prefill(start)?;
        ours.decode(start)?;
        let times: Result<Vec<_>, _> = (0..rounds).map(|_| ours.decode(start)).collect();
        let times = times?;
        println!("\ntokens {start} to {}, {rounds} rounds of {COUNT}:", start + COUNT);
        report("blankslate", &times, &times);
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
    fn new(config: &ModelConfig, device: &str) -> Outcome<Self> {
        let (device, info) = block_on(open_device(device))?;
        println!("on {} ({})", info.name, info.adapter);
        let model = Decoder::new(config, &device, &mut random_source(1))?;
        let cache = KvCache::new(config, 1, config.max_position_embeddings, &device);
        let positions = config.max_position_embeddings * config.hidden_size;
        Ok(Self { weights: model.num_params() - positions, model, cache })
    }

    /// Prefills the cache with `count` tokens.
    fn prefill(&mut self, count: usize) -> Outcome<()> {
        self.cache.truncate(0);
        let vocab = self.model.config().vocab_size;
        let text: Vec<u32> = (0..count).map(|i| (i * 7919 % vocab) as u32).collect();
        let begun = Instant::now();
        self.next(&text)?;
        println!("\nprefilled {count} tokens in {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);
        Ok(())
    }

    /// Decodes greedily after the first `start` tokens and returns the seconds.
    fn decode(&mut self, start: usize) -> Outcome<f64> {
        self.cache.truncate(start);
        let mut id = 1;
        let begun = Instant::now();
        for _ in 0..COUNT {
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

/// Prints a contestant's tokens per second, and its time divided by ours in each round.
fn report(name: &str, seconds: &[f64], ours: &[f64]) {
    if seconds.is_empty() {
        return println!("{name:<12} not run");
    }
    let ratios = seconds.iter().zip(ours).map(|(theirs, ours)| theirs / ours).collect();
    let rates = seconds.iter().map(|seconds| COUNT as f64 / seconds).collect();
    let [low, middle, high] = spread(rates);
    let [ratio_low, ratio, ratio_high] = spread(ratios);
    println!(
        "{name:<12} {middle:7.1} tokens/s ({low:.1}-{high:.1}), takes x{ratio:.2} ({ratio_low:.2}-{ratio_high:.2})"
    );
}

/// Memory bandwidth in bytes per second of all threads together: the best of several attempts.
fn read_bandwidth() -> f64 {
    let values = vec![1u64; 1 << 26];
    let read = || {
        let begun = Instant::now();
        let sums = values.par_chunks(1 << 16).map(|part| part.iter().sum::<u64>());
        assert_eq!(sums.sum::<u64>(), values.len() as u64);
        size_of_val(&values[..]) as f64 / begun.elapsed().as_secs_f64()
    };
    (0..8).map(|_| read()).fold(0.0, f64::max)
}
