//! Power laws of Kaplan et al. 2020.

use serde::Serialize;

use super::lbfgs::minimize;
use super::point::Point;
use super::robust::huber;
use crate::error::{Error, Result};

/// `L(x) = (x₀/x)^α` for parameters, `L(N)`, or compute, `L(C)` (Kaplan et al. 2020, equations 1.1 and 1.3).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PowerLaw {
    /// `x₀`: `N_c` or `C_c`.
    pub scale: f64,
    /// `α`.
    pub exponent: f64,
    /// Number of points that it was fitted to.
    pub points: usize,
    /// Root mean square of the differences between predicted and measured loss, in nats.
    pub rmse: f64,
}

impl PowerLaw {
    /// Returns the predicted loss.
    pub fn loss(&self, x: f64) -> f64 {
        (self.scale / x).powf(self.exponent)
    }
}

/// Returns the point with the lowest loss of each size, which represents a model with sufficient data. Sizes ascend.
pub fn lowest_of_each_size(points: &[Point]) -> Vec<Point> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.params.total_cmp(&b.params).then(a.loss.total_cmp(&b.loss)));
    sorted.dedup_by(|later, first| later.params == first.params);
    sorted
}

/// Returns the compute frontier: the points whose loss no other one with the same or less compute reaches. Their compute ascends.
pub fn frontier(points: &[Point]) -> Vec<Point> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.flops.total_cmp(&b.flops).then(a.loss.total_cmp(&b.loss)));
    let mut lowest = f64::INFINITY;
    sorted.retain(|point| {
        let is_lower = point.loss < lowest;
        lowest = lowest.min(point.loss);
        is_lower
    });
    sorted
}

/// Fits a power law to the loss as a function of `x`, by the Huber loss in the logarithm of the loss.
///
/// # Errors
/// There are fewer than three points; the loss does not fall with `x`.
pub fn fit_power_law(points: &[Point], x: impl Fn(&Point) -> f64) -> Result<PowerLaw> {
    if points.len() < 3 {
        let problem = format!("{} points do not determine a power law", points.len());
        return Err(Error::config("points", problem, "give at least 3"));
    }
    let count = points.len() as f64;
    let center = points.iter().map(|point| x(point).ln()).sum::<f64>() / count;
    let rows: Vec<[f64; 2]> =
        points.iter().map(|point| [x(point).ln() - center, point.loss.ln()]).collect();
    let objective = |&[level, exponent]: &[f64; 2]| {
        let mut value = 0.0;
        let mut gradient = [0.0; 2];
        for [x, log_loss] in &rows {
            let (loss, slope) = huber(level - exponent * x - log_loss);
            value += loss;
            gradient[0] += slope;
            gradient[1] -= slope * x;
        }
        (value, gradient)
    };
    let mean = rows.iter().map(|row| row[1]).sum::<f64>() / count;
    let [level, exponent] = minimize([mean, 0.1], objective).at;
    // x₀ is where the loss is 1.
    let law = PowerLaw {
        scale: (center + level / exponent).exp(),
        exponent,
        points: points.len(),
        rmse: 0.0,
    };
    if !(exponent > 0.0 && law.scale.is_finite() && law.scale > 0.0) {
        let problem = "the loss does not fall as a power of the size";
        return Err(Error::config("points", problem, "add points over a wider range"));
    }
    let squares: f64 = points.iter().map(|point| (law.loss(x(point)) - point.loss).powi(2)).sum();
    Ok(PowerLaw { rmse: (squares / count).sqrt(), ..law })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The coefficients of Kaplan et al. 2020, equations 1.1 and 1.3.
    #[test]
    fn known_coefficients_are_recovered() {
        for (scale, exponent) in [(8.8e13, 0.076), (3.1e8, 0.050)] {
            let known = PowerLaw { scale, exponent, points: 0, rmse: 0.0 };
            let sizes = (0..8).map(|i| scale * 1e-9 * 4f64.powi(i));
            let mut points: Vec<Point> =
                sizes.map(|size| Point::new(size, 1e9, known.loss(size))).collect();
            points[2].loss *= 1.3;
            let found = fit_power_law(&points, |point| point.params).unwrap();
            assert!((found.exponent / exponent - 1.0).abs() < 0.02, "{found:?}");
            assert!((found.scale.ln() / scale.ln() - 1.0).abs() < 0.02, "{found:?}");
        }
    }

    #[test]
    fn the_frontier_has_no_point_that_another_beats() {
        let point = |flops, loss| Point { params: 1.0, tokens: 1.0, flops, loss };
        let points = [point(2.0, 3.0), point(1.0, 4.0), point(3.0, 3.5), point(4.0, 2.0)];
        let flops: Vec<f64> = frontier(&points).iter().map(|point| point.flops).collect();
        assert_eq!(flops, [1.0, 2.0, 4.0]);
        assert_eq!(lowest_of_each_size(&points), [points[3]]);
    }

    #[test]
    fn rising_losses_are_refused() {
        let points: Vec<Point> =
            (1..6).map(|i| Point::new(f64::from(i), 1.0, f64::from(i))).collect();
        let words = fit_power_law(&points, |point| point.params).unwrap_err().to_string();
        assert!(words.contains("does not fall"), "{words}");
        assert!(fit_power_law(&points[..2], |point| point.params).is_err());
    }
}
