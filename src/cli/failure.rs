//! Failures of subcommands: messages and exit statuses.

use std::io;
use std::process::ExitCode;

use super::flags::flag_of;
use super::stderr::message;
use crate::error::Error;

/// Result of every subcommand.
pub type CliResult<T> = Result<T, Failure>;

/// The end of a subcommand other than success.
#[derive(Debug)]
pub enum Failure {
    /// Invalid arguments or settings: exit status 2.
    Usage(Error),
    /// Any other error: exit status 1.
    Failed(Error),
    /// Ctrl-C, SIGTERM, SIGHUP or SIGUSR1, after a checkpoint was saved: exit status 130.
    Interrupted,
    /// The reader of standard output closed it: not a failure.
    ClosedPipe,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Cancelled => Self::Interrupted,
            // Exceeding the memory is a mistake in the settings, whenever it is detected.
            error @ Error::TooLarge { .. } => Self::Usage(error),
            error => Self::Failed(error),
        }
    }
}

impl Failure {
    /// Converts the error of a write to standard output.
    pub fn stdout(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::Failed(Error::io("standard output", source)),
        }
    }

    /// Prints one line on standard error and returns the exit status.
    pub fn report(self) -> ExitCode {
        match self {
            Self::Usage(error) => {
                message(&one_line(&error));
                ExitCode::from(2)
            }
            Self::Failed(error) => {
                message(&one_line(&error));
                ExitCode::FAILURE
            }
            Self::Interrupted => ExitCode::from(130),
            Self::ClosedPipe => ExitCode::SUCCESS,
        }
    }
}

/// Converts an error of settings to [`Failure::Usage`]. Other errors, such as a file that cannot be read, are not usage
/// errors.
pub fn usage(error: Error) -> Failure {
    match error {
        Error::Config { .. } | Error::UnknownKey { .. } => Failure::Usage(error),
        error => error.into(),
    }
}

/// Returns the message on one line: names and messages from outside may contain line breaks.
fn one_line(error: &Error) -> String {
    error.message(flag_of).split(['\n', '\r']).map(str::trim).collect::<Vec<_>>().join(" ")
}
