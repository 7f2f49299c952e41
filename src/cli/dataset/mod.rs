//! `blankslate data`: documents to token shards, and what is in them.
//!
//! Preparation is a pipeline: [`read`] reads records from the inputs one after the other, [`work`] turns them into tokens on all
//! cores, and [`prepare`] decides in their order what is kept and writes it ([`shards`], [`scatter`]). Every now and then all files
//! are made durable, and [`journal`] records how far they go; after an interruption the files are cut there.

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
    /// Check prepared data and show what is in it: documents, tokens, lengths, samples
    Inspect(inspect::InspectArgs),
}

/// Runs a subcommand of `blankslate data`.
pub async fn run(command: &DataCommand) -> CliResult<()> {
    match command {
        DataCommand::Prepare(args) => prepare::run(args).await,
        DataCommand::Inspect(args) => inspect::run(args),
    }
}
