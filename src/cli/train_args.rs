//! The options of `blankslate train`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::data::DataArgs;
use super::flags::{BaseArgs, SettingsArgs};
use super::log_to::{Target, target};
use super::parallel::ParallelArgs;
use super::tokenizer_spec::pattern_parser;
use crate::tokenizer::Pattern;

/// Options of `blankslate train`.
#[derive(Args)]
#[command(allow_negative_numbers = true, args_override_self = true)]
pub struct TrainArgs {
    #[command(flatten)]
    pub base: BaseArgs,
    #[command(flatten)]
    pub data: DataArgs,
    /// Texts or shards to validate on, instead of a share of --data
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub val_data: Vec<PathBuf>,
    /// tokenizer.json, char, byte, bpe:N or wordpiece:N (trained on the data) [default: the preset's]
    #[arg(long, value_name = "SPEC")]
    pub tokenizer: Option<String>,
    /// Pattern with which bpe:N or a tiktoken file splits text before merging [default: gpt2]
    #[arg(long, value_parser = pattern_parser())]
    pub pattern: Option<Pattern>,
    /// Fine-tune: start with the weights and the tokenizer of this model
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["resume", "preset", "tokenizer", "pattern"])]
    pub from: Option<String>,
    /// Directory of the run: checkpoints, metrics.jsonl, and the newest model in the layout of transformers
    #[arg(long, value_name = "DIR", value_parser = NonEmptyStringValueParser::new())]
    pub out: String,
    /// Resume from the newest checkpoint in --out, with its settings except for flags given here
    #[arg(long, conflicts_with_all = ["preset", "config", "tokenizer", "pattern"])]
    pub resume: bool,
    /// Resume if --out contains a run, and start one otherwise. --preset, --tokenizer, --pattern and --from only apply to a start
    /// and are ignored when it resumes. If the newest checkpoint is damaged, an older one is used, with a note
    #[arg(long, conflicts_with = "resume")]
    pub auto_resume: bool,
    /// Stop after step N, as if interrupted there, and save; --resume continues. The schedule stays that of --steps
    #[arg(long, value_name = "N")]
    pub stop_at: Option<u64>,
    /// Profile N steps after the first ten, or fewer if an evaluation, a save or a sample is due earlier, and print the time
    /// of each kernel
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "10", value_parser = clap::value_parser!(u64).range(1..))]
    pub profile: Option<u64>,
    /// auto, cpu, wgpu, vulkan or cuda[:N]
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Write the metrics as TensorBoard event files to DIR (or DIR:tensorboard), in addition to metrics.jsonl
    #[arg(long, value_name = "DIR[:KIND]", value_parser = target)]
    pub log_to: Vec<Target>,
    /// Print one JSON object per line instead of text
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub ranks: ParallelArgs,
    #[command(flatten)]
    pub settings: SettingsArgs,
}
