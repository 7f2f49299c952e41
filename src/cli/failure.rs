//! How a subcommand ends when it does not succeed.

use std::io;
use std::process::ExitCode;

use super::flags::flag_of;
use crate::error::Error;

/// What every subcommand returns.
pub type CliResult<T> = Result<T, Failure>;

/// The end of a subcommand other than success.
#[derive(Debug)]
pub enum Failure {
    /// The command line or its settings file contradicts itself: exit status 2.
    Usage(Error),
    /// Anything else that went wrong: exit status 1.
    Failed(Error),
    /// Ctrl-C, after everything worth keeping was saved: exit status 130.
    Interrupted,
    /// Whoever read standard output has seen enough: no failure at all.
    ClosedPipe,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Cancelled => Self::Interrupted,
            error => Self::Failed(error),
        }
    }
}

impl Failure {
    /// A failed write to standard output.
    pub fn stdout(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::Failed(Error::io("standard output", source)),
        }
    }

    /// Says it in one line on standard error and gives the exit status.
    pub fn report(self) -> ExitCode {
        match self {
            Self::Usage(error) => {
                eprintln!("blankslate: {}", one_line(&error));
                ExitCode::from(2)
            }
            Self::Failed(error) => {
                eprintln!("blankslate: {}", one_line(&error));
                ExitCode::FAILURE
            }
            Self::Interrupted => ExitCode::from(130),
            Self::ClosedPipe => ExitCode::SUCCESS,
        }
    }
}

/// Errors that settings cause are mistakes in usage; a file that cannot be read is not.
pub fn usage(error: Error) -> Failure {
    match error {
        Error::Config { .. } | Error::UnknownKey { .. } => Failure::Usage(error),
        error => error.into(),
    }
}

/// Names and messages from outside may hold line breaks; the error line must not.
fn one_line(error: &Error) -> String {
    error.message(flag_of).split(['\n', '\r']).map(str::trim).collect::<Vec<_>>().join(" ")
}
