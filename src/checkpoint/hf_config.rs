//! `config.json` in the format of transformers.

use serde_json::{Map, Value, json};

use super::companions::token_ids;
use super::layout::Architecture;
use crate::config::{
    EndTokens, HiddenAct, InitScheme, ModelConfig, RopeScaling, RopeType, from_json_strict,
};
use crate::error::{Error, Result, json_problem};

const FILE: &str = "config.json";
/// Defaults of transformers' `LlamaConfig`.
const LLAMA: Defaults = Defaults {
    vocab_size: 32_000,
    hidden_size: 4096,
    intermediate_size: 11_008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: None,
    max_position_embeddings: 2048,
};
/// Defaults of transformers' `MistralConfig`.
const MISTRAL: Defaults = Defaults {
    intermediate_size: 14_336,
    num_key_value_heads: Some(8),
    max_position_embeddings: 131_072,
    ..LLAMA
};
const MISTRAL_WINDOW: usize = 4096;

/// Sizes that a file may leave out.
struct Defaults {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    /// As many as attention heads if there is no default.
    num_key_value_heads: Option<usize>,
    max_position_embeddings: usize,
}
/// Key of the settings that transformers does not have; it ignores unknown keys.
const OURS: &str = "blankslate";

/// Writes `config.json`.
pub fn to_hf(c: &ModelConfig) -> Vec<u8> {
    let mut value = match Architecture::of(c) {
        Architecture::Gpt2 => json!({
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "activation_function": if c.hidden_act == HiddenAct::Gelu { "gelu_new" } else { "gelu" },
            "attn_pdrop": c.dropout,
            "embd_pdrop": c.dropout,
            "resid_pdrop": c.dropout,
            "layer_norm_epsilon": c.norm_eps,
            "n_embd": c.hidden_size,
            "n_head": c.num_attention_heads,
            "n_inner": if c.intermediate_size == 4 * c.hidden_size { Value::Null } else { c.intermediate_size.into() },
            "n_layer": c.num_hidden_layers,
            "n_positions": c.max_position_embeddings,
        }),
        Architecture::Llama => {
            let mut rope = json!({ "rope_type": "default", "rope_theta": c.rope_theta });
            if let Some(scaling) = c.rope_scaling {
                let scaling = serde_json::to_value(scaling).expect("plain numbers");
                rope.as_object_mut()
                    .expect("an object")
                    .extend(scaling.as_object().expect("an object").clone());
            }
            let (architecture, model_type) = match c.sliding_window {
                Some(_) => ("MistralForCausalLM", "mistral"),
                None => ("LlamaForCausalLM", "llama"),
            };
            json!({
                "architectures": [architecture],
                "model_type": model_type,
                "attention_bias": c.attention_bias,
                "attention_dropout": c.dropout,
                "head_dim": c.head_dim,
                "hidden_act": "silu",
                "hidden_size": c.hidden_size,
                "intermediate_size": c.intermediate_size,
                "max_position_embeddings": c.max_position_embeddings,
                "mlp_bias": c.mlp_bias,
                "num_attention_heads": c.num_attention_heads,
                "num_hidden_layers": c.num_hidden_layers,
                "num_key_value_heads": c.num_key_value_heads,
                "rms_norm_eps": c.norm_eps,
                "rope_parameters": rope,
                "rope_theta": c.rope_theta,
            })
        }
        Architecture::Own => {
            let mut value = serde_json::to_value(c).expect("settings serialize");
            value["model_type"] = OURS.into();
            return pretty(&value);
        }
    };
    let object = value.as_object_mut().expect("an object");
    if let Some(window) = c.sliding_window {
        object.insert("sliding_window".into(), window.into());
    }
    object.insert("vocab_size".into(), c.vocab_size.into());
    object.insert("tie_word_embeddings".into(), c.tie_word_embeddings.into());
    object.insert("initializer_range".into(), c.initializer_range.into());
    object.insert("bos_token_id".into(), json!(c.bos_token_id));
    object.insert("eos_token_id".into(), json!(c.eos_token_id));
    object.insert("dtype".into(), "float32".into());
    object.insert("torch_dtype".into(), "float32".into());
    object.insert(
        OURS.into(),
        json!({ "dropout": c.dropout, "fused_qkv": c.fused_qkv, "init": c.init }),
    );
    pretty(&value)
}

fn pretty(value: &Value) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("JSON values serialize");
    bytes.push(b'\n');
    bytes
}

/// Reads `config.json` of a GPT-2, Llama, Mistral or blankslate model.
///
/// # Errors
/// Returns an error for another architecture, an unsupported value or a missing size.
pub fn from_hf(bytes: &[u8]) -> Result<ModelConfig> {
    let remedy = "it must be the config.json of a GPT-2, Llama, Mistral or blankslate model";
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|e| Error::malformed(FILE, json_problem(&e), remedy))?;
    let object =
        value.as_object().ok_or_else(|| Error::malformed(FILE, "it is not an object", remedy))?;
    let keys = Keys { object };
    if let Some(quantized) = keys.get("quantization_config") {
        let method = quantized["quant_method"].as_str().unwrap_or("an unnamed method");
        let problem = format!("the weights are quantized ({method})");
        return Err(Error::malformed(
            FILE,
            problem,
            "use the original model, or a GGUF file of it",
        ));
    }
    let config = match keys.string("model_type").unwrap_or_default().as_str() {
        "gpt2" => keys.gpt2()?,
        "llama" => keys.llama()?,
        "mistral" => keys.mistral()?,
        OURS => {
            let mut own = object.clone();
            own.remove("model_type");
            from_json_strict(&pretty(&Value::Object(own)), FILE)?
        }
        "" => return Err(Error::malformed(FILE, "it has no model_type", remedy)),
        other => return Err(Error::malformed(FILE, format!("model_type is `{other}`"), remedy)),
    };
    config.validate()?;
    Ok(config)
}

struct Keys<'a> {
    object: &'a Map<String, Value>,
}

impl Keys<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    fn string(&self, key: &str) -> Option<String> {
        self.get(key)?.as_str().map(str::to_string)
    }

    fn wrong(&self, key: &str, wanted: &str) -> Error {
        let found = self.get(key).cloned().unwrap_or(Value::Null);
        Error::malformed(FILE, format!("{key} is {found}, not {wanted}"), "correct the file")
    }

    fn size(&self, key: &str) -> Result<usize> {
        let number = self.get(key).and_then(Value::as_u64);
        number
            .and_then(|number| usize::try_from(number).ok())
            .ok_or_else(|| self.wrong(key, "a whole number"))
    }

    /// Reads a size that transformers does not let be `null`.
    fn size_unless_absent(&self, key: &str, default: usize) -> Result<usize> {
        if self.object.contains_key(key) { self.size(key) } else { Ok(default) }
    }

    fn size_or(&self, key: &str, default: usize) -> Result<usize> {
        if self.get(key).is_some() { self.size(key) } else { Ok(default) }
    }

    fn number_or(&self, key: &str, default: f64) -> Result<f64> {
        match self.get(key) {
            Some(value) => value.as_f64().ok_or_else(|| self.wrong(key, "a number")),
            None => Ok(default),
        }
    }

    fn bool_or(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            Some(value) => value.as_bool().ok_or_else(|| self.wrong(key, "true or false")),
            None => Ok(default),
        }
    }

    /// Reads a token id or a list of ids, as of [`token_ids`].
    fn tokens(&self, key: &str, vocab_size: usize) -> EndTokens {
        self.get(key).map(|value| token_ids(value, vocab_size)).unwrap_or_default()
    }

    /// Returns an error if a setting selects a function that this program does not implement.
    fn only(&self, key: &str, accepted: &[Value]) -> Result<()> {
        match self.get(key) {
            Some(value) if !accepted.contains(value) => {
                let list: Vec<String> = accepted.iter().map(Value::to_string).collect();
                Err(self.wrong(key, &list.join(" or ")))
            }
            _ => Ok(()),
        }
    }

    /// Reads the settings that all architectures share.
    fn common(&self, mut c: ModelConfig) -> Result<ModelConfig> {
        c.initializer_range = self.number_or("initializer_range", c.initializer_range)?;
        c.bos_token_id = self.tokens("bos_token_id", c.vocab_size).first();
        c.eos_token_id = self.tokens("eos_token_id", c.vocab_size);
        if let Some(ours) = self.get(OURS).and_then(Value::as_object) {
            let ours = Keys { object: ours };
            c.dropout = ours.number_or("dropout", c.dropout)?;
            c.fused_qkv = ours.bool_or("fused_qkv", c.fused_qkv)?;
            if ours.string("init").as_deref() == Some("fan_in") {
                c.init = InitScheme::FanIn;
            }
        }
        Ok(c)
    }

    fn gpt2(&self) -> Result<ModelConfig> {
        self.only("scale_attn_weights", &[true.into()])?;
        self.only("scale_attn_by_inverse_layer_idx", &[false.into()])?;
        self.only("add_cross_attention", &[false.into()])?;
        // transformers also reads the names in its `attribute_map`.
        let size =
            |key: &str, alias: &str, default| self.size_or(key, self.size_or(alias, default)?);
        let width = size("n_embd", "hidden_size", 768)?;
        let context = self.size_or("n_ctx", 1024)?;
        let mut c = ModelConfig::gpt2(self.size_or("vocab_size", 50_257)?)
            .with_context(size("n_positions", "max_position_embeddings", context)?)
            .with_hidden_size(width)
            .with_layers(size("n_layer", "num_hidden_layers", 12)?)
            .with_heads(size("n_head", "num_attention_heads", 12)?);
        if !width.is_multiple_of(c.num_attention_heads.max(1)) {
            return Err(self.wrong("n_head", &format!("a divisor of n_embd {width}")));
        }
        c.intermediate_size = self.size_or("n_inner", c.intermediate_size)?;
        c.norm_eps = self.number_or("layer_norm_epsilon", 1e-5)?;
        c.dropout = self.number_or("resid_pdrop", 0.1)?;
        c.tie_word_embeddings = self.bool_or("tie_word_embeddings", true)?;
        c.hidden_act = match self.string("activation_function").as_deref() {
            None | Some("gelu_new" | "gelu_fast" | "gelu_pytorch_tanh") => HiddenAct::Gelu,
            Some("gelu") => HiddenAct::GeluErf,
            Some(_) => return Err(self.wrong("activation_function", "gelu_new or gelu")),
        };
        self.common(c)
    }

    /// Mistral is Llama without biases and with an optional sliding window.
    fn mistral(&self) -> Result<ModelConfig> {
        self.only("attention_bias", &[false.into()])?;
        self.only("mlp_bias", &[false.into()])?;
        let mut c = self.llama_with(&MISTRAL)?;
        c.sliding_window = match self.object.get("sliding_window") {
            None => Some(MISTRAL_WINDOW),
            Some(Value::Null) => None,
            Some(_) => Some(self.size("sliding_window")?),
        };
        Ok(c)
    }

    fn llama(&self) -> Result<ModelConfig> {
        self.llama_with(&LLAMA)
    }

    /// Reads the settings that Llama and Mistral share; what is absent takes the architecture's default.
    fn llama_with(&self, default: &Defaults) -> Result<ModelConfig> {
        self.only("hidden_act", &["silu".into(), "swish".into()])?;
        let width = self.size_unless_absent("hidden_size", default.hidden_size)?;
        let heads = self.size_unless_absent("num_attention_heads", default.num_attention_heads)?;
        let kv_heads = match self.object.get("num_key_value_heads") {
            None => default.num_key_value_heads.unwrap_or(heads),
            Some(Value::Null) => heads,
            Some(_) => self.size("num_key_value_heads")?,
        };
        let vocab_size = self.size_unless_absent("vocab_size", default.vocab_size)?;
        let layers = self.size_unless_absent("num_hidden_layers", default.num_hidden_layers)?;
        let mlp = self.size_unless_absent("intermediate_size", default.intermediate_size)?;
        let mut c = ModelConfig::llama(vocab_size)
            .with_context(self.size_or("max_position_embeddings", default.max_position_embeddings)?)
            .with_hidden_size(width)
            .with_layers(layers)
            .with_heads(heads)
            .with_kv_heads(kv_heads)
            .with_intermediate_size(mlp);
        c.head_dim = self.size_or("head_dim", width / heads.max(1))?;
        c.norm_eps = self.number_or("rms_norm_eps", 1e-6)?;
        c.attention_bias = self.bool_or("attention_bias", false)?;
        c.mlp_bias = self.bool_or("mlp_bias", false)?;
        c.tie_word_embeddings = self.bool_or("tie_word_embeddings", false)?;
        c.dropout = self.number_or("attention_dropout", 0.0)?;
        // transformers 5 keeps both in `rope_parameters`; earlier versions in `rope_theta` and `rope_scaling`.
        let parameters = self.get("rope_parameters").or_else(|| self.get("rope_scaling"));
        let empty = Map::new();
        let rope = Keys { object: parameters.and_then(Value::as_object).unwrap_or(&empty) };
        c.rope_theta = rope.number_or("rope_theta", self.number_or("rope_theta", 10_000.0)?)?;
        let kind = rope.string("rope_type").or_else(|| rope.string("type"));
        let rope_type = match kind.as_deref() {
            None | Some("default") => None,
            Some("linear") => Some(RopeType::Linear),
            Some("llama3") => Some(RopeType::Llama3),
            Some(_) => return Err(rope.wrong("rope_type", "default, linear or llama3")),
        };
        if let Some(rope_type) = rope_type {
            let original =
                rope.size_or("original_max_position_embeddings", c.max_position_embeddings)?;
            c.rope_scaling = Some(RopeScaling {
                rope_type,
                factor: rope.number_or("factor", 1.0)?,
                low_freq_factor: rope.number_or("low_freq_factor", 1.0)?,
                high_freq_factor: rope.number_or("high_freq_factor", 4.0)?,
                original_max_position_embeddings: original,
            });
        }
        self.common(c)
    }
}
