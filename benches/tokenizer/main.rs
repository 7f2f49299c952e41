//! Speed of the tokenizer compared with its peers, as ratios: each round runs every contestant, so that other load on the
//! machine affects all of them.
//!
//! ```text
//! cargo bench --bench tokenizer [-- FILE...]     or BLANKSLATE_CORPUS=FILE
//! ```
//!
//! Without files the corpus is tinyshakespeare (from `../shared/data`), repeated with seeded changes to its words until it has
//! 44 MB: it then has about as many distinct words as real text of that size, but not as many phrases. rustbpe and tiktoken
//! need Python: set PYTHON to an interpreter that has them and numpy. BLANKSLATE_ROUNDS sets the rounds of encoding and of training (5);
//! tokenizers trains only once.

#[path = "../common/mod.rs"]
mod common;
mod prepare;

use blankslate::tokenizer::{Pattern, Tokenizer, TrainOptions, run_sequentially};
use common::{Outcome, cpu_name, spread};
use rayon::prelude::*;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::Instant;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, TokenizerImpl};

const VOCAB: usize = 32_768;
const CORPUS_BYTES: usize = 44_700_000;
/// Text for one round of encoding; the slowest peer takes seconds for it.
const ENCODE_BYTES: usize = 4_000_000;

fn main() -> Outcome<()> {
    // `cargo bench` passes flags of the standard harness; the other arguments are files.
    let files: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let (name, text) = corpus(files)?;
    let rounds: usize = std::env::var("BLANKSLATE_ROUNDS").ok().map_or(Ok(5), |n| n.parse())?;
    println!("CPU: {}, {} threads", cpu_name(), rayon::current_num_threads());
    println!("corpus: {name}, {:.1} MB", text.len() as f64 / 1e6);
    let (ours, ranks) = gpt2()?;
    encoding(&text, &ours, rounds)?;
    prepare::preparing(&text, &ours, &ranks, rounds)?;
    training(&text, rounds)
}

/// GPT-2's tokenizer, and its vocabulary as a tiktoken file.
fn gpt2() -> Outcome<(Tokenizer, Vec<u8>)> {
    let tiktoken = tiktoken_rs::r50k_base()?;
    let mut file = String::new();
    for rank in 0..50_256 {
        file += &format!("{} {rank}\n", base64(&tiktoken.decode_bytes(&[rank])?));
    }
    Ok((Tokenizer::from_tiktoken(file.as_bytes(), Pattern::Gpt2, &[])?, file.into_bytes()))
}

fn encoding(text: &str, ours: &Tokenizer, rounds: usize) -> Outcome<()> {
    let text = &text[..text.floor_char_boundary(ENCODE_BYTES)];
    let tiktoken = tiktoken_rs::r50k_base()?;
    let hugging = tokenizers::Tokenizer::from_bytes(ours.to_json()).map_err(|e| e.to_string())?;
    let ids = ours.encode(text)?;
    assert_eq!(
        ids,
        tiktoken.encode_ordinary(text),
        "blankslate and tiktoken-rs encode differently"
    );
    // By line: tokenizers is quadratic in the length of a text, and its users pass lines.
    let lines: Vec<&str> = text.split_inclusive('\n').collect();

    let mut times = [const { Vec::new() }; 4];
    for _ in 0..rounds {
        times[0].push(timed(|| drop(black_box(ours.encode(text)))));
        times[1].push(timed(|| drop(black_box(tiktoken.encode_ordinary(text)))));
        times[2].push(timed(|| {
            lines.iter().for_each(|line| drop(black_box(hugging.encode_fast(*line, false))));
        }));
        times[3].push(timed(|| drop(black_box(ours.decode(&ids)))));
    }
    println!("\nGPT-2's vocabulary, one thread, {} tokens, {rounds} rounds:", ids.len());
    report("encode blankslate", &times[0], &times[0], text.len());
    report("encode tiktoken-rs", &times[1], &times[0], text.len());
    report("encode tokenizers (by line)", &times[2], &times[0], text.len());
    report("decode blankslate", &times[3], &times[0], text.len());
    Ok(())
}

fn training(text: &str, rounds: usize) -> Outcome<()> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let options = TrainOptions { vocab_size: VOCAB, ..TrainOptions::default() };
    let go = |_| ControlFlow::Continue(());
    let parallel = |n: usize, job: &(dyn Fn(usize) + Sync)| (0..n).into_par_iter().for_each(job);
    // rustbpe reads the corpus from a file.
    let path = std::env::temp_dir().join(format!("blankslate-bench-{}.txt", std::process::id()));
    std::fs::write(&path, text)?;
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let mut times = [const { Vec::new() }; 4];
    for round in 0..rounds {
        let train = |run_all| Tokenizer::train(&options, &lines, run_all, go);
        times[0].push(timed(|| drop(black_box(train(parallel)))));
        times[1].push(timed(|| drop(black_box(train(run_sequentially)))));
        match rustbpe_seconds(&python, &path) {
            Ok(seconds) => times[2].push(seconds),
            Err(error) if round == 0 => eprintln!("SKIPPED: rustbpe: {error}"),
            Err(_) => {}
        }
        if round == 0 {
            times[3].push(timed(|| train_hugging(&lines)));
        }
    }
    std::fs::remove_file(&path)?;
    println!("\ntraining {VOCAB} tokens, GPT-2's pattern, {rounds} rounds (tokenizers 1):");
    report("train blankslate, rayon", &times[0], &times[0], text.len());
    report("train blankslate, one thread", &times[1], &times[0], text.len());
    report("train rustbpe", &times[2], &times[0], text.len());
    report("train tokenizers", &times[3], &times[0], text.len());
    Ok(())
}

fn train_hugging(lines: &[&str]) {
    type Peer =
        TokenizerImpl<BPE, NormalizerWrapper, ByteLevel, PostProcessorWrapper, DecoderWrapper>;
    let mut peer = Peer::new(BPE::default());
    peer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    let mut trainer = BpeTrainerBuilder::new()
        .vocab_size(VOCAB)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    peer.train(&mut trainer, lines.iter()).expect("tokenizers trains");
}

fn rustbpe_seconds(python: &str, path: &std::path::Path) -> Outcome<f64> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/tokenizer/train_rustbpe.py");
    let pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
    let output = std::process::Command::new(python)
        .arg(script)
        .arg(path)
        .args([&VOCAB.to_string(), pattern])
        .output()?;
    match String::from_utf8(output.stdout)?.trim().parse() {
        Ok(seconds) if output.status.success() => Ok(seconds),
        _ => Err(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("?").into()),
    }
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Prints a contestant's times, and its time divided by ours in each round.
fn report(name: &str, times: &[f64], ours: &[f64], bytes: usize) {
    if times.is_empty() {
        return println!("{name:<30} not run");
    }
    let ratios = times.iter().zip(ours).map(|(theirs, ours)| theirs / ours).collect();
    let [low, middle, high] = spread(times.to_vec());
    let [ratio_low, ratio, ratio_high] = spread(ratios);
    println!(
        "{name:<30} {middle:8.3} s ({low:.3}-{high:.3})  {:7.1} MB/s  x{ratio:.2} ({ratio_low:.2}-{ratio_high:.2})",
        bytes as f64 / middle / 1e6
    );
}

/// Reads the given files, or generates the corpus.
fn corpus(mut files: Vec<String>) -> Outcome<(String, String)> {
    files.extend(std::env::var("BLANKSLATE_CORPUS"));
    if !files.is_empty() {
        let texts: Result<Vec<_>, _> = files.iter().map(std::fs::read_to_string).collect();
        return Ok((files.join(", "), texts?.concat()));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/tinyshakespeare.txt");
    let source = std::fs::read_to_string(path)
        .map_err(|error| format!("{path}: {error}; name a text file of 40 MB or more"))?;
    Ok(("tinyshakespeare with one word in eight changed, seeded".into(), vary(&source)))
}

/// Repeats a text, changing one letter in one of eight words, always in the same way.
fn vary(source: &str) -> String {
    let mut state = 42u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize
    };
    let mut text = String::with_capacity(CORPUS_BYTES + source.len());
    while text.len() < CORPUS_BYTES {
        for word in source.split_inclusive(|c: char| c.is_whitespace()) {
            let at = random() % word.len();
            let letter = word.as_bytes()[at].is_ascii_lowercase();
            if text.len() > source.len() && letter && random() % 8 == 0 {
                text.push_str(&word[..at]);
                text.push((b'a' + (random() % 26) as u8) as char);
                text.push_str(&word[at + 1..]);
            } else {
                text.push_str(word);
            }
        }
    }
    text
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, &b| bits << 8 | u32::from(b));
        let bits = bits << (8 * (3 - group.len()));
        for digit in 0..=group.len() {
            text.push(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63] as char);
        }
    }
    text
}
