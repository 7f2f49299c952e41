//! GGUF files.

use blankslate::checkpoint::read_gguf;
use blankslate::config::{Estimate, TrainConfig};
use blankslate::error::Result;

use super::config::check_config;
use super::tokenizer::check_written;
use super::{Target, memory_limit};

pub const TARGET: Target = Target { name: "gguf", seeds, check, memory_limit };

/// A storage type of tensors: its number, and the values and bytes of a block.
type Storage = (u32, u64, u64);

const F32: Storage = (0, 1, 4);
const F16: Storage = (1, 1, 2);
const Q4_0: Storage = (2, 32, 18);
const Q4_1: Storage = (3, 32, 20);
const Q5_0: Storage = (6, 32, 22);
const Q5_1: Storage = (7, 32, 24);
const Q8_0: Storage = (8, 32, 34);
const Q4_K: Storage = (12, 256, 144);
const Q5_K: Storage = (13, 256, 176);
const Q6_K: Storage = (14, 256, 210);
const BF16: Storage = (30, 1, 2);

/// Small models with every storage type. The published ones are in the ordinary tests; they are too large to be fuzzed fast.
fn seeds() -> Vec<Vec<u8>> {
    vec![gpt2(2, F32), gpt2(256, Q4_K), gpt2(256, Q5_K), gpt2(256, Q6_K), llama()]
}

fn check(input: &[u8]) -> Result<()> {
    let checkpoint = read_gguf("x.gguf", input)?;
    check_config(&checkpoint.config);
    let values: usize = checkpoint.weights.values().map(|tensor| tensor.values.len()).sum();
    let expected = Estimate::new(&checkpoint.config, &TrainConfig::default(), 1).parameters;
    assert_eq!(values as u64, expected, "as many values as parameters");
    let mut all = checkpoint.weights.values().flat_map(|tensor| &tensor.values);
    assert!(all.all(|value| value.is_finite()));
    if let Some(tokenizer) = &checkpoint.tokenizer {
        check_written(tokenizer, b"she sells");
    }
    Ok(())
}

/// Writes a model with learned positions, a width of 2 and no tokenizer. `down` stores the matrix with `inner` columns.
fn gpt2(inner: u32, down: Storage) -> Vec<u8> {
    let mut file = Writer::default();
    file.text("general.architecture", "gpt2");
    for (key, size) in [
        ("context_length", 2),
        ("embedding_length", 2),
        ("block_count", 1),
        ("attention.head_count", 1),
        ("feed_forward_length", inner),
    ] {
        file.integer(&format!("gpt2.{key}"), size);
    }
    file.number("gpt2.attention.layer_norm_epsilon", 1e-5);
    for name in ["token_embd.weight", "position_embd.weight"] {
        file.tensor(name, &[2, 2], F32);
    }
    for norm in ["blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"] {
        file.tensor(&format!("{norm}.weight"), &[2], F32);
        file.tensor(&format!("{norm}.bias"), &[2], F32);
    }
    let inner = inner.into();
    for (name, columns, rows, storage) in [
        ("attn_qkv", 2, 6, F32),
        ("attn_output", 2, 2, F32),
        ("ffn_up", 2, inner, F16),
        ("ffn_down", inner, 2, down),
    ] {
        file.tensor(&format!("blk.0.{name}.weight"), &[columns, rows], storage);
        file.tensor(&format!("blk.0.{name}.bias"), &[rows], F16);
    }
    file.finish()
}

/// Writes a model with rotary positions, a width of 32 in every type with such blocks, and a byte-level tokenizer.
fn llama() -> Vec<u8> {
    let mut file = Writer::default();
    file.text("general.architecture", "llama");
    for (key, size) in [
        ("context_length", 4),
        ("embedding_length", 32),
        ("block_count", 1),
        ("attention.head_count", 2),
        ("attention.head_count_kv", 1),
        ("feed_forward_length", 32),
        ("rope.dimension_count", 16),
    ] {
        file.integer(&format!("llama.{key}"), size);
    }
    file.number("llama.rope.freq_base", 10_000.0);
    file.text("llama.rope.scaling.type", "linear");
    file.number("llama.rope.scaling.factor", 2.0);
    file.text("tokenizer.ggml.model", "gpt2");
    file.text("tokenizer.ggml.pre", "llama-bpe");
    file.texts("tokenizer.ggml.tokens", &["a", "b", "ab", "<|end|>"]);
    file.integers("tokenizer.ggml.token_type", &[1, 1, 1, 3]);
    file.texts("tokenizer.ggml.merges", &["a b"]);
    file.integer("tokenizer.ggml.eos_token_id", 3);
    file.integer("tokenizer.ggml.bos_token_id", 3);
    file.text("tokenizer.chat_template", "{{ messages }}");
    file.tensor("token_embd.weight", &[32, 4], Q8_0);
    for norm in ["blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"] {
        file.tensor(&format!("{norm}.weight"), &[32], F32);
    }
    for (name, rows, storage) in [
        ("attn_q", 32, Q8_0),
        ("attn_k", 16, F16),
        ("attn_v", 16, BF16),
        ("attn_output", 32, Q4_0),
        ("ffn_gate", 32, Q4_1),
        ("ffn_up", 32, Q5_0),
        ("ffn_down", 32, Q5_1),
    ] {
        file.tensor(&format!("blk.0.{name}.weight"), &[32, rows], storage);
    }
    file.finish()
}

/// Writes GGUF, version 3.
#[derive(Default)]
struct Writer {
    entries: Vec<u8>,
    entry_count: u64,
    infos: Vec<u8>,
    tensor_count: u64,
    data: Vec<u8>,
}

impl Writer {
    fn entry(&mut self, key: &str, kind: u32, value: &[u8]) {
        self.entries.extend(string(key));
        self.entries.extend(kind.to_le_bytes());
        self.entries.extend(value);
        self.entry_count += 1;
    }

    fn text(&mut self, key: &str, value: &str) {
        self.entry(key, 8, &string(value));
    }

    fn integer(&mut self, key: &str, value: u32) {
        self.entry(key, 4, &value.to_le_bytes());
    }

    fn number(&mut self, key: &str, value: f32) {
        self.entry(key, 6, &value.to_le_bytes());
    }

    fn list(&mut self, key: &str, kind: u32, count: usize, items: &[u8]) {
        let head = [&kind.to_le_bytes()[..], &(count as u64).to_le_bytes()].concat();
        self.entry(key, 9, &[&head, items].concat());
    }

    fn texts(&mut self, key: &str, values: &[&str]) {
        let items: Vec<u8> = values.iter().flat_map(|value| string(value)).collect();
        self.list(key, 8, values.len(), &items);
    }

    fn integers(&mut self, key: &str, values: &[u32]) {
        let items: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.list(key, 4, values.len(), &items);
    }

    /// Adds a tensor of zeros. `shape` has the innermost dimension first.
    fn tensor(&mut self, name: &str, shape: &[u64], (kind, values, bytes): Storage) {
        self.infos.extend(string(name));
        self.infos.extend((shape.len() as u32).to_le_bytes());
        self.infos.extend(shape.iter().flat_map(|size| size.to_le_bytes()));
        self.infos.extend(kind.to_le_bytes());
        self.infos.extend((self.data.len() as u64).to_le_bytes());
        let bytes = (shape.iter().product::<u64>() / values * bytes) as usize;
        self.data.resize((self.data.len() + bytes).next_multiple_of(32), 0);
        self.tensor_count += 1;
    }

    fn finish(self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(3u32.to_le_bytes());
        file.extend(self.tensor_count.to_le_bytes());
        file.extend(self.entry_count.to_le_bytes());
        file.extend(self.entries);
        file.extend(self.infos);
        file.resize(file.len().next_multiple_of(32), 0);
        file.extend(self.data);
        file
    }
}

/// Returns a text after its length.
fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}
