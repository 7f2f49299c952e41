//! Standard output, and numbers in readable form.

use std::io::{self, Write};

use serde::Serialize;

use super::failure::{CliResult, Failure};

/// Writes bytes and flushes them.
pub fn write(bytes: &[u8]) -> CliResult<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(Failure::stdout)
}

/// Writes a line.
pub fn line(text: &str) -> CliResult<()> {
    write(format!("{text}\n").as_bytes())
}

/// Writes a JSON object on one line.
pub fn json(value: &impl Serialize) -> CliResult<()> {
    line(&serde_json::to_string(value).expect("plain data serializes"))
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

/// Formats a number with three significant digits and a prefix: `1.24 G`.
pub fn short(number: f64) -> String {
    let (value, unit) = match number {
        n if n >= 1e12 => (n / 1e12, " T"),
        n if n >= 1e9 => (n / 1e9, " G"),
        n if n >= 1e6 => (n / 1e6, " M"),
        n if n >= 1e3 => (n / 1e3, " k"),
        n => (n, ""),
    };
    let decimals = match value {
        v if v >= 100.0 || unit.is_empty() => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}{unit}")
}

/// Formats a number of bytes: `1.24 GB`.
pub fn bytes(number: u64) -> String {
    let text = short(number as f64);
    if text.contains(' ') { format!("{text}B") } else { format!("{text} B") }
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
        assert_eq!(short(124_439_808.0), "124 M");
        assert_eq!(bytes(1_240_000_000), "1.24 GB");
        assert_eq!(bytes(12), "12 B");
    }
}
