//! Token ids and targets on a device.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::data::{Batch, IGNORE};
use crate::error::{Error, Result};
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
    /// `[B T]`: position in its sequence at which a token's document starts.
    pub(super) begins: Tensor<1, Int>,
    /// `[B T]`: position of a token in its document.
    pub(super) positions: Ids,
}

impl TokenIds {
    /// Copies `ids`, `batch` rows of equal length, to `device`.
    ///
    /// # Errors
    /// Returns an error if an id is outside the vocabulary.
    pub fn new(ids: &[u32], batch: usize, vocab_size: usize, device: &Device) -> Result<Self> {
        if let Some(id) = ids.iter().find(|id| **id as usize >= vocab_size) {
            return Err(Error::TokenOutOfRange { id: u64::from(*id), vocab_size });
        }
        let tokens = ids.len() / batch;
        Ok(Self { ids: Ids::new(ids, device), batch, tokens, documents: None })
    }

    /// Copies a batch's inputs and document boundaries to `device`.
    ///
    /// # Errors
    /// Returns an error if an id is outside the vocabulary.
    pub fn from_batch(batch: &Batch, vocab_size: usize, device: &Device) -> Result<Self> {
        let mut ids = Self::new(&batch.inputs, batch.rows, vocab_size, device)?;
        ids.documents = batch.documents.as_ref().map(|begins| {
            let places = (0..batch.tokens as u32).cycle();
            let positions: Vec<u32> =
                places.zip(begins).map(|(place, begin)| place - begin).collect();
            let begins: Vec<i32> = begins.iter().map(|begin| *begin as i32).collect();
            let data = TensorData::new(begins, [positions.len()]);
            Documents {
                begins: Tensor::from_data(data, device),
                positions: Ids::new(&positions, device),
            }
        });
        Ok(ids)
    }
}

/// Copies the targets `[N]` of the loss to `device`; [`IGNORE`] becomes -1.
///
/// # Errors
/// Returns an error if a target other than [`IGNORE`] is outside the vocabulary.
pub(super) fn targets(
    targets: &[u32],
    vocab_size: usize,
    device: &Device,
) -> Result<Tensor<1, Int>> {
    let outside = |id: &&u32| **id != IGNORE && **id as usize >= vocab_size;
    if let Some(id) = targets.iter().find(outside) {
        return Err(Error::TokenOutOfRange { id: u64::from(*id), vocab_size });
    }
    let targets: Vec<i32> =
        targets.iter().map(|id| if *id == IGNORE { -1 } else { *id as i32 }).collect();
    let rows = targets.len();
    Ok(Tensor::from_data(TensorData::new(targets, [rows]), device))
}
