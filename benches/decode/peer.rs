//! PyTorch as a process that decodes when it is told to.

use crate::common::Outcome;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The process, which ends when its input does.
pub struct Peer {
    _process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts it, with `threads` for its products.
    pub fn start(threads: usize) -> Outcome<Self> {
        let python = std::env::var("PYTHON").unwrap_or("python3".into());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/decode/decode_torch.py");
        let mut process = Command::new(&python)
            .args([script, &threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{python}: {e}; set PYTHON to an interpreter that has it"))?;
        let input = process.stdin.take().ok_or("no standard input")?;
        let output = BufReader::new(process.stdout.take().ok_or("no standard output")?);
        let mut peer = Self { _process: process, input, output };
        let greeting = peer.line()?;
        if greeting.is_empty() {
            return Err(format!("{python} cannot import it; set PYTHON to one that can").into());
        }
        println!("{greeting}");
        Ok(peer)
    }

    /// Seconds to decode `count` tokens after the first `start`.
    pub fn decode(&mut self, start: usize, count: usize) -> Outcome<f64> {
        writeln!(self.input, "{start} {count}")?;
        Ok(self.line()?.parse()?)
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().into())
    }
}
