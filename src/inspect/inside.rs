//! One forward pass over one text, looked at from inside.

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::model::{Component, Decoder, Probe, TokenIds, likeliest, log_sum_exp, read_floats};

/// Logits that are made and read at a time, 16 MiB of them: a large vocabulary times a long text would not
/// fit one buffer of a browser's device.
const CHUNK: usize = 1 << 22;

/// What was seen of a forward pass over `T` tokens through `L` blocks of `H` query heads.
#[derive(Clone, Debug)]
pub struct Inside {
    /// Attention weights `[L, H, T, T]`: row query, column key.
    pub attention: Vec<f32>,
    /// Root mean square of the residual stream that enters each block, then of what leaves the last:
    /// `[L + 1, T]`.
    pub residual_rms: Vec<f32>,
    /// Root mean square of what attention adds to it, `[L, T]`.
    pub attention_rms: Vec<f32>,
    /// Root mean square of what the MLP adds to it, `[L, T]`.
    pub mlp_rms: Vec<f32>,
    /// What the head would read from the stream, `[L + 1][T]`; the last row is what the model predicts.
    pub lens: Vec<Vec<Reading>>,
    /// What the model says of the text.
    pub score: Score,
}

/// What the head reads from the residual stream at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The likeliest tokens and their probabilities.
    pub top: Vec<(u32, f32)>,
    /// Entropy of the distribution in bits.
    pub entropy: f32,
}

/// What a model says of a text of `T` tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// Negative log-likelihood of each token given those before it, nats: `T - 1`.
    pub losses: Vec<f32>,
    /// Logits after the last token, `V`.
    pub logits: Vec<f32>,
}

/// Looks into one forward pass of `model`, which must not differentiate, over `ids`, with `ablated`
/// components' output replaced by zero. The lens names the `top` likeliest tokens at each place.
///
/// # Errors
/// No tokens, too many of them, or one outside the vocabulary; a component that the model does not have; a
/// lost device.
pub async fn look_inside(
    model: &Decoder,
    ids: &[u32],
    ablated: &[Component],
    top: usize,
) -> Result<Inside> {
    for component in ablated {
        require_component(model, *component)?;
    }
    let mut seen = Seen { ablated, entering: vec![], between: vec![], attention: vec![] };
    model.stream(token_ids(model, ids)?, None, Some(&mut seen))?;
    let Seen { entering, between, attention, .. } = seen;

    let leaving = &entering[1..];
    let attention_adds =
        between.iter().zip(&entering).map(|(after, before)| difference(after, before));
    let mlp_adds = leaving.iter().zip(&between).map(|(after, before)| difference(after, before));
    let mut inside = Inside {
        attention: Vec::new(),
        residual_rms: row_rms(entering.iter().cloned()).await?,
        attention_rms: row_rms(attention_adds).await?,
        mlp_rms: row_rms(mlp_adds).await?,
        lens: Vec::new(),
        score: Score::default(),
    };
    for weights in attention {
        let count = weights.shape().num_elements();
        inside.attention.extend(read_floats(weights.reshape([count])).await?);
    }
    for (layer, stream) in entering.iter().enumerate() {
        let mut readings = Vec::with_capacity(ids.len());
        for_each_row(model, stream, |place, logits| {
            readings.push(Reading::new(logits, top));
            if layer == model.config().num_hidden_layers {
                inside.score.add(logits, ids.get(place + 1));
            }
        })
        .await?;
        inside.lens.push(readings);
    }
    Ok(inside)
}

/// What `model` says of `ids`.
///
/// # Errors
/// As of [`look_inside`].
pub async fn score(model: &Decoder, ids: &[u32]) -> Result<Score> {
    let stream = model.stream(token_ids(model, ids)?, None, None)?;
    let mut score = Score::default();
    for_each_row(model, &stream, |place, logits| score.add(logits, ids.get(place + 1))).await?;
    Ok(score)
}

/// Logits `V` after `ids`, without those on the way.
///
/// # Errors
/// As of [`look_inside`].
pub async fn next_logits(model: &Decoder, ids: &[u32]) -> Result<Vec<f32>> {
    let stream = model.stream(token_ids(model, ids)?, None, None)?;
    let last = model.unembed(stream.slice_dim(0, ids.len() - 1..ids.len()));
    read_floats(last.reshape([model.config().vocab_size])).await
}

/// `Err` unless there is a token to look at.
pub fn require_tokens(ids: &[u32]) -> Result<()> {
    match ids {
        [] => Err(Error::config("text", "it is empty", "write something to look at")),
        _ => Ok(()),
    }
}

impl Reading {
    fn new(logits: &[f32], top: usize) -> Self {
        let normalizer = log_sum_exp(logits);
        let nats = |logit: f32| normalizer - f64::from(logit);
        let likely = |id: u32| (id, (-nats(logits[id as usize])).exp() as f32);
        // A probability of zero adds nothing, however surprising it would be.
        let surprises = logits.iter().map(|logit| nats(*logit)).filter(|x| *x != f64::INFINITY);
        let entropy: f64 = surprises.map(|nats| (-nats).exp() * nats).sum();
        Self {
            top: likeliest(logits, top).into_iter().map(likely).collect(),
            entropy: (entropy / std::f64::consts::LN_2) as f32,
        }
    }
}

impl Score {
    /// Adds what is said at one place about the token that follows, if one does.
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

/// A probe that keeps all it sees of one sequence.
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
    fn hidden(&mut self, _layer: usize, stream: &Tensor<3>) {
        self.entering.push(stream.clone().squeeze_dim(0));
    }

    fn between(&mut self, _layer: usize, stream: &Tensor<3>) {
        self.between.push(stream.clone().squeeze_dim(0));
    }

    fn attention(&mut self, _layer: usize, weights: &dyn Fn() -> Tensor<4>) {
        self.attention.push(weights());
    }

    fn ablated(&self) -> &[Component] {
        self.ablated
    }
}

pub(super) fn require_component(model: &Decoder, component: Component) -> Result<()> {
    let c = model.config();
    let (layers, heads) = (c.num_hidden_layers, c.num_attention_heads);
    let there = match component {
        Component::Head { layer, head } => layer < layers && head < heads,
        Component::Mlp { layer } => layer < layers,
        Component::Neuron { layer, neuron } => layer < layers && neuron < c.intermediate_size,
    };
    match there {
        true => Ok(()),
        false => Err(Error::config(
            "ablate",
            format!("the model has no {component:?}"),
            format!(
                "count from 0: it has {layers} blocks of {heads} heads and {} neurons",
                c.intermediate_size
            ),
        )),
    }
}

pub(super) fn token_ids(model: &Decoder, ids: &[u32]) -> Result<TokenIds> {
    require_tokens(ids)?;
    TokenIds::new(ids, 1, model.config().vocab_size, &model.device())
}

fn difference(after: &Tensor<2>, before: &Tensor<2>) -> Tensor<2> {
    after.clone() - before.clone()
}

/// Root mean square of each row of all tensors `[T, C]`.
async fn row_rms(tensors: impl Iterator<Item = Tensor<2>>) -> Result<Vec<f32>> {
    let rows = tensors.map(|x| (x.clone() * x).mean_dim(1).sqrt().squeeze_dim(1)).collect();
    read_floats(Tensor::cat(rows, 0)).await
}

/// Calls `see` with each row's place and the logits `V` that the head reads from it. `stream` is `[T, C]`.
async fn for_each_row(
    model: &Decoder,
    stream: &Tensor<2>,
    see: impl FnMut(usize, &[f32]),
) -> Result<()> {
    in_chunks(model, stream, |rows| Ok(model.unembed(rows)), see).await
}

/// Calls `see` with each row's place and what `logits` makes of it: `[N, C] -> [N, V]`, some rows at a time.
pub(super) async fn in_chunks(
    model: &Decoder,
    stream: &Tensor<2>,
    logits: impl Fn(Tensor<2>) -> Result<Tensor<2>>,
    mut see: impl FnMut(usize, &[f32]),
) -> Result<()> {
    let (tokens, vocab) = (stream.dims()[0], model.config().vocab_size);
    let rows = (CHUNK / vocab).max(1);
    for start in (0..tokens).step_by(rows) {
        let end = tokens.min(start + rows);
        let logits = logits(stream.clone().slice_dim(0, start..end))?;
        let logits = read_floats(logits.reshape([(end - start) * vocab])).await?;
        for (row, logits) in logits.chunks(vocab).enumerate() {
            see(start + row, logits);
        }
    }
    Ok(())
}
