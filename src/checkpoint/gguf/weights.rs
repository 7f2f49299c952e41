//! Weights of a GGUF file by parameter name.

use std::collections::BTreeSet;

use super::config::FREQUENCY_FACTORS;
use super::error::damaged;
use super::header::Header;
use crate::checkpoint::layout::{Architecture, layout};
use crate::checkpoint::{HostTensor, HostTensors};
use crate::config::{ModelConfig, PositionEmbedding};
use crate::error::{Error, Result};

/// Our and llama.cpp's names of a block's modules.
const BLOCK: [(&str, &str); 10] = [
    ("input_layernorm", "attn_norm"),
    ("self_attn.qkv_proj", "attn_qkv"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];
/// Our and llama.cpp's names of the other modules.
const ONCE: [(&str, &str); 4] = [
    ("embed_tokens", "token_embd"),
    ("embed_positions", "position_embd"),
    ("norm", "output_norm"),
    ("lm_head", "output"),
];

/// Dequantizes all weights.
///
/// # Errors
/// Returns an error if a tensor is missing, has the wrong shape or does not belong to the model.
pub fn read(file: &str, header: &Header, c: &ModelConfig) -> Result<HostTensors> {
    // Each layer has at least one tensor, so a hostile number of layers need not be listed in full.
    let listed = c.num_hidden_layers.min(header.tensors.len() + 1);
    let listed = ModelConfig { num_hidden_layers: listed, ..c.clone() };
    let mut weights = HostTensors::new();
    // As in llama.cpp's format, each tensor of our own format is one parameter.
    for entry in layout(&listed, Architecture::Own) {
        let param = &entry.parts[0].param;
        let name = name_of(param);
        let stored = header
            .tensors
            .get(name.as_str())
            .ok_or_else(|| damaged(file, format!("tensor {name:?} is missing")))?;
        if stored.shape != entry.shape {
            let expected = entry.shape;
            let found = stored.shape.clone();
            return Err(Error::Shape { name, file: file.into(), expected, found });
        }
        let mut values = stored.values();
        if c.position_embedding == PositionEmbedding::Rope {
            let heads = if param.contains("q_proj") {
                c.num_attention_heads
            } else if param.contains("k_proj") {
                c.num_key_value_heads
            } else {
                0
            };
            values = to_half_rotation(values, heads, c.head_dim);
        }
        weights.insert(param.clone(), HostTensor { shape: entry.shape, values });
    }
    let known = weights.len() + usize::from(header.tensors.contains_key(FREQUENCY_FACTORS));
    if header.tensors.len() > known {
        let used: BTreeSet<String> = weights.keys().map(|param| name_of(param)).collect();
        let is_used = |name: &str| name == FREQUENCY_FACTORS || used.contains(name);
        let other = header.tensors.keys().find(|name| !is_used(name)).copied().unwrap_or_default();
        return Err(damaged(file, format!("tensor {other:?} does not belong to its model")));
    }
    Ok(weights)
}

/// Returns llama.cpp's name of a parameter.
fn name_of(param: &str) -> String {
    let renamed = |part: &str, names: &[(&str, &str)]| {
        let (stem, suffix) = part.rsplit_once('.').expect("a parameter's name has a suffix");
        let found = names.iter().find(|(ours, _)| *ours == stem);
        format!("{}.{suffix}", found.expect("every part has a name").1)
    };
    match param.strip_prefix("layers.").and_then(|rest| rest.split_once('.')) {
        Some((layer, part)) => format!("blk.{layer}.{}", renamed(part, &BLOCK)),
        None => renamed(param, &ONCE),
    }
}

/// Reorders query and key rows from llama.cpp's rotary layout, which pairs neighbouring dimensions, to Hugging Face's,
/// which pairs the halves of a head: the rows `0, 2, 4, …` of each head move before `1, 3, 5, …`.
fn to_half_rotation(values: Vec<f32>, heads: usize, head_dim: usize) -> Vec<f32> {
    if heads == 0 {
        return values;
    }
    let columns = values.len() / (heads * head_dim);
    let mut out = Vec::with_capacity(values.len());
    for head in values.chunks_exact(head_dim * columns) {
        for parity in 0..2 {
            let rows = head.chunks_exact(columns).skip(parity).step_by(2);
            out.extend(rows.flatten());
        }
    }
    out
}
