//! Tensor parallelism (Shoeybi et al. 2019, "Megatron-LM", section 3).
//!
//! Each rank has some heads and neurons of every block, and some tokens of the embedding and of the head ([`Cut`]). Norms,
//! position embeddings and the biases of output projections are replicated, and so is the residual stream: attention and MLP each
//! end with an all-reduce.

use std::sync::Arc;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use super::Decoder;
use super::cut::Cut;
use super::division::Division;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::parallel::Collective;

impl Decoder {
    /// Keeps this rank's part of every layer of a whole model without adapters. All `ranks` must have the same model and from now
    /// on call its functions together.
    ///
    /// # Errors
    /// As [`Cut::require`].
    pub fn divided(self, ranks: Arc<dyn Collective>) -> Result<Self> {
        Cut::require(&self.config, ranks.size())?;
        let (config, path) = (self.config.clone(), Vec::new());
        let mut model = self.map(&mut Keep { config, ranks: ranks.clone(), path });
        model
            .layers
            .iter_mut()
            .for_each(|block| block.self_attn.divide(&model.config, ranks.size()));
        model.division = Some(Division::new(ranks));
        Ok(model)
    }

    /// Marks the model as having whole parameters again.
    pub fn undivided(mut self) -> Self {
        self.layers.iter_mut().for_each(|block| block.self_attn.divide(&self.config, 1));
        self.division = None;
        self
    }
}

/// Maps every parameter to this rank's part.
struct Keep {
    config: ModelConfig,
    ranks: Arc<dyn Collective>,
    path: Vec<String>,
}

impl ModuleMapper for Keep {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn map_float<const N: usize>(&mut self, param: Param<Tensor<N>>) -> Param<Tensor<N>> {
        let name = self.path.join(".");
        let cut = Cut::of(&self.config, &name, &param.shape(), self.ranks.size());
        let Some(cut) = cut else { return param };
        let rank = self.ranks.rank();
        param.map(|whole| {
            let (is_autodiff, is_trained) = (whole.is_autodiff(), whole.is_require_grad());
            let count = whole.shape().num_elements();
            let part = cut.take(whole.without_autodiff().reshape([count]), rank);
            let shape: [usize; N] = cut.shape_of(rank).try_into().expect("as many dimensions");
            let part = part.reshape(shape);
            let part = if is_autodiff { part.autodiff() } else { part };
            part.set_require_grad(is_trained)
        })
    }
}
