//! Documents and prepared data for the tests of `blankslate data`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Outcome, Place, run, run_with};

/// Creates a place with a BPE tokenizer in `tokenizer.json`, whose vocabulary has an end-of-text token.
pub fn place_with_tokenizer() -> Place {
    let place = Place::new();
    let train = "tokenizer train --vocab-size 300 --special-token <|endoftext|> --out";
    run(&format!("{train} {} {}", place.at("tokenizer.json"), place.at("text.txt"))).ok();
    place
}

/// Document `number`: words derived from it, of various lengths.
pub fn document(number: u64) -> String {
    const WORDS: [&str; 8] = ["she", "sells", "sea", "shells", "by", "the", "shore", "and"];
    let mut state = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    let mut text = format!("Number {number}:");
    for _ in 0..8 + number % 50 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text += &format!(" {}", WORDS[(state >> 61) as usize]);
        if (state >> 58) & 7 == 0 {
            text += &format!(" {}", (state >> 44) & 0xfff);
        }
    }
    text
}

/// Documents as JSON Lines.
pub fn json_lines(numbers: impl Iterator<Item = u64>) -> String {
    numbers
        .map(|number| json!({"id": number, "text": document(number)}).to_string() + "\n")
        .collect()
}

/// Arguments of `data prepare` with the tokenizer of the place, into `out`.
pub fn prepare(place: &Place, out: &str, more: &str) -> String {
    format!(
        "data prepare --tokenizer {} --out {} {more}",
        place.at("tokenizer.json"),
        place.at(out)
    )
}

/// The manifest of prepared data.
pub fn manifest(place: &Place, out: &str) -> Value {
    serde_json::from_slice(&place.read(&format!("{out}/manifest.json"))).unwrap()
}

/// All files of a folder, hidden ones too, by name.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, fs::read(entry.path()).unwrap_or_default())
    };
    entries.map(read).collect()
}

/// Asserts that two folders of prepared data have the same files.
#[track_caller]
pub fn require_same(place: &Place, one: &str, other: &str) {
    let [a, b] = [one, other].map(|name| files(&place.path(name)));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, bytes) in &a {
        assert!(*bytes == b[name], "{name} differs between {one} and {other}");
    }
}

/// A token shard as llm.c's `data_common.py` describes it: 256 words of header, of which the first three are the magic number, the
/// version and the number of tokens, and then tokens of 16 bits.
pub fn read_llmc(bytes: &[u8]) -> Vec<u16> {
    let word =
        |index: usize| i32::from_le_bytes(bytes[4 * index..4 * index + 4].try_into().unwrap());
    assert_eq!((word(0), word(1)), (20_240_520, 1));
    assert!((3..256).all(|index| word(index) == 0));
    let tokens = read_nanogpt(&bytes[4 * 256..]);
    assert_eq!(tokens.len(), word(2) as usize);
    tokens
}

/// nanoGPT's `np.memmap(…, dtype=np.uint16)`.
pub fn read_nanogpt(bytes: &[u8]) -> Vec<u16> {
    assert!(bytes.len().is_multiple_of(2));
    bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// The texts of tokens that an end-of-text token follows or precedes, decoded by `blankslate tokenizer decode`.
pub fn texts(place: &Place, tokens: &[u16]) -> Vec<String> {
    let words: Vec<String> = tokens.iter().map(u16::to_string).collect();
    let decode = format!("tokenizer decode --tokenizer {}", place.at("tokenizer.json"));
    let text = run_with(&decode, words.join(" ").as_bytes()).ok();
    let documents = text.split("<|endoftext|>").filter(|text| !text.is_empty());
    documents.map(String::from).collect()
}

/// The id of the end-of-text token of the place's tokenizer.
pub fn end_of_text(place: &Place) -> u16 {
    let file: Value = serde_json::from_slice(&place.read("tokenizer.json")).unwrap();
    let added = file["added_tokens"].as_array().unwrap();
    let end = added.iter().find(|token| token["content"] == "<|endoftext|>").unwrap();
    end["id"].as_u64().unwrap() as u16
}

/// Prepares documents `numbers` in `NAME.jsonl` into the folder `name`.
pub fn prepared(place: &Place, name: &str, numbers: std::ops::Range<u64>, more: &str) -> Outcome {
    place.write(&format!("{name}.jsonl"), json_lines(numbers));
    let input = place.at(&format!("{name}.jsonl"));
    run(&prepare(place, name, &format!("{more} {input}")))
}
