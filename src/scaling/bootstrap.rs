//! Intervals of a fit from resampled points.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Serialize;

use super::law::{Law, refit_law};
use super::point::Point;

/// Spread of a value over resampled points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// 2.5th percentile.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
    /// Standard deviation.
    pub error: f64,
}

/// Intervals of a law's coefficients, at 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Intervals {
    /// Of `E`.
    #[serde(rename = "E")]
    pub floor: Interval,
    /// Of `A`.
    #[serde(rename = "A")]
    pub a: Interval,
    /// Of `B`.
    #[serde(rename = "B")]
    pub b: Interval,
    /// Of `α`.
    pub alpha: Interval,
    /// Of `β`.
    pub beta: Interval,
    /// Of the exponent with which compute-optimal parameters grow with compute.
    pub params_exponent: Interval,
    /// Number of samples whose fit is a law.
    pub samples: usize,
    /// Number of samples whose fit is none, because a coefficient became negative or infinite.
    pub failed: usize,
}

/// Fits `law` again to `samples` sets of points, each drawn from `points` with replacement (Efron 1979), and returns the spread of
/// the coefficients; none if fewer than half of the samples determine a law. Each search starts from `law`, as that of Besiroglu et
/// al. 2024 starts from known coefficients.
pub fn bootstrap(points: &[Point], law: &Law, samples: usize, seed: u64) -> Option<Intervals> {
    let mut laws = Vec::with_capacity(samples);
    for sample in 0..samples {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(sample as u64);
        let mut weights = vec![0.0; points.len()];
        for _ in points {
            // The high half of a product is uniform below the length.
            let index = (u128::from(rng.next_u64()) * points.len() as u128) >> 64;
            weights[index as usize] += 1.0;
        }
        laws.extend(refit_law(points, &weights, law));
    }
    if laws.len() < 2 || 2 * laws.len() < samples {
        return None;
    }
    let of = |value: fn(&Law) -> f64| interval(laws.iter().map(value).collect());
    Some(Intervals {
        floor: of(|law| law.floor),
        a: of(|law| law.a),
        b: of(|law| law.b),
        alpha: of(|law| law.alpha),
        beta: of(|law| law.beta),
        params_exponent: of(|law| law.exponents()[0]),
        samples: laws.len(),
        failed: samples - laws.len(),
    })
}

fn interval(mut values: Vec<f64>) -> Interval {
    values.sort_by(f64::total_cmp);
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let percentile = |share: f64| {
        let place = share * (count - 1.0);
        let (below, part) = (place.floor(), place.fract());
        let [low, high] = [below, (below + 1.0).min(count - 1.0)].map(|at| values[at as usize]);
        low + part * (high - low)
    };
    Interval {
        low: percentile(0.025),
        high: percentile(0.975),
        error: (squares / (count - 1.0)).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_interpolated() {
        let values: Vec<f64> = (0..=1000).rev().map(f64::from).collect();
        let found = interval(values);
        assert_eq!((found.low, found.high), (25.0, 975.0));
        assert!((found.error - 289.1).abs() < 0.1, "{found:?}");
    }
}
