//! `blankslate man`: the manual, made from the definitions of the arguments.

use clap::{Args, Command};

use super::failure::{CliResult, Failure, usage};
use super::output;
use crate::error::Error;

/// Options of `blankslate man`.
#[derive(Args)]
pub struct ManArgs {
    /// Subcommand whose page is printed [default: the program's own page]
    command: Option<String>,
}

/// Prints a page of the manual in roff: `blankslate man train | man -l -`.
pub fn run(args: &ManArgs, mut program: Command) -> CliResult<()> {
    program.build();
    let page = match &args.command {
        None => program,
        Some(name) => program.find_subcommand(name).cloned().ok_or_else(|| {
            let remedy = "see `blankslate --help` for the list";
            usage(Error::config("command", format!("there is no command `{name}`"), remedy))
        })?,
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text).map_err(Failure::stdout)?;
    output::write(&text)
}
