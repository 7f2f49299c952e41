//! Damaged and hostile files: every reader returns a value or an error. It never panics and never allocates memory out of
//! proportion to the file.

mod damage;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use blankslate::check::{GoldenCase, check};
use blankslate::checkpoint::*;
use blankslate::data::{TokenWidth, parse_shard};
use blankslate::error::Result;
use blankslate::platform::block_on;
use blankslate_fuzz::memory_limit;
use serde_json::{Value, json};

use crate::common;
use crate::common::memory::most_held;
use damage::{Random, damage, rewrite, rewrite_header};

/// Reads `cases` damaged versions of each of `files`. `rewrite` changes a file but keeps its outer format.
fn survives(
    name: &str,
    files: &[Vec<u8>],
    cases: usize,
    rewrite: fn(&[u8], &mut Random) -> Vec<u8>,
    read: impl Fn(&[u8]) -> Result<()>,
) {
    let mut random = Random(name.bytes().map(u64::from).sum());
    let mut refused = 0;
    for (number, file) in files.iter().enumerate() {
        read(file).unwrap_or_else(|error| panic!("{name} {number} as it is: {error}"));
        for case in 0..cases {
            let bytes = match random.below(3) {
                0 => damage(file, &mut random),
                1 => rewrite(file, &mut random),
                _ => damage(&rewrite(file, &mut random), &mut random),
            };
            let what = format!("{name} {number}, case {case}");
            let (outcome, took) = most_held(|| catch_unwind(AssertUnwindSafe(|| read(&bytes))));
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    assert!(!error.to_string().trim().is_empty(), "{what}: {error:?}");
                    refused += 1;
                }
                Err(_) => {
                    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(3000)]);
                    panic!("{what} panicked on: {start}");
                }
            }
            assert!(took <= memory_limit(bytes.len()), "{what} took {took} bytes");
        }
    }
    println!("{name}: {refused} of {} refused", cases * files.len());
    assert!(refused > 0, "{name}: none was refused");
}

fn as_they_are(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    damage(bytes, random)
}

fn golden_files(name: &str) -> Files {
    let golden = common::golden(name);
    [(CONFIG.into(), golden.config), (WEIGHTS.into(), golden.model)].into()
}

#[test]
fn configurations_with_intact_weights() {
    for name in ["gpt2-tiny", "llama-tiny"] {
        let files = golden_files(name);
        survives(
            &format!("config.json of {name}"),
            &[files[CONFIG].clone()],
            500,
            rewrite,
            |bytes| {
                let mut files = files.clone();
                files.insert(CONFIG.into(), bytes.to_vec());
                unpack(files, "the test")?.model(&common::cpu()).map(drop)
            },
        );
    }
}

#[test]
fn weights() {
    for name in ["gpt2-tiny", "llama-tiny"] {
        let files = golden_files(name);
        survives(
            &format!("{WEIGHTS} of {name}"),
            &[files[WEIGHTS].clone()],
            1500,
            rewrite_header,
            |bytes| {
                read_float_tensors(WEIGHTS, bytes)?;
                let mut files = files.clone();
                files.insert(WEIGHTS.into(), bytes.to_vec());
                unpack(files, "the test").map(drop)
            },
        );
    }
    let io = common::golden("gpt2-tiny").io;
    survives("io.safetensors", &[io], 1500, rewrite_header, |bytes| {
        read_ids("io.safetensors", bytes, "input_ids").map(drop)
    });

    let mut files = golden_files("llama-tiny");
    let shard = files.remove(WEIGHTS).unwrap();
    let names = read_safetensors("a", &shard).unwrap().into_keys();
    let map: serde_json::Map<_, _> = names.map(|name| (name, json!("a.safetensors"))).collect();
    files.insert("a.safetensors".into(), shard);
    let index = json!({ "metadata": { "total_size": 1 }, "weight_map": map }).to_string();
    survives(WEIGHTS_INDEX, &[index.into_bytes()], 600, rewrite, |bytes| {
        shard_names(bytes)?;
        let mut files = files.clone();
        files.insert(WEIGHTS_INDEX.into(), bytes.to_vec());
        unpack(files, "the test").map(drop)
    });
}

#[test]
fn gguf_files() {
    for name in ["llama", "gpt2"] {
        let path = format!("{}/tests/golden/gguf/{name}.gguf", env!("CARGO_MANIFEST_DIR"));
        let file = std::fs::read(path).unwrap();
        survives(&format!("{name}.gguf"), &[file], 1500, as_they_are, |bytes| {
            read_gguf("x.gguf", bytes)?.model(&common::cpu()).map(drop)
        });
    }
}

#[test]
fn an_archive_with_overlapping_entries_is_rejected() {
    // 4,000 names for the same 300 kB would expand half a megabyte to more than a gigabyte.
    let one = pack_zip(&[("0000.bin".to_string(), vec![7; 300_000])].into()).unwrap();
    let directory = one.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
    let end = one.windows(4).rposition(|bytes| bytes == b"PK\x05\x06").unwrap();
    let mut bomb = one[..directory].to_vec();
    for number in 0..4000 {
        let entry = &one[directory..end];
        let name = entry.windows(8).position(|bytes| bytes == b"0000.bin").unwrap();
        bomb.extend_from_slice(&entry[..name]);
        bomb.extend(format!("{number:04}").bytes());
        bomb.extend_from_slice(&entry[name + 4..]);
    }
    let size = (bomb.len() - directory) as u32;
    bomb.extend_from_slice(&one[end..end + 8]);
    bomb.extend([4000u16.to_le_bytes(); 2].concat());
    bomb.extend(size.to_le_bytes());
    bomb.extend_from_slice(&one[end + 16..]);
    let (outcome, took) = most_held(|| unpack_zip("bomb.zip", &bomb));
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("overlap"), "{error}");
    assert!(took < 1 << 25, "{took} bytes");
}

#[test]
fn absurd_sizes_are_rejected() {
    let mut files = golden_files("llama-tiny");
    let mut config: Value = serde_json::from_slice(&files[CONFIG]).unwrap();
    for (key, said) in [
        ("num_hidden_layers", "model.layers.2.input_layernorm.weight"),
        ("max_position_embeddings", "max_position_embeddings"),
        ("vocab_size", "model.embed_tokens.weight"),
    ] {
        let was = std::mem::replace(&mut config[key], json!(1 << 30));
        files.insert(CONFIG.into(), config.to_string().into_bytes());
        config[key] = was;
        let (outcome, took) = most_held(|| unpack(files.clone(), "the test"));
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(said), "{key}: {error}");
        assert!(took < 1 << 24, "{key} took {took} bytes");
    }
    let short = [20_240_520u32, 1, 0].map(u32::to_le_bytes).concat();
    let error = parse_shard("x.bin", Arc::new(short), TokenWidth::U16).unwrap_err().to_string();
    assert!(error.contains("header ends after 12 bytes"), "{error}");

    // A golden case whose ids have no rows or not as many targets.
    let golden = common::golden("gpt2-tiny");
    let ids = |shape: &[usize]| {
        let bytes = vec![0; shape.iter().product::<usize>() * 8];
        (shape.to_vec(), bytes)
    };
    for (inputs, targets) in
        [(ids(&[]), ids(&[])), (ids(&[0, 4]), ids(&[0, 4])), (ids(&[1, 4]), ids(&[4]))]
    {
        let io = i64_tensors(&[("input_ids", inputs), ("targets", targets)]);
        let broken = GoldenCase { io, ..golden.clone() };
        let error = block_on(check(&broken, &common::cpu(), "cpu")).unwrap_err().to_string();
        assert!(error.contains("both must be [sequences, tokens]"), "{error}");
    }
}

/// A tensor's shape and bytes.
type Shaped = (Vec<usize>, Vec<u8>);

/// Writes a safetensors file of `I64` tensors.
fn i64_tensors(tensors: &[(&str, Shaped)]) -> Vec<u8> {
    let (mut header, mut body) = (serde_json::Map::new(), Vec::new());
    for (name, (shape, bytes)) in tensors {
        let offsets = [body.len(), body.len() + bytes.len()];
        header.insert(
            name.to_string(),
            json!({ "dtype": "I64", "shape": shape, "data_offsets": offsets }),
        );
        body.extend_from_slice(bytes);
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &body].concat()
}
