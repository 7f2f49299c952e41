//! Damaged and hostile files: every reader returns a value or an error. It never panics and never allocates memory out of
//! proportion to the file.

mod damage;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use blankslate::check::{GoldenCase, check};
use blankslate::checkpoint::*;
use blankslate::config::*;
use blankslate::data::{Corpus, TokenWidth, Tokens, Windows, eval_batches, parse_shard};
use blankslate::error::Result;
use blankslate::platform::block_on;
use blankslate::run::data::Examples;
use blankslate::tokenizer::{Kind, Pattern, Tokenizer, TrainOptions, run_sequentially};
use serde_json::{Value, json};

use crate::common;
use crate::common::memory::most_held;
use damage::{Random, damage, rewrite, rewrite_header};

const TEXT: &str =
    "the cat sat on the mat. The cats, the mats — and \"don't\" say naïve 日本語 words!\n";
/// Maximum memory of a reader in bytes. (A vocabulary may skip 2^24 ids, at 8 bytes each.)
const MOST_BYTES: isize = 1 << 29;

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
            assert!(took < MOST_BYTES, "{what} took {took} bytes");
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

fn tokenizer(kind: Kind) -> Tokenizer {
    let special_tokens = vec!["<|end|>".into()];
    let options = TrainOptions { kind, vocab_size: 300, special_tokens, ..Default::default() };
    Tokenizer::train(&options, [TEXT], run_sequentially, |_| ControlFlow::Continue(())).unwrap()
}

fn use_tokenizer(tokenizer: &Tokenizer) -> Result<()> {
    let ids = tokenizer.encode(TEXT)?;
    tokenizer.decode(&ids)?;
    // A configuration that can be read can also be written and read again.
    Tokenizer::from_json(&tokenizer.to_json()).map(drop)
}

#[test]
fn configurations() {
    let mut llama = ModelConfig::llama(97)
        .with_context(48)
        .with_hidden_size(32)
        .with_layers(2)
        .with_heads(4)
        .with_kv_heads(2);
    llama.rope_scaling = Some(RopeScaling {
        rope_type: RopeType::Llama3,
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 16,
    });
    let own = ModelConfig { qk_norm: true, ..ModelConfig::default() };
    let mut files: Vec<_> = [ModelConfig::default(), llama, own].iter().map(to_hf).collect();
    files.extend(["gpt2-tiny", "llama-tiny"].map(|name| common::golden(name).config));
    survives("config.json", &files, 3000, rewrite, |bytes| {
        let config = from_hf(bytes)?;
        Estimate::new(&config, &TrainConfig::default(), config.max_position_embeddings);
        from_hf(&to_hf(&config)).map(drop)
    });
    // Damaged configurations with intact weights.
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
fn json_records() {
    let chat = r#"{"messages": [{"role": "user", "content": "the cat"}, {"role": "assistant", "content": "sat"}]}"#;
    let pair = r#"{"prompt": "the cat", "chosen": "sat", "rejected": "fled"}"#;
    let alpaca = r#"{"instruction": "the", "input": "cat", "output": "sat", "id": 3}"#;
    // Long enough for a window.
    let text = json!({ "text": TEXT.repeat(10) }).to_string();
    let files = [chat, &chat.replace("messages", "conversations"), pair, alpaca, &text]
        .map(|line| line.as_bytes().to_vec());
    let tokenizer = tokenizer(Kind::Bpe).with_chat_tokens().unwrap();
    survives("chat.jsonl", &files, 2000, rewrite, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let examples = Examples::of_text("chat.jsonl", &text)?;
        for conversation in &examples.conversations {
            // A prompt that is too long is not an error of the file.
            drop(tokenizer.encode_chat_prompt(&conversation.messages, 30));
        }
        let corpus = examples.corpus(&tokenizer, 64, run_sequentially)?;
        Windows::new(corpus, &DataConfig::default(), 2, 1)?.batch(3);
        Ok(())
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
fn tokenizers() {
    let kinds = [Kind::Byte, Kind::Char, Kind::Bpe, Kind::WordPiece];
    let files = kinds.map(|kind| tokenizer(kind).to_json());
    survives(TOKENIZER, &files, 700, rewrite, |bytes| use_tokenizer(&Tokenizer::from_json(bytes)?));

    let mut lines: Vec<String> = Vec::new();
    let digit = |value: usize| {
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[value] as char
    };
    for byte in 0..256 {
        lines.push(format!("{}{}== {byte}", digit(byte >> 2), digit((byte & 3) << 4)));
    }
    lines.extend(["dGg= 256", "dGhl 257", "YXQ= 258"].map(String::from));
    let file = lines.join("\n").into_bytes();
    survives("tiktoken file", &[file], 3000, as_they_are, |bytes| {
        let end = [("<|end|>".to_string(), 300)];
        use_tokenizer(&Tokenizer::from_tiktoken(bytes, Pattern::Cl100k, &end)?)
    });
}

#[test]
fn archives() {
    let mut files = golden_files("gpt2-tiny");
    files.insert(TOKENIZER_CONFIG.into(), b"{}".to_vec());
    let whole = pack_zip(&files).unwrap();
    survives("run.zip", &[whole], 3000, as_they_are, |bytes| {
        unpack(unpack_zip("run.zip", bytes)?, "run.zip").map(drop)
    });
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
fn training_states() {
    let saved = TrainingState { tokenizer: "bpe:300".into(), ..Default::default() };
    let moved = TrainingState { step: 6, batches_drawn: 12, ..saved.clone() };
    let moved = TrainingState { train: TrainConfig { grad_accum: 2, ..moved.train }, ..moved };
    let data = DataConfig { order: DataOrder::Sequential, ..Default::default() };
    let moved = TrainingState { data, ..moved };
    let mut files = golden_files("gpt2-tiny");
    files.insert(OPTIMIZER.into(), write_safetensors(&HostTensors::new()).unwrap());
    survives(STATE, &[saved.to_json(), moved.to_json()], 1000, rewrite, |bytes| {
        TrainingState::from_json(bytes)?;
        let mut files = files.clone();
        files.insert(STATE.into(), bytes.to_vec());
        let (state, _) = unpack(files, "the test")?.training.expect("it has a state");
        let _ = TrainOptions::from_spec(&state.tokenizer);
        let corpus = Corpus::new(Tokens::from_ids((0..200).collect()));
        let (train, _) = corpus.split(state.data.val_fraction);
        let windows = Windows::new(train, &state.data, state.train.batch_size, state.train.seed)?;
        windows.batches_per_epoch();
        // The batch size is the user's choice; this test uses only small ones.
        if state.train.batch_size < 1000 {
            windows.batch(state.batches_drawn);
        }
        Ok(())
    });
}

#[test]
fn shards() {
    let header = |magic: u32, version: u32, tokens: &[u8], count: u32| {
        let words = [magic, version, count].map(u32::to_le_bytes).concat();
        [&words[..], &[0; 1012], tokens].concat()
    };
    let files = [
        header(20_240_520, 1, &[5; 400], 200),
        header(20_240_801, 7, &[5; 400], 100),
        header(20_240_520, 1, &[], 0)[..1024].to_vec(),
        vec![3; 400],
    ];
    for width in [TokenWidth::U16, TokenWidth::U32] {
        survives(&format!("shard of {width:?}"), &files, 2000, as_they_are, |bytes| {
            let tokens = parse_shard("shard.bin", Arc::new(bytes.to_vec()), width)?;
            let corpus = Corpus { end_of_text: Some(5), ..Corpus::new(tokens) };
            corpus.fingerprint();
            let (train, val) = corpus.split(0.3);
            train.fingerprint();
            eval_batches(&val, 8, 4).for_each(drop);
            // Too few tokens for a window are not an error of the file.
            drop(Windows::new(train, &DataConfig::default(), 2, 1).map(|windows| windows.batch(3)));
            Ok(())
        });
    }
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
