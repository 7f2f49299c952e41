//! Traces of a forward pass: attention, residual stream, logit lens and losses.

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::model::{Component, Decoder, Probe, TokenIds, log_sum_exp, read_floats, top_k};

/// Number of logits that are computed and read at a time (16 MiB). The logits of a long text with a large vocabulary would
/// exceed a buffer's maximum size in the browser.
const CHUNK: usize = 1 << 22;

/// Trace of a forward pass over `T` tokens through `L` blocks with `H` query heads.
#[derive(Clone, Debug)]
pub struct ForwardTrace {
    /// Attention weights `[L, H, T, T]`: queries as rows, keys as columns.
    pub attention: Vec<f32>,
    /// Root mean square of the residual stream before each block and after the last, `[L + 1, T]`.
    pub residual_rms: Vec<f32>,
    /// Root mean square of attention's output, `[L, T]`.
    pub attention_rms: Vec<f32>,
    /// Root mean square of the MLP's output, `[L, T]`.
    pub mlp_rms: Vec<f32>,
    /// Logit lens: predictions of the head from the residual stream, `[L + 1][T]`. The last row is the model's prediction.
    pub lens: Vec<Vec<LensPrediction>>,
    /// Losses and final logits of the text.
    pub score: Score,
}

/// Prediction of the logit lens at one position.
#[derive(Clone, Debug, PartialEq)]
pub struct LensPrediction {
    /// Most likely tokens with their probabilities.
    pub top: Vec<(u32, f32)>,
    /// Entropy of the distribution in bits.
    pub entropy: f32,
}

/// Losses and final logits of a text of `T` tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// Negative log-likelihood of each token but the first, in nats, `[T - 1]`.
    pub losses: Vec<f32>,
    /// Logits after the last token, `[V]`.
    pub logits: Vec<f32>,
}

/// Traces a forward pass of `model` over `ids`. The outputs of `ablated` components are replaced by zeros. The logit lens
/// reports the `top` most likely tokens. `model` must not be on an autodiff device.
///
/// # Errors
/// Returns an error if `ids` is empty, longer than the context or has an id outside the vocabulary, if a component does not
/// exist, or if the device was lost.
pub async fn trace_forward(
    model: &Decoder,
    ids: &[u32],
    ablated: &[Component],
    top: usize,
) -> Result<ForwardTrace> {
    for component in ablated {
        require_component(model, *component)?;
    }
    let mut seen = Seen { ablated, entering: vec![], between: vec![], attention: vec![] };
    model.forward_residual(token_ids(model, ids)?, None, Some(&mut seen))?;
    let Seen { entering, between, attention, .. } = seen;

    let leaving = &entering[1..];
    let attention_adds =
        between.iter().zip(&entering).map(|(after, before)| difference(after, before));
    let mlp_adds = leaving.iter().zip(&between).map(|(after, before)| difference(after, before));
    let mut trace = ForwardTrace {
        attention: Vec::new(),
        residual_rms: row_rms(model, entering.iter().cloned()).await?,
        attention_rms: row_rms(model, attention_adds).await?,
        mlp_rms: row_rms(model, mlp_adds).await?,
        lens: Vec::new(),
        score: Score::default(),
    };
    for weights in attention {
        let count = weights.shape().num_elements();
        trace.attention.extend(read_finite(model, weights.reshape([count])).await?);
    }
    for (layer, residual) in entering.iter().enumerate() {
        let mut predictions = Vec::with_capacity(ids.len());
        for_each_row(model, residual, |position, logits| {
            predictions.push(LensPrediction::new(logits, top));
            if layer == model.config().num_hidden_layers {
                trace.score.add(logits, ids.get(position + 1));
            }
        })
        .await?;
        trace.lens.push(predictions);
    }
    Ok(trace)
}

/// Computes the loss of each token in `ids` and the logits after the last. `model` must not be on an autodiff device.
///
/// # Errors
/// Returns an error if `ids` is empty, longer than the context or has an id outside the vocabulary, or if the device was
/// lost.
pub async fn score(model: &Decoder, ids: &[u32]) -> Result<Score> {
    let residual = model.forward_residual(token_ids(model, ids)?, None, None)?;
    let mut score = Score::default();
    for_each_row(model, &residual, |position, logits| score.add(logits, ids.get(position + 1)))
        .await?;
    Ok(score)
}

/// Computes the logits `[V]` after `ids`. `model` must not be on an autodiff device.
///
/// # Errors
/// Returns the errors of [`score`].
pub async fn next_logits(model: &Decoder, ids: &[u32]) -> Result<Vec<f32>> {
    let residual = model.forward_residual(token_ids(model, ids)?, None, None)?;
    let last = model.unembed(residual.slice_dim(0, ids.len() - 1..ids.len()));
    read_finite(model, last.reshape([model.config().vocab_size])).await
}

/// Returns an error if `ids` is empty.
pub fn require_tokens(ids: &[u32]) -> Result<()> {
    if ids.is_empty() {
        return Err(Error::config("text", "it is empty", "enter a text"));
    }
    Ok(())
}

impl LensPrediction {
    fn new(logits: &[f32], top: usize) -> Self {
        let normalizer = log_sum_exp(logits);
        let nats = |logit: f32| normalizer - f64::from(logit);
        let likely = |id: u32| (id, (-nats(logits[id as usize])).exp() as f32);
        // A token of probability 0 does not contribute, although its surprisal is infinite.
        let surprises = logits.iter().map(|logit| nats(*logit)).filter(|x| *x != f64::INFINITY);
        let entropy: f64 = surprises.map(|nats| (-nats).exp() * nats).sum();
        Self {
            top: top_k(logits, top).into_iter().map(likely).collect(),
            entropy: (entropy / std::f64::consts::LN_2) as f32,
        }
    }
}

impl Score {
    /// Adds the loss of the `next` token, or keeps the logits if there is none.
    fn add(&mut self, logits: &[f32], next: Option<&u32>) {
        match next {
            Some(id) => {
                let loss = log_sum_exp(logits) - f64::from(logits[*id as usize]);
                self.losses.push(loss as f32);
            }
            None => self.logits = logits.to_vec(),
        }
    }
}

/// A probe that records residual streams and attention weights of one sequence.
struct Seen<'a> {
    ablated: &'a [Component],
    /// `[T, C]` each
    entering: Vec<Tensor<2>>,
    /// `[T, C]` each
    between: Vec<Tensor<2>>,
    /// `[1, H, T, T]` each
    attention: Vec<Tensor<4>>,
}

impl Probe for Seen<'_> {
    fn hidden(&mut self, _layer: usize, residual: &Tensor<3>) {
        self.entering.push(residual.clone().squeeze_dim(0));
    }

    fn between(&mut self, _layer: usize, residual: &Tensor<3>) {
        self.between.push(residual.clone().squeeze_dim(0));
    }

    fn attention(&mut self, _layer: usize, weights: &dyn Fn() -> Tensor<4>) {
        self.attention.push(weights());
    }

    fn ablated(&self) -> &[Component] {
        self.ablated
    }
}

/// Returns an error if the model lacks the component.
pub(super) fn require_component(model: &Decoder, component: Component) -> Result<()> {
    let c = model.config();
    let layers = c.num_hidden_layers;
    let heads = c.num_attention_heads;
    let exists = match component {
        Component::Head { layer, head } => layer < layers && head < heads,
        Component::Mlp { layer } => layer < layers,
        Component::Neuron { layer, neuron } => layer < layers && neuron < c.intermediate_size,
    };
    if exists {
        return Ok(());
    }
    let neurons = c.intermediate_size;
    Err(Error::config(
        "ablate",
        format!("the model has no {component:?}"),
        format!("it has {layers} blocks of {heads} heads and {neurons} neurons, numbered from 0"),
    ))
}

/// Copies a single sequence to the model's device.
pub(super) fn token_ids(model: &Decoder, ids: &[u32]) -> Result<TokenIds> {
    require_tokens(ids)?;
    TokenIds::new(ids, 1, model.config().vocab_size, &model.device())
}

fn difference(after: &Tensor<2>, before: &Tensor<2>) -> Tensor<2> {
    after.clone() - before.clone()
}

/// Computes the root mean square of each row of tensors `[T, C]`.
async fn row_rms(model: &Decoder, tensors: impl Iterator<Item = Tensor<2>>) -> Result<Vec<f32>> {
    let rows = tensors.map(|x| (x.clone() * x).mean_dim(1).sqrt().squeeze_dim(1)).collect();
    read_finite(model, Tensor::cat(rows, 0)).await
}

/// Reads what `model` has computed.
///
/// # Errors
/// As [`Decoder::require_finite`].
pub(super) async fn read_finite(model: &Decoder, values: Tensor<1>) -> Result<Vec<f32>> {
    let values = read_floats(values).await?;
    model.require_finite(&values).await?;
    Ok(values)
}

/// Calls `see` with each row of `residual [T, C]`: its position and the head's logits `[V]`.
async fn for_each_row(
    model: &Decoder,
    residual: &Tensor<2>,
    see: impl FnMut(usize, &[f32]),
) -> Result<()> {
    in_chunks(model, residual, |rows| Ok(model.unembed(rows)), see).await
}

/// Calls `see` with each row of `residual [T, C]`: its position and the result of `logits`, a function `[N, C] -> [N, V]` that
/// gets a chunk of rows at a time.
pub(super) async fn in_chunks(
    model: &Decoder,
    residual: &Tensor<2>,
    logits: impl Fn(Tensor<2>) -> Result<Tensor<2>>,
    mut see: impl FnMut(usize, &[f32]),
) -> Result<()> {
    let tokens = residual.dims()[0];
    let vocab = model.config().vocab_size;
    let rows = (CHUNK / vocab).max(1);
    for start in (0..tokens).step_by(rows) {
        let end = tokens.min(start + rows);
        let logits = logits(residual.clone().slice_dim(0, start..end))?;
        let logits = read_finite(model, logits.reshape([(end - start) * vocab])).await?;
        for (row, logits) in logits.chunks(vocab).enumerate() {
            see(start + row, logits);
        }
    }
    Ok(())
}
