//! Standard output, and numbers in readable form.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::failure::{CliResult, Failure};
use super::stderr::LINE;
pub use crate::config::{bytes, short};
use crate::error::{printable, printable_json};

/// Writes generated or decoded text and flushes it. On a terminal, its control characters are escaped, but for tabs and line
/// breaks; a file or a program gets the text as it is.
pub fn text(text: &[u8]) -> CliResult<()> {
    if !io::stdout().is_terminal() {
        return write(text);
    }
    write(printable(&String::from_utf8_lossy(text), usize::MAX).as_bytes())
}

/// Writes bytes and flushes them.
pub fn write(bytes: &[u8]) -> CliResult<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(Failure::stdout)
}

/// Writes a line for people. Names from files are in it, so its control characters are escaped.
pub fn line(text: &str) -> CliResult<()> {
    write(format!("{}\n", printable(text, LINE)).as_bytes())
}

/// Writes a JSON object on one line.
pub fn json(value: &impl Serialize) -> CliResult<()> {
    let json = serde_json::to_string(value).expect("plain data serializes");
    write(format!("{}\n", printable_json(&json)).as_bytes())
}

/// Formats a number and the prefix of its unit, with a space before the unit that follows.
pub fn spaced(number: f64) -> String {
    let text = short(number);
    if text.contains(' ') { text } else { format!("{text} ") }
}

/// Formats a number with separators: `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(
            ["0", "999", "1,000", "12,345,678"],
            [0, 999, 1000, 12_345_678].map(grouped)[..]
        );
    }
}
