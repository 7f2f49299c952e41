//! Command-line numbers with a suffix: `300k`, `1.5B`, `1e20`.

/// Suffixes and their factors. `B` is billion, as in the names of models.
const SUFFIXES: [(&str, f64); 8] = [
    ("k", 1e3),
    ("K", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("B", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// Parses a positive number.
pub fn quantity(text: &str) -> Result<f64, String> {
    let suffix = SUFFIXES.iter().find_map(|(suffix, factor)| {
        text.strip_suffix(suffix).map(|number| (number.trim_end(), *factor))
    });
    let (number, factor) = suffix.unwrap_or((text, 1.0));
    let value = number.parse::<f64>().ok().map(|number| number * factor);
    value.filter(|value| *value > 0.0 && value.is_finite()).ok_or_else(|| {
        "use a positive number such as 1500000, 1.5M or 1e20; k, M, B (or G), T, P and E are factors of 1000".into()
    })
}

#[cfg(test)]
mod tests {
    use super::quantity;

    #[test]
    fn suffixes_are_factors_of_a_thousand() {
        for (text, value) in [
            ("1500", 1500.0),
            ("300k", 3e5),
            ("1.5M", 1.5e6),
            ("7B", 7e9),
            ("2 T", 2e12),
            ("1e20", 1e20),
            ("1e3k", 1e6),
        ] {
            assert_eq!(quantity(text), Ok(value), "{text}");
        }
        for wrong in ["", "k", "-1", "0", "nan", "inf", "1q", "1e400"] {
            assert!(quantity(wrong).is_err(), "{wrong}");
        }
    }
}
