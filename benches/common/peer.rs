//! A PyTorch script as a child process that answers requests line by line.

use crate::common::Outcome;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The process, which ends when its standard input is closed.
pub struct Peer {
    _process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts `script`, a path below `benches/`, with one argument, and prints its first line.
    ///
    /// # Errors
    /// The interpreter can't be started, or lacks a package.
    pub fn start(script: &str, argument: &str) -> Outcome<Self> {
        let python = std::env::var("PYTHON").unwrap_or("python3".into());
        let script = format!("{}/benches/{script}", env!("CARGO_MANIFEST_DIR"));
        let mut process = Command::new(&python)
            .args([&script, argument])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| {
                format!("cannot start {python}: {e}; set PYTHON to an interpreter with PyTorch")
            })?;
        let input = process.stdin.take().ok_or("no standard input")?;
        let output = BufReader::new(process.stdout.take().ok_or("no standard output")?);
        let mut peer = Self { _process: process, input, output };
        let first = peer.line()?;
        if first.is_empty() {
            return Err(format!(
                "{python} cannot run it, see its message above; set PYTHON to an interpreter with PyTorch"
            )
            .into());
        }
        println!("{first}");
        Ok(peer)
    }

    /// Sends a line and returns the numbers of the answer.
    pub fn ask(&mut self, line: &str) -> Outcome<Vec<f64>> {
        writeln!(self.input, "{line}")?;
        let answer = self.line()?;
        if answer.is_empty() {
            return Err("PyTorch ended early, see its message above".into());
        }
        Ok(answer.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().into())
    }
}
