//! `blankslate data`: prepares token shards from documents, and inspects them.
//!
//! Preparation is a pipeline: [`read`] reads records from the inputs in order, [`work`] tokenizes them on all cores, and
//! [`prepare`] filters them in order and writes them ([`shards`], [`scatter`]). At intervals, all files are synced to disk and
//! [`journal`] records their lengths; after an interruption, the files are truncated to these lengths.

mod args;
mod checksum;
mod compressed;
mod csv;
mod dedup;
mod finish;
mod inputs;
mod inspect;
mod journal;
mod jsonl;
mod output_files;
mod prepare;
mod progress;
mod read;
mod records;
mod scatter;
mod shards;
mod text;
mod verify;
mod work;

use clap::Subcommand;

use super::failure::CliResult;

pub use verify::{
    check_contents, check_sizes, check_tokenizer, is_prepared, is_unfinished, read_manifest,
};

/// Subcommands of `blankslate data`.
#[derive(Subcommand)]
pub enum DataCommand {
    /// Turn documents into token shards; the same command continues after an interruption
    Prepare(Box<args::PrepareArgs>),
    /// Verify prepared data and show its documents, tokens, lengths and samples
    Inspect(inspect::InspectArgs),
}

/// Runs a subcommand of `blankslate data`.
pub async fn run(command: &DataCommand) -> CliResult<()> {
    match command {
        DataCommand::Prepare(args) => prepare::run(args).await,
        DataCommand::Inspect(args) => inspect::run(args),
    }
}
