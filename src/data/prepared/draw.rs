//! Random choices for each document: its position in a shuffled order, and its split.

use super::super::mix::mix;

/// Returns the key of document `number` in the order that `seed` shuffles: documents are sorted by it. No two documents have the
/// same key.
pub fn shuffle_key(seed: u64, number: u64) -> u64 {
    mix(number.wrapping_add(mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15))))
}

/// Returns true if a document belongs to the validation split, which gets the fraction `fraction` of all documents. `hash` is a
/// hash of its text, so equal documents are in the same split.
pub fn is_for_validation(hash: u64, fraction: f64) -> bool {
    // 53 bits, the precision of f64. Mixed again, since other choices follow from the same hash.
    let drawn = (mix(hash) >> 11) as f64 / (1u64 << 53) as f64;
    drawn < fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_distinct_and_differ_by_seed() {
        let keys = |seed| {
            let mut numbers: Vec<u64> = (0..1000).collect();
            numbers.sort_by_key(|number| shuffle_key(seed, *number));
            numbers
        };
        assert_eq!(keys(1), keys(1));
        assert_ne!(keys(1), keys(2));
        let mut all: Vec<u64> = (0..100_000).map(|number| shuffle_key(3, number)).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 100_000);
    }

    #[test]
    fn the_validation_split_has_its_share() {
        let count = |fraction| {
            (0..100_000u64).filter(|number| is_for_validation(*number, fraction)).count()
        };
        assert_eq!((count(0.0), count(1.0)), (0, 100_000));
        // Four standard deviations of the binomial distribution.
        assert!((count(0.1) as i64 - 10_000).abs() < 380, "{}", count(0.1));
    }
}
