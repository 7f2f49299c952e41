//! One decoder, GPT-2 or LLaMA by configuration.
//!
//! Shapes, here and in the files beside this one:
//!
//! | letter | meaning |
//! | --- | --- |
//! | `B` | sequences in the batch |
//! | `T` | tokens per sequence |
//! | `S` | keys per sequence: `T`, or cached tokens plus `T` |
//! | `C` | `hidden_size` |
//! | `H`, `K`, `G` | query heads, key-value heads, query heads per key-value head (`H = K G`) |
//! | `D` | `head_dim` |
//! | `F` | `intermediate_size` |
//! | `V` | `vocab_size` |
//!
//! Weights have PyTorch's layout, `[out, in]`, and Hugging Face Llama's names, so Llama files need no
//! renaming; `checkpoint` translates GPT-2's names. The residual stream is two-dimensional, `[B T, C]`, so
//! that every projection is one plain matrix product.
//!
//! ```
//! use blankslate::config::ModelConfig;
//! use blankslate::model::{Decoder, KvCache, TokenIds, random_source};
//! use burn::tensor::Device;
//!
//! let device = Device::flex();
//! let config = ModelConfig::llama(10).with_context(8).with_hidden_size(16).with_heads(2);
//! let model = Decoder::new(&config, &device, &mut random_source(0))?;
//!
//! let logits = model.forward(TokenIds::new(&[3, 1, 4], 1, 10, &device)?, None, None)?;
//! assert_eq!(logits.dims(), [1, 3, 10]); // B T V
//!
//! // Token by token, with a cache of keys and values.
//! let mut cache = KvCache::new(&config, 1, 8, &device);
//! for id in [3, 1, 4] {
//!     let logits = model.forward(TokenIds::new(&[id], 1, 10, &device)?, Some(&mut cache), None)?;
//!     assert_eq!(logits.dims(), [1, 1, 10]);
//! }
//! assert_eq!(cache.len(), 3);
//! # Ok::<(), blankslate::error::Error>(())
//! ```

mod adapters;
mod attention;
mod backward;
mod block;
mod cache;
mod circuits;
mod cut;
mod divided;
mod division;
mod finite;
mod ids;
mod layers;
mod leaf;
mod logits;
mod lora;
mod loss;
mod params;
mod part;
mod pass;
mod probe;
mod rope;
mod vocabulary;

pub use backward::{Kept, PassOptions, Upstream};
pub use cache::KvCache;
pub use cut::Cut;
pub use ids::TokenIds;
pub use logits::{log_sum_exp, top_k};
pub use lora::low_rank_product;
pub use loss::CrossEntropy;
pub use params::{
    Init, NamedGradients, ParamSource, for_each_param, named_gradients, random_source,
    trained_shapes,
};
pub use part::{Part, TOKEN_TABLE};
pub use probe::{Component, Probe};
pub use rope::scale_frequency;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

use crate::config::{InitScheme, ModelConfig, PositionEmbedding};
use crate::error::{Error, Result};
use crate::kernels::dropout::dropout;
use crate::kernels::embedding::{Ids, embedding};
use crate::kernels::linear::linear;
use crate::parallel::of_ranks;
use block::Block;
use division::Division;
use ids::Documents;
use layers::{Linear, Norm, soft_cap};
use params::{ParamBuilder, cast_like};
use pass::{Mode, Pass, Site};
use rope::RotaryTable;
use vocabulary::Vocabulary;

/// A lookup table, one row of `C` numbers per token or position.
#[derive(Module, Debug)]
struct Embedding {
    weight: Param<Tensor<2>>,
}

/// A decoder-only transformer: token ids in, logits out.
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
    /// The ranks that divide the layers, if some do.
    #[module(skip)]
    division: Option<Division>,
}

impl Decoder {
    /// Builds the model on `device` with the values that `source` returns for the name and shape of each parameter:
    /// [`random_source`] initializes them, a checkpoint's source loads them.
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid configuration; any error of `source`.
    pub fn new(
        config: &ModelConfig,
        device: &Device,
        source: &mut ParamSource<'_>,
    ) -> Result<Self> {
        config.validate()?;
        let c = config;
        let embedding_init = match c.init {
            InitScheme::Gpt2 => Init::Normal(c.initializer_range),
            // A tied embedding is also the head, whose outputs should start at unit scale or below.
            InitScheme::FanIn => Init::Normal((1.0 / c.hidden_size as f64).sqrt()),
        };
        let mut build = ParamBuilder { device, source };
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
        let lm_head = if c.tie_word_embeddings {
            None
        } else {
            let init = c.weight_init(c.hidden_size);
            Some(Linear::new("lm_head", c.hidden_size, c.vocab_size, false, init, &mut build)?)
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
            division: None,
        })
    }

    /// The architecture.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The device of the parameters.
    pub fn device(&self) -> Device {
        self.embed_tokens.weight.val().device()
    }

    /// Returns logits `[B, T, V]` for token ids `[B, T]`, without dropout.
    ///
    /// With a `cache`, `ids` continue the cached sequences, and their keys and values are added to it. A `probe`
    /// is shown intermediate tensors.
    ///
    /// # Errors
    /// [`Error::ContextOverflow`] for more tokens, counting cached ones, than `max_position_embeddings` or the cache's
    /// capacity; a number of sequences other than the cache's. If ranks divide the layers, there is a cache or a probe, or a rank
    /// does not answer.
    pub fn forward<'a>(
        &self,
        ids: TokenIds,
        cache: Option<&'a mut KvCache>,
        probe: Option<&'a mut dyn Probe>,
    ) -> Result<Tensor<3>> {
        let shape = [ids.batch, ids.tokens, self.config.vocab_size];
        let logits = self.unembed(self.forward_residual(ids, cache, probe)?).reshape(shape);
        self.require_sums()?;
        Ok(logits)
    }

    /// Returns the residual stream after the last block, `[B T, C]`: [`Self::forward`] without norm and head.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn forward_residual<'a>(
        &self,
        ids: TokenIds,
        cache: Option<&'a mut KvCache>,
        probe: Option<&'a mut dyn Probe>,
    ) -> Result<Tensor<2>> {
        self.run(ids, cache, probe, Mode::INFERENCE)
    }

    /// Applies the final norm and the head to the residual stream `[N, C]`: logits `[N, V]`. Applied to the residual
    /// stream between blocks, it is the logit lens (nostalgebraist 2020).
    pub fn unembed(&self, residual: Tensor<2>) -> Tensor<2> {
        let x = self.norm.forward(residual);
        let head = cast_like(&x, self.unembedding());
        let logits = match self.vocabulary() {
            Some(vocabulary) => vocabulary.logits(vocabulary.ranks.enter(x), head),
            None => linear(x, head, None, None),
        };
        soft_cap(logits, self.config.final_logit_softcapping)
    }

    /// The token embedding matrix, `[V, C]`.
    pub fn token_embeddings(&self) -> Tensor<2> {
        self.embed_tokens.weight.val()
    }

    /// The head's weight, `[V, C]`: the token embedding if they are tied.
    fn unembedding(&self) -> Tensor<2> {
        match &self.lm_head {
            Some(head) => head.weight(),
            None => self.embed_tokens.weight.val(),
        }
    }

    /// Returns this rank's part of the vocabulary, if ranks divide it.
    fn vocabulary(&self) -> Option<Vocabulary<'_>> {
        let size = self.config.vocab_size;
        self.division().map(|ranks| Vocabulary { ranks, size })
    }

    /// Returns an error if a sum over the ranks that divide the layers has failed.
    fn require_sums(&self) -> Result<()> {
        self.division().map_or(Ok(()), Division::check)
    }

    /// Returns the ranks that divide the layers, if some do.
    fn division(&self) -> Option<&Division> {
        of_ranks(&self.division)
    }

    /// Returns the residual stream after the last block, `[B T, C]`.
    fn run<'a>(
        &self,
        ids: TokenIds,
        cache: Option<&'a mut KvCache>,
        probe: Option<&'a mut dyn Probe>,
        mode: Mode,
    ) -> Result<Tensor<2>> {
        let tokens = ids.tokens;
        let mut pass = self.pass([ids.batch, tokens], &ids.documents, mode, cache, probe)?;
        let mut x = self.enter(ids, &pass);
        for (layer, block) in self.layers.iter().enumerate() {
            pass.show(&x, |probe, x| probe.hidden(layer, x));
            x = block.forward(x, layer, &mut pass);
        }
        pass.show(&x, |probe, x| probe.hidden(self.layers.len(), x));
        if let Some(cache) = pass.cache {
            cache.advance(tokens);
        }
        Ok(x)
    }

    /// Prepares a forward pass over `[B, T]` tokens, if they fit into the context and the cache.
    fn pass<'a>(
        &self,
        [batch, tokens]: [usize; 2],
        documents: &Option<Documents>,
        mode: Mode,
        mut cache: Option<&'a mut KvCache>,
        probe: Option<&'a mut dyn Probe>,
    ) -> Result<Pass<'a>> {
        if self.division().is_some() && (cache.is_some() || probe.is_some()) {
            let problem = "a model whose layers are divided has no cache and shows no activations";
            return Err(Error::config("parallel", problem, "gather the whole model first"));
        }
        let start = cache.as_ref().map_or(0, |cache| cache.len());
        let end = start + tokens;
        let context = self.config.max_position_embeddings;
        if end > context {
            return Err(Error::ContextOverflow { tokens: end, context });
        }
        if let Some(cache) = &mut cache {
            cache.make_room(batch, tokens)?;
        }
        let rope = self.rotary.as_ref().map(|table| match documents {
            Some(documents) => table.at(&documents.positions),
            None => table.rows(start, end),
        });
        let (documents, division) = (documents.clone(), self.division().cloned());
        Ok(Pass { batch, tokens, start, rope, documents, mode, cache, probe, division })
    }

    /// Returns the input of the first block, `[B T, C]`.
    fn enter(&self, ids: TokenIds, pass: &Pass<'_>) -> Tensor<2> {
        let own = self.embed_own(ids.ids);
        let x = match self.division() {
            Some(ranks) => ranks.leave(own),
            None => own,
        };
        self.enter_with(x, pass)
    }

    /// Returns the embeddings of those tokens that this rank has, `[B T, C]`, and zeros for the others.
    fn embed_own(&self, ids: Ids) -> Tensor<2> {
        let table = self.embed_tokens.weight.val();
        match self.vocabulary() {
            Some(vocabulary) => vocabulary.embed(table, ids),
            None => embedding(table, ids),
        }
    }

    /// Adds position embeddings, if there are any, to token embeddings `x`: the input of the first block, `[B T, C]`.
    fn enter_with(&self, mut x: Tensor<2>, pass: &Pass<'_>) -> Tensor<2> {
        let Pass { batch, tokens, .. } = *pass;
        let added = match (&self.embed_positions, &self.sinusoids) {
            (Some(table), _) => Some(table.weight.val()),
            (None, Some(table)) => Some(table.clone()),
            (None, None) => None,
        };
        if let Some(table) = added {
            x = match &pass.documents {
                Some(documents) => x + embedding(table, documents.positions.clone()),
                None => {
                    let rows = table.slice_dim(0, pass.start..pass.start + tokens).unsqueeze::<3>();
                    let width = self.config.hidden_size;
                    (x.reshape([batch, tokens, width]) + rows).reshape([batch * tokens, width])
                }
            };
        }
        if x.dtype() != pass.mode.dtype.into() {
            x = x.cast(pass.mode.dtype);
        }
        match pass.dropout(self.layers.len(), Site::Mlp) {
            Some(dropped) => dropout(x, None, dropped),
            None => x,
        }
    }
}

/// Copies a vector from the device. This is the only place where the host waits for it.
///
/// # Errors
/// [`Error::Device`] if the device was lost or ran out of memory.
pub async fn read_floats(tensor: Tensor<1>) -> Result<Vec<f32>> {
    let lost = |problem: String| Error::Device {
        device: "in use".into(),
        problem,
        remedy: "resume from the last checkpoint with a smaller `batch_size`, or on the CPU".into(),
    };
    let data = tensor.into_data_async().await.map_err(|e| lost(format!("{e:?}")))?;
    data.try_into_vec::<f32>().map_err(|e| lost(format!("{e:?}")))
}
