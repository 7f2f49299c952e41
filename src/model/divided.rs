//! A model whose layers several ranks divide (tensor parallelism, Shoeybi et al. 2019, "Megatron-LM", section 3).
//!
//! Each rank has some of the heads and of the neurons of every block, and some of the tokens of the embedding and of the head
//! ([`Cut`]). Norms, positions and the biases of the projections into the residual stream are the same on all ranks, and so is the
//! residual stream itself: it leaves the ranks as a sum at the end of each half of a block.

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
    /// Keeps this rank's part of every layer of a whole model without adapters. All of `ranks` have the same model, and compute
    /// with it together from now on.
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

    /// Declares that the model has whole parameters again.
    pub fn undivided(mut self) -> Self {
        self.layers.iter_mut().for_each(|block| block.self_attn.divide(&self.config, 1));
        self.division = None;
        self
    }
}

/// Keeps the part of one of `ranks` of every parameter.
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
