//! Mapping between the model's parameters and the tensors of Hugging Face's files.
//!
//! One table serves reading, writing and the comparison of gradients. Each tensor of a file consists of rows of our
//! parameters.

use crate::config::{HiddenAct, ModelConfig, NormKind, PositionEmbedding};

/// Architecture of transformers that a configuration corresponds to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// `GPT2LMHeadModel`
    Gpt2,
    /// `LlamaForCausalLM`; with a sliding window `MistralForCausalLM`, whose tensors are the same
    Llama,
    /// None of them. Files use our parameter names, an extension of Llama's.
    Own,
}

impl Architecture {
    /// Returns the architecture that computes the same function as the configuration.
    pub fn of(c: &ModelConfig) -> Self {
        let plain =
            !c.qk_norm && c.attn_logit_softcapping.is_none() && c.final_logit_softcapping.is_none();
        let gpt2 = c.position_embedding == PositionEmbedding::Learned
            && c.has_norm_bias()
            && matches!(c.hidden_act, HiddenAct::Gelu | HiddenAct::GeluErf)
            && c.attention_bias
            && c.mlp_bias
            && c.num_key_value_heads == c.num_attention_heads
            && c.q_size() == c.hidden_size
            && c.sliding_window.is_none();
        let llama = c.position_embedding == PositionEmbedding::Rope
            && c.norm == NormKind::RmsNorm
            && c.hidden_act == HiddenAct::Swiglu
            && (c.sliding_window.is_none() || !c.attention_bias && !c.mlp_bias);
        if plain && gpt2 {
            Self::Gpt2
        } else if plain && llama {
            Self::Llama
        } else {
            Self::Own
        }
    }
}

/// A tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name in the file.
    pub name: String,
    /// Shape in the file.
    pub shape: Vec<usize>,
    /// True if the file stores `[in, out]` (GPT-2's `Conv1D`) instead of `[out, in]`.
    pub transposed: bool,
    /// Rows of our parameters that the tensor consists of, in order.
    pub parts: Vec<ParamRows>,
}

/// A range of rows of one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamRows {
    /// Name of the parameter.
    pub param: String,
    /// First row.
    pub start: usize,
    /// Number of rows; for vectors, of elements.
    pub rows: usize,
}

/// Returns every tensor of a file of the given architecture.
pub fn layout(c: &ModelConfig, format: Architecture) -> Vec<Entry> {
    let mut table = Table { entries: Vec::new(), gpt2: format == Architecture::Gpt2 };
    let d = c.hidden_size;
    let ff = c.intermediate_size;
    let q = c.q_size();
    let kv = c.kv_size();
    let (root, embeddings, positions, final_norm) = match format {
        Architecture::Gpt2 => ("transformer", "wte", "wpe", "ln_f"),
        _ => ("model", "embed_tokens", "embed_positions", "norm"),
    };
    table.lookup(&format!("{root}.{embeddings}"), "embed_tokens", c.vocab_size, d);
    if c.position_embedding == PositionEmbedding::Learned {
        let rows = c.max_position_embeddings;
        table.lookup(&format!("{root}.{positions}"), "embed_positions", rows, d);
    }
    let norm_bias = c.has_norm_bias();
    for layer in 0..c.num_hidden_layers {
        let ours = |part: &str| format!("layers.{layer}.{part}");
        let theirs = |gpt2: &str, llama: &str| match format {
            Architecture::Gpt2 => format!("{root}.h.{layer}.{gpt2}"),
            _ => format!("{root}.layers.{layer}.{llama}"),
        };
        table.norm(&theirs("ln_1", "input_layernorm"), &ours("input_layernorm"), d, norm_bias);
        // Query, key and value projections can be fused or separate, in the file and in our model.
        let slots = [("q_proj", 0, q), ("k_proj", q, kv), ("v_proj", q + kv, kv)];
        let parts = slots.map(|(name, start, rows)| {
            if c.fused_qkv {
                ParamRows { param: ours("self_attn.qkv_proj"), start, rows }
            } else {
                ParamRows { param: ours(&format!("self_attn.{name}")), start: 0, rows }
            }
        });
        let fused_in_file = match format {
            Architecture::Gpt2 => true,
            Architecture::Llama => false,
            Architecture::Own => c.fused_qkv,
        };
        if fused_in_file {
            let name = theirs("attn.c_attn", "self_attn.qkv_proj");
            table.linear(&name, &parts, d, c.attention_bias);
        } else {
            for ((name, ..), part) in slots.iter().zip(parts) {
                let name = theirs("", &format!("self_attn.{name}"));
                table.linear(&name, &[part], d, c.attention_bias);
            }
        }
        if c.qk_norm {
            for name in ["self_attn.q_norm", "self_attn.k_norm"] {
                table.norm(&theirs("", name), &ours(name), c.head_dim, false);
            }
        }
        let whole = |param: &str, rows| [ParamRows { param: ours(param), start: 0, rows }];
        let name = theirs("attn.c_proj", "self_attn.o_proj");
        table.linear(&name, &whole("self_attn.o_proj", d), q, c.attention_bias);
        let name = theirs("ln_2", "post_attention_layernorm");
        table.norm(&name, &ours("post_attention_layernorm"), d, norm_bias);
        if c.hidden_act == HiddenAct::Swiglu {
            let name = theirs("", "mlp.gate_proj");
            table.linear(&name, &whole("mlp.gate_proj", ff), d, c.mlp_bias);
        }
        let name = theirs("mlp.c_fc", "mlp.up_proj");
        table.linear(&name, &whole("mlp.up_proj", ff), d, c.mlp_bias);
        let name = theirs("mlp.c_proj", "mlp.down_proj");
        table.linear(&name, &whole("mlp.down_proj", d), ff, c.mlp_bias);
    }
    table.norm(&format!("{root}.{final_norm}"), "norm", d, norm_bias);
    if !c.tie_word_embeddings {
        table.lookup("lm_head", "lm_head", c.vocab_size, d);
    }
    table.entries
}

struct Table {
    entries: Vec<Entry>,
    gpt2: bool,
}

impl Table {
    /// Adds a matrix that is `[rows, columns]` in every format: an embedding or the head.
    fn lookup(&mut self, name: &str, param: &str, rows: usize, columns: usize) {
        let parts = vec![ParamRows { param: format!("{param}.weight"), start: 0, rows }];
        let name = format!("{name}.weight");
        self.entries.push(Entry { name, shape: vec![rows, columns], transposed: false, parts });
    }

    /// Adds a projection from `inputs` features with the output rows `parts`.
    fn linear(&mut self, name: &str, parts: &[ParamRows], inputs: usize, bias: bool) {
        let rows = parts.iter().map(|part| part.rows).sum();
        let of = |suffix: &str| {
            let rename = |part: &ParamRows| ParamRows {
                param: format!("{}.{suffix}", part.param),
                ..part.clone()
            };
            parts.iter().map(rename).collect()
        };
        let shape = if self.gpt2 { vec![inputs, rows] } else { vec![rows, inputs] };
        let name_of = |suffix: &str| format!("{name}.{suffix}");
        self.entries.push(Entry {
            name: name_of("weight"),
            shape,
            transposed: self.gpt2,
            parts: of("weight"),
        });
        if bias {
            let name = name_of("bias");
            let shape = vec![rows];
            self.entries.push(Entry { name, shape, transposed: false, parts: of("bias") });
        }
    }

    fn norm(&mut self, name: &str, param: &str, width: usize, bias: bool) {
        for suffix in ["weight", "bias"].into_iter().take(if bias { 2 } else { 1 }) {
            let parts =
                vec![ParamRows { param: format!("{param}.{suffix}"), start: 0, rows: width }];
            let name = format!("{name}.{suffix}");
            self.entries.push(Entry { name, shape: vec![width], transposed: false, parts });
        }
    }
}
