//! Division of parameters among tensor-parallel ranks: by heads, by neurons or by tokens.

use burn::tensor::{DType, Int, Tensor, TensorData};

use super::part::TOKEN_TABLE;
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::parallel::Bounds;

/// The division of a parameter along one dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Shape of the whole parameter.
    shape: Vec<usize>,
    /// The divided dimension.
    dim: usize,
    /// Sections of that dimension, each divided among all ranks: queries, keys and values in a fused projection.
    sections: Vec<Bounds>,
}

impl Cut {
    /// Returns the division among `ranks` ranks of the parameter `name` with the undivided `shape`; none if it is replicated.
    ///
    /// As in Megatron-LM, input projections of attention and MLP are divided along their outputs, and output projections along
    /// their inputs, so that each rank has whole heads and neurons. The embedding and the head are divided by tokens.
    pub fn of(config: &ModelConfig, name: &str, shape: &[usize], ranks: usize) -> Option<Self> {
        let heads = |count: usize| {
            Bounds::of_lens(
                Bounds::even(count, ranks).parts().map(|part| part.len() * config.head_dim),
            )
        };
        let (query, kv) = (heads(config.num_attention_heads), heads(config.num_key_value_heads));
        let neurons = Bounds::even(config.intermediate_size, ranks);
        let in_layer = name.strip_prefix("layers.").and_then(|path| path.split_once('.'));
        let path = in_layer.map_or(name, |(_, path)| path);
        let (dim, sections) = match path {
            "self_attn.qkv_proj.weight" | "self_attn.qkv_proj.bias" => {
                (0, vec![query, kv.clone(), kv])
            }
            "self_attn.q_proj.weight" | "self_attn.q_proj.bias" => (0, vec![query]),
            "self_attn.k_proj.weight" | "self_attn.k_proj.bias" => (0, vec![kv]),
            "self_attn.v_proj.weight" | "self_attn.v_proj.bias" => (0, vec![kv]),
            "self_attn.o_proj.weight" => (1, vec![query]),
            "mlp.gate_proj.weight" | "mlp.gate_proj.bias" => (0, vec![neurons]),
            "mlp.up_proj.weight" | "mlp.up_proj.bias" => (0, vec![neurons]),
            "mlp.down_proj.weight" => (1, vec![neurons]),
            TOKEN_TABLE | "lm_head.weight" => (0, vec![Bounds::even(config.vocab_size, ranks)]),
            _ => return None,
        };
        Some(Self { shape: shape.to_vec(), dim, sections })
    }

    /// Checks that the layers of a model can be divided among `ranks` ranks.
    ///
    /// # Errors
    /// [`Error::Config`] if `ranks` does not divide the number of key-value heads, or exceeds the number of neurons or tokens.
    pub fn require(config: &ModelConfig, ranks: usize) -> Result<()> {
        if config.is_divisible_among(ranks) {
            return Ok(());
        }
        let most = (1..=ranks).rev().find(|ranks| config.is_divisible_among(*ranks)).unwrap_or(1);
        let problem = format!(
            "{ranks} ranks cannot divide layers with {} key-value heads, {} neurons and {} tokens",
            config.num_key_value_heads, config.intermediate_size, config.vocab_size
        );
        let remedy = format!("use tp={most}, or a number that divides the heads");
        Err(Error::config("parallel", problem, remedy))
    }

    /// Returns the shape of the whole parameter.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the shape of the part of `rank`.
    pub fn shape_of(&self, rank: usize) -> Vec<usize> {
        let mut shape = self.shape.clone();
        shape[self.dim] = self.width_of(rank);
        shape
    }

    /// Copies the part of `rank` from a whole flat tensor.
    pub fn take(&self, whole: Tensor<1>, rank: usize) -> Tensor<1> {
        let mut begin = 0;
        let mut places = Vec::new();
        for section in &self.sections {
            places.extend(section.of(rank).map(|place| begin + place));
            begin += section.len();
        }
        self.select(whole, places)
    }

    /// Joins the flat `parts` of all ranks into the whole tensor.
    pub fn join(&self, parts: Vec<Tensor<1>>) -> Tensor<1> {
        let [outer, inner] = self.around();
        let widths = Bounds::of_lens((0..parts.len()).map(|rank| self.width_of(rank)));
        let part =
            |(rank, part): (usize, Tensor<1>)| part.reshape([outer, widths.of(rank).len(), inner]);
        let joined = Tensor::cat(parts.into_iter().enumerate().map(part).collect(), 1);
        // Next index in `joined`, by rank.
        let mut next: Vec<usize> = widths.parts().map(|part| part.start).collect();
        let mut places = Vec::new();
        for section in &self.sections {
            for (next, part) in next.iter_mut().zip(section.parts()) {
                places.extend(*next..*next + part.len());
                *next += part.len();
            }
        }
        self.select(joined.flatten(0, 2), places)
    }

    /// Selects the indices `places` of the divided dimension from a whole flat tensor.
    fn select(&self, whole: Tensor<1>, places: Vec<usize>) -> Tensor<1> {
        let [outer, inner] = self.around();
        let count = places.len();
        let ids: Vec<i32> = places.into_iter().map(|place| place as i32).collect();
        let ids = TensorData::new(ids, [count]);
        let ids = Tensor::<1, Int>::from_data(ids, (&whole.device(), DType::I32));
        whole.reshape([outer, self.shape[self.dim], inner]).select(1, ids).flatten(0, 2)
    }

    /// Returns the products of the dimensions before and after the divided one.
    fn around(&self) -> [usize; 2] {
        let (outer, inner) = (&self.shape[..self.dim], &self.shape[self.dim + 1..]);
        [outer, inner].map(|dims| dims.iter().product())
    }

    /// Returns the length of the divided dimension in the part of `rank`.
    fn width_of(&self, rank: usize) -> usize {
        self.sections.iter().map(|section| section.of(rank).len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::model::{Decoder, for_each_param, random_source};

    fn values(tensor: Tensor<1>) -> Vec<f32> {
        tensor.into_data().try_into_vec().expect("f32")
    }

    #[test]
    fn a_fused_projection_is_cut_by_heads() {
        let config = ModelConfig { head_dim: 1, ..ModelConfig::gpt2(5).with_heads(4) };
        let config = ModelConfig { num_key_value_heads: 2, ..config };
        let cut = Cut::of(&config, "layers.3.self_attn.qkv_proj.bias", &[8], 2).unwrap();
        let whole = Tensor::from_data([0., 1., 2., 3., 10., 11., 20., 21.], &Device::flex());
        let parts = [0, 1].map(|rank| cut.take(whole.clone(), rank));
        assert_eq!(values(parts[0].clone()), [0., 1., 10., 20.]);
        assert_eq!(values(parts[1].clone()), [2., 3., 11., 21.]);
        assert_eq!(cut.shape_of(1), [4]);
        assert_eq!(values(cut.join(parts.into())), values(whole));
    }

    #[test]
    fn the_parts_of_every_parameter_are_joined_to_the_whole() {
        let gpt2 = ModelConfig::gpt2(7).with_hidden_size(12).with_heads(3);
        let llama = ModelConfig::llama(7).with_hidden_size(12).with_heads(6).with_kv_heads(3);
        for config in [gpt2, llama].map(|config| config.with_context(4).with_layers(1)) {
            let model = Decoder::new(&config, &Device::flex(), &mut random_source(1)).unwrap();
            let mut cuts = 0;
            for_each_param(&model, &mut |name, shape, whole| {
                let Some(cut) = Cut::of(&config, name, shape, 3) else { return };
                cuts += 1;
                let parts: Vec<_> = (0..3).map(|rank| cut.take(whole.clone(), rank)).collect();
                for (rank, part) in parts.iter().enumerate() {
                    let len: usize = cut.shape_of(rank).iter().product();
                    assert_eq!(part.dims(), [len], "{name}");
                }
                assert_eq!(values(cut.join(parts)), values(whole), "{name}");
            });
            assert!(cuts > 5, "{cuts}");
        }
    }

    #[test]
    fn layers_that_cannot_be_divided_are_refused() {
        let config = ModelConfig::llama(7).with_hidden_size(24).with_heads(6).with_kv_heads(6);
        assert!(Cut::require(&config, 3).is_ok());
        let error = Cut::require(&config, 4).unwrap_err().to_string();
        assert!(error.starts_with("parallel: 4 ranks cannot divide layers"), "{error}");
        assert!(error.contains("6 key-value heads") && error.contains("tp=3"), "{error}");
        let few = ModelConfig { vocab_size: 2, ..config };
        let error = Cut::require(&few, 3).unwrap_err().to_string();
        assert!(error.contains("2 tokens") && error.contains("tp=2"), "{error}");
        // Not known yet.
        assert!(Cut::require(&ModelConfig { vocab_size: 0, ..few }, 1).is_ok());
    }
}
