//! All fits of a set of points.

use serde::Serialize;

use super::bootstrap::{Intervals, bootstrap};
use super::isoflop::IsoFlops;
use super::kaplan::{PowerLaw, fit_power_law, frontier, lowest_of_each_size};
use super::law::{LawFit, Optimum, fit_law};
use super::point::Point;
use crate::error::{Error, Result};

/// Options of an analysis.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalysisOptions {
    /// Number of resampled fits; 0 for no intervals.
    pub samples: usize,
    /// Seed of the resampling.
    pub seed: u64,
    /// Number of points with the highest losses that are left out.
    pub drop_highest: usize,
    /// Budgets to compute the best split of.
    pub budgets: Vec<f64>,
}

/// The fits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Analysis {
    /// The points that were fitted.
    pub points: Vec<Point>,
    /// Number of points that were left out.
    pub dropped: usize,
    /// Chinchilla's law.
    pub chinchilla: Option<LawFit>,
    /// Its intervals.
    pub intervals: Option<Intervals>,
    /// Kaplan's `L(N)`, through the lowest loss of each size.
    pub loss_of_params: Option<PowerLaw>,
    /// Kaplan's `L(C)`, through the compute frontier.
    pub loss_of_flops: Option<PowerLaw>,
    /// Parabolas by budget.
    pub isoflops: IsoFlops,
    /// Best splits by Chinchilla's law.
    pub optima: Vec<Optimum>,
    /// Fits that were not possible, with the reasons.
    pub remarks: Vec<String>,
}

/// Fits all laws to `points`. Laws that they do not determine are left out, with the reason.
///
/// # Errors
/// All points are left out.
pub fn analyze(mut points: Vec<Point>, options: &AnalysisOptions) -> Result<Analysis> {
    let dropped = options.drop_highest;
    if dropped >= points.len() {
        let problem = format!("{dropped} leaves none of {} points", points.len());
        return Err(Error::config("drop_highest", problem, "use a smaller number"));
    }
    points.sort_by(|a, b| a.loss.total_cmp(&b.loss));
    points.truncate(points.len() - dropped);
    points.sort_by(|a, b| a.flops.total_cmp(&b.flops).then(a.params.total_cmp(&b.params)));
    let mut remarks = Vec::new();
    let mut noted = |what: &str, error: Error| remarks.push(format!("{what}: {error}"));
    let chinchilla = fit_law(&points).map_err(|error| noted("L(N, D)", error)).ok();
    let of_params = lowest_of_each_size(&points);
    let loss_of_params = fit_power_law(&of_params, |point| point.params);
    let loss_of_params = loss_of_params.map_err(|error| noted("L(N)", error)).ok();
    let loss_of_flops = fit_power_law(&frontier(&points), |point| point.flops);
    let loss_of_flops = loss_of_flops.map_err(|error| noted("L(C)", error)).ok();
    let law = chinchilla.as_ref().map(|fit| &fit.law);
    let intervals = law
        .filter(|_| options.samples > 0)
        .map(|law| bootstrap(&points, law, options.samples, options.seed));
    if matches!(intervals, Some(None)) {
        remarks.push(
            "intervals: most resampled points determine no law; add points over a wider range"
                .into(),
        );
    }
    let isoflops = IsoFlops::new(&points, law);
    if isoflops.budgets.is_empty() {
        remarks.push(
            "IsoFLOP parabolas: no two points have the same budget and different sizes".into(),
        );
    }
    let optima = law.map_or_else(Vec::new, |law| {
        options.budgets.iter().map(|flops| law.optimum(*flops)).collect()
    });
    Ok(Analysis {
        dropped,
        chinchilla,
        intervals: intervals.flatten(),
        loss_of_params,
        loss_of_flops,
        isoflops,
        optima,
        remarks,
        points,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Law;
    use super::*;

    const OPTIONS: AnalysisOptions =
        AnalysisOptions { samples: 50, seed: 1, drop_highest: 0, budgets: Vec::new() };

    /// A number with the logarithm of a Laplace distribution around 1, from a counter: the residuals of real runs have such tails.
    fn noise(index: usize, scale: f64) -> f64 {
        let golden = 0.618_033_988_749_894_9;
        let uniform = (golden * (index as f64 + 1.0)).fract() - 0.5;
        (-scale * uniform.signum() * (1.0 - 2.0 * uniform.abs()).ln()).exp()
    }

    /// Points like those of Chinchilla: nine budgets, sizes around the best one, with noise.
    fn points() -> Vec<Point> {
        let law = Law::BESIROGLU;
        let budgets = [6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21];
        let of_budget = |flops: f64| {
            let best = law.optimum(flops).params;
            (-5..=5).map(move |i| {
                let params = best * 1.5f64.powi(i);
                let tokens = flops / (6.0 * params);
                Point::new(params, tokens, law.loss(params, tokens))
            })
        };
        let points = budgets.into_iter().flat_map(of_budget).enumerate();
        points.map(|(i, point)| Point { loss: point.loss * noise(i, 0.004), ..point }).collect()
    }

    /// The published coefficients of the replication of Chinchilla are inside the intervals, which are about as wide as the published
    /// ones.
    #[test]
    fn published_coefficients_are_inside_the_intervals() {
        let budgets = vec![5.76e23];
        let found =
            analyze(points(), &AnalysisOptions { samples: 200, budgets, ..OPTIONS }).unwrap();
        let intervals = found.intervals.unwrap();
        for (interval, known) in [
            (intervals.floor, Law::BESIROGLU.floor),
            (intervals.a, Law::BESIROGLU.a),
            (intervals.b, Law::BESIROGLU.b),
            (intervals.alpha, Law::BESIROGLU.alpha),
            (intervals.beta, Law::BESIROGLU.beta),
        ] {
            assert!(interval.low < known && known < interval.high, "{known}: {interval:?}");
        }
        assert!(intervals.alpha.error < 0.03 && intervals.floor.error < 0.05, "{intervals:?}");
        assert_eq!(found.isoflops.budgets.len(), 9);
        assert!((found.optima[0].params.log10() - 10.85).abs() < 0.15, "{:?}", found.optima);
        assert!(found.remarks.is_empty(), "{:?}", found.remarks);
    }

    #[test]
    fn the_same_seed_gives_the_same_intervals() {
        let of = |seed| {
            analyze(points(), &AnalysisOptions { seed, ..OPTIONS }).unwrap().intervals.unwrap()
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn what_cannot_be_fitted_is_a_remark() {
        let few = vec![Point::new(1e6, 1e8, 3.0), Point::new(2e6, 2e8, 2.9)];
        let found = analyze(few.clone(), &OPTIONS).unwrap();
        assert!(found.chinchilla.is_none() && found.loss_of_params.is_none());
        let all = found.remarks.join("\n");
        for what in ["L(N, D): ", "L(N): ", "L(C): ", "IsoFLOP"] {
            assert!(all.contains(what), "{all}");
        }
        let dropped =
            analyze(points(), &AnalysisOptions { drop_highest: 5, samples: 0, ..OPTIONS });
        let dropped = dropped.unwrap();
        assert_eq!((dropped.points.len(), dropped.dropped), (94, 5));
        let all_dropped = analyze(few, &AnalysisOptions { drop_highest: 2, ..OPTIONS });
        assert!(all_dropped.unwrap_err().to_string().contains("drop_highest"));
    }
}
