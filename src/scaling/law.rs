//! Chinchilla's scaling law, its fit, and the compute-optimal split of a budget.

use serde::{Deserialize, Serialize};

use super::lbfgs::minimize;
use super::point::{FLOPS_PER_PARAMETER, Point};
use super::robust::huber;
use crate::error::{Error, Result};

/// `L(N, D) = E + A/N^α + B/D^β` in nats per token (Hoffmann et al. 2022, equation 2).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Law {
    /// Irreducible loss, `E`.
    #[serde(rename = "E")]
    pub floor: f64,
    /// `A`.
    #[serde(rename = "A")]
    pub a: f64,
    /// `B`.
    #[serde(rename = "B")]
    pub b: f64,
    /// Exponent of the parameters, `α`.
    pub alpha: f64,
    /// Exponent of the tokens, `β`.
    pub beta: f64,
}

/// The best split of a budget between parameters and tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Optimum {
    /// Floating-point operations, `C = 6 N D`.
    pub flops: f64,
    /// Number of parameters, `N`.
    pub params: f64,
    /// Number of tokens, `D`.
    pub tokens: f64,
    /// Predicted loss.
    pub loss: f64,
}

impl Law {
    /// The coefficients of Besiroglu et al. 2024, who refitted the runs of Chinchilla.
    pub const BESIROGLU: Self =
        Self { floor: 1.8172, a: 482.01, b: 2085.43, alpha: 0.3478, beta: 0.3658 };

    /// Returns the predicted loss.
    pub fn loss(&self, params: f64, tokens: f64) -> f64 {
        self.floor + self.a * params.powf(-self.alpha) + self.b * tokens.powf(-self.beta)
    }

    /// Returns the exponents with which compute-optimal parameters and tokens grow with compute: `β/(α+β)` and `α/(α+β)`
    /// (Hoffmann et al. 2022, equation 4).
    pub fn exponents(&self) -> [f64; 2] {
        let sum = self.alpha + self.beta;
        [self.beta / sum, self.alpha / sum]
    }

    /// Returns the parameters and tokens with the lowest loss for `flops` operations (Hoffmann et al. 2022, equation 4).
    pub fn optimum(&self, flops: f64) -> Optimum {
        let Self { a, b, alpha, beta, .. } = *self;
        let balance = (alpha * a / (beta * b)).powf(1.0 / (alpha + beta));
        let product = flops / FLOPS_PER_PARAMETER;
        let params = balance * product.powf(self.exponents()[0]);
        let tokens = product / params;
        Optimum { flops, params, tokens, loss: self.loss(params, tokens) }
    }

    /// Returns the numbers in the order `E, A, B, α, β`.
    pub(super) fn numbers(&self) -> [f64; 5] {
        [self.floor, self.a, self.b, self.alpha, self.beta]
    }
}

/// A law fitted to points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LawFit {
    /// The law.
    pub law: Law,
    /// Mean of the Huber losses of the points, with δ = 10⁻³, in the logarithm of the loss.
    pub huber: f64,
    /// Root mean square of the differences between predicted and measured loss, in nats.
    pub rmse: f64,
}

/// Starting points of the fit (Hoffmann et al. 2022, appendix D.3): `ln A`, `ln B`, `ln E`, `α` and `β`.
const LOG_FACTORS: [f64; 6] = [0.0, 5.0, 10.0, 15.0, 20.0, 25.0];
const LOG_FLOORS: [f64; 5] = [-1.0, -0.5, 0.0, 0.5, 1.0];
const EXPONENTS: [f64; 5] = [0.0, 0.5, 1.0, 1.5, 2.0];
/// Number of these that the search continues from: those with the lowest loss.
const SEARCHED: usize = 150;
/// Number of unknown coefficients.
const UNKNOWN: usize = 5;

/// Fits the law to points: the sum of the Huber losses of `ln L̂ - ln L` is minimized by L-BFGS from many starting points.
///
/// # Errors
/// There are too few points, of too few sizes or numbers of tokens; they do not fall with both.
pub fn fit_law(points: &[Point]) -> Result<LawFit> {
    let different = |of: fn(&Point) -> f64| {
        let mut values: Vec<f64> = points.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        values.len()
    };
    let [sizes, lengths] = [different(|point| point.params), different(|point| point.tokens)];
    if points.len() <= UNKNOWN || sizes < 3 || lengths < 3 {
        let problem = format!(
            "{} points of {sizes} sizes and {lengths} numbers of tokens do not determine the {UNKNOWN} coefficients of a law",
            points.len()
        );
        let remedy =
            "give at least 6 points, of 3 sizes and 3 numbers of tokens; 30 or more are better";
        return Err(Error::config("points", problem, remedy));
    }
    let objective = Objective::new(points, None);
    let mut starts: Vec<([f64; 5], f64)> = objective.starts();
    starts.sort_by(|a, b| a.1.total_cmp(&b.1));
    let found = starts
        .iter()
        .take(SEARCHED)
        .map(|(start, _)| minimize(*start, |at| objective.evaluate(at)))
        .filter(|minimum| minimum.value.is_finite())
        .min_by(|a, b| a.value.total_cmp(&b.value));
    let law = found.map(|minimum| objective.law(&minimum.at)).filter(is_usable);
    let Some(law) = law else {
        let problem = "the loss of the points does not fall with both parameters and tokens";
        let remedy = "add points over a wider range of both, or leave out runs that diverged";
        return Err(Error::config("points", problem, remedy));
    };
    let count = points.len() as f64;
    let residual = |point: &Point| law.loss(point.params, point.tokens) - point.loss;
    let squares: f64 = points.iter().map(|point| residual(point).powi(2)).sum();
    let log = |point: &Point| (law.loss(point.params, point.tokens) / point.loss).ln();
    let huber: f64 = points.iter().map(|point| huber(log(point)).0).sum();
    Ok(LawFit {
        law,
        huber: super::robust::HUBER_DELTA * huber / count,
        rmse: (squares / count).sqrt(),
    })
}

/// Refits the law to points with other weights, starting from the law that was fitted to all of them.
pub(super) fn refit_law(points: &[Point], weights: &[f64], start: &Law) -> Option<Law> {
    let objective = Objective::new(points, Some(weights));
    let found = minimize(objective.place(start), |at| objective.evaluate(at));
    Some(objective.law(&found.at)).filter(is_usable)
}

fn is_usable(law: &Law) -> bool {
    law.numbers().iter().all(|number| number.is_finite() && *number > 0.0)
}

/// The sum of Huber losses as a function of `ln A`, `ln B`, `ln E`, `α` and `β`, where `ln N` and `ln D` are counted from their
/// means: otherwise `ln A` and `α` depend on each other so closely that the search is slow.
struct Objective {
    rows: Vec<Row>,
    /// Means of `ln N` and `ln D`.
    center: [f64; 2],
}

struct Row {
    log_params: f64,
    log_tokens: f64,
    log_loss: f64,
    weight: f64,
}

impl Objective {
    fn new(points: &[Point], weights: Option<&[f64]>) -> Self {
        let mean = |of: fn(&Point) -> f64| {
            points.iter().map(|point| of(point).ln()).sum::<f64>() / points.len() as f64
        };
        let center = [mean(|point| point.params), mean(|point| point.tokens)];
        let row = |(index, point): (usize, &Point)| Row {
            log_params: point.params.ln() - center[0],
            log_tokens: point.tokens.ln() - center[1],
            log_loss: point.loss.ln(),
            weight: weights.map_or(1.0, |weights| weights[index]),
        };
        let rows = points.iter().enumerate().map(row).filter(|row| row.weight > 0.0).collect();
        Self { rows, center }
    }

    /// Returns value and gradient. The logarithm of the law is a log-sum-exp of three terms.
    fn evaluate(&self, &[a, b, floor, alpha, beta]: &[f64; 5]) -> (f64, [f64; 5]) {
        let mut value = 0.0;
        let mut gradient = [0.0; 5];
        for row in &self.rows {
            let terms = [a - alpha * row.log_params, b - beta * row.log_tokens, floor];
            let largest = terms.into_iter().fold(f64::NEG_INFINITY, f64::max);
            let parts = terms.map(|term| (term - largest).exp());
            let sum: f64 = parts.iter().sum();
            let (loss, slope) = huber(largest + sum.ln() - row.log_loss);
            value += row.weight * loss;
            let [of_a, of_b, of_floor] = parts.map(|part| row.weight * slope * part / sum);
            let parts = [of_a, of_b, of_floor, -row.log_params * of_a, -row.log_tokens * of_b];
            for (sum, part) in gradient.iter_mut().zip(parts) {
                *sum += part;
            }
        }
        (value, gradient)
    }

    /// Returns all starting points with their values.
    fn starts(&self) -> Vec<([f64; 5], f64)> {
        let mut starts = Vec::new();
        for alpha in EXPONENTS {
            for beta in EXPONENTS {
                for a in LOG_FACTORS.map(|a| a - alpha * self.center[0]) {
                    for b in LOG_FACTORS.map(|b| b - beta * self.center[1]) {
                        starts.extend(LOG_FLOORS.map(|floor| [a, b, floor, alpha, beta]));
                    }
                }
            }
        }
        starts.into_iter().map(|start| (start, self.evaluate(&start).0)).collect()
    }

    fn law(&self, &[a, b, floor, alpha, beta]: &[f64; 5]) -> Law {
        let a = (a + alpha * self.center[0]).exp();
        let b = (b + beta * self.center[1]).exp();
        Law { floor: floor.exp(), a, b, alpha, beta }
    }

    fn place(&self, law: &Law) -> [f64; 5] {
        let Law { floor, a, b, alpha, beta } = *law;
        let a = a.ln() - alpha * self.center[0];
        let b = b.ln() - beta * self.center[1];
        [a, b, floor.ln(), alpha, beta]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(law: Law) -> Vec<Point> {
        let sizes = (0..7).map(|i| 1e6 * 3f64.powi(i));
        let of_size = |params: f64| {
            (0..6).map(move |i| {
                let tokens = 1e8 * 4f64.powi(i);
                Point::new(params, tokens, law.loss(params, tokens))
            })
        };
        sizes.flat_map(of_size).collect()
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let points = points(Law::BESIROGLU);
        let weights: Vec<f64> = (0..points.len()).map(|i| (i % 3) as f64).collect();
        let objective = Objective::new(&points, Some(&weights));
        for shift in [0.1, 2e-5] {
            let mut at = objective.place(&Law::BESIROGLU);
            at.iter_mut().enumerate().for_each(|(i, x)| *x += shift * (1.0 + i as f64));
            let gradient = objective.evaluate(&at).1;
            for i in 0..5 {
                let moved = |by: f64| {
                    let mut at = at;
                    at[i] += by;
                    objective.evaluate(&at).0
                };
                let step = 1e-7;
                let slope = (moved(step) - moved(-step)) / (2.0 * step);
                let error = (slope - gradient[i]).abs() / gradient[i].abs().max(1.0);
                assert!(error < 1e-3, "{i}: {slope} and {gradient:?}");
            }
        }
    }

    #[test]
    fn known_coefficients_are_recovered_exactly() {
        let hoffmann = Law { floor: 1.69, a: 406.4, b: 410.7, alpha: 0.34, beta: 0.28 };
        let steep = Law { floor: 0.7, a: 20.0, b: 900.0, alpha: 0.2, beta: 0.55 };
        for law in [hoffmann, Law::BESIROGLU, steep] {
            let fit = fit_law(&points(law)).unwrap();
            for (found, known) in fit.law.numbers().into_iter().zip(law.numbers()) {
                assert!((found / known - 1.0).abs() < 1e-3, "{fit:?} instead of {law:?}");
            }
            assert!(fit.rmse < 1e-5, "{fit:?}");
        }
    }

    /// A few diverged runs hardly move a Huber loss.
    #[test]
    fn outliers_hardly_count() {
        let mut points = points(Law::BESIROGLU);
        for index in [3, 17, 30] {
            points[index].loss *= 1.5;
        }
        let law = fit_law(&points).unwrap().law;
        assert!((law.alpha - Law::BESIROGLU.alpha).abs() < 0.01, "{law:?}");
        assert!((law.beta - Law::BESIROGLU.beta).abs() < 0.01, "{law:?}");
    }

    #[test]
    fn the_optimum_is_the_lowest_loss_of_its_budget() {
        for law in [Law::BESIROGLU, Law { alpha: 0.2, beta: 0.6, ..Law::BESIROGLU }] {
            for flops in [1e18, 1e21, 1e24] {
                let best = law.optimum(flops);
                assert!((6.0 * best.params * best.tokens / flops - 1.0).abs() < 1e-12);
                for factor in [0.9, 0.99, 1.01, 1.1] {
                    let other = law.loss(best.params * factor, best.tokens / factor);
                    assert!(other > best.loss, "{best:?}");
                }
            }
        }
    }

    #[test]
    fn points_that_determine_no_law_are_refused() {
        let all = points(Law::BESIROGLU);
        let refused = |points: &[Point]| fit_law(points).unwrap_err().to_string();
        assert!(refused(&all[..5]).contains("5 points of 1 sizes"));
        assert!(refused(&all[..6]).contains("3 sizes"));
        let rising: Vec<Point> =
            all.iter().map(|point| Point { loss: point.params.ln(), ..*point }).collect();
        assert!(refused(&rising).contains("does not fall"));
    }
}
