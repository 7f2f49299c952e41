//! The files of a checkpoint directory together: a small model, and beside it files that the input gives.

use std::sync::OnceLock;

use blankslate::checkpoint::{
    CONFIG, Files, HostTensors, MERGES, OPTIMIZER, STATE, TOKENIZER, TrainingState, VOCAB, WEIGHTS,
    WEIGHTS_INDEX, find_checkpoint, is_foreign, pack, prepare_for_chat, read_safetensors, unpack,
    write_safetensors,
};
use blankslate::config::{DataConfig, Estimate, ModelConfig, TrainConfig};
use blankslate::error::Result;
use blankslate::model::{Decoder, random_source};
use blankslate::platform::{block_on, open_device};
use blankslate::tokenizer::Tokenizer;
use serde_json::{Map, Value, json};

use super::{Target, memory_limit};

pub const TARGET: Target = Target { name: "directory", seeds, check, memory_limit };

/// Line before each file, followed by the file's name.
const MARK: &str = "== ";
/// The only shard of sharded weights.
const SHARD: &str = "a.safetensors";

/// Rows of the model's embedding; the tokenizer has fewer tokens.
const VOCAB_SIZE: usize = 8;
/// `merges.txt` of the model's tokenizer.
const MERGE_RULES: &[u8] = b"#version: 0.2\na b\n";

/// Returns `vocab.json` of the model's tokenizer.
fn vocabulary() -> Value {
    json!({ "a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3 })
}

/// Returns the files of a small model. Its vocabulary is as small as its layers, since every input reads it again.
pub fn model() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let vocab = vocabulary().to_string();
        let tokenizer = Tokenizer::from_vocab_and_merges(vocab.as_bytes(), MERGE_RULES, None)
            .expect("a vocabulary");
        let config = ModelConfig::gpt2(VOCAB_SIZE)
            .with_context(4)
            .with_hidden_size(2)
            .with_layers(1)
            .with_heads(1);
        let packed = block_on(async {
            let (device, _) = open_device("cpu").await?;
            let model = Decoder::new(&config, &device, &mut random_source(0))?;
            pack(&model, Some(&tokenizer), None).await
        });
        packed.expect("a model can be packed")
    })
}

fn seeds() -> Vec<Vec<u8>> {
    let text = |files: &[(&str, Value)]| {
        let files = files.iter().map(|(name, content)| format!("{MARK}{name}\n{content}\n"));
        files.collect::<String>().into_bytes()
    };
    let data = DataConfig { seq_len: 4, ..DataConfig::default() };
    let state = json!(TrainingState { data, ..TrainingState::default() });
    let weights = read_safetensors(WEIGHTS, &model()[WEIGHTS]).expect("weights");
    let map: Map<String, Value> = weights.into_keys().map(|name| (name, json!(SHARD))).collect();
    let template = "{% for message in messages %}{{ message.content }}{% endfor %}";
    let companions = text(&[
        ("generation_config.json", json!({ "eos_token_id": [1, 3], "pad_token_id": 0 })),
        ("tokenizer_config.json", json!({ "chat_template": template, "eos_token": "a" })),
        ("special_tokens_map.json", json!({ "eos_token": "<|endoftext|>" })),
    ]);
    let mut pair = text(&[(VOCAB, vocabulary())]);
    pair.extend([format!("{MARK}{MERGES}\n").as_bytes(), MERGE_RULES].concat());
    pair.extend(format!("{MARK}added_tokens.json\n{{\"<pad>\": 4}}\n").bytes());
    vec![
        companions,
        pair,
        text(&[(STATE, state)]),
        text(&[(WEIGHTS_INDEX, json!({ "weight_map": map }))]),
        text(&[("adapter_config.json", json!({ "base_model_name_or_path": "x" }))]),
    ]
}

fn check(input: &[u8]) -> Result<()> {
    let given = files(input);
    let mut files = model().clone();
    if given.contains_key(VOCAB) || given.contains_key(TOKENIZER) {
        files.remove(TOKENIZER);
    }
    if given.contains_key(WEIGHTS_INDEX) {
        let weights = files.remove(WEIGHTS).unwrap_or_default();
        files.insert(SHARD.into(), weights);
    }
    if given.contains_key(STATE) {
        let none = write_safetensors(&HostTensors::new())?;
        files.insert(OPTIMIZER.into(), none);
    }
    files.extend(given);
    let files = find_checkpoint(files);
    assert!(files.keys().all(|name| !is_foreign(name)));
    let mut checkpoint = unpack(files, "the directory")?;

    let config = &checkpoint.config;
    let values: usize = checkpoint.weights.values().map(|tensor| tensor.values.len()).sum();
    let expected = Estimate::new(config, &TrainConfig::default(), 1).parameters;
    assert_eq!(values as u64, expected, "as many values as parameters");
    let ends = config.eos_token_id.ids();
    assert!(ends.iter().all(|id| (*id as usize) < config.vocab_size));
    if let Some(tokenizer) = &checkpoint.tokenizer {
        let mut config = config.clone();
        let chat = prepare_for_chat(&mut config, &mut checkpoint.weights, tokenizer)?;
        assert!(chat.vocab_size() <= config.vocab_size);
    }
    Ok(())
}

/// Reads the files that an input gives.
fn files(input: &[u8]) -> Files {
    let text = String::from_utf8_lossy(input);
    let start = if text.starts_with(MARK) { MARK.len() } else { text.len() };
    let parts = text[start..].split(&format!("\n{MARK}")).map(str::to_string).collect::<Vec<_>>();
    let named = parts.iter().filter_map(|part| part.split_once('\n'));
    // The weights and the sizes of the model stay, so that the other files are read at all.
    let others = named.filter(|(name, _)| ![CONFIG, WEIGHTS].contains(name));
    others.map(|(name, content)| (name.to_string(), content.as_bytes().to_vec())).collect()
}
