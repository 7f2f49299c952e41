//! Random orders of examples, as pure functions of a seed and a number.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use super::mix::mix;

/// Shuffles in place (Fisher and Yates).
pub(super) fn shuffle<T>(list: &mut [T], rng: &mut ChaCha8Rng) {
    for last in (1..list.len()).rev() {
        list.swap(last, below(rng.next_u64(), last + 1));
    }
}

/// Maps 64 random bits to a number below `bound` (Lemire's multiplication; its bias is below 2^-32 here).
pub(super) fn below(random: u64, bound: usize) -> usize {
    ((u128::from(random) * bound as u128) >> 64) as usize
}

/// Returns where a seeded permutation of `0..count` maps `index`, without storing the permutation: a four-round
/// Feistel network over the next even power of two, repeated until the value is below `count` (cycle walking, Black
/// & Rogaway 2002).
pub(super) fn permute(index: u64, count: u64, key: u64) -> u64 {
    let half_bits = (64 - (count - 1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1u64 << half_bits) - 1;
    let mut value = index;
    loop {
        let mut left = value >> half_bits;
        let mut right = value & mask;
        for round in 0..4u64 {
            let mixed = mix(right ^ key.rotate_left(16 * round as u32) ^ (round << 56));
            (left, right) = (right, left ^ (mixed & mask));
        }
        value = (left << half_bits) | right;
        if value < count {
            return value;
        }
    }
}

/// Returns item number `drawn` of all epochs over `count` items, each of which has all of them once in an order of its own.
pub(super) fn in_order(drawn: u128, count: usize, seed: u64) -> usize {
    let count = count as u64;
    let epoch = (drawn / u128::from(count)) as u64;
    let place = (drawn % u128::from(count)) as u64;
    let key = seed ^ epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    permute(place, count, key) as usize
}
