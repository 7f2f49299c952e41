//! SentencePiece's BPE, from the vocabulary of a GGUF file and from `tokenizer.json`.
//!
//! An input is a small vocabulary in a form of our own, since 256 tokens for bytes and a score for every token leave the
//! fuzzer little to find: the first byte chooses the file and where spaces are added, the lines up to an empty one are
//! pieces from the highest score on, and the rest is a text.

use std::collections::HashSet;
use std::sync::OnceLock;

use blankslate::error::Result;
use blankslate::tokenizer::{GgmlRule, GgmlVocabulary, Tokenizer};
use serde_json::{Value, json};

use super::tokenizer::check_written;
use super::{Target, choice, memory_limit};

pub const TARGET: Target = Target { name: "sentencepiece", seeds, check, memory_limit };

/// Start of the tokens that stand for bytes, which a text and other tokens must not contain to be decoded to itself.
const BYTE: &str = "<0x";
/// Mark of a piece that is found in every text.
const USER_DEFINED: char = '+';
const NAMES: [&str; 3] = ["<unk>", "<s>", "</s>"];
/// Number of files; see [`read`].
const FILES: u8 = 5;

fn seeds() -> Vec<Vec<u8>> {
    let pieces = "▁\na\nb\nc\nt\n▁c\nat\n▁cat\nab\n+<tag>\n";
    let texts = ["a cat", " the  cat sat<tag>\nnaïve 日本", "abc<s>"];
    let all = (0..2 * FILES).flat_map(|choice| texts.map(|text| (choice, text)));
    all.map(|(choice, text)| format!("{}{pieces}\n{text}", choice as char).into_bytes()).collect()
}

fn check(input: &[u8]) -> Result<()> {
    let (choice, rest) = choice(input);
    let rest = String::from_utf8_lossy(rest);
    let (pieces, text) = rest.split_once("\n\n").unwrap_or((&*rest, &*rest));
    let pieces: Vec<Piece> = pieces.lines().map(Piece::new).collect();
    let tokenizer = read(choice % FILES, &pieces)?;
    // Only some, since it takes longer than all else.
    if choice / FILES % 2 == 1 {
        check_written(&tokenizer, text.as_bytes());
    }

    // Every character has a token or bytes, so that only spaces can change: some files open each stretch of text with one.
    let ids = tokenizer.encode(text).expect("SentencePiece encodes everything");
    let decoded = tokenizer.decode(&ids).expect("tokens of a text can be decoded");
    if !rest.contains(BYTE) {
        assert_eq!(without_spaces(&decoded), without_spaces(text));
    }
    Ok(())
}

/// A token that is neither a name nor a byte.
struct Piece<'a> {
    text: &'a str,
    is_user_defined: bool,
}

impl<'a> Piece<'a> {
    fn new(line: &'a str) -> Self {
        let marked = line.strip_prefix(USER_DEFINED);
        Self { text: marked.unwrap_or(line), is_user_defined: marked.is_some() }
    }
}

/// Reads the vocabulary from one of the files that have one.
fn read(file: u8, pieces: &[Piece]) -> Result<Tokenizer> {
    match file {
        0 => read_gguf(pieces, true),
        1 => read_gguf(pieces, false),
        2 => read_json(pieces, "first"),
        3 => read_json(pieces, "always"),
        _ => read_json(pieces, "never"),
    }
}

/// Returns the tokens that every vocabulary begins with.
fn first_tokens() -> &'static [String] {
    static TOKENS: OnceLock<Vec<String>> = OnceLock::new();
    TOKENS.get_or_init(|| {
        let bytes = (0..=255u8).map(|byte| format!("{BYTE}{byte:02X}>"));
        NAMES.iter().map(|name| name.to_string()).chain(bytes).collect()
    })
}

fn read_gguf(pieces: &[Piece], opens_with_space: bool) -> Result<Tokenizer> {
    let mut tokens: Vec<&str> = first_tokens().iter().map(String::as_str).collect();
    let mut token_types = vec![GgmlVocabulary::NORMAL; tokens.len()];
    token_types[..NAMES.len()].copy_from_slice(&[2, 3, 3]);
    for piece in pieces {
        tokens.push(piece.text);
        token_types.push(if piece.is_user_defined { 4 } else { GgmlVocabulary::NORMAL });
    }
    let scores = (0..tokens.len()).map(|id| -(id as f64)).collect();
    let rule = GgmlRule::SentencePiece { scores, opens_with_space };
    Tokenizer::from_ggml("x.gguf", &GgmlVocabulary { tokens, token_types, rule, bos: Some(1) })
}

/// Reads a `tokenizer.json` with the pre-tokenizer `Metaspace`, as newer files have it.
fn read_json(pieces: &[Piece], prepend_scheme: &str) -> Result<Tokenizer> {
    static FIRST: OnceLock<String> = OnceLock::new();
    let entry = |(id, token): (usize, &str)| format!("{}:{id}", Value::from(token));
    let first = FIRST.get_or_init(|| {
        let tokens = first_tokens().iter().map(String::as_str).enumerate();
        tokens.map(entry).collect::<Vec<_>>().join(",")
    });
    let known: HashSet<&str> = pieces.iter().map(|piece| piece.text).collect();
    let (mut vocab, mut added, mut merges) = (first.clone(), Vec::new(), Vec::new());
    for (id, Piece { text, is_user_defined }) in (first_tokens().len()..).zip(pieces) {
        // As text, since a map would not keep a token that occurs twice.
        vocab += ",";
        vocab += &entry((id, text));
        if *is_user_defined {
            added.push(json!({ "id": id, "content": text }));
        }
        let splits = text.char_indices().map(|(at, _)| text.split_at(at));
        let is_merge = |(left, right): &(&str, &str)| known.contains(left) && known.contains(right);
        merges.extend(splits.filter(is_merge).map(|(left, right)| json!([left, right])));
    }
    added.extend(
        (1..NAMES.len()).map(|id| json!({ "id": id, "content": NAMES[id], "special": true })),
    );
    let replace = json!({ "type": "Replace", "pattern": { "String": "▁" }, "content": " " });
    let decoders = json!([replace, { "type": "ByteFallback" }, { "type": "Fuse" }]);
    let decoder = json!({ "type": "Sequence", "decoders": decoders });
    let metaspace = json!({
        "type": "Metaspace", "replacement": "▁", "prepend_scheme": prepend_scheme, "split": false,
    });
    let (added, merges) = (Value::from(added), Value::from(merges));
    let file = format!(
        r#"{{"added_tokens":{added},"pre_tokenizer":{metaspace},"decoder":{decoder},"model":{{"type":"BPE",
        "vocab":{{{vocab}}},"merges":{merges},"byte_fallback":true,"fuse_unk":true,"unk_token":"<unk>"}}}}"#
    );
    Tokenizer::from_json(file.as_bytes())
}

fn without_spaces(text: &str) -> String {
    text.replace(['▁', ' '], "")
}
