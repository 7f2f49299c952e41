//! Random numbers by position in the generated text.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Returns the random number, uniform in `[0, 1)`, for sampling the generated token at position `place`.
pub(super) fn random(seed: u64, place: usize) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(place as u64);
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}
