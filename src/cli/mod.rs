//! The command line: arguments, files, memory maps, progress bars. One file per subcommand.
//!
//! Every subcommand parses its arguments (clap) and calls the same core as the page; `train` uses [`crate::run`].
//! Results go to standard output, everything else to standard error. A failure is one line on standard error, with exit
//! status 2 for invalid arguments or settings, 130 after Ctrl-C, SIGTERM, SIGHUP or SIGUSR1, and 1 for any other
//! error.

mod auto_resume;
mod chat;
mod check;
mod curve;
mod data;
mod dataset;
mod eval;
mod failure;
mod flags;
mod folder;
mod info;
mod interrupt;
mod lock;
mod log_to;
mod logits;
mod man;
mod metrics;
mod model;
mod output;
mod parallel;
mod plan;
mod plan_budget;
mod plan_figures;
mod plan_report;
mod prepare;
mod quantity;
mod record;
mod report;
mod resume;
mod run_card;
mod sample;
mod sampling;
mod scaling;
mod settings;
mod spike;
mod stderr;
mod system;
mod tensorboard;
mod tokenizer;
mod tokenizer_spec;
mod train;
mod train_args;
mod training_data;
mod writer;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::platform::{block_on, report_lost_files};
use failure::CliResult;

/// Train small language models, sample from them, evaluate and check them.
#[derive(Parser)]
#[command(name = "blankslate", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a model, fine-tune one, or resume training
    Train(Box<train_args::TrainArgs>),
    /// Generate text
    Sample(sample::SampleArgs),
    /// Chat with a model that was trained on conversations
    Chat(chat::ChatArgs),
    /// Print loss, perplexity and bits per byte on a text
    Eval(eval::EvalArgs),
    /// Print the logits after each of some token ids
    Logits(logits::LogitsArgs),
    /// Compare a device with PyTorch: logits, gradients and AdamW steps
    Check(check::CheckArgs),
    /// Train a tokenizer; encode and decode with one
    #[command(subcommand)]
    Tokenizer(tokenizer::TokenizerCommand),
    /// Prepare data of any size as token shards; inspect prepared data
    #[command(subcommand)]
    Data(dataset::DataCommand),
    /// Print parameters, FLOPs and memory of a model
    Info(info::InfoArgs),
    /// Predict memory and step time of training on many devices; plan a run for a budget
    Plan(Box<plan::PlanArgs>),
    /// Train grids of models, and fit scaling laws to their losses
    #[command(subcommand)]
    Scaling(scaling::ScalingCommand),
    /// List the available devices
    Devices(info::DevicesArgs),
    /// Print a page of the manual, in roff
    Man(man::ManArgs),
    /// Print a completion script for a shell
    Completions {
        /// Name of the shell
        shell: clap_complete::Shell,
    },
}

/// clap's error for a command without arguments, which prints the help.
const NOTHING_GIVEN: ErrorKind = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;

/// Stack size of the main thread on most systems, in bytes.
const STACK: usize = 8 << 20;

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// Runs the program with these arguments, the first of which is its name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && error.kind() != NOTHING_GIVEN => {
            stderr::message(&one_line(&error));
            return ExitCode::from(2);
        }
        Err(help) => {
            // Ignore a closed stdout.
            let _ = help.print();
            return ExitCode::from(help.exit_code() as u8);
        }
    };
    record_panics();
    report_lost_files();
    // Inside the pool, CPU kernels split their work without a handover from another thread. The program needs more stack
    // than a thread of the pool has by default.
    let pool = rayon::ThreadPoolBuilder::new().stack_size(STACK).build_global();
    let run = || catch_unwind(AssertUnwindSafe(|| block_on(dispatch(cli.command))));
    let outcome = match pool {
        Ok(()) => rayon::scope(|_| run()),
        Err(_) => run(),
    };
    match outcome {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => failure.report(),
        Err(_) => {
            stderr::message(&last_panic());
            ExitCode::FAILURE
        }
    }
}

/// Returns clap's message on one line, without the usage text.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let words = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .map(|line| line.trim().trim_start_matches("error: "))
        .filter(|line| !line.is_empty());
    format!("{}; see --help", words.collect::<Vec<_>>().join(" "))
}

async fn dispatch(command: Command) -> CliResult<()> {
    match command {
        Command::Train(args) => train::run(&args).await,
        Command::Sample(args) => sample::run(&args).await,
        Command::Chat(args) => chat::run(&args).await,
        Command::Eval(args) => eval::run(&args).await,
        Command::Logits(args) => logits::run(&args).await,
        Command::Check(args) => check::run(&args).await,
        Command::Tokenizer(command) => tokenizer::run(&command).await,
        Command::Data(command) => dataset::run(&command).await,
        Command::Info(args) => info::run(&args).await,
        Command::Plan(args) => plan::run(&args),
        Command::Scaling(command) => scaling::run(&command).await,
        Command::Devices(args) => info::devices(&args).await,
        Command::Man(args) => man::run(&args, Cli::command()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "blankslate", &mut script);
            output::write(&script)
        }
    }
}

/// Message of the last panic. Drivers and kernels panic where no error can be returned; the user sees one line and no
/// backtrace.
static PANIC: Mutex<String> = Mutex::new(String::new());

fn record_panics() {
    std::panic::set_hook(Box::new(|info| {
        let words = info.payload_as_str().unwrap_or("unknown cause");
        let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
        let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) =
            format!("{line} [{}]", place.unwrap_or_default());
    }));
}

fn last_panic() -> String {
    format!(
        "internal error: {}; if memory ran out, use a smaller --batch-size or --device cpu; otherwise \
         please report this line",
        PANIC.lock().unwrap_or_else(PoisonError::into_inner)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_setting_of_a_run_has_a_flag() {
        let mut program = Cli::command();
        program.build();
        let train = program.find_subcommand("train").unwrap();
        let flags: Vec<&str> = train.get_arguments().filter_map(|arg| arg.get_long()).collect();
        for flag in ["layers", "heads", "kv-heads", "optimizer", "lr", "lora-rank", "sample-every"]
        {
            assert!(flags.contains(&flag), "--{flag} is missing");
        }
        let help = |key: &str| {
            let arg = train.get_arguments().find(|arg| arg.get_id() == key).unwrap();
            arg.get_help().unwrap().to_string()
        };
        assert!(help("num_key_value_heads").ends_with("[default: --heads]"));
        assert!(help("beta1").ends_with("[default: 0.9]"));
        assert!(help("lr").ends_with("[default: from the preset]"));
    }
}
