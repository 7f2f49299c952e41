//! Parts of a model: the stages of a pipeline.

use std::ops::Range;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use super::Decoder;
use crate::HAS_RANKS;
use crate::config::{Estimate, ModelConfig, TrainConfig};
use crate::error::{Error, Result};
use crate::parallel::Bounds;

/// Name of the token embedding, which is also the head if the two are tied.
pub const TOKEN_TABLE: &str = "embed_tokens.weight";

/// Some consecutive layers of a model. The first part also has the embeddings, the last one the final norm and the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The layers, counted from 0.
    pub layers: Range<usize>,
    has_entry: bool,
    has_head: bool,
    /// True if the embedding table is also the head.
    is_tied: bool,
}

impl Part {
    /// Returns the whole model as one part.
    pub fn whole(config: &ModelConfig) -> Self {
        let is_tied = config.tie_word_embeddings;
        Self { layers: 0..config.num_hidden_layers, has_entry: true, has_head: true, is_tied }
    }

    /// Divides a model into `stages` parts so that the slowest has as little to compute as possible. The head counts as the
    /// number of layers with the same FLOPs.
    ///
    /// # Errors
    /// [`Error::Config`] if there are more stages than layers.
    pub fn divide(config: &ModelConfig, stages: usize) -> Result<Vec<Self>> {
        let layers = config.num_hidden_layers;
        if stages > layers {
            let problem =
                format!("{stages} stages need as many layers, and the model has {layers}");
            return Err(Error::config("parallel", problem, format!("use at most pp={layers}")));
        }
        if stages == 1 {
            return Ok(vec![Self::whole(config)]);
        }
        let last = layers_of_last(layers, stages, head_in_layers(config));
        let others = Bounds::even(layers - last, stages - 1);
        let all = others.parts().chain(std::iter::once(layers - last..layers));
        let part = |(stage, layers)| Self {
            layers,
            has_entry: stage == 0,
            has_head: stage + 1 == stages,
            is_tied: config.tie_word_embeddings,
        };
        Ok(all.enumerate().map(part).collect())
    }

    /// Returns true if it begins with the embeddings.
    pub fn has_entry(&self) -> bool {
        !HAS_RANKS || self.has_entry
    }

    /// Returns true if it ends with the head.
    pub fn has_head(&self) -> bool {
        !HAS_RANKS || self.has_head
    }

    /// Returns true if it is the whole model.
    pub fn is_whole(&self) -> bool {
        self.has_entry() && self.has_head()
    }

    /// Returns true if its head is tied to the embedding of another, the first part.
    pub fn borrows_table(&self) -> bool {
        self.has_head() && !self.has_entry() && self.is_tied
    }

    /// Returns true if its embedding is tied to the head of another, the last part.
    pub fn lends_table(&self) -> bool {
        self.has_entry() && !self.has_head() && self.is_tied
    }

    /// Returns true if this part updates the parameter `name`. Exactly one part updates each parameter.
    pub fn trains(&self, name: &str) -> bool {
        let mut path = name.split('.');
        match path.next() {
            Some("layers") => path
                .next()
                .and_then(|layer| layer.parse().ok())
                .is_some_and(|layer: usize| self.layers.contains(&layer)),
            Some("embed_tokens" | "embed_positions") => self.has_entry(),
            _ => self.has_head(),
        }
    }

    /// Returns true if this part needs the parameter `name`.
    pub fn holds(&self, name: &str) -> bool {
        self.trains(name) || (name == TOKEN_TABLE && self.borrows_table())
    }
}

/// Returns the FLOPs of the head divided by those of a layer.
fn head_in_layers(config: &ModelConfig) -> f64 {
    let of_layers = |layers| {
        let model = config.clone().with_layers(layers);
        let context = model.max_position_embeddings;
        Estimate::new(&model, &TrainConfig::default(), context).forward_flops_per_token as f64
    };
    let layer = of_layers(2) - of_layers(1);
    of_layers(1) / layer - 1.0
}

/// Returns the number of layers of the last of `stages` parts, whose head has the FLOPs of `head` layers. Of equally fast
/// divisions, returns the largest number, since the last stage keeps the fewest activations.
fn layers_of_last(layers: usize, stages: usize, head: f64) -> usize {
    let others = stages - 1;
    let slowest = |last: usize| ((layers - last).div_ceil(others) as f64).max(last as f64 + head);
    let choices = (1..=layers - others).rev();
    choices.min_by(|a, b| slowest(*a).total_cmp(&slowest(*b))).unwrap_or(1)
}

impl Decoder {
    /// Frees the parameters that `part` does not need. Those that it does not train are frozen, except for a table that it
    /// borrows, whose gradient it computes.
    pub fn reduced_to(self, part: &Part) -> Self {
        struct Free<'a> {
            part: &'a Part,
            path: Vec<String>,
        }
        impl ModuleMapper for Free<'_> {
            fn enter_module(&mut self, name: &str, _container: &str) {
                self.path.push(name.to_string());
            }
            fn exit_module(&mut self, _name: &str, _container: &str) {
                self.path.pop();
            }
            fn map_float<const N: usize>(&mut self, param: Param<Tensor<N>>) -> Param<Tensor<N>> {
                if self.part.holds(&self.path.join(".")) {
                    return param;
                }
                let nothing = |value: Tensor<N>| Tensor::empty([0; N], &value.device());
                param.map(nothing).set_require_grad(false)
            }
        }
        self.map(&mut Free { part, path: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_divided_by_what_the_stages_compute() {
        assert_eq!(layers_of_last(12, 2, 0.0), 6);
        assert_eq!(layers_of_last(12, 2, 5.0), 4);
        assert_eq!(layers_of_last(12, 4, 2.5), 1);
        assert_eq!(layers_of_last(4, 4, 100.0), 1);
        assert_eq!(layers_of_last(5, 4, 0.1), 1);
    }

    #[test]
    fn every_parameter_is_trained_in_one_part() {
        for tied in [false, true] {
            let config = ModelConfig { tie_word_embeddings: tied, ..ModelConfig::gpt2(300) };
            let config = config.with_layers(5);
            for stages in 1..=5 {
                let parts = Part::divide(&config, stages).unwrap();
                assert_eq!(parts.len(), stages);
                let covered: Vec<usize> =
                    parts.iter().flat_map(|part| part.layers.clone()).collect();
                assert_eq!(covered, (0..5).collect::<Vec<_>>());
                assert!(parts.iter().all(|part| !part.layers.is_empty()), "{parts:?}");
                for name in [
                    TOKEN_TABLE,
                    "embed_positions.weight",
                    "layers.4.mlp.up_proj.weight",
                    "norm.bias",
                    "lm_head.weight",
                ] {
                    let count = |has: fn(&Part, &str) -> bool| {
                        parts.iter().filter(|part| has(part, name)).count()
                    };
                    assert_eq!(count(Part::trains), 1, "{name}");
                    let is_shared = name == TOKEN_TABLE && tied && stages > 1;
                    assert_eq!(count(Part::holds), if is_shared { 2 } else { 1 }, "{name}");
                }
            }
            let error = Part::divide(&config, 6).unwrap_err().to_string();
            assert!(error.contains("model has 5") && error.contains("pp=5"), "{error}");
        }
    }
}
