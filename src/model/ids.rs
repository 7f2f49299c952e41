//! Token ids and targets on a device.

use burn::tensor::Device;

use crate::data::{Batch, IGNORE};
use crate::error::Result;
use crate::kernels::attention;
use crate::kernels::cross_entropy::Targets;
use crate::kernels::embedding::Ids;

/// Token ids `[B, T]` on a device.
#[derive(Clone, Debug)]
pub struct TokenIds {
    pub(super) ids: Ids,
    pub(super) batch: usize,
    pub(super) tokens: usize,
    pub(super) documents: Option<Documents>,
}

/// Document boundaries inside sequences; attention does not cross them.
#[derive(Clone, Debug)]
pub(super) struct Documents {
    /// Positions at which the documents begin.
    pub(super) bounds: attention::Documents,
    /// `[B T]`: position of a token in its document.
    pub(super) positions: Ids,
}

impl TokenIds {
    /// Copies `ids`, `batch` rows of equal length, to `device`.
    ///
    /// # Errors
    /// Returns an error if an id is outside the vocabulary.
    pub fn new(ids: &[u32], batch: usize, vocab_size: usize, device: &Device) -> Result<Self> {
        let tokens = ids.len() / batch;
        Ok(Self { ids: Ids::new(ids, vocab_size, device)?, batch, tokens, documents: None })
    }

    /// Copies a batch's inputs and document boundaries to `device`.
    ///
    /// # Errors
    /// Returns an error if an id is outside the vocabulary or document boundaries are malformed.
    pub fn from_batch(batch: &Batch, vocab_size: usize, device: &Device) -> Result<Self> {
        let mut ids = Self::new(&batch.inputs, batch.rows, vocab_size, device)?;
        if let Some(begins) = &batch.documents {
            let bounds = attention::Documents::new(begins, batch.rows, device)?;
            let tokens = (0..batch.tokens as u32).cycle();
            let positions: Vec<u32> =
                tokens.zip(begins).map(|(token, begin)| token - begin).collect();
            let positions = Ids::new(&positions, batch.tokens, device)?;
            ids.documents = Some(Documents { bounds, positions });
        }
        Ok(ids)
    }
}

/// Copies the targets `[N]` of the loss to `device`; [`IGNORE`] marks rows without one.
///
/// # Errors
/// Returns an error if a target other than [`IGNORE`] is outside the vocabulary.
pub(super) fn targets(targets: &[u32], vocab_size: usize, device: &Device) -> Result<Targets> {
    Targets::new(targets, IGNORE, vocab_size, device)
}
