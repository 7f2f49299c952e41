//! Synthetic datasets that a small model learns within minutes and whose results are easy to check.
//!
//! They are the same on every target, so a run can be reproduced from the dataset's name.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::windows::{below, shuffle};
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

const STORIES: usize = 3000;

/// Names with their pronouns.
const PEOPLE: [(&str, [&str; 3]); 12] = {
    const SHE: [&str; 3] = ["she", "She", "her"];
    const HE: [&str; 3] = ["he", "He", "his"];
    [
        ("Anna", SHE),
        ("Ben", HE),
        ("Clara", SHE),
        ("David", HE),
        ("Emma", SHE),
        ("Felix", HE),
        ("Greta", SHE),
        ("Henry", HE),
        ("Ida", SHE),
        ("Jack", HE),
        ("Lily", SHE),
        ("Max", HE),
    ]
};

/// Replacements of placeholders; each placeholder has one replacement per story.
const WORDS: [(&str, &[&str]); 8] = [
    ("{colour}", &["red", "blue", "green", "yellow", "white", "brown"]),
    ("{thing}", &["ball", "kite", "boat", "drum", "hat", "bell", "lamp", "box"]),
    ("{place}", &["park", "garden", "river", "forest", "market", "hill", "lake", "beach"]),
    ("{size}", &["small", "big", "young", "thin", "funny", "quiet"]),
    ("{animal}", &["dog", "cat", "bird", "fox", "horse", "frog", "duck", "mouse"]),
    ("{food}", &["bread", "soup", "cake", "milk", "an apple", "some cheese"]),
    (
        "{day}",
        &["One day", "One morning", "Last week", "On a sunny day", "In the winter", "After school"],
    ),
    ("{feeling}", &["happy", "glad", "proud", "merry"]),
];

/// Plots: a list of sentences, each with several variants.
const KINDS: [&[&[&str]]; 4] = [
    &[
        &[
            "{a} had a {colour} {thing}.",
            "{a} loved {his} {colour} {thing}.",
            "{a} got a {colour} {thing} from {b}.",
        ],
        &[
            "{day} {he} took the {thing} to the {place} and lost it there.",
            "{day} {he} played at the {place}, and the {thing} was gone.",
        ],
        &[
            "{He} looked behind every tree.",
            "{He} looked under the stones.",
            "{He} looked for it until the evening.",
            "{He} asked a {size} {animal}, but it did not know.",
        ],
        &[
            "Then {b} came. \"I found a {thing},\" said {b}. \"Is it yours?\"",
            "\"What do you look for?\" asked {b}. \"My {colour} {thing},\" said {a}.",
        ],
        &[
            "{a} was so {feeling} that {he} gave {b} {food}.",
            "They found the {thing} together, and {a} was {feeling} again.",
            "\"Thank you, {b}!\" said {a}, and took the {colour} {thing} home.",
        ],
    ],
    &[
        &[
            "{day} {a} met a {size} {animal} at the {place}.",
            "{day} a {size} {animal} sat at the {place}, and {a} saw it.",
        ],
        &[
            "\"Are you hungry?\" asked {a}.",
            "The {animal} was cold and hungry.",
            "The {animal} looked at {a} and said nothing.",
        ],
        &[
            "So {he} gave the {animal} {food}.",
            "{a} shared {food} with the {animal}.",
            "{He} ran home and came back with {food}.",
        ],
        &[
            "The {animal} ate it all.",
            "The {animal} was not afraid any more.",
            "Then the {animal} slept in the sun.",
        ],
        &[
            "Now {a} and the {animal} are friends.",
            "From that day the {size} {animal} went with {a} everywhere.",
            "In the evening {a} told {b} about the {size} {animal}.",
        ],
    ],
    &[
        &[
            "{a} and {b} wanted to make a {thing}.",
            "{day} {a} made a {thing}, and {b} helped.",
            "{a} wanted to give {b} a {thing}.",
        ],
        &[
            "First {he} went to the {place} for wood.",
            "First {he} found what {he} needed at the {place}.",
            "At the {place} {he} bought {colour} paper.",
        ],
        &["The first {thing} was too small.", "The first {thing} broke.", "It took {a} all day."],
        &["But {a} did not stop.", "\"Try again,\" said {b}.", "So {he} began again."],
        &[
            "At last there was a {colour} {thing}, and {b} was {feeling}.",
            "Now the {colour} {thing} of {a} is the best at the {place}.",
            "\"What a {colour} {thing}!\" said {b}.",
        ],
    ],
    &[
        &[
            "{a} was afraid of the {place}.",
            "{a} did not like to go to the {place}.",
            "Nobody went to the {place} at night but {a}.",
        ],
        &[
            "{day} {b} asked {a} to come along.",
            "\"There is a {size} {animal} at the {place},\" said {b}.",
            "{day} {his} {thing} fell into the water there.",
        ],
        &[
            "{a} took {his} {colour} {thing} and went.",
            "{He} ate {food} and thought about it.",
            "\"I will go,\" said {a}.",
        ],
        &[
            "At the {place} a {size} {animal} sang a song.",
            "There was only a {size} {animal}.",
            "It was dark, but {he} heard the {animal}.",
        ],
        &[
            "{a} laughed and was {feeling}.",
            "After that {a} was never afraid of the {place} again.",
            "\"Come again,\" said the {animal}, and {a} did.",
        ],
    ],
];

fn stories(rng: &mut ChaCha8Rng) -> String {
    let mut text = String::new();
    for _ in 0..STORIES {
        let mut pick = |count| below(rng.next_u64(), count);
        let first = pick(PEOPLE.len());
        let friend = (first + 1 + pick(PEOPLE.len() - 1)) % PEOPLE.len();
        let ((a, [he, begun, his]), (b, _)) = (PEOPLE[first], PEOPLE[friend]);
        let kind = KINDS[pick(KINDS.len())];
        let sentences: Vec<&str> = kind.iter().map(|ways| ways[pick(ways.len())]).collect();
        let mut story = sentences.join(" ");
        for (place, word) in [("{a}", a), ("{b}", b), ("{he}", he), ("{He}", begun), ("{his}", his)]
        {
            story = story.replace(place, word);
        }
        for (place, words) in WORDS {
            story = story.replace(place, words[pick(words.len())]);
        }
        text += &story;
        text += "\n\n";
    }
    text
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
        let (sorted, reversed) = (halves("Sorting"), halves("Reversing"));
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
    fn a_story_uses_the_pronouns_of_its_characters() {
        let text = generate_dataset("Stories").unwrap();
        let all: Vec<&str> = text.split_terminator("\n\n").collect();
        assert_eq!(all.len(), STORIES);
        assert!(!text.contains(['{', '}']));
        for story in all {
            let word =
                |word: &str| story.split(|c: char| !c.is_alphabetic()).any(|one| one == word);
            let people: Vec<_> = PEOPLE.iter().filter(|(name, _)| word(name)).collect();
            assert!((1..=2).contains(&people.len()), "{story}");
            let (_, own) = people.iter().min_by_key(|(name, _)| story.find(name)).unwrap();
            for other in
                PEOPLE.iter().flat_map(|(_, words)| words).filter(|word| !own.contains(word))
            {
                assert!(!word(other), "{story}");
            }
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
