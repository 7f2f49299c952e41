//! Hashes with which ranks compare what they have.

use crate::error::Result;
use crate::model::{Decoder, for_each_param, read_floats};

/// Returns a hash of all weights of a model.
pub async fn fingerprint(model: &Decoder) -> Result<u64> {
    let [all, _] = fingerprints(model, |_, _| false).await?;
    Ok(all)
}

/// Returns a hash of all weights of a model, and one of those parameters that are `shared`, by name and shape.
pub async fn fingerprints(
    model: &Decoder,
    shared: impl Fn(&str, &[usize]) -> bool,
) -> Result<[u64; 2]> {
    let mut params = Vec::new();
    for_each_param(model, &mut |name, shape, value| params.push((value, shared(name, shape))));
    let mut fingerprints = [0; 2];
    for (param, is_shared) in params {
        let values = read_floats(param).await?;
        let found = hash(values.iter().map(|value| value.to_bits()));
        for fingerprint in &mut fingerprints[..1 + usize::from(is_shared)] {
            *fingerprint = found ^ u64::rotate_left(*fingerprint, 1);
        }
    }
    Ok(fingerprints)
}

/// FNV-1a over 32-bit words.
pub fn hash(words: impl Iterator<Item = u32>) -> u64 {
    words.fold(0xcbf2_9ce4_8422_2325, |hash: u64, word| {
        (hash ^ u64::from(word)).wrapping_mul(0x0100_0000_01b3)
    })
}
