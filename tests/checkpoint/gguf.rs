//! GGUF files: equality with transformers and the gguf package, and rejected files.

use std::fs;
use std::path::{Path, PathBuf};

use blankslate::check::relative_error;
use blankslate::checkpoint::{
    Files, GGUF_EXTENSION, find_checkpoint, pack, read_float_tensors, read_gguf, read_ids, unpack,
};
use blankslate::config::RopeType;
use blankslate::model::{TokenIds, read_floats};
use blankslate::platform::block_on;
use serde_json::Value;

use crate::common;

/// Tolerance for f32 sums in another order.
const TOLERANCE: f64 = 1e-5;

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf").join(file)
}

fn read(file: &str) -> Vec<u8> {
    fs::read(path(file)).expect(file)
}

fn told(name: &str) -> Value {
    serde_json::from_slice(&read(&format!("{name}.json"))).unwrap()
}

#[test]
fn logits_equal_those_of_transformers() {
    for name in ["llama", "gpt2"] {
        let file = format!("{name}{GGUF_EXTENSION}");
        let mut loaded = read_gguf(&file, &read(&file)).unwrap();
        let config = loaded.config.clone();
        let model = loaded.model(&common::cpu()).unwrap();
        let io = read(&format!("{name}.safetensors"));
        let (shape, ids) = read_ids(name, &io, "input_ids").unwrap();
        let count = ids.len() * config.vocab_size;
        let ids = TokenIds::new(&ids, shape[0], config.vocab_size, &model.device()).unwrap();
        let logits = model.forward(ids, None, None).unwrap().reshape([count]);
        let ours = block_on(read_floats(logits)).unwrap();
        let error = relative_error(&ours, &read_float_tensors(name, &io).unwrap()["logits"].values);
        println!("{name}: {error:e}");
        assert!(error < TOLERANCE, "{name}: {error:e}");
        // A GGUF file is found in any folder and can be saved like any checkpoint.
        let files = [(format!("folder/{file}"), read(&file)), ("README.md".into(), Vec::new())];
        let mut again = unpack(find_checkpoint(files.into()), name).unwrap();
        let written = block_on(pack(&again.model(&common::cpu()).unwrap(), None, None)).unwrap();
        assert_eq!(unpack(written, name).unwrap().config, config);
    }
}

#[test]
fn every_block_type_is_dequantized_like_gguf() {
    for name in ["llama", "gpt2"] {
        let file = format!("{name}{GGUF_EXTENSION}");
        let loaded = read_gguf(&file, &read(&file)).unwrap();
        let tensors = told(name)["tensors"].as_object().unwrap().clone();
        assert_eq!(tensors.len(), loaded.weights.len());
        for (theirs, expected) in tensors {
            let ours = our_name(&theirs);
            let values = &loaded.weights[&ours].values;
            let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
            let magnitude: f64 = values.iter().map(|value| f64::from(value.abs())).sum();
            let [expected_sum, expected_magnitude, last] =
                [0, 1, 2].map(|at| expected[at].as_f64().unwrap());
            assert!((magnitude - expected_magnitude).abs() < 1e-9 * magnitude, "{theirs}");
            assert!((sum - expected_sum).abs() < 1e-9 * magnitude, "{theirs}");
            assert_eq!(f64::from(*values.last().unwrap()), last, "{theirs}");
        }
    }
}

fn our_name(theirs: &str) -> String {
    let mut name = theirs.replace("blk.", "layers.");
    for (theirs, ours) in [
        ("token_embd", "embed_tokens"),
        ("position_embd", "embed_positions"),
        ("output_norm", "norm"),
        ("attn_norm", "input_layernorm"),
        ("attn_output", "self_attn.o_proj"),
        ("ffn_norm", "post_attention_layernorm"),
        ("attn_", "self_attn."),
        ("ffn_", "mlp."),
    ] {
        name = name.replace(theirs, ours);
    }
    for part in ["qkv", "q", "k", "v", "gate", "up", "down"] {
        name = name.replace(&format!(".{part}."), &format!(".{part}_proj."));
    }
    name
}

#[test]
fn the_tokenizer_equals_the_files() {
    let llama = read_gguf("x", &read("llama.gguf")).unwrap();
    let tokenizer = llama.tokenizer.unwrap();
    for (text, ids) in told("llama")["texts"].as_object().unwrap() {
        let ids: Vec<u32> = serde_json::from_value(ids.clone()).unwrap();
        assert_eq!(tokenizer.encode(text).unwrap(), ids);
        assert_eq!(tokenizer.decode(&ids).unwrap(), *text);
    }
    assert_eq!((tokenizer.bos(), tokenizer.end_of_text()), (Some(0), Some(0)));
    assert!(!tokenizer.encode("<|endoftext|>").unwrap().contains(&0));
    assert_eq!((llama.config.bos_token_id, llama.config.eos_token_id.first()), (Some(0), Some(0)));
    let gpt2 = read_gguf("x", &read("gpt2.gguf")).unwrap();
    assert_eq!(gpt2.tokenizer.unwrap().bos(), None);
}

/// Builds a file of version 3 with the given metadata and f32 tensors.
fn file(settings: &[(&str, Setting)], tensors: &[(&str, &[u64], &[f32])]) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((settings.len() as u64).to_le_bytes());
    for (key, setting) in settings {
        bytes.extend(text(key));
        let mut list = |kind: u32, length: usize, values: Vec<u8>| {
            bytes.extend([9, kind].map(u32::to_le_bytes).concat());
            bytes.extend((length as u64).to_le_bytes());
            bytes.extend(values);
        };
        match setting {
            Setting::Size(number) => bytes.extend([4u32, *number].map(u32::to_le_bytes).concat()),
            Setting::Number(number) => {
                bytes.extend(6u32.to_le_bytes());
                bytes.extend(number.to_le_bytes());
            }
            Setting::Text(value) => {
                bytes.extend(8u32.to_le_bytes());
                bytes.extend(text(value));
            }
            Setting::Texts(values) => {
                list(8, values.len(), values.iter().flat_map(|value| text(value)).collect());
            }
            Setting::Sizes(values) => {
                list(
                    4,
                    values.len(),
                    values.iter().flat_map(|value| value.to_le_bytes()).collect(),
                );
            }
            Setting::Numbers(values) => {
                list(
                    6,
                    values.len(),
                    values.iter().flat_map(|value| value.to_le_bytes()).collect(),
                );
            }
        }
    }
    let mut data = Vec::new();
    for (name, dimensions, values) in tensors {
        bytes.extend(text(name));
        bytes.extend((dimensions.len() as u32).to_le_bytes());
        bytes.extend(dimensions.iter().flat_map(|size| size.to_le_bytes()));
        bytes.extend(0u32.to_le_bytes());
        bytes.extend((data.len() as u64).to_le_bytes());
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        data.resize(data.len().next_multiple_of(32), 0);
    }
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    [bytes, data].concat()
}

#[derive(Clone, Copy)]
enum Setting {
    Size(u32),
    Number(f32),
    Text(&'static str),
    Texts(&'static [&'static str]),
    Sizes(&'static [u32]),
    Numbers(&'static [f32]),
}

/// Builds a Llama with one narrow layer and heads of size 64, additional metadata and `factors` as `rope_freqs`.
fn llama(more: &[(&str, Setting)], factors: Option<&[f32]>) -> Vec<u8> {
    let mut settings = vec![
        ("general.architecture", Setting::Text("llama")),
        ("llama.context_length", Setting::Size(32)),
        ("llama.embedding_length", Setting::Size(4)),
        ("llama.block_count", Setting::Size(1)),
        ("llama.feed_forward_length", Setting::Size(2)),
        ("llama.attention.head_count", Setting::Size(1)),
        ("llama.attention.key_length", Setting::Size(64)),
        ("llama.rope.freq_base", Setting::Number(500_000.0)),
    ];
    settings.retain(|(key, _)| more.iter().all(|(other, _)| other != key));
    settings.extend(more);
    let zeros = [0.0; 256];
    let mut tensors: Vec<(&str, &[u64], &[f32])> = vec![
        ("token_embd.weight", &[4, 3], &zeros[..12]),
        ("output_norm.weight", &[4], &zeros[..4]),
        ("blk.0.attn_norm.weight", &[4], &zeros[..4]),
        ("blk.0.attn_q.weight", &[4, 64], &zeros),
        ("blk.0.attn_k.weight", &[4, 64], &zeros),
        ("blk.0.attn_v.weight", &[4, 64], &zeros),
        ("blk.0.attn_output.weight", &[64, 4], &zeros),
        ("blk.0.ffn_norm.weight", &[4], &zeros[..4]),
        ("blk.0.ffn_gate.weight", &[4, 2], &zeros[..8]),
        ("blk.0.ffn_up.weight", &[4, 2], &zeros[..8]),
        ("blk.0.ffn_down.weight", &[2, 4], &zeros[..8]),
    ];
    tensors.extend(factors.map(|factors| ("rope_freqs.weight", &[32][..], factors)));
    file(&settings, &tensors)
}

/// llama.cpp's `generate_extra_tensors` for Llama 3.
fn llama3_factors(factor: f64) -> Vec<f32> {
    let of = |at: i32| {
        let wavelength = std::f64::consts::TAU * 500_000f64.powf(f64::from(2 * at) / 64.0);
        let smooth = (8192.0 / wavelength - 1.0) / 3.0;
        match wavelength {
            short if short < 8192.0 / 4.0 => 1.0,
            long if long > 8192.0 => factor,
            _ => 1.0 / ((1.0 - smooth) / factor + smooth),
        }
    };
    (0..32).map(|at| of(at) as f32).collect()
}

#[test]
fn rope_scaling_is_recognized_or_rejected() {
    let scaling =
        |bytes: Vec<u8>| read_gguf("x.gguf", &bytes).map(|loaded| loaded.config.rope_scaling);
    assert_eq!(scaling(llama(&[], None)).unwrap(), None);
    let found = scaling(llama(&[], Some(&llama3_factors(32.0)))).unwrap().unwrap();
    assert_eq!((found.rope_type, found.factor), (RopeType::Llama3, 32.0));
    let mut other = llama3_factors(32.0);
    other[20] *= 1.01;
    let error = scaling(llama(&[], Some(&other))).unwrap_err().to_string();
    assert!(error.contains("rope_freqs.weight does not match Llama 3's RoPE scaling"), "{error}");
    let kind = |kind| ("llama.rope.scaling.type", Setting::Text(kind));
    let factor = ("llama.rope.scaling.factor", Setting::Number(4.0));
    let found = scaling(llama(&[kind("linear"), factor], None)).unwrap().unwrap();
    assert_eq!((found.rope_type, found.factor), (RopeType::Linear, 4.0));
    // Without a type a factor is linear, and older files have another key.
    let old = ("llama.rope.scale_linear", Setting::Number(2.0));
    assert_eq!(scaling(llama(&[factor], None)).unwrap().unwrap().factor, 4.0);
    assert_eq!(scaling(llama(&[old], None)).unwrap().unwrap().factor, 2.0);
    assert_eq!(scaling(llama(&[old, factor], None)).unwrap().unwrap().factor, 4.0);
    let none = ("llama.rope.scaling.factor", Setting::Number(0.0));
    assert_eq!(scaling(llama(&[none], None)).unwrap(), None);
    let error = scaling(llama(&[kind("yarn"), factor], None)).unwrap_err().to_string();
    assert!(error.contains("rope.scaling.type is `yarn`"), "{error}");
}

#[test]
fn every_end_token_is_read_and_optional_keys_may_be_missing() {
    let config = |more: &[(&str, Setting)]| read_gguf("x.gguf", &llama(more, None)).unwrap().config;
    let id = |key, id| (key, Setting::Size(id));
    let both = [id("tokenizer.ggml.eos_token_id", 2), id("tokenizer.ggml.eot_token_id", 1)];
    assert_eq!(config(&both).eos_token_id.ids(), [2, 1]);
    assert!(config(&[id("tokenizer.ggml.eos_token_id", 3)]).eos_token_id.ids().is_empty());
    let texts = ("tokenizer.ggml.tokens", Setting::Texts(&["a", "<|eot_id|>", "<|end|>"]));
    let model = ("tokenizer.ggml.model", Setting::Text("no_vocab"));
    let known = [texts, model, id("tokenizer.ggml.eos_token_id", 2)];
    assert_eq!(config(&known).eos_token_id.ids(), [2, 1]);

    // llama.cpp's ids of a SentencePiece vocabulary; all tokens are normal and have the same score.
    let bytes: &'static [&'static str] = Vec::leak(
        (0..256).map(|byte| &*format!("<0x{byte:02X}>").leak()).collect::<Vec<&'static str>>(),
    );
    let tokens = ("tokenizer.ggml.tokens", Setting::Texts(bytes));
    let model = ("tokenizer.ggml.model", Setting::Text("llama"));
    let loaded = read_gguf("x.gguf", &llama(&[tokens, model], None)).unwrap();
    assert_eq!(loaded.config.bos_token_id, Some(1));
    assert_eq!(loaded.config.eos_token_id.ids(), [2]);
    let tokenizer = loaded.tokenizer.unwrap();
    assert_eq!((tokenizer.bos(), tokenizer.special_tokens().count()), (Some(1), 0));
    let template = ("tokenizer.chat_template", Setting::Text("{{ messages }}"));
    let loaded = read_gguf("x.gguf", &llama(&[template], None)).unwrap();
    assert!(loaded.companions.has_other_template());
}

#[test]
fn unsupported_and_damaged_files_are_rejected() {
    let refused = |bytes: &[u8]| read_gguf("x.gguf", bytes).unwrap_err().to_string();
    let with = |key: &'static str, setting| refused(&llama(&[(key, setting)], None));
    let sentencepiece = |scores| {
        let vocabulary = [
            ("tokenizer.ggml.model", Setting::Text("llama")),
            ("tokenizer.ggml.tokens", Setting::Texts(&["<unk>", "▁a", "b"])),
            ("tokenizer.ggml.token_type", Setting::Sizes(&[2, 1, 1])),
            ("tokenizer.ggml.scores", Setting::Numbers(scores)),
        ];
        refused(&llama(&vocabulary, None))
    };
    for (error, words) in [
        (with("general.architecture", Setting::Text("qwen2")), "architecture is `qwen2`"),
        (with("tokenizer.ggml.model", Setting::Text("bert")), "tokenizer model is `bert`"),
        (with("tokenizer.ggml.model", Setting::Text("llama")), "tokenizer.ggml.tokens is missing"),
        (sentencepiece(&[0.0, 0.0]), "3 tokens and 2 scores"),
        (sentencepiece(&[0.0, 0.0, -1.0]), "the byte token <0x00> is missing"),
        (with("split.count", Setting::Size(3)), "llama-gguf-split --merge"),
        (with("llama.expert_count", Setting::Size(8)), "mixture of experts"),
        (with("llama.block_count", Setting::Size(u32::MAX)), "num_hidden_layers"),
        (
            with("llama.block_count", Setting::Size(1 << 30)),
            "\"blk.1.attn_norm.weight\" is missing",
        ),
        (with("llama.embedding_length", Setting::Size(5)), "shape [3, 4]"),
        (with("llama.context_length", Setting::Text("32")), "llama.context_length is missing"),
        (with("general.alignment", Setting::Size(24)), "not a power of two"),
        (refused(b"GGML"), "does not start with the magic number GGUF"),
        (refused(b"GGUF\x01\0\0\0"), "version is 1"),
        (refused(b"GGUF\0\0\0\x03"), "big-endian"),
        (refused(b"GGUF"), "it ends after 4 bytes, where 4 more are expected"),
        (refused(&llama(&[], None)[..900]), "copy or download it again"),
        (
            refused(&file(&[], &[("a", &[1 << 40, 1 << 40], &[])])),
            "not a whole number of F32 blocks",
        ),
        (refused(&file(&[], &[("a", &[9], &[0.0; 8])])), "extends past the end of file"),
        (refused(&file(&[], &[("a", &[2], &[0.0; 2]), ("a", &[2], &[0.0; 2])])), "occurs twice"),
    ] {
        assert!(error.contains(words), "`{words}` is not in: {error}");
        assert!(error.contains("x.gguf") || words == "num_hidden_layers", "{error}");
    }
    // Another type or offset in the entry of the second tensor.
    let whole = file(&[], &[("first", &[8], &[0.0; 8]), ("other", &[8], &[0.0; 8])]);
    let at = whole.windows(5).position(|bytes| bytes == b"other").unwrap() + 5 + 4 + 8;
    let patched = |at: usize, number: u32, end: usize| {
        let mut bytes = whole[..end].to_vec();
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
        refused(&bytes)
    };
    let end = whole.len();
    for (error, words) in [
        (patched(at, 10, end), "\"other\" has the unsupported type 10"),
        (patched(at + 4, u32::MAX, end), "extends past the end of file"),
        (patched(at + 4, 0, end - 32), "its tensors overlap"),
    ] {
        assert!(error.contains(words), "`{words}` is not in: {error}");
    }
    // Counts far beyond the file's size.
    let mut many = whole.clone();
    many[8..24].fill(0xff);
    assert!(refused(&many).contains("x.gguf"));
    let files: Files = [("notes.txt".to_string(), Vec::new())].into();
    assert!(unpack(files, "here").unwrap_err().to_string().contains(".gguf file"));
}
