//! Speed of training, of decoding and of every kernel, on any device.
//!
//! ```text
//! cargo bench --bench speed -- train                            nanoGPT's CPU configuration on the CPU, beside PyTorch
//! cargo bench --bench speed -- train --device cuda              GPT-2 124M in bf16 on an NVIDIA GPU, beside torch.compile
//! cargo bench --bench speed -- train --device vulkan --preset gpt2  the same model with the kernels of the page
//! cargo bench --bench speed -- decode                           GPT-2 124M on the CPU, beside PyTorch
//! cargo bench --bench speed -- kernels --device cuda            each kernel beside what the card allows
//! ```
//!
//! Without a command, `train` and `decode`. Contestants alternate, so that other load on the machine affects both. `PYTHON`
//! names an interpreter with PyTorch.

#[path = "../common/mod.rs"]
mod common;
mod decode;
mod device;
mod kernels;
mod output;
mod peaks;
mod peer;
mod table;
mod timing;
mod train;

use clap::{Args, Parser, Subcommand};
use output::Output;
use std::ffi::OsString;
use std::process::ExitCode;

// As in the program: a training step allocates and frees the same large buffers over and over.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Speed of training, of decoding and of every kernel.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// Print one JSON object per line instead of text
    #[arg(long, global = true)]
    json: bool,
    /// Added by `cargo bench`
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Time of a training step, beside PyTorch with the same architecture, batch and precision on the same device
    Train(train::Options),
    /// Tokens per second, one token at a time with a KV cache, beside PyTorch
    Decode(decode::Options),
    /// Time of each kernel, beside what memory and arithmetic of the device allow
    Kernels(kernels::Options),
    /// The program itself, so that one file has everything that `cargo xtask gpu-day` runs
    Blankslate {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    let Options { command, json, .. } = Options::parse();
    let output = Output { json };
    let outcome = match command {
        Some(Command::Blankslate { arguments }) => {
            return blankslate::cli::run(["blankslate".into()].into_iter().chain(arguments));
        }
        Some(Command::Train(options)) => train::run(&options, output),
        Some(Command::Decode(options)) => decode::run(&options, output),
        Some(Command::Kernels(options)) => kernels::run(&options, output),
        None => train::run(&defaults(), output).and_then(|()| decode::run(&defaults(), output)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("speed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the options of a command without arguments.
fn defaults<T: Args>() -> T {
    let command = T::augment_args(clap::Command::new("speed"));
    T::from_arg_matches(&command.get_matches_from(["speed"])).expect("every option has a default")
}
