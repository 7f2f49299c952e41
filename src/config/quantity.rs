//! Numbers in readable form, for messages.

/// Formats a number with three significant digits and a prefix: `1.24 G`.
pub fn short(number: f64) -> String {
    let (value, unit) = match number {
        n if n >= 1e18 => (n / 1e18, " E"),
        n if n >= 1e15 => (n / 1e15, " P"),
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
        assert_eq!(short(124_439_808.0), "124 M");
        assert_eq!(bytes(1_240_000_000), "1.24 GB");
        assert_eq!(bytes(12), "12 B");
        assert_eq!(bytes(u64::MAX), "18.4 EB");
    }
}
