//! Tokenizers: `tokenizer.json`, tiktoken's files, and `vocab.json` with `merges.txt`.

use std::ops::ControlFlow;

use blankslate::error::Result;
use blankslate::tokenizer::{
    AllowedSpecial, Kind, Pattern, Tokenizer, TrainOptions, run_sequentially,
};
use serde_json::{Value, json};

use super::{Target, choice, memory_limit};

pub const FILE: Target =
    Target { name: "tokenizer", seeds: file_seeds, check: check_file, memory_limit };
pub const TIKTOKEN: Target =
    Target { name: "tiktoken", seeds: tiktoken_seeds, check: check_tiktoken, memory_limit };
/// The files in this order, separated by zero bytes; `added_tokens.json` comes last and may be absent.
pub const VOCAB_AND_MERGES: Target =
    Target { name: "vocab-merges", seeds: pair_seeds, check: check_pair, memory_limit };

const TEXT: &str =
    "the cats' mats — don't say  naïve 日本 12345 <|end|> \u{e9}\u{301}\r\n\n aab aaaaab ab";

fn file_seeds() -> Vec<Vec<u8>> {
    let trained = [Kind::Char, Kind::WordPiece, Kind::Byte, Kind::Bpe].map(|kind| {
        let special_tokens = vec!["<|end|>".to_string()];
        let options = TrainOptions { kind, vocab_size: 300, special_tokens, ..Default::default() };
        Tokenizer::train(&options, [TEXT], run_sequentially, |_| ControlFlow::Continue(()))
            .expect("there is enough room")
            .to_json()
    });
    let byte_level = json!({ "type": "ByteLevel", "add_prefix_space": false, "use_regex": true });
    let split = |first: Value, use_regex: bool| {
        let mut bytes = byte_level.clone();
        bytes["use_regex"] = use_regex.into();
        json!({ "type": "Sequence", "pretokenizers": [first, bytes] })
    };
    let regex = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
    let pattern = json!({ "Regex": regex });
    let isolated = json!({ "type": "Split", "pattern": pattern, "behavior": "Isolated" });
    let digits = json!({ "type": "Digits", "individual_digits": true });
    let post = json!({
        "type": "TemplateProcessing",
        "single": [{ "SpecialToken": { "id": "<|end|>" } }, { "Sequence": { "id": "A" } }],
        "special_tokens": { "<|end|>": { "id": "<|end|>", "ids": [7] } },
    });
    let bpe = |pre_tokenizer: Value, normalizer: Value, unknown: Value| {
        let file = json!({
            "added_tokens": [
                { "id": 7, "content": "<|end|>", "special": true },
                { "id": 8, "content": "at", "lstrip": true, "rstrip": true, "single_word": true },
                { "id": 10, "content": "É", "normalized": true },
            ],
            "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": post,
            "decoder": byte_level,
            "model": {
                "type": "BPE",
                "vocab": { "a": 0, "b": 1, "Ġ": 2, "aa": 3, "ab": 4, "aab": 5, "Ġa": 6 },
                "merges": [["a", "a"], ["a", "b"], ["aa", "b"], ["Ġ", "a"]],
                "unk_token": unknown,
                "fuse_unk": true,
            },
        });
        file.to_string().into_bytes()
    };
    let mut files = trained.to_vec();
    files.push(bpe(byte_level.clone(), Value::Null, Value::Null));
    files.push(bpe(split(digits, true), json!({ "type": "NFC" }), "a".into()));
    files.push(bpe(split(isolated, false), Value::Null, "<|end|>".into()));
    files
}

fn check_file(input: &[u8]) -> Result<()> {
    let tokenizer = Tokenizer::from_json(input)?;
    let written = check_written(&tokenizer, input);
    let text = snippet(input);
    if is_lossless(&tokenizer, &written) {
        check_round_trip(&tokenizer, TEXT);
        check_round_trip(&tokenizer, &text);
    }
    Ok(())
}

fn tiktoken_seeds() -> Vec<Vec<u8>> {
    // a, b, space, aa, ab, aab, the, cat; the last line has a gap before it.
    let few = "YQ== 0\nYg== 1\nIA== 2\nYWE= 3\nYWI= 4\nYWFi 5\ndGhl 6\nIGNhdA== 9\n";
    (0..4u8).map(|pattern| [&[pattern][..], few.as_bytes()].concat()).collect()
}

fn check_tiktoken(input: &[u8]) -> Result<()> {
    let (choice, file) = choice(input);
    let patterns = [Pattern::Gpt2, Pattern::Cl100k, Pattern::Llama3, Pattern::SmolLm];
    let pattern = patterns[usize::from(choice & 3)];
    let end = [("<|end|>".to_string(), 300)];
    let tokenizer = Tokenizer::from_tiktoken(file, pattern, &end)?;
    check_written(&tokenizer, input);
    check_round_trip(&tokenizer, TEXT);
    check_round_trip(&tokenizer, &snippet(file));
    Ok(())
}

fn pair_seeds() -> Vec<Vec<u8>> {
    let vocab = r#"{"a": 0, "b": 1, "ab": 2, "Ġ": 3, "Ġa": 4, "<|endoftext|>": 5}"#;
    let merges = "#version: 0.2\na b\nĠ a\n";
    vec![
        format!("{vocab}\0{merges}").into_bytes(),
        format!("{vocab}\0{merges}\0{{\"<pad>\": 6}}").into_bytes(),
    ]
}

fn check_pair(input: &[u8]) -> Result<()> {
    let mut files = input.splitn(3, |byte| *byte == 0);
    let mut next = || files.next();
    let (vocab, merges) = (next().unwrap_or_default(), next().unwrap_or_default());
    let tokenizer = Tokenizer::from_vocab_and_merges(vocab, merges, next())?;
    let written = check_written(&tokenizer, input);
    if is_lossless(&tokenizer, &written) {
        check_round_trip(&tokenizer, TEXT);
        check_round_trip(&tokenizer, &snippet(input));
    }
    Ok(())
}

/// Returns some of the input as text, so that the fuzzer finds texts for a vocabulary.
fn snippet(input: &[u8]) -> String {
    String::from_utf8_lossy(&input[..input.len().min(200)]).into_owned()
}

/// Checks that a tokenizer that was written and read again encodes and decodes the same. Returns what was written.
pub fn check_written(tokenizer: &Tokenizer, input: &[u8]) -> String {
    let written = tokenizer.to_json();
    let again = Tokenizer::from_json(&written).expect("a written tokenizer can be read");
    assert_eq!(again.vocab_size(), tokenizer.vocab_size());
    assert_eq!(again.opening(), tokenizer.opening());
    for text in [TEXT, &snippet(input)] {
        for allowed in [AllowedSpecial::None, AllowedSpecial::All] {
            let ids = tokenizer.encode_with_special(text, &allowed);
            let ids_again = again.encode_with_special(text, &allowed);
            let (ids, ids_again) = match (ids, ids_again) {
                (Err(_), Err(_)) => continue,
                (ids, ids_again) => (ids.expect("both encode"), ids_again.expect("both encode")),
            };
            assert_eq!(ids, ids_again);
            check_decoding(tokenizer, &ids);
        }
    }
    String::from_utf8(written).expect("JSON is UTF-8")
}

/// Checks that tokens decode one by one to what they decode to together.
fn check_decoding(tokenizer: &Tokenizer, ids: &[u32]) {
    let text = tokenizer.decode(ids).expect("tokens of a text can be decoded");
    let mut stream = tokenizer.stream_decoder();
    let mut streamed = String::new();
    for id in ids {
        streamed += &stream.push(*id).expect("tokens of a text can be decoded");
    }
    streamed += &stream.finish();
    assert_eq!(streamed, text);
}

/// Returns true if a text that can be encoded decodes to itself, by what a tokenizer of this kind has in its file.
fn is_lossless(tokenizer: &Tokenizer, written: &str) -> bool {
    // No string in the file contains these, since its quotation marks are escaped.
    let has = |part: &str| written.contains(part);
    let is_plain = !has(r#""special": false"#) && !has(r#""add_prefix_space": true"#);
    is_plain
        && match tokenizer.kind() {
            Kind::Byte => true,
            Kind::Char => has(r#""unk_token": """#),
            Kind::Bpe => has(r#""normalizer": null"#) && has(r#""unk_token": null"#),
            Kind::WordPiece | Kind::SentencePiece => false,
        }
}

/// Checks that a text decodes to itself, if it can be encoded.
fn check_round_trip(tokenizer: &Tokenizer, text: &str) {
    if let Ok(ids) = tokenizer.encode(text) {
        assert_eq!(tokenizer.decode(&ids).expect("tokens of a text can be decoded"), text);
    }
}
