//! Adds LoRA adapters to a decoder and merges them into its weights.

use burn::module::Module;

use super::Decoder;
use super::layers::Linear;
use super::params::{ParamBuilder, ParamSource};
use crate::config::TrainConfig;
use crate::error::Result;

impl Decoder {
    /// Freezes the weights and adds an adapter to each target projection of `train`. With `lora_embeddings` the
    /// embedding and the head stay trainable. `source` provides the adapters' values.
    ///
    /// # Errors
    /// Returns an error if the model lacks a target, or whatever error `source` returns.
    pub fn with_adapters(self, train: &TrainConfig, source: &mut ParamSource<'_>) -> Result<Self> {
        let wanted = train.lora.adapted(&self.config)?;
        let device = self.device();
        let mut build = ParamBuilder { device: &device, source };
        let mut model = self.no_grad();
        if train.lora.embeddings {
            model.embed_tokens = model.embed_tokens.set_require_grad(true);
            model.lm_head = model.lm_head.map(|head| head.set_require_grad(true));
        }
        for (layer, block) in model.layers.iter_mut().enumerate() {
            for (path, projection) in block.projections_mut() {
                if wanted.iter().any(|wanted| wanted.path == path) {
                    let name = format!("layers.{layer}.{path}");
                    projection.adapt(&name, train, &mut build)?;
                }
            }
        }
        Ok(model)
    }

    /// Adds the adapters, if there are any, to the weights and removes them. The model must not be on an autodiff device.
    pub fn merge_adapters(mut self) -> Self {
        let projections = self.layers.iter_mut().flat_map(|block| block.projections_mut());
        projections.for_each(|(_, projection)| Linear::merge(projection));
        self
    }
}
