//! `cargo xtask <command>`: everything a developer of blankslate runs, set-up included.
//!
//! Start reading at [`web`] or [`test`]; [`setup`] holds what is installed when it is missing.

mod args;
mod bench;
mod compress;
mod dawn;
mod matmul;
mod memory;
mod process;
mod repo;
mod serve;
mod setup;
mod test;
mod visit;
mod wasm;
mod web;
mod writing;

use anyhow::Result;
use args::{Args, Usage};
use repo::Repo;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command> [options]

  web     set up what is missing, build the page into dist/ and serve it
            --port N     serve there (default 8080, or a free port if that one is taken)
            --open       open the page in the default browser
            --no-serve   stop after the build
            --names      keep the function names in the wasm (larger; for profiles and stack traces)
  test    set up what is missing and run every check
            --only WHAT  only fmt, clippy, native, doc, web or cuda; may be repeated
  bench   run the benchmarks; all of them if none is chosen
            --browser    training steps in Chromium beside the peers of ../shared/peers
              --config tiny|small|char  --rounds N  --steps N  --warmup N  --timeout SECONDS
              --peers LIST              comma list of jaxjs, tfjs, nanogpt, torch
              --adapter NAME            swiftshader (default), or default for this machine's own GPU
            --dawn       the same in Node with Dawn, Chromium's WebGPU, on this machine's GPU; takes the same
                         options, and --adapter swiftshader for the software one
            --matmul     matrix products in Chromium beside the same peers; takes --rounds and --adapter too
            --decode-tab tokens per second at 124M in Chromium beside transformers.js; takes --rounds and --adapter
                         (PYTHON names an interpreter that has PyTorch and optimum-onnx)
            --first-visit  seconds from opening the page to its first step and sample; takes --rounds and --adapter too
            --lighthouse Lighthouse's scores on a desktop and a phone; takes --rounds too
            --memory     resident memory over 2,000 steps of `tiny`, on the CPU and on Vulkan
            --train      training steps natively beside PyTorch (PYTHON names an interpreter that has it)
            --decode     tokens per second beside the same
            --tokenizer  the tokenizer's
            -- ARGS      handed on to the native benchmarks
  types   write www/types.ts from the Rust structs
";

fn main() -> ExitCode {
    match dispatch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Usage>() => {
            eprintln!("xtask: {error}\n\n{USAGE}");
            ExitCode::from(2)
        }
        Err(error) if error.is::<test::Reported>() => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the command that the first argument names.
fn dispatch() -> Result<()> {
    let mut args = Args::from_env();
    match args.command().as_deref() {
        Some("web") => web::command(&Repo::locate()?, args),
        Some("test") => test::command(&Repo::locate()?, args),
        Some("bench") => bench::command(&Repo::locate()?, args),
        Some("types") => types(&Repo::locate()?, args),
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            Ok(())
        }
        Some(other) => Err(Usage(format!("unknown command `{other}`")).into()),
        None => Err(Usage("no command given".into()).into()),
    }
}

/// `cargo xtask types`: a unit test compares `www/types.ts` with the structs; told to, it rewrites the file.
fn types(repo: &Repo, args: Args) -> Result<()> {
    args.finish()?;
    process::step("write www/types.ts", || {
        let mut cargo = repo.cargo();
        cargo.args(["test", "--release", "--lib", "typescript"]).env("UPDATE_TYPES", "1");
        process::run(&mut cargo, "read the compiler's or the test's message above")
    })
}
