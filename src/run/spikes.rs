//! Detects loss spikes: steps whose loss or gradient norm is far above those of the steps before.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Standard deviations of a normal distribution per median absolute deviation.
const NORMAL: f64 = 1.4826;
/// Minimum scale of a loss, as a fraction of its median, or of 1 if that is larger: smaller differences are never a spike.
const LOSS_FLOOR: f64 = 0.01;
/// Minimum scale of the logarithm of a gradient norm.
const NORM_FLOOR: f64 = 0.25;

/// Loss and gradient norm of a step. The norm is none if gradients overflowed f16.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Mean loss.
    pub loss: f32,
    /// Global gradient norm before clipping.
    pub grad_norm: Option<f32>,
}

/// Scores of a step's figures, in robust standard deviations above the median of the steps before. A figure that is not finite
/// has an infinite score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Score of the loss.
    pub loss: f64,
    /// Score of the logarithm of the gradient norm; 0 if there is no norm.
    pub grad_norm: f64,
}

/// The figures of the last steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recent(VecDeque<Figures>);

impl Recent {
    /// Returns the scores of a step; none before half of `window` steps.
    pub fn scores(&self, figures: Figures, window: usize) -> Option<Scores> {
        if self.0.len() < window.div_ceil(2) {
            return None;
        }
        let losses = self.0.iter().map(|before| f64::from(before.loss));
        let norms = self.0.iter().filter_map(|before| before.grad_norm).filter(|norm| *norm > 0.0);
        let norms: Vec<f64> = norms.map(|norm| f64::from(norm).ln()).collect();
        let grad_norm = match figures.grad_norm {
            Some(norm) if !norm.is_finite() => f64::INFINITY,
            Some(norm) if norm > 0.0 && norms.len() >= window.div_ceil(2) => {
                score(f64::from(norm).ln(), norms, |_| NORM_FLOOR)
            }
            _ => 0.0,
        };
        let loss = score(f64::from(figures.loss), losses.collect(), |median| {
            LOSS_FLOOR * median.abs().max(1.0)
        });
        Some(Scores { loss, grad_norm })
    }

    /// Adds the figures of a step, spike or not: a lasting change of the loss is no longer a spike after half of `window` steps.
    /// Figures that are not finite are left out.
    pub fn push(&mut self, figures: Figures, window: usize) {
        let is_finite = figures.loss.is_finite() && figures.grad_norm.is_none_or(f32::is_finite);
        if is_finite {
            self.0.push_back(figures);
        }
        while self.0.len() > window {
            self.0.pop_front();
        }
    }

    /// Forgets all figures.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Returns by how many robust standard deviations `value` is above the median of `before`. `floor` returns the minimum deviation
/// for a median.
fn score(value: f64, mut before: Vec<f64>, floor: impl Fn(f64) -> f64) -> f64 {
    if !value.is_finite() {
        return f64::INFINITY;
    }
    let middle = median(&mut before);
    let mut deviations: Vec<f64> = before.iter().map(|value| (value - middle).abs()).collect();
    let scale = (NORMAL * median(&mut deviations)).max(floor(middle)).max(f64::MIN_POSITIVE);
    (value - middle) / scale
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(loss: f32, norm: f32) -> Figures {
        Figures { loss, grad_norm: Some(norm) }
    }

    fn usual() -> Recent {
        let mut recent = Recent::default();
        for i in 0..20 {
            recent.push(figures(2.0 + 0.01 * (i % 5) as f32, 1.0 + 0.1 * (i % 3) as f32), 16);
        }
        recent
    }

    #[test]
    fn scores_are_those_of_the_definition() {
        let recent = usual();
        assert_eq!(recent.0.len(), 16);
        // Steps 4 to 19: losses 2.04, 2.00, 2.01, …; the median is 2.02, and 1.4826 · MAD (0.01) is below 1 % of it.
        let scores = recent.scores(figures(3.02, 1.1), 16).unwrap();
        assert!((scores.loss - 1.0 / 0.0202).abs() < 0.01, "{scores:?}");
        assert!(scores.grad_norm.abs() < 1.0, "{scores:?}");
        let scores = recent.scores(figures(2.02, 11.0), 16).unwrap();
        assert!(scores.loss.abs() < 0.5 && scores.grad_norm > 8.0, "{scores:?}");
    }

    #[test]
    fn nothing_is_a_spike_before_half_a_window_and_everything_infinite_after_it() {
        let mut recent = Recent::default();
        for _ in 0..7 {
            recent.push(figures(2.0, 1.0), 16);
        }
        assert_eq!(recent.scores(figures(99.0, 1.0), 16), None);
        recent.push(figures(2.0, 1.0), 16);
        assert!(recent.scores(figures(99.0, 1.0), 16).unwrap().loss > 1000.0);
        assert_eq!(recent.scores(figures(f32::NAN, 1.0), 16).unwrap().loss, f64::INFINITY);
        let overflow = Figures { loss: 2.0, grad_norm: None };
        assert_eq!(recent.scores(overflow, 16).unwrap().grad_norm, 0.0);
        recent.push(figures(f32::NAN, 1.0), 16);
        assert_eq!(recent.0.len(), 8);
    }

    #[test]
    fn a_lasting_change_becomes_usual() {
        let mut recent = usual();
        let mut spikes = 0;
        for _ in 0..40 {
            let found = figures(4.0, 1.0);
            spikes += usize::from(recent.scores(found, 16).unwrap().loss >= 8.0);
            recent.push(found, 16);
        }
        assert!((7..=9).contains(&spikes), "{spikes}");
    }
}
