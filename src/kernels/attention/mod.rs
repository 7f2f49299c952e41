//! Self-attention that never stores a matrix of scores (FlashAttention, Dao et al. 2022), causal or bidirectional.
//!
//! Shapes: `B` sequences of `T` tokens, `H` query heads, `K` key and value heads (grouped-query attention: `H / K` query
//! heads share one), `D` numbers per head. Queries, keys and values are packed, `[B T, (H + 2 K) D]`.

mod cost;
mod cpu;
pub(super) mod gpu;
pub mod reference;

pub use cost::KernelCosts;
pub use gpu::{use_tensor_cores, uses_tensor_cores};

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::autodiff::{Rule, record};
use super::check::Check;
use super::dispatch::{OptionalInts, optional_ints};
use super::dropout::Dropout;
use crate::error::{Error, Result};

/// Dropout of the attention weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeightDropout {
    /// Probability and seed.
    pub dropout: Dropout,
    /// The place of these heads among those of all ranks, if ranks divide the heads.
    pub division: Option<HeadDivision>,
}

/// Some consecutive heads of an attention that ranks divide. The dropout of a head does not depend on the division.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadDivision {
    /// Query heads before these.
    pub before: usize,
    /// Query heads of all ranks.
    pub all: usize,
}

impl From<Dropout> for WeightDropout {
    /// These are all heads.
    fn from(dropout: Dropout) -> Self {
        Self { dropout, division: None }
    }
}

/// Shapes and options of attention.
#[derive(Clone, Debug)]
pub struct Options {
    /// `B`, sequences.
    pub batch: usize,
    /// `T`, tokens per sequence.
    pub tokens: usize,
    /// `H`, query heads.
    pub heads: usize,
    /// `K`, key and value heads; `H / K` query heads share one.
    pub kv_heads: usize,
    /// `D`, numbers per head.
    pub head_dim: usize,
    /// Causal mask: a query sees no later key (decoders). Without it, every query sees every key (encoders).
    pub causal: bool,
    /// Factor of the scores, usually `1 / sqrt(D)`.
    pub scale: f32,
    /// Score soft-capping, `cap * tanh(score / cap)` (Gemma 2).
    pub soft_cap: Option<f32>,
    /// Sliding window: a query sees keys fewer than this many positions away. Causal (Mistral), these are its own and the
    /// `window - 1` before it; bidirectional (ModernBERT), as many after it, too.
    pub window: Option<usize>,
    /// Dropout of the attention weights.
    pub dropout: Option<WeightDropout>,
}

impl Options {
    /// Numbers in a packed row, `(H + 2 K) D`.
    pub(super) fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Panics unless `qkv` has the shape of these options, which must make sense.
    #[track_caller]
    pub(super) fn check(&self, check: Check, qkv: &Tensor<2>) {
        check.heads(self.heads, self.kv_heads, self.head_dim);
        check.float("qkv", qkv);
        check.not_empty("qkv", qkv);
        let rows = self.batch * self.tokens;
        check.shape("qkv", qkv, "[B T, (H + 2 K) D]", [rows, self.width()]);
        check.require(self.window != Some(0), || "`window` is 0, expected at least 1".into());
        check.require(self.soft_cap.is_none_or(|cap| cap > 0.0), || {
            format!("`soft_cap` is {:?}, expected a positive number", self.soft_cap)
        });
        let Some(WeightDropout { dropout, division }) = self.dropout else { return };
        let probability = dropout.probability;
        check.require((0.0..1.0).contains(&probability), || {
            format!("`dropout` has probability {probability}, expected a number in 0.0..1.0")
        });
        let heads = self.heads;
        let fits = |HeadDivision { before, all }: HeadDivision| before + heads <= all;
        check.require(division.is_none_or(fits), || {
            format!("`dropout` has {division:?}, which has no room for {heads} heads")
        });
    }
}

/// Several documents (or padding) packed into each sequence, which do not attend to each other. Made by
/// [`Documents::new`], which checks them.
#[derive(Clone, Debug)]
pub struct Documents {
    /// `[B T]`: position in its sequence at which a token's document begins.
    begins: Tensor<1, Int>,
    batch: usize,
    tokens: usize,
}

impl Documents {
    /// Puts document boundaries of `batch` sequences on `device`: `begins [B T]` is the position at which each token's
    /// document begins in its sequence. Padding is a document of its own.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the sequences are not of equal length or a document does not consist of consecutive tokens.
    pub fn new(begins: &[u32], batch: usize, device: &Device) -> Result<Self> {
        let wrong = |problem: String| {
            let remedy = "give the position at which each token's document begins";
            Error::malformed("document boundaries", problem, remedy)
        };
        let tokens = begins.len() / batch.max(1);
        if tokens * batch != begins.len() || tokens == 0 {
            return Err(wrong(format!("{} tokens in {batch} sequences", begins.len())));
        }
        for (row, begins) in begins.chunks_exact(tokens).enumerate() {
            for (token, begin) in begins.iter().enumerate() {
                // Either a document begins here, or the token before belongs to the same one.
                let before = token.checked_sub(1).map(|before| begins[before]);
                if *begin as usize != token && Some(*begin) != before {
                    return Err(wrong(format!(
                        "token {token} of sequence {row} begins its document at {begin}"
                    )));
                }
            }
        }
        let begins: Vec<i32> = begins.iter().map(|begin| *begin as i32).collect();
        let data = TensorData::new(begins, [batch * tokens]);
        Ok(Self { begins: Tensor::from_data(data, (device, DType::I32)), batch, tokens })
    }

    /// The position at which each token's document begins in its sequence: `[B T]`.
    pub fn begins(&self) -> Tensor<1, Int> {
        self.begins.clone()
    }
}

/// Computes self-attention of `qkv [B T, (H + 2 K) D]`, whose rows are all query heads, then all key heads, then all
/// value heads: `[B T, H D]`. With `documents`, a token sees tokens of its own document only.
///
/// # Panics
/// If `qkv` is empty, shapes do not fit the options, the tensors differ in device, or an option is out of range.
///
/// ```
/// use blankslate::kernels::attention::{Options, attention};
/// use burn::tensor::{Device, Tensor};
///
/// // Two tokens, one head of one number: query, key and value.
/// let qkv = Tensor::<2>::from_data([[0.0, 0.0, 1.0], [0.0, 0.0, 3.0]], &Device::flex());
/// let options = Options {
///     batch: 1, tokens: 2, heads: 1, kv_heads: 1, head_dim: 1, causal: true,
///     scale: 1.0, soft_cap: None, window: None, dropout: None,
/// };
/// let out = attention(qkv.clone(), None, options.clone());
/// assert_eq!(out.into_data().to_vec::<f32>().unwrap(), [1.0, 2.0]);
/// let out = attention(qkv, None, Options { causal: false, ..options });
/// assert_eq!(out.into_data().to_vec::<f32>().unwrap(), [2.0, 2.0]);
/// ```
#[track_caller]
pub fn attention(qkv: Tensor<2>, documents: Option<Documents>, options: Options) -> Tensor<2> {
    let check = Check("attention");
    options.check(check, &qkv);
    if let Some(documents) = &documents {
        let found = [documents.batch, documents.tokens];
        let expected = [options.batch, options.tokens];
        check.require(found == expected, || {
            format!("`documents` has [B, T] = {found:?}, expected {expected:?}")
        });
        check.same_device(&qkv, "documents", &documents.begins);
    }
    let documents = optional_ints(documents.map(|documents| documents.begins));
    Tensor::from_dispatch(Dispatch::attend(qkv.into_dispatch(), documents, options))
}

/// The operation on every backend, autodiff included.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait AttentionOps: Backend {
    /// See [`attention`](fn@attention).
    fn attend(
        qkv: FloatTensor<Self>,
        #[extension_type] documents: OptionalInts<Self>,
        options: Options,
    ) -> FloatTensor<Self>;
}

/// The gradients, which each backend implements.
pub trait AttentionKernels: AttentionOps {
    /// Returns the output `[B T, H D]` and the logarithm of each query's softmax normalizer `[B H T]`.
    fn attention_forward(
        qkv: FloatTensor<Self>,
        documents: Option<IntTensor<Self>>,
        options: &Options,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Returns the gradient of `qkv`.
    fn attention_backward(saved: Saved<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// State of the forward pass that the backward pass needs.
#[derive(Debug)]
pub struct Saved<B: Backend> {
    pub(super) qkv: FloatTensor<B>,
    pub(super) out: FloatTensor<B>,
    pub(super) log_normalizer: FloatTensor<B>,
    pub(super) documents: Option<IntTensor<B>>,
    pub(super) options: Options,
}

// Derived, it would ask for `B: Clone`.
impl<B: Backend> Clone for Saved<B> {
    fn clone(&self) -> Self {
        Self {
            qkv: self.qkv.clone(),
            out: self.out.clone(),
            log_normalizer: self.log_normalizer.clone(),
            documents: self.documents.clone(),
            options: self.options.clone(),
        }
    }
}

impl<B: AttentionKernels> Rule<B> for Saved<B> {
    fn gradients(self, grad: FloatTensor<B>, _: &[bool]) -> Vec<Option<FloatTensor<B>>> {
        vec![Some(B::attention_backward(self, grad))]
    }
}

impl<B: AttentionKernels, S: CheckpointStrategy> AttentionOps for Autodiff<B, S> {
    fn attend(
        qkv: FloatTensor<Self>,
        documents: OptionalInts<Self>,
        options: Options,
    ) -> FloatTensor<Self> {
        let (qkv, node) = qkv.into_parts();
        let documents = documents.into_option();
        let (out, log_normalizer) = B::attention_forward(qkv.clone(), documents.clone(), &options);
        record::<B, S, _>(vec![node], out.clone(), || Saved {
            qkv,
            out,
            log_normalizer,
            documents,
            options,
        })
    }
}
