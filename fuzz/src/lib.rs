//! Fuzz targets: everything in blankslate that parses a file, a link or a line of another person, with what must hold for
//! whatever it accepts.
//!
//! The same functions run in three places: under libFuzzer (`cargo xtask fuzz`), on damaged seeds in the ordinary tests
//! (`tests/checkpoint/hostile/`), and there on every input that once failed (`findings/`).

mod archive;
mod config;
mod data;
mod directory;
mod gguf;
mod safetensors;
mod sentencepiece;
mod settings;
mod shard;
mod state;
mod tokenizer;
mod words;

use std::path::{Path, PathBuf};

use blankslate::error::Result;

/// A parser with its inputs and properties.
pub struct Target {
    /// Name on the command line.
    pub name: &'static str,
    /// Returns inputs that are accepted.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Parses an input as a user's file would be, and panics if a property of the result does not hold.
    pub check: fn(&[u8]) -> Result<()>,
    /// Returns the maximum memory in bytes for an input of this length.
    pub memory_limit: fn(usize) -> isize,
}

/// All targets.
pub static TARGETS: [Target; 14] = [
    config::TARGET,
    tokenizer::FILE,
    tokenizer::TIKTOKEN,
    tokenizer::VOCAB_AND_MERGES,
    sentencepiece::TARGET,
    safetensors::TARGET,
    state::TARGET,
    gguf::TARGET,
    archive::TARGET,
    directory::TARGET,
    data::TARGET,
    shard::TARGET,
    settings::LINK,
    settings::SETTINGS,
];

impl Target {
    /// Returns strings for the fuzzer to insert: those in the seeds, and numbers and texts that parsers find difficult.
    pub fn words(&self) -> Vec<Vec<u8>> {
        words::of(&(self.seeds)())
    }

    /// Returns the inputs on which this target failed once.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read.
    pub fn findings(&self) -> std::io::Result<Vec<PathBuf>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("findings").join(self.name);
        if !folder.exists() {
            return Ok(Vec::new());
        }
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    }
}

/// Returns the maximum memory in bytes that parsing an input of this length may take. A JSON value takes about a hundred
/// times its text, and the ids of a vocabulary may have gaps.
pub fn memory_limit(input: usize) -> isize {
    (1 << 26) + 512 * input as isize
}

/// Returns the limit for an archive, whose files may be larger when they are unpacked, and are packed again.
pub fn archive_memory_limit(input: usize) -> isize {
    (1 << 29) + memory_limit(input)
}

/// Reads a file of the repository.
fn repository_file(path: &str) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Splits an input at its first byte, with which the fuzzer chooses among the ways to parse the rest.
fn choice(input: &[u8]) -> (u8, &[u8]) {
    input.split_first().map_or((0, input), |(first, rest)| (*first, rest))
}
