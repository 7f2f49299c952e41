//! Width, depth and heads for a number of parameters.

use std::iter::successors;

use crate::config::{Costs, ModelConfig};
use crate::error::{Error, Result};

/// Settings that the size of a model decides.
pub const SIZE_SETTINGS: [&str; 6] = [
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
];

/// Largest width that is tried.
const WIDEST: usize = 1 << 15;
/// Maximum difference from the usual number of layers that is tried.
const OTHER_DEPTHS: usize = 2;
/// Weight of a deviation from the usual depth, relative to a deviation from the requested number of parameters.
const DEPTH_WEIGHT: f64 = 0.1;
/// Largest ratio between the wanted number of parameters and that of the model.
const TOLERANCE: f64 = 1.5;

/// Returns `base` with the width, depth and heads of a model of about `params` parameters, embeddings included.
///
/// The ratio of width and depth has little effect on the loss over a wide range (Kaplan et al. 2020, figure 5). The one used here
/// runs through those of the presets: width/layers is 32 up to a width of 256, 64 at 1024 and 128 from 4096. Heads are 16 numbers
/// wide up to a width of 128, 32 up to 512, 64 up to 2048, and 128 above.
///
/// # Errors
/// No such model is within a factor of 1.5, as with a vocabulary that has more parameters by itself.
pub fn model_of(base: &ModelConfig, params: f64) -> Result<ModelConfig> {
    let context = base.max_position_embeddings;
    let count = |model: &ModelConfig| Costs::new(model, context).parameters();
    let mut best: Option<(f64, ModelConfig)> = None;
    let widths = successors(Some(head_width(1)), |width| Some(width + head_width(width + 1)))
        .take_while(|width| *width <= WIDEST);
    for width in widths.filter(|width| keeps_groups(base, *width)) {
        let usual = width as f64 / aspect(width);
        let middle = (usual.round() as usize).max(1);
        for layers in middle.saturating_sub(OTHER_DEPTHS).max(1)..=middle + OTHER_DEPTHS {
            let model = sized(base, width, layers);
            let distance = (count(&model) / params).ln().abs();
            let score = distance + DEPTH_WEIGHT * (layers as f64 / usual).ln().abs();
            if best.as_ref().is_none_or(|(least, _)| score < *least) {
                best = Some((score, model));
            }
        }
    }
    let found = best.map(|(_, model)| model).filter(|model| {
        let ratio = count(model) / params;
        ratio < TOLERANCE && ratio > 1.0 / TOLERANCE
    });
    found.ok_or_else(|| {
        let smallest = count(&sized(base, head_width(1), 1));
        let problem = format!(
            "no model with a vocabulary of {} and a context of {context} has about {params:.0} parameters: the smallest has {smallest:.0}",
            base.vocab_size
        );
        Error::config("parameters", problem, "use another size, or a tokenizer with a smaller vocabulary")
    })
}

/// Returns the number of query heads per key-value head.
fn group_size(model: &ModelConfig) -> usize {
    model.num_attention_heads.checked_div(model.num_key_value_heads).unwrap_or(1).max(1)
}

/// Returns true if a model of this width can have groups of query heads as large as those of `base`, or is too narrow for one.
fn keeps_groups(base: &ModelConfig, width: usize) -> bool {
    let (heads, group) = (width / head_width(width), group_size(base));
    heads < group || heads.is_multiple_of(group)
}

fn sized(base: &ModelConfig, width: usize, layers: usize) -> ModelConfig {
    let heads = width / head_width(width);
    let model = base.clone().with_hidden_size(width).with_layers(layers).with_heads(heads);
    let group = group_size(base);
    match heads.is_multiple_of(group) {
        true => model.with_kv_heads(heads / group),
        false => model,
    }
}

/// Returns the usual ratio of width and depth.
fn aspect(width: usize) -> f64 {
    (64.0 * (width as f64 / 1024.0).sqrt()).clamp(32.0, 128.0)
}

/// Returns the width of a head.
fn head_width(width: usize) -> usize {
    match width {
        0..=128 => 16,
        129..=512 => 32,
        513..=2048 => 64,
        _ => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::preset;

    #[test]
    fn models_have_about_the_wanted_number_of_parameters() {
        for (name, sizes) in [
            ("tiny", &[1e4, 1e5, 1e6, 1e7][..]),
            ("gpt2", &[1.3e8, 3.5e8, 1.5e9]),
            ("llama-1b", &[1e8, 1e9, 7e9, 7e10, 1e12]),
        ] {
            let base = preset(name).unwrap().model;
            for params in sizes {
                let model = model_of(&base, *params).unwrap();
                let ratio = Costs::new(&model, 1).parameters() / params;
                assert!((0.75..1.33).contains(&ratio), "{name} {params:e}: {ratio}");
                assert!(model.validate().is_ok(), "{model:?}");
                assert_eq!(model.num_attention_heads * model.head_dim, model.hidden_size);
            }
        }
    }

    #[test]
    fn shapes_are_like_those_of_the_presets() {
        for name in ["tiny", "llama-130m", "llama-1b", "llama-7b"] {
            let base = preset(name).unwrap().model;
            let params = Costs::new(&base, 1).parameters();
            let found = model_of(&base, params).unwrap();
            let ratio = found.hidden_size as f64 / base.hidden_size as f64;
            assert!((0.7..1.4).contains(&ratio), "{name}: {} wide", found.hidden_size);
        }
    }

    #[test]
    fn grouped_heads_stay_grouped() {
        let base = preset("llama-7b").unwrap().model.with_kv_heads(8);
        let model = model_of(&base, 7e9).unwrap();
        assert_eq!(model.num_attention_heads, 4 * model.num_key_value_heads);
    }

    #[test]
    fn sizes_below_the_vocabulary_are_refused() {
        let base = preset("gpt2").unwrap().model;
        let words = model_of(&base, 1e5).unwrap_err().to_string();
        assert!(words.contains("vocabulary of 50257"), "{words}");
    }
}
