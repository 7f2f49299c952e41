//! Model configuration in a GGUF file's metadata.

use super::error::{damaged, unsupported};
use super::header::Header;
use crate::config::{EndTokens, ModelConfig, RopeScaling, RopeType};
use crate::error::Result;
use crate::model::scale_frequency;

/// RoPE scaling of Llama 3.1 and its successors: low and high frequency factor, and the original context.
const LLAMA3_FREQUENCY_FACTORS: (f64, f64) = (1.0, 4.0);
const LLAMA3_CONTEXT: usize = 8192;
/// Allowed relative difference between a file's f32 factors and the computed ones.
const FACTOR_TOLERANCE: f32 = 1e-3;
/// Texts of tokens that end a text in every vocabulary, from llama.cpp's `llama-vocab.cpp`.
const END_TEXTS: [&str; 15] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<｜end▁of▁sentence｜>",
];
/// Tensor of divisors of the RoPE frequencies.
pub const FREQUENCY_FACTORS: &str = "rope_freqs.weight";

/// Reads the model configuration.
pub fn read(file: &str, header: &Header) -> Result<ModelConfig> {
    let architecture = header.metadata.text("general.architecture").unwrap_or_default();
    let keys = Keys { file, header, architecture };
    let mut config = match architecture {
        "gpt2" => keys.gpt2()?,
        "llama" => keys.llama()?,
        other => return Err(unsupported(file, format!("its architecture is `{other}`"))),
    };
    config.tie_word_embeddings = !header.tensors.contains_key("output.weight");
    config.bos_token_id = token(header, "bos", config.vocab_size);
    config.eos_token_id = end_tokens(header, config.vocab_size);
    config.validate()?;
    Ok(config)
}

/// Returns the special token with this name in the keys; none if it is outside the vocabulary. A SentencePiece vocabulary
/// without these keys begins with `<unk>`, `<s>` and `</s>`, as in llama.cpp.
pub fn token(header: &Header, name: &str, vocab_size: usize) -> Option<u32> {
    let is_sentencepiece = header.metadata.text("tokenizer.ggml.model") == Some("llama");
    let default = match name {
        "bos" if is_sentencepiece => Some(1),
        "eos" if is_sentencepiece => Some(2),
        _ => None,
    };
    let id = header.metadata.integer(&format!("tokenizer.ggml.{name}_token_id")).or(default)?;
    u32::try_from(id).ok().filter(|id| (*id as usize) < vocab_size)
}

/// Returns the tokens that end a text: those in the keys, then those that llama.cpp knows by their text.
fn end_tokens(header: &Header, vocab_size: usize) -> EndTokens {
    let keys = ["eos", "eot", "eom"].into_iter();
    let tokens = header.metadata.texts("tokenizer.ggml.tokens").unwrap_or_default();
    let known = tokens.iter().take(vocab_size).enumerate();
    let known = known.filter(|(_, text)| END_TEXTS.contains(text)).map(|(id, _)| id as u32);
    keys.filter_map(|key| token(header, key, vocab_size)).chain(known).collect()
}

struct Keys<'a> {
    file: &'a str,
    header: &'a Header<'a>,
    architecture: &'a str,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn size(&self, name: &str) -> Result<usize> {
        let number = self.header.metadata.integer(&self.key(name));
        number.and_then(|number| usize::try_from(number).ok()).ok_or_else(|| {
            damaged(self.file, format!("{} is missing or not a whole number", self.key(name)))
        })
    }

    fn size_or(&self, name: &str, default: usize) -> Result<usize> {
        match self.header.metadata.integer(&self.key(name)) {
            None => Ok(default),
            Some(_) => self.size(name),
        }
    }

    fn number_or(&self, name: &str, default: f64) -> f64 {
        self.header.metadata.number(&self.key(name)).unwrap_or(default)
    }

    /// Returns the rows of the token embedding. Its width is checked later with all other shapes.
    fn vocab_size(&self) -> Result<usize> {
        let table = self.header.tensors.get("token_embd.weight");
        let rows = table.and_then(|table| table.shape.first()).copied();
        rows.ok_or_else(|| damaged(self.file, "tensor \"token_embd.weight\" is missing"))
    }

    fn gpt2(&self) -> Result<ModelConfig> {
        let mut c = ModelConfig::gpt2(self.vocab_size()?)
            .with_context(self.size("context_length")?)
            .with_hidden_size(self.size("embedding_length")?)
            .with_layers(self.size("block_count")?)
            .with_heads(self.size("attention.head_count")?)
            .with_intermediate_size(self.size("feed_forward_length")?);
        c.norm_eps = self.number_or("attention.layer_norm_epsilon", c.norm_eps);
        Ok(c)
    }

    fn llama(&self) -> Result<ModelConfig> {
        if self.size_or("expert_count", 0)? > 0 {
            return Err(unsupported(self.file, "its model is a mixture of experts"));
        }
        let width = self.size("embedding_length")?;
        let heads = self.size("attention.head_count")?;
        let mut c = ModelConfig::llama(self.vocab_size()?)
            .with_context(self.size("context_length")?)
            .with_hidden_size(width)
            .with_layers(self.size("block_count")?)
            .with_heads(heads)
            .with_kv_heads(self.size_or("attention.head_count_kv", heads)?)
            .with_intermediate_size(self.size("feed_forward_length")?);
        c.head_dim = self.size_or("attention.key_length", width / heads.max(1))?;
        c.norm_eps = self.number_or("attention.layer_norm_rms_epsilon", c.norm_eps);
        c.rope_theta = self.number_or("rope.freq_base", c.rope_theta);
        c.attention_bias = self.header.tensors.contains_key("blk.0.attn_q.bias");
        c.mlp_bias = self.header.tensors.contains_key("blk.0.ffn_up.bias");
        for (name, expected) in
            [("rope.dimension_count", c.head_dim), ("attention.value_length", c.head_dim)]
        {
            let found = self.size_or(name, expected)?;
            if found != expected {
                let problem = format!("{} is {found}, not {expected}", self.key(name));
                return Err(unsupported(self.file, problem));
            }
        }
        c.rope_scaling = self.rope_scaling(&c)?;
        Ok(c)
    }

    fn rope_scaling(&self, c: &ModelConfig) -> Result<Option<RopeScaling>> {
        let scaling = |rope_type, factor| {
            let (low_freq_factor, high_freq_factor) = LLAMA3_FREQUENCY_FACTORS;
            let original_max_position_embeddings = match rope_type {
                RopeType::Llama3 => LLAMA3_CONTEXT,
                RopeType::Linear => c.max_position_embeddings,
            };
            RopeScaling {
                rope_type,
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            }
        };
        if let Some(factors) = self.header.tensors.get(FREQUENCY_FACTORS) {
            // The file stores the factors themselves, which must match the rule of Llama 3.
            let factors = factors.values();
            let llama3 = scaling(RopeType::Llama3, factors.last().copied().unwrap_or(1.0).into());
            let close = |(at, factor): (usize, &f32)| {
                let exponent = (2 * at) as f32 / c.head_dim as f32;
                let frequency = 1.0 / (c.rope_theta as f32).powf(exponent);
                let expected = frequency / scale_frequency(frequency, llama3);
                (factor / expected - 1.0).abs() < FACTOR_TOLERANCE
            };
            let known = factors.len() == c.head_dim / 2 && factors.iter().enumerate().all(close);
            let problem = format!("its {FREQUENCY_FACTORS} does not match Llama 3's RoPE scaling");
            return known.then_some(Some(llama3)).ok_or_else(|| unsupported(self.file, problem));
        }
        // Older files have one key, `rope.scale_linear`. As in llama.cpp, a factor without a type is linear.
        let factor =
            self.number_or("rope.scaling.factor", self.number_or("rope.scale_linear", 1.0));
        match self.header.metadata.text(&self.key("rope.scaling.type")) {
            Some("none") => Ok(None),
            // In llama.cpp a factor of 0 means none, too.
            None | Some("linear") if factor == 0.0 || factor == 1.0 => Ok(None),
            None | Some("linear") => Ok(Some(scaling(RopeType::Linear, factor))),
            Some(other) => {
                Err(unsupported(self.file, format!("its rope.scaling.type is `{other}`")))
            }
        }
    }
}
