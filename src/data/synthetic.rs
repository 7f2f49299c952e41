//! Synthetic datasets that a small model learns within minutes and whose results are easy to check.
//!
//! They are the same on every target, so a run can be reproduced from the dataset's name.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::order::{below, shuffle};
use super::stories::stories;
use crate::error::{Error, Result};

/// A dataset that is generated on demand.
pub struct SyntheticDataset {
    /// Name of the dataset.
    pub name: &'static str,
    /// Description in a sentence or two.
    pub about: &'static str,
    make: fn(&mut ChaCha8Rng) -> String,
}

/// All synthetic datasets.
pub const SYNTHETIC_DATASETS: [SyntheticDataset; 4] = [
    SyntheticDataset {
        name: "Stories",
        about: "Short stories with a small vocabulary. A longer context helps to keep track of the characters.",
        make: stories,
    },
    SyntheticDataset {
        name: "Sums",
        about: "All sums of two numbers below 100. Tiny learns to add in about 6,000 steps. Start the prompt on a new line.",
        make: sums,
    },
    SyntheticDataset {
        name: "Sorting",
        about: "Letters and the same letters sorted. Tiny learns to sort in about 6,000 steps. Start the prompt on a new line.",
        make: sorting,
    },
    SyntheticDataset {
        name: "Reversing",
        about: "Letters and the same letters reversed. Tiny learns to reverse in about 6,000 steps. Start the prompt on a new line.",
        make: reversing,
    },
];

/// Generates the dataset of a name, ignoring case.
///
/// # Errors
/// Returns an error for an unknown name.
pub fn generate_dataset(name: &str) -> Result<String> {
    let found = SYNTHETIC_DATASETS.iter().find(|example| example.name.eq_ignore_ascii_case(name));
    let SyntheticDataset { make, .. } = found.ok_or_else(|| {
        let names: Vec<String> =
            SYNTHETIC_DATASETS.iter().map(|one| one.name.to_lowercase()).collect();
        Error::config(
            "example",
            format!("`{name}` is not a synthetic dataset"),
            format!("use one of {}", names.join(", ")),
        )
    })?;
    Ok(make(&mut ChaCha8Rng::seed_from_u64(0)))
}

/// Lines in [`sorting`] and [`reversing`].
const LINES: usize = 20_000;

fn sums(rng: &mut ChaCha8Rng) -> String {
    let mut lines: Vec<String> = (0..100 * 100)
        .map(|pair| (pair / 100, pair % 100))
        .map(|(a, b)| format!("{a}+{b}={}\n", a + b))
        .collect();
    shuffle(&mut lines, rng);
    lines.concat()
}

fn sorting(rng: &mut ChaCha8Rng) -> String {
    lines(rng, |letters| letters.sort_unstable())
}

fn reversing(rng: &mut ChaCha8Rng) -> String {
    lines(rng, |letters| letters.reverse())
}

/// Generates lines such as `dab>abd`: three to eight letters and the result of `change`.
fn lines(rng: &mut ChaCha8Rng, change: fn(&mut [char])) -> String {
    let mut line = |_| {
        let count = 3 + below(rng.next_u64(), 6);
        let mut letters: Vec<char> =
            (0..count).map(|_| (b'a' + below(rng.next_u64(), 10) as u8) as char).collect();
        let given: String = letters.iter().collect();
        change(&mut letters);
        format!("{given}>{}\n", letters.iter().collect::<String>())
    };
    (0..LINES).map(&mut line).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_sum_is_correct_and_unique() {
        let text = generate_dataset("sums").unwrap();
        let pairs: BTreeSet<(u32, u32)> = text
            .lines()
            .map(|line| {
                let (sum, total) = line.split_once('=').unwrap();
                let (a, b) = sum.split_once('+').unwrap();
                let (a, b): (u32, u32) = (a.parse().unwrap(), b.parse().unwrap());
                assert_eq!(total.parse(), Ok(a + b), "{line}");
                (a, b)
            })
            .collect();
        assert_eq!((pairs.len(), text.lines().count()), (10_000, 10_000));
    }

    /// Links and stored runs refer to a dataset by name, so its text must never change. `tests/web/examples.test.mjs`
    /// checks the same text in the browser.
    #[test]
    fn datasets_never_change() {
        for (name, beginning, bytes) in [
            ("Stories", "Ida and Clara wanted to make a kite. At the beach she bought ", 602_347),
            ("Sums", "50+73=123\n32+54=86\n", 92_895),
            ("Sorting", "egaifij>aefgiij\nbihfdhg>bdfghhi\n", 259_534),
            ("Reversing", "egaifij>jifiage\nbihfdhg>ghdfhib\n", 259_534),
        ] {
            let text = generate_dataset(name).unwrap();
            assert!(text.starts_with(beginning), "{name}: {}", &text[..60]);
            assert_eq!(text.len(), bytes, "{name}");
        }
    }

    /// Splits each line at `>`.
    fn halves(name: &str) -> Vec<(String, String)> {
        let text = generate_dataset(name).unwrap();
        text.lines()
            .map(|line| line.split_once('>').unwrap())
            .map(|(a, b)| (a.into(), b.into()))
            .collect()
    }

    #[test]
    fn lines_are_sorted_or_reversed() {
        let sorted = halves("Sorting");
        let reversed = halves("Reversing");
        assert_eq!((sorted.len(), reversed.len()), (LINES, LINES));
        for (given, made) in sorted {
            let mut letters: Vec<char> = given.chars().collect();
            letters.sort_unstable();
            assert_eq!(letters, made.chars().collect::<Vec<_>>(), "{given}");
        }
        for (given, made) in reversed {
            assert_eq!(given.chars().rev().collect::<String>(), made);
        }
    }

    #[test]
    fn an_unknown_name_is_rejected_with_a_list_of_names() {
        let error = generate_dataset("primes").unwrap_err().to_string();
        assert!(
            error.contains("primes") && error.contains("stories, sums, sorting, reversing"),
            "{error}"
        );
    }
}
