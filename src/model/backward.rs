//! Gradients of all parameters, in one backward pass or block by block, with activations kept or recomputed.
//!
//! Block by block, a pass may be divided among the [`Part`]s of a model. Each receives the residual stream from the part before
//! it, and the gradient of its output from the part after it.

use burn::module::Module;
use burn::tensor::Tensor;

use super::leaf::{backward_from, gradient_of, leaf};
use super::params::{NamedGradients, named_gradients};
use super::part::{Part, TOKEN_TABLE};
use super::pass::Mode;
use super::{Decoder, TokenIds};
use crate::config::Precision;
use crate::error::Result;
use crate::kernels::dropout::Dropout;
use crate::kernels::precision;

/// Options of a pass through the model in training. They do not change the bits of the gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PassOptions {
    /// Seed of the dropout masks; without one nothing is dropped.
    pub dropout_seed: Option<u32>,
    /// Type of the activations.
    pub precision: Precision,
    /// Keep only the input of each block in the forward pass. The backward pass then recomputes one block at a time
    /// (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost").
    pub recompute: bool,
    /// Run the backward pass block by block, so that gradients are ready from the last block to the first. Implied by
    /// recomputation and by a part of a model.
    pub by_block: bool,
}

impl Default for PassOptions {
    /// In f32, without dropout, with all activations kept, in one backward pass.
    fn default() -> Self {
        Self { dropout_seed: None, precision: Precision::F32, recompute: false, by_block: false }
    }
}

/// A forward pass through a part of the model, with what its backward pass needs.
#[derive(Debug)]
pub struct Kept {
    part: Part,
    ids: TokenIds,
    options: PassOptions,
    graph: Graph,
}

#[derive(Debug)]
enum Graph {
    /// The residual stream at the end of the whole model, from one forward pass.
    Whole(Tensor<2>),
    /// The blocks, and the residual stream after the last of them, not on the autodiff device.
    Blocks(Vec<Segment>, Tensor<2>),
}

/// Activations of a block between the forward and the backward pass: its input, and its output unless it is recomputed. With an
/// output, the input is a leaf; without, it is not on the autodiff device.
#[derive(Debug)]
struct Segment {
    input: Tensor<2>,
    output: Option<Tensor<2>>,
}

/// Gradients that a part receives from the part after it.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Gradient of the residual stream between them, `[B T, C]`.
    pub residual: Tensor<2>,
    /// Gradient of a tied embedding table from its use as the head, flattened.
    pub table: Option<Tensor<1>>,
}

impl Kept {
    /// Returns the residual stream at the end of the part, `[B T, C]`, not on the autodiff device.
    pub fn residual(&self) -> Tensor<2> {
        match &self.graph {
            Graph::Whole(residual) => residual.clone().inner(),
            Graph::Blocks(_, residual) => residual.clone(),
        }
    }
}

impl Decoder {
    /// Differentiates a function of the residual stream by all parameters.
    ///
    /// `head` maps the residual stream after the last block, `[B T, C]`, to the scalar `[1]` to differentiate and to
    /// any other result. `ready` receives gradients as soon as they are complete: all at once, or those of
    /// the head, of each block from the last to the first, and of the embeddings. The model must be on an autodiff device.
    ///
    /// # Errors
    /// More tokens than `max_position_embeddings`; a rank that divides the layers does not answer; any error of `head`.
    pub fn differentiate<T>(
        &self,
        ids: TokenIds,
        options: PassOptions,
        head: impl FnOnce(Tensor<2>) -> Result<(Tensor<1>, T)>,
        ready: &mut dyn FnMut(NamedGradients),
    ) -> Result<T> {
        let kept = self.run_part(&Part::whole(&self.config), ids, options, None)?;
        let (found, _) = self.differentiate_last(kept, head, ready)?;
        Ok(found)
    }

    /// Runs a part of the model forward. `input` is the residual stream at its start, `[B T, C]`, not on the autodiff device;
    /// the first part has none.
    ///
    /// # Errors
    /// More tokens than `max_position_embeddings`.
    pub fn run_part(
        &self,
        part: &Part,
        ids: TokenIds,
        options: PassOptions,
        input: Option<Tensor<2>>,
    ) -> Result<Kept> {
        precision::with_products_in(options.precision, || {
            let graph = if part.is_whole() && !options.recompute && !options.by_block {
                Graph::Whole(self.run(ids.clone(), None, None, self.mode(options))?)
            } else {
                self.run_blocks(part, &ids, options, input)?
            };
            self.require_sums()?;
            Ok(Kept { part: part.clone(), ids, options, graph })
        })
    }

    /// Runs the backward pass of the last part of the model, starting with `head`: see [`Self::differentiate`]. Also returns the
    /// gradients for the part before it; none for a whole model.
    ///
    /// # Errors
    /// Any error of `head`.
    pub fn differentiate_last<T>(
        &self,
        kept: Kept,
        head: impl FnOnce(Tensor<2>) -> Result<(Tensor<1>, T)>,
        ready: &mut dyn FnMut(NamedGradients),
    ) -> Result<(T, Option<Upstream>)> {
        let Kept { part, ids, options, graph } = kept;
        precision::with_products_in(options.precision, || match graph {
            Graph::Whole(residual) => {
                let (scalar, found) = head(residual)?;
                let mut gradients = scalar.backward();
                self.require_sums()?;
                ready(named_gradients(self, "", &mut gradients));
                Ok((found, None))
            }
            Graph::Blocks(segments, residual) => {
                let last = leaf(residual);
                let (scalar, found) = head(last.clone())?;
                let mut of_head = scalar.backward();
                self.require_sums()?;
                let mut gradients = named_gradients(self, "", &mut of_head);
                let residual = gradient_of(&last, &mut of_head);
                // A tied table is complete only with its gradient as the embedding.
                let table = gradients.remove(TOKEN_TABLE).filter(|_| self.trains_embedding());
                ready(gradients);
                let upstream = Upstream { residual, table };
                let upstream = self.end_blocks(&part, ids, options, segments, upstream, ready)?;
                Ok((found, upstream))
            }
        })
    }

    /// Runs the backward pass of a part of the model that is not the last. Returns the gradients for the part before it; none for
    /// the first.
    ///
    /// # Errors
    /// As [`Self::run_part`].
    ///
    /// # Panics
    /// If `kept` belongs to a whole model.
    pub fn differentiate_part(
        &self,
        kept: Kept,
        upstream: Upstream,
        ready: &mut dyn FnMut(NamedGradients),
    ) -> Result<Option<Upstream>> {
        let Kept { part, ids, options, graph } = kept;
        let Graph::Blocks(segments, _) = graph else { panic!("a whole model ends with its head") };
        precision::with_products_in(options.precision, || {
            self.end_blocks(&part, ids, options, segments, upstream, ready)
        })
    }

    /// Runs the backward pass of the blocks of a part, and of its embeddings if it has them.
    fn end_blocks(
        &self,
        part: &Part,
        ids: TokenIds,
        options: PassOptions,
        segments: Vec<Segment>,
        upstream: Upstream,
        ready: &mut dyn FnMut(NamedGradients),
    ) -> Result<Option<Upstream>> {
        let Upstream { mut residual, table } = upstream;
        let shape = [ids.batch, ids.tokens];
        let mut pass = self.pass(shape, &ids.documents, self.mode(options), None, None)?;
        for (layer, Segment { input, output }) in part.layers.clone().zip(segments).rev() {
            let block = &self.layers[layer];
            let (input, output) = match output {
                Some(output) => (input, output),
                None => {
                    let input = leaf(input);
                    (input.clone(), block.forward(input, layer, &mut pass))
                }
            };
            let mut of_block = backward_from(output, residual);
            self.require_sums()?;
            residual = gradient_of(&input, &mut of_block);
            ready(named_gradients(block, &format!("layers.{layer}"), &mut of_block));
        }
        if !part.has_entry() {
            return Ok(Some(Upstream { residual, table }));
        }
        if !self.trains_embedding() {
            // Training adapters: nothing before the first block is trained.
            return Ok(None);
        }
        // The gradient of an all-reduce is the gradient of each summand.
        let entry = self.enter_with(self.embed_own(ids.ids), &pass);
        let mut gradients = named_gradients(self, "", &mut backward_from(entry, residual));
        if let Some(as_head) = table {
            let as_embedding = gradients.remove(TOKEN_TABLE).expect("the embedding is trained");
            gradients.insert(TOKEN_TABLE.into(), as_head + as_embedding);
        }
        ready(gradients);
        Ok(None)
    }

    /// Runs the blocks of a part forward, each on its own.
    fn run_blocks(
        &self,
        part: &Part,
        ids: &TokenIds,
        options: PassOptions,
        input: Option<Tensor<2>>,
    ) -> Result<Graph> {
        let plain = self.valid();
        let model = if options.recompute { &plain } else { self };
        let shape = [ids.batch, ids.tokens];
        let mut pass = model.pass(shape, &ids.documents, self.mode(options), None, None)?;
        let mut x = input.unwrap_or_else(|| plain.enter(ids.clone(), &pass));
        let mut segments = Vec::new();
        for layer in part.layers.clone() {
            let block = &model.layers[layer];
            let (segment, output) = if options.recompute {
                let output = block.forward(x.clone(), layer, &mut pass);
                (Segment { input: x, output: None }, output)
            } else {
                let input = leaf(x);
                let output = block.forward(input.clone(), layer, &mut pass);
                (Segment { input, output: Some(output.clone()) }, output.inner())
            };
            segments.push(segment);
            x = output;
        }
        Ok(Graph::Blocks(segments, x))
    }

    fn trains_embedding(&self) -> bool {
        self.embed_tokens.weight.is_require_grad()
    }

    fn mode(&self, options: PassOptions) -> Mode {
        let probability = self.config.dropout as f32;
        let seed = options.dropout_seed.filter(|_| probability > 0.0);
        let dropout = seed.map(|seed| Dropout { probability, seed });
        Mode { dropout, dtype: precision::dtype(options.precision) }
    }
}
