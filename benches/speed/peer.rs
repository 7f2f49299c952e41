//! A PyTorch script as a child process that answers requests line by line.

use crate::common::Outcome;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tempfile::NamedTempFile;

/// The process, which ends when its standard input is closed.
pub struct Peer {
    /// Name that it reports.
    pub name: String,
    python: String,
    _process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _script: NamedTempFile,
    errors: NamedTempFile,
}

impl Peer {
    /// Starts `script`, the text of a program in Python.
    ///
    /// # Errors
    /// The interpreter cannot be started, or lacks a package.
    pub fn start(script: &str, arguments: &[&str]) -> Outcome<Self> {
        let python = std::env::var("PYTHON").unwrap_or("python3".into());
        // A file, because torch.compile looks for the source of what it compiles.
        let mut file = tempfile::Builder::new().suffix(".py").tempfile()?;
        file.write_all(script.as_bytes())?;
        let errors = NamedTempFile::new()?;
        let mut process = Command::new(&python)
            .arg(file.path())
            .args(arguments)
            // Ours has nothing but libdevice.
            .env_remove("CUDA_PATH")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors.reopen()?)
            .spawn()
            .map_err(|e| {
                format!("cannot start {python}: {e}; set PYTHON to an interpreter with PyTorch")
            })?;
        let input = process.stdin.take().ok_or("no standard input")?;
        let output = BufReader::new(process.stdout.take().ok_or("no standard output")?);
        let name = String::new();
        let mut peer =
            Self { name, python, _process: process, input, output, _script: file, errors };
        peer.name = peer.line()?;
        Ok(peer)
    }

    /// Sends a line and returns the numbers of the answer.
    pub fn ask(&mut self, line: &str) -> Outcome<Vec<f64>> {
        writeln!(self.input, "{line}")?;
        let answer = self.line()?;
        Ok(answer.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
    }

    /// Reads a line; an error with the last line of what it complained about if it has ended.
    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if !line.trim().is_empty() {
            return Ok(line.trim().into());
        }
        let complaints = std::fs::read_to_string(self.errors.path())?;
        eprint!("{complaints}");
        let last = complaints.lines().rev().find(|line| !line.trim().is_empty());
        let python = &self.python;
        Err(format!(
            "{python} ended: {}; set PYTHON to an interpreter with PyTorch",
            last.unwrap_or("without a message").trim()
        )
        .into())
    }
}
