//! The targets of the fuzzer on damaged seeds, and on every input on which they failed once.

use std::fs;

use blankslate_fuzz::TARGETS;

use super::damage::{rewrite, rewrite_header};
use super::survives;

/// Damaged versions of each seed.
const CASES: usize = 500;

#[test]
fn every_target_survives_damaged_seeds() {
    for target in &TARGETS {
        let rewrite = if target.name == "safetensors" { rewrite_header } else { rewrite };
        survives(target.name, &(target.seeds)(), CASES, rewrite, target.check);
    }
}

#[test]
fn what_failed_once_does_not_fail_again() {
    for target in &TARGETS {
        for path in target.findings().unwrap() {
            println!("{}", path.display());
            // Most are refused now, with an error.
            drop((target.check)(&fs::read(path).unwrap()));
        }
    }
}

#[test]
fn seeds_and_their_words_suit_a_dictionary() {
    for target in &TARGETS {
        assert!(!(target.seeds)().is_empty(), "{}", target.name);
        let words = target.words();
        assert!((20..2000).contains(&words.len()), "{}: {} words", target.name, words.len());
        assert!(words.iter().all(|word| (1..=64).contains(&word.len())), "{}", target.name);
    }
}
