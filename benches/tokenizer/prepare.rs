//! Compares `blankslate data prepare` with one worker to encoding alone, and to a script with tiktoken.

use std::fs;
use std::path::Path;
use std::process::Command;

use blankslate::tokenizer::Tokenizer;

use super::common::Outcome;
use super::{report, timed};

/// Bytes of a document, about the size of an average web page.
const DOCUMENT: usize = 4000;
/// Bytes prepared per round.
const BYTES: usize = 40_000_000;

/// Compares the times of the same documents. `ranks` is GPT-2's vocabulary as a tiktoken file.
pub fn preparing(text: &str, ours: &Tokenizer, ranks: &[u8], rounds: usize) -> Outcome<()> {
    let folder = std::env::temp_dir().join(format!("blankslate-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let outcome = compare(text, ours, ranks, rounds, &folder);
    fs::remove_dir_all(&folder)?;
    outcome
}

fn compare(
    text: &str,
    ours: &Tokenizer,
    ranks: &[u8],
    rounds: usize,
    folder: &Path,
) -> Outcome<()> {
    let text = &text[..text.floor_char_boundary(BYTES)];
    let documents = documents(text);
    let lines: String = documents
        .iter()
        .map(|text| serde_json::json!({ "text": text }).to_string() + "\n")
        .collect();
    let [vocabulary, input, out] =
        ["gpt2.tiktoken", "documents.jsonl", "out"].map(|name| folder.join(name));
    fs::write(&vocabulary, ranks)?;
    fs::write(&input, lines)?;
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let mut times = [const { Vec::new() }; 3];
    for round in 0..rounds {
        times[0].push(timed(|| {
            for document in &documents {
                std::hint::black_box(ours.encode(document)).expect("bytes have tokens");
            }
        }));
        let mut prepare = Command::new(env!("CARGO_BIN_EXE_blankslate"));
        prepare.args(["data", "prepare", "--workers", "1", "--layout", "nanogpt", "--tokenizer"]);
        prepare.args([vocabulary.as_path(), Path::new("--out"), &out, &input]);
        let mut status = None;
        times[1].push(timed(|| status = prepare.status().ok()));
        if !status.is_some_and(|status| status.success()) {
            return Err("`blankslate data prepare` failed".into());
        }
        fs::remove_dir_all(&out)?;
        match script_seconds(&python, &vocabulary, &input, &folder.join("tiktoken.bin")) {
            Ok(seconds) => times[2].push(seconds),
            Err(error) if round == 0 => eprintln!("SKIPPED: tiktoken: {error}"),
            Err(_) => {}
        }
    }
    println!("\npreparing {} documents, GPT-2's vocabulary, {rounds} rounds:", documents.len());
    report("encode blankslate, one thread", &times[0], &times[1], text.len());
    report("data prepare --workers 1", &times[1], &times[1], text.len());
    report("tiktoken's script, one process", &times[2], &times[1], text.len());
    Ok(())
}

/// Splits a text at line breaks.
fn documents(text: &str) -> Vec<&str> {
    let mut documents = Vec::new();
    let mut rest = text;
    while rest.len() > DOCUMENT {
        let at = rest.floor_char_boundary(DOCUMENT);
        let end = rest[at..].find('\n').map_or(rest.len(), |found| at + found + 1);
        documents.push(&rest[..end]);
        rest = &rest[end..];
    }
    documents.push(rest);
    documents.retain(|document| !document.is_empty());
    documents
}

fn script_seconds(python: &str, ranks: &Path, input: &Path, out: &Path) -> Outcome<f64> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/tokenizer/prepare_tiktoken.py");
    let output = Command::new(python).arg(script).args([ranks, input, out]).output()?;
    let text = String::from_utf8(output.stdout)?;
    match text.split_whitespace().next().map(str::parse) {
        Some(Ok(seconds)) if output.status.success() => Ok(seconds),
        _ => Err(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("?").into()),
    }
}
