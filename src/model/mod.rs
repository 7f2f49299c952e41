//! One decoder that is GPT-2 or LLaMA by configuration.
//!
//! Shapes, here and in the files beside this one:
//!
//! | letter | is |
//! | --- | --- |
//! | `B` | sequences in the batch |
//! | `T` | tokens per sequence |
//! | `S` | keys each query can look at: `T`, or cached tokens plus `T` |
//! | `C` | `hidden_size` |
//! | `H`, `K`, `G` | query heads, key-value heads, query heads per key-value head (`H = K G`) |
//! | `D` | `head_dim` |
//! | `F` | `intermediate_size` |
//! | `V` | `vocab_size` |
//!
//! Weights have PyTorch's layout, `[out, in]`, and Hugging Face Llama's names, so Llama files need no
//! renaming; GPT-2's names are translated in `checkpoint`. The residual stream is kept as `[B T, C]`,
//! so that every projection is one plain matrix product.

mod attention;
mod block;
mod cache;
mod layers;
mod loss;
mod params;
mod rope;

pub use cache::KvCache;
pub use loss::{check_targets, cross_entropy};
pub use params::{
    Init, NamedGradients, ParamSource, for_each_param, named_gradients, random_source,
};

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, activation::tanh};

use crate::config::{InitScheme, ModelConfig, PositionEmbedding};
use crate::error::{Error, Result};
use block::Block;
use layers::{Linear, Norm, dropout, embed};
use params::Builder;
use rope::RotaryTable;

/// Something that looks at a forward pass without changing it.
pub trait Probe {
    /// The residual stream `[B, T, C]` that enters block `layer`; after the last block, `layer` is the
    /// number of blocks.
    fn hidden(&mut self, layer: usize, stream: &Tensor<3>);
}

/// What one forward pass carries from block to block.
struct Pass<'a> {
    batch: usize,
    tokens: usize,
    rope: Option<(Tensor<4>, Tensor<4>)>,
    mask: Option<Tensor<4>>,
    dropout: f64,
    cache: Option<&'a mut KvCache>,
    probe: Option<&'a mut dyn Probe>,
}

/// A token table, `[V, C]`.
#[derive(Module, Debug)]
struct Embedding {
    weight: Param<Tensor<2>>,
}

/// The decoder: token ids in, logits out.
#[derive(Module, Debug)]
pub struct Decoder {
    embed_tokens: Embedding,
    embed_positions: Option<Embedding>,
    layers: Vec<Block>,
    norm: Norm,
    lm_head: Option<Linear>,
    sinusoids: Option<Tensor<2>>,
    rotary: Option<RotaryTable>,
    #[module(skip)]
    config: ModelConfig,
}

impl Decoder {
    /// Builds the model, asking `source` for the values of every parameter by name and shape.
    ///
    /// [`random_source`] initializes; a checkpoint loads.
    ///
    /// # Errors
    /// An invalid configuration, or whatever `source` says of a parameter.
    pub fn new(
        config: &ModelConfig,
        device: &Device,
        source: &mut ParamSource<'_>,
    ) -> Result<Self> {
        config.validate()?;
        let c = config;
        let embedding_init = match c.init {
            InitScheme::Gpt2 => Init::Normal(c.initializer_range),
            // A tied table is also the head, whose outputs should start at unit scale or below.
            InitScheme::FanIn => Init::Normal((1.0 / c.hidden_size as f64).sqrt()),
        };
        let mut build = Builder { device, source };
        let embed_tokens = Embedding {
            weight: build.param(
                "embed_tokens.weight",
                [c.vocab_size, c.hidden_size],
                embedding_init,
            )?,
        };
        let embed_positions = match c.position_embedding {
            PositionEmbedding::Learned => Some(Embedding {
                weight: build.param(
                    "embed_positions.weight",
                    [c.max_position_embeddings, c.hidden_size],
                    embedding_init,
                )?,
            }),
            _ => None,
        };
        let layers = (0..c.num_hidden_layers)
            .map(|layer| Block::new(c, layer, &mut build))
            .collect::<Result<_>>()?;
        let norm = Norm::new(c, "norm", c.hidden_size, &mut build)?;
        let lm_head = match c.tie_word_embeddings {
            true => None,
            false => {
                let init = c.weight_init(c.hidden_size);
                Some(Linear::new("lm_head", c.hidden_size, c.vocab_size, false, init, &mut build)?)
            }
        };
        let sinusoids = (c.position_embedding == PositionEmbedding::Sinusoidal)
            .then(|| rope::sinusoids(c.max_position_embeddings, c.hidden_size, device));
        let rotary =
            (c.position_embedding == PositionEmbedding::Rope).then(|| RotaryTable::new(c, device));
        Ok(Self {
            embed_tokens,
            embed_positions,
            layers,
            norm,
            lm_head,
            sinusoids,
            rotary,
            config: c.clone(),
        })
    }

    /// The architecture.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Where the parameters live.
    pub fn device(&self) -> Device {
        self.embed_tokens.weight.val().device()
    }

    /// Logits `[B, T, V]` for token ids `[B, T]`.
    ///
    /// With a `cache`, `ids` continue the sequences in it, and their keys and values are added to it. A
    /// `probe` sees the tensors on their way. Dropout acts only on a model that lives on an automatic
    /// differentiation device.
    ///
    /// # Errors
    /// More tokens than `max_position_embeddings`, counting cached ones. Ids are checked where they are
    /// still numbers on the host: see [`ids_tensor`].
    pub fn forward<'a>(
        &self,
        ids: Tensor<2, Int>,
        cache: Option<&'a mut KvCache>,
        probe: Option<&'a mut dyn Probe>,
    ) -> Result<Tensor<3>> {
        let c = &self.config;
        let [batch, tokens] = ids.dims();
        let start = cache.as_ref().map_or(0, |cache| cache.len());
        let end = start + tokens;
        if end > c.max_position_embeddings {
            return Err(Error::ContextOverflow { tokens: end, context: c.max_position_embeddings });
        }
        let device = self.device();
        let mut x = embed(self.embed_tokens.weight.val(), ids);
        let added = match (&self.embed_positions, &self.sinusoids) {
            (Some(table), _) => Some(table.weight.val()),
            (None, Some(table)) => Some(table.clone()),
            (None, None) => None,
        };
        if let Some(table) = added {
            x = x + table.slice_dim(0, start..end).unsqueeze::<3>();
        }
        let mut pass = Pass {
            batch,
            tokens,
            rope: self.rotary.as_ref().map(|table| table.rows(start, end)),
            mask: attention::causal_mask(tokens, start, c, &device),
            dropout: if device.is_autodiff() { c.dropout } else { 0.0 },
            cache,
            probe,
        };
        let mut x = dropout(x, pass.dropout).reshape([batch * tokens, c.hidden_size]);
        for (layer, block) in self.layers.iter().enumerate() {
            pass.show_hidden(layer, &x);
            x = block.forward(x, layer, &mut pass);
        }
        pass.show_hidden(self.layers.len(), &x);
        if let Some(cache) = pass.cache {
            cache.advance(tokens);
        }
        Ok(self.head(x).reshape([batch, tokens, c.vocab_size]))
    }

    /// Final normalization and head: `[N, C] -> [N, V]`.
    fn head(&self, x: Tensor<2>) -> Tensor<2> {
        let x = self.norm.forward(x);
        let logits = match &self.lm_head {
            Some(head) => head.forward(x),
            None => x.matmul(self.embed_tokens.weight.val().transpose()),
        };
        soft_cap(logits, self.config.final_logit_softcapping)
    }
}

impl Pass<'_> {
    fn show_hidden(&mut self, layer: usize, x: &Tensor<2>) {
        if let Some(probe) = &mut self.probe {
            let width = x.dims()[1];
            probe.hidden(layer, &x.clone().reshape([self.batch, self.tokens, width]));
        }
    }
}

/// `cap * tanh(x / cap)`, or `x` without a cap.
fn soft_cap<const N: usize>(x: Tensor<N>, cap: Option<f64>) -> Tensor<N> {
    match cap {
        Some(cap) => tanh(x.div_scalar(cap)).mul_scalar(cap),
        None => x,
    }
}

/// Token ids as a tensor `[B, T]`.
///
/// # Errors
/// An id outside the vocabulary.
///
/// # Panics
/// If `ids` is not `batch` equal rows: that is the caller's arithmetic, not input.
pub fn ids_tensor(
    ids: &[u32],
    batch: usize,
    vocab_size: usize,
    device: &Device,
) -> Result<Tensor<2, Int>> {
    if let Some(id) = ids.iter().find(|id| **id as usize >= vocab_size) {
        return Err(Error::TokenOutOfRange { id: u64::from(*id), vocab_size });
    }
    let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
    let tokens = ids.len() / batch;
    Ok(Tensor::from_data(burn::tensor::TensorData::new(ids, [batch, tokens]), device))
}

/// Reads a vector from the device: the one place where the host waits for it.
///
/// # Errors
/// A device that was lost or ran out of memory.
pub async fn read_floats(tensor: Tensor<1>) -> Result<Vec<f32>> {
    let lost = |problem: String| Error::Device {
        device: "in use".into(),
        problem,
        remedy: "go on from the last checkpoint with a smaller batch, or with --device cpu".into(),
    };
    let data = tensor.into_data_async().await.map_err(|e| lost(format!("{e:?}")))?;
    data.try_into_vec::<f32>().map_err(|e| lost(format!("{e:?}")))
}
