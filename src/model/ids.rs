//! Token ids and targets on their way to a device.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::data::IGNORE;
use crate::error::{Error, Result};
use crate::kernels::embedding::Ids;

/// Token ids `[B, T]` on a device.
#[derive(Clone, Debug)]
pub struct TokenIds {
    pub(super) ids: Ids,
    pub(super) batch: usize,
    pub(super) tokens: usize,
}

impl TokenIds {
    /// Puts `ids`, `batch` equal rows of them, on `device`.
    ///
    /// # Errors
    /// An id outside the vocabulary.
    pub fn new(ids: &[u32], batch: usize, vocab_size: usize, device: &Device) -> Result<Self> {
        if let Some(id) = ids.iter().find(|id| **id as usize >= vocab_size) {
            return Err(Error::TokenOutOfRange { id: u64::from(*id), vocab_size });
        }
        Ok(Self { ids: Ids::new(ids, device), batch, tokens: ids.len() / batch })
    }
}

/// Targets `[N]` for the loss: negative where [`IGNORE`] stands.
///
/// # Errors
/// A target that counts and is outside the vocabulary.
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
