//! Near-duplicate documents, by MinHash and locality-sensitive hashing (Broder 1997; Indyk & Motwani 1998) with FineWeb's parameters
//! (Penedo et al. 2024): shingles of 5 words, and 14 bands of 8 hashes.
//!
//! Two documents count as duplicates if they agree in all hashes of a band. For shingles with a Jaccard similarity of `s`, the
//! probability is `1 - (1 - s^8)^14`: 0.8 % at 0.4, 56 % at 0.7, 92 % at 0.8, 99.9 % at 0.9.

use std::sync::LazyLock;

use super::super::mix::mix;

/// Words of a shingle.
pub const SHINGLE_WORDS: usize = 5;
/// Number of bands.
pub const BANDS: usize = 14;
/// Hashes of a band.
pub const ROWS: usize = 8;

const HASHES: usize = BANDS * ROWS;

/// Multipliers and summands of the hash functions. They never change: data that is prepared in several sessions depends on them.
static FUNCTIONS: LazyLock<[(u64, u64); HASHES]> = LazyLock::new(|| {
    std::array::from_fn(|index| {
        let index = index as u64;
        (mix(2 * index + 1) | 1, mix(2 * index + 2))
    })
});

/// Returns a key per band. A document that has a key of an earlier one is its near-duplicate. Case, punctuation and white space do
/// not count.
pub fn band_keys(text: &str) -> [u64; BANDS] {
    let words: Vec<u64> = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(hash_word)
        .collect();
    let mut least = [u32::MAX; HASHES];
    let join =
        |words: &[u64]| words.iter().fold(0, |hash: u64, word| mix(hash.rotate_left(23) ^ word));
    let mut add = |shingle: u64| {
        for (least, (multiplier, summand)) in least.iter_mut().zip(FUNCTIONS.iter()) {
            let hash = (shingle.wrapping_mul(*multiplier).wrapping_add(*summand) >> 32) as u32;
            *least = hash.min(*least);
        }
    };
    match words.len() {
        // Only punctuation: it is hashed as it is.
        0 => add(hash_word(text)),
        1..SHINGLE_WORDS => add(join(&words)),
        _ => words.windows(SHINGLE_WORDS).for_each(|shingle| add(join(shingle))),
    }
    std::array::from_fn(|band| {
        let rows = &least[band * ROWS..(band + 1) * ROWS];
        rows.iter().fold(mix(band as u64 + 1), |key, hash| mix(key ^ u64::from(*hash)))
    })
}

/// FNV-1a over the lower-case letters of a word.
fn hash_word(word: &str) -> u64 {
    word.chars().flat_map(char::to_lowercase).fold(0xcbf2_9ce4_8422_2325, |hash: u64, letter| {
        (hash ^ u64::from(letter)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text of 400 words, of which those from `changed` on belong to `number`.
    fn text(number: usize, changed: usize) -> String {
        let word = |place: usize| match place < changed {
            true => format!("w{place}x{}", number / 2),
            false => format!("w{place}y{number}"),
        };
        (0..400).map(word).collect::<Vec<_>>().join(" ")
    }

    fn share_found(changed: usize) -> f64 {
        let is_found = |pair: &usize| {
            let [a, b] = [2 * pair, 2 * pair + 1].map(|number| band_keys(&text(number, changed)));
            a.iter().zip(b).any(|(a, b)| *a == b)
        };
        (0..200).filter(is_found).count() as f64 / 200.0
    }

    #[test]
    fn the_probability_is_that_of_the_parameters() {
        for changed in [140, 282, 330, 366, 390] {
            // Jaccard similarity of the shingles: those before the change are common.
            let common = (changed - 4) as f64;
            let similarity = common / (2.0 * 396.0 - common);
            let expected = 1.0 - (1.0 - similarity.powi(ROWS as i32)).powi(BANDS as i32);
            let found = share_found(changed);
            // Four standard deviations of 200 draws, and some for the hash functions, which are not fully random.
            let tolerance = 4.0 * (expected * (1.0 - expected) / 200.0).sqrt() + 0.03;
            assert!((found - expected).abs() < tolerance, "{similarity}: {found}, not {expected}");
        }
    }

    #[test]
    fn case_and_punctuation_do_not_count_and_short_texts_differ() {
        assert_eq!(band_keys("She sells, sea shells"), band_keys("she SELLS sea... shells!"));
        for (a, b) in [("one", "two"), ("", "!"), ("one two", "two one")] {
            assert!(band_keys(a).iter().zip(band_keys(b)).all(|(a, b)| *a != b), "{a} {b}");
        }
    }
}
