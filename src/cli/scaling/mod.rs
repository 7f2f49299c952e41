//! `blankslate scaling run|fit`: grids of runs, and the scaling laws through their losses.

mod charts;
mod fit;
mod fit_report;
mod grid;
mod point_run;
mod progress;
mod run;
mod svg;

pub use fit::read_law;

use clap::Subcommand;

use super::failure::CliResult;

/// Subcommands of `blankslate scaling`.
#[derive(Subcommand)]
pub enum ScalingCommand {
    /// Train a grid of model sizes and tokens, each point in a directory of its own; a grid that was interrupted is continued
    Run(Box<run::RunArgs>),
    /// Fit scaling laws to the losses of runs: Chinchilla's, Kaplan's, IsoFLOP parabolas
    Fit(fit::FitArgs),
}

/// Runs a subcommand.
pub async fn run(command: &ScalingCommand) -> CliResult<()> {
    match command {
        ScalingCommand::Run(args) => run::run(args).await,
        ScalingCommand::Fit(args) => fit::run(args).await,
    }
}
