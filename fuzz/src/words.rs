//! Dictionary of a target.

use std::collections::BTreeSet;

/// Shortest and longest string of the seeds that is worth inserting as a whole.
const LENGTHS: std::ops::RangeInclusive<usize> = 3..=40;

/// Numbers and texts that parsers find difficult.
const DIFFICULT: [&str; 20] = [
    "-1",
    "0",
    "1e308",
    "1e999",
    "-0.0",
    "0.1",
    "65536",
    "16777216",
    "1073741824",
    "4294967295",
    "9223372036854775808",
    "18446744073709551615",
    "null",
    "true",
    "false",
    "[]",
    "{}",
    "\"\"",
    "\\ud83d\\ude00",
    "\u{feff}",
];

/// Returns [`DIFFICULT`] and the strings of letters, digits and punctuation in the seeds.
pub fn of(seeds: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.|<>-#".contains(byte);
    let strings = seeds.iter().flat_map(|seed| seed.split(move |byte| !is_part(byte)));
    let found: BTreeSet<&[u8]> = strings.filter(|word| LENGTHS.contains(&word.len())).collect();
    let difficult = DIFFICULT.iter().map(|word| word.as_bytes().to_vec());
    difficult.chain(found.into_iter().map(<[u8]>::to_vec)).collect()
}
