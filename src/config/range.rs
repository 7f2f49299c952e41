//! Ranges of the numbers that a setting may have.

/// An interval of numbers. A bound may be excluded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Lower bound.
    pub min: Option<f64>,
    /// Upper bound.
    pub max: Option<f64>,
    /// Whether the lower bound itself is allowed.
    pub includes_min: bool,
    /// Whether the upper bound itself is allowed.
    pub includes_max: bool,
}

/// Range of the number of elements in a dimension.
pub const SIZE: Range = Range::at_least(1.0).at_most((1u64 << 30) as f64);

impl Range {
    /// Every finite number.
    pub const ANY: Self = Self { min: None, max: None, includes_min: true, includes_max: true };

    /// Returns the range of numbers from `min` on.
    pub const fn at_least(min: f64) -> Self {
        Self { min: Some(min), ..Self::ANY }
    }

    /// Returns the range of numbers greater than `min`.
    pub const fn above(min: f64) -> Self {
        Self { min: Some(min), includes_min: false, ..Self::ANY }
    }

    /// Limits the range to numbers up to `max`.
    pub const fn at_most(self, max: f64) -> Self {
        Self { max: Some(max), includes_max: true, ..self }
    }

    /// Limits the range to numbers less than `max`.
    pub const fn below(self, max: f64) -> Self {
        Self { max: Some(max), includes_max: false, ..self }
    }

    /// Returns the part of the range that `number` violates; the whole range if it is not finite.
    pub(super) fn bound_against(self, number: f64) -> Self {
        let below = Self { max: None, includes_max: true, ..self };
        let above = Self { min: None, includes_min: true, ..self };
        match number.is_finite() {
            true if !below.contains(number) => below,
            true if !above.contains(number) => above,
            _ => self,
        }
    }

    /// Returns true if `number` is in the range. NaN never is, nor is a number beyond f32, in which devices compute.
    pub fn contains(&self, number: f64) -> bool {
        let above = self.min.is_none_or(|min| number > min || self.includes_min && number == min);
        let below = self.max.is_none_or(|max| number < max || self.includes_max && number == max);
        (number as f32).is_finite() && above && below
    }
}

/// Formats a bound; large powers of two as such.
fn bound(number: f64) -> String {
    let exponent = number.log2();
    if exponent >= 16.0 && exponent.fract() == 0.0 {
        format!("2^{exponent}")
    } else {
        number.to_string()
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lower = self.min.map(|min| {
            if self.includes_min {
                format!("at least {}", bound(min))
            } else {
                format!("above {}", bound(min))
            }
        });
        let upper = self.max.map(|max| {
            if self.includes_max {
                format!("at most {}", bound(max))
            } else {
                format!("below {}", bound(max))
            }
        });
        match (lower, upper) {
            (Some(lower), Some(upper)) => write!(f, "{lower} and {upper}"),
            (Some(bound), None) | (None, Some(bound)) => f.write_str(&bound),
            (None, None) => f.write_str("finite"),
        }
    }
}
