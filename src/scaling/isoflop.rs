//! Parabolas through the losses of runs with the same budget, and the bias of their minima.

use serde::Serialize;

use super::grid::tokens_for;
use super::law::{Law, Optimum};
use super::point::Point;
use super::robust::line;

/// Largest ratio of two budgets that count as the same.
const SAME_BUDGET: f64 = 1.25;
/// Number of sizes below which a parabola follows the noise.
const ENOUGH_SIZES: usize = 5;
/// Ratio of the two sides of a minimum, in the logarithm of the size, from which they count as uneven.
const UNEVEN: f64 = 2.0;

/// A reason why the minimum of a parabola differs from the best size of its budget (Czech et al. 2026).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bias {
    /// Fewer than three sizes, which have no parabola.
    NoParabola,
    /// The parabola has a maximum, or no curvature.
    NoMinimum,
    /// Fewer than five sizes.
    FewSizes,
    /// The minimum is beyond the smallest or largest size.
    Outside,
    /// There are fewer than two sizes on one side of the minimum.
    AtEdge,
    /// The sizes reach more than twice as far on one side of the minimum as on the other.
    Uneven,
}

impl Bias {
    /// Returns a description of one line.
    pub fn words(self) -> &'static str {
        match self {
            Self::NoParabola => "fewer than 3 sizes: no parabola",
            Self::NoMinimum => "the parabola has no minimum",
            Self::FewSizes => "fewer than 5 sizes: the parabola follows the noise",
            Self::Outside => "the minimum is outside the sizes: extrapolated, add sizes there",
            Self::AtEdge => "the minimum is at the edge of the sizes: add sizes beyond it",
            Self::Uneven => {
                "the sizes are uneven around the minimum: it is pulled towards the longer side"
            }
        }
    }

    /// Returns true if the minimum is no estimate at all.
    fn is_fatal(self) -> bool {
        matches!(self, Self::NoParabola | Self::NoMinimum | Self::Outside)
    }
}

/// The runs of one budget.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IsoFlop {
    /// Floating-point operations, the geometric mean of the runs.
    pub flops: f64,
    /// The runs, by size.
    pub points: Vec<Point>,
    /// `c₀ + c₁ x + c₂ x²` with `x = ln N`.
    pub parabola: Option<[f64; 3]>,
    /// Minimum of the parabola.
    pub minimum: Option<Optimum>,
    /// Reasons to doubt it.
    pub biases: Vec<Bias>,
    /// Factor by which a parabola through losses without noise would miss the best size of the fitted law, on these sizes, minus 1.
    pub predicted_bias: Option<f64>,
}

/// Power laws through the minima.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Trend {
    /// `N = params_scale · C^params_exponent`.
    pub params_scale: f64,
    /// As [`Self::params_scale`].
    pub params_exponent: f64,
    /// `D ∝ C^tokens_exponent`.
    pub tokens_exponent: f64,
    /// Number of budgets whose minima are in it: those inside the sizes.
    pub budgets: usize,
    /// Value that [`Self::params_exponent`] would have without noise if the fitted law were true. A difference from the law's own
    /// exponent is bias of the method on this grid.
    pub predicted_exponent: Option<f64>,
}

/// The runs of all budgets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IsoFlops {
    /// Budgets with two sizes or more, ascending.
    pub budgets: Vec<IsoFlop>,
    /// Power laws through the minima; none with fewer than two usable ones.
    pub trend: Option<Trend>,
}

impl IsoFlops {
    /// Groups points by budget and fits a parabola to each. `law` is the law that was fitted to the points, if there is one.
    pub fn new(points: &[Point], law: Option<&Law>) -> Self {
        let budgets: Vec<IsoFlop> =
            groups(points).into_iter().map(|group| IsoFlop::new(group, law)).collect();
        let usable: Vec<(&IsoFlop, Optimum)> = budgets
            .iter()
            .filter(|budget| !budget.biases.iter().any(|bias| bias.is_fatal()))
            .filter_map(|budget| Some((budget, budget.minimum?)))
            .collect();
        let logs = |of: &dyn Fn(&(&IsoFlop, Optimum)) -> Option<f64>| {
            let pair = |usable: &(&IsoFlop, Optimum)| Some((usable.0.flops.ln(), of(usable)?.ln()));
            usable.iter().map(pair).collect::<Option<Vec<_>>>()
        };
        let params = logs(&|(_, minimum)| Some(minimum.params)).and_then(|logs| line(&logs));
        let predicted = law.and_then(|law| {
            let at = |(budget, _): &(&IsoFlop, Optimum)| {
                Some(law.optimum(budget.flops).params * (1.0 + budget.predicted_bias?))
            };
            line(&logs(&at)?)
        });
        let trend = params.map(|(log_scale, exponent)| Trend {
            params_scale: log_scale.exp(),
            params_exponent: exponent,
            tokens_exponent: 1.0 - exponent,
            budgets: usable.len(),
            predicted_exponent: predicted.map(|(_, exponent)| exponent),
        });
        Self { budgets, trend }
    }
}

impl IsoFlop {
    fn new(mut points: Vec<Point>, law: Option<&Law>) -> Self {
        points.sort_by(|a, b| a.params.total_cmp(&b.params));
        let count = points.len() as f64;
        let flops = (points.iter().map(|point| point.flops.ln()).sum::<f64>() / count).exp();
        let sizes: Vec<f64> = points.iter().map(|point| point.params.ln()).collect();
        let pairs = |loss: &dyn Fn(&Point) -> f64| {
            points.iter().map(|point| (point.params.ln(), loss(point))).collect::<Vec<_>>()
        };
        let parabola = parabola(&pairs(&|point| point.loss));
        let bottom = parabola.and_then(bottom);
        let minimum = bottom.map(|(x, loss)| {
            let params = x.exp();
            Optimum { flops, params, tokens: tokens_for(flops, params), loss }
        });
        let predicted_bias = law.and_then(|law| {
            // On the budget itself: the runs differ from it a little.
            let loss = |point: &Point| law.loss(point.params, tokens_for(flops, point.params));
            let (x, _) = bottom_of(&pairs(&loss))?;
            Some(x.exp() / law.optimum(flops).params - 1.0)
        });
        let biases = biases(&sizes, parabola.is_some(), bottom.map(|(x, _)| x));
        Self { flops, points, parabola, minimum, biases, predicted_bias }
    }
}

/// Divides points into groups of the same budget, ascending, without those of a single size.
fn groups(points: &[Point]) -> Vec<Vec<Point>> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.flops.total_cmp(&b.flops));
    let mut groups: Vec<Vec<Point>> = Vec::new();
    for point in sorted {
        match groups.last_mut() {
            Some(group) if point.flops <= SAME_BUDGET * group[0].flops => group.push(point),
            _ => groups.push(vec![point]),
        }
    }
    groups.retain(|group| group.iter().any(|point| point.params != group[0].params));
    groups
}

fn biases(sizes: &[f64], has_parabola: bool, minimum: Option<f64>) -> Vec<Bias> {
    if !has_parabola {
        return vec![Bias::NoParabola];
    }
    let Some(minimum) = minimum else { return vec![Bias::NoMinimum] };
    let mut different = sizes.to_vec();
    different.dedup();
    let mut found = Vec::new();
    if different.len() < ENOUGH_SIZES {
        found.push(Bias::FewSizes);
    }
    let below = different.iter().filter(|size| **size < minimum).count();
    let fewer = below.min(different.len() - below);
    match fewer {
        0 => found.push(Bias::Outside),
        1 => found.push(Bias::AtEdge),
        _ => {}
    }
    let sides = [minimum - different[0], different[different.len() - 1] - minimum];
    let [shorter, longer] = [sides[0].min(sides[1]), sides[0].max(sides[1])];
    if shorter > 0.0 && longer > UNEVEN * shorter {
        found.push(Bias::Uneven);
    }
    found
}

/// Returns the parabola `c₀ + c₁ x + c₂ x²` through `(x, y)` by least squares; none if there are fewer than three different `x`.
fn parabola(points: &[(f64, f64)]) -> Option<[f64; 3]> {
    let count = points.len() as f64;
    let center = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let power = |n: i32| points.iter().map(|(x, _)| (x - center).powi(n)).sum::<f64>();
    let product = |n: i32| points.iter().map(|(x, y)| (x - center).powi(n) * y).sum::<f64>();
    let [s2, s3, s4] = [2, 3, 4].map(power);
    let [t0, t1, t2] = [0, 1, 2].map(product);
    if points.len() < 3 || s2 <= f64::EPSILON {
        return None;
    }
    let determinant = s4 - s2 * s2 / count - s3 * s3 / s2;
    if determinant <= 1e-9 * s4 {
        return None;
    }
    let c2 = (t2 - s2 * t0 / count - s3 * t1 / s2) / determinant;
    let c1 = (t1 - s3 * c2) / s2;
    let c0 = (t0 - s2 * c2) / count;
    Some([c0 - c1 * center + c2 * center * center, c1 - 2.0 * c2 * center, c2])
}

/// Returns the place and the value of a parabola's minimum.
fn bottom([c0, c1, c2]: [f64; 3]) -> Option<(f64, f64)> {
    (c2 > 0.0).then(|| {
        let x = -c1 / (2.0 * c2);
        (x, c0 + x * (c1 + c2 * x))
    })
}

fn bottom_of(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    bottom(parabola(points)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of one budget without noise, at `sizes` relative to the best one.
    fn runs(law: &Law, flops: f64, sizes: &[f64]) -> Vec<Point> {
        let best = law.optimum(flops).params;
        let run = |factor: &f64| {
            let params = best * factor;
            let tokens = tokens_for(flops, params);
            Point::new(params, tokens, law.loss(params, tokens))
        };
        sizes.iter().map(run).collect()
    }

    const SYMMETRIC: Law = Law { floor: 1.8, a: 300.0, b: 300.0, alpha: 0.33, beta: 0.33 };
    const CENTERED: [f64; 7] = [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0];

    #[test]
    fn a_symmetric_law_on_a_centered_grid_has_no_bias() {
        let points: Vec<Point> = [1e18, 1e19, 1e20]
            .iter()
            .flat_map(|flops| runs(&SYMMETRIC, *flops, &CENTERED))
            .collect();
        let found = IsoFlops::new(&points, Some(&SYMMETRIC));
        assert_eq!(found.budgets.len(), 3);
        for budget in &found.budgets {
            assert!(budget.biases.is_empty(), "{budget:?}");
            assert!(budget.predicted_bias.unwrap().abs() < 1e-6, "{budget:?}");
            let best = SYMMETRIC.optimum(budget.flops).params;
            assert!((budget.minimum.unwrap().params / best - 1.0).abs() < 1e-6, "{budget:?}");
        }
        let trend = found.trend.unwrap();
        assert!((trend.params_exponent - 0.5).abs() < 1e-6, "{trend:?}");
        assert_eq!(trend.budgets, 3);
    }

    /// Czech et al. 2026: exponents that differ, and sizes off the center, move the minimum even without noise; the prediction says
    /// by how much.
    #[test]
    fn the_predicted_bias_is_that_of_runs_without_noise() {
        let uneven = Law { alpha: 0.2, beta: 0.5, ..SYMMETRIC };
        for (law, sizes) in [(uneven, &CENTERED[..]), (SYMMETRIC, &CENTERED[2..])] {
            let points = runs(&law, 1e19, sizes);
            let budget = &IsoFlops::new(&points, Some(&law)).budgets[0];
            let bias = budget.minimum.unwrap().params / law.optimum(1e19).params - 1.0;
            assert!(bias.abs() > 1e-3, "{budget:?}");
            assert!((budget.predicted_bias.unwrap() - bias).abs() < 1e-6, "{budget:?} {bias}");
        }
    }

    #[test]
    fn doubtful_minima_are_marked() {
        let marks = |sizes: &[f64]| {
            IsoFlops::new(&runs(&SYMMETRIC, 1e19, sizes), None).budgets[0].biases.clone()
        };
        assert_eq!(marks(&CENTERED[..2]), [Bias::NoParabola]);
        assert_eq!(marks(&CENTERED[2..5]), [Bias::FewSizes, Bias::AtEdge]);
        assert!(marks(&[1.5, 2.0, 3.0, 4.0, 6.0]).contains(&Bias::Outside));
        assert_eq!(marks(&[0.8, 1.6, 3.2, 6.4, 12.8]).first(), Some(&Bias::AtEdge));
        assert_eq!(marks(&[0.7, 0.8, 2.0, 4.0, 8.0]), [Bias::Uneven]);
        let mut flat = runs(&SYMMETRIC, 1e19, &CENTERED);
        flat.iter_mut().for_each(|point| point.loss = 5.0 - point.loss);
        assert_eq!(IsoFlops::new(&flat, None).budgets[0].biases, [Bias::NoMinimum]);
        for bias in [Bias::NoMinimum, Bias::FewSizes, Bias::Uneven] {
            assert!(!bias.words().is_empty());
        }
    }

    #[test]
    fn minima_outside_the_sizes_are_no_part_of_the_trend() {
        let grids =
            [(1e18, &CENTERED[..]), (1e19, &CENTERED[..]), (1e20, &[1.5, 2.0, 3.0, 4.0, 6.0][..])];
        let points: Vec<Point> =
            grids.iter().flat_map(|(flops, sizes)| runs(&SYMMETRIC, *flops, sizes)).collect();
        let found = IsoFlops::new(&points, None);
        assert_eq!((found.budgets.len(), found.trend.unwrap().budgets), (3, 2));
        assert!(IsoFlops::new(&points[..7], None).trend.is_none(), "one budget has no trend");
    }
}
