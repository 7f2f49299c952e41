//! The charts of an analysis.

use super::svg::{Axis, COLORS, Chart};
use crate::config::short;
use crate::scaling::{Analysis, IsoFlop, Optimum, frontier};

/// Number of points of a curve.
const STEPS: usize = 60;

/// Returns the charts with the names of their files.
pub fn charts(analysis: &Analysis) -> Vec<(&'static str, String)> {
    let mut charts = vec![("frontier.svg", frontier_chart(analysis))];
    if !analysis.isoflops.budgets.is_empty() {
        charts.push(("isoflop.svg", isoflop_chart(analysis)));
        charts.push(("optimum.svg", optimum_chart(analysis)));
    }
    charts
}

fn color(index: usize) -> &'static str {
    COLORS[index % COLORS.len()]
}

fn name(budget: &IsoFlop) -> String {
    format!("{:.1e} FLOPs", budget.flops)
}

/// Loss by size, a color for each budget: runs, parabola with its minimum, and the law as a dashed line.
fn isoflop_chart(analysis: &Analysis) -> String {
    let budgets = &analysis.isoflops.budgets;
    let points = || budgets.iter().flat_map(|budget| &budget.points);
    let x = Axis::log("parameters N", points().map(|point| point.params));
    let y = Axis::linear("loss (nats per token)", points().map(|point| point.loss));
    let mut chart = Chart::new("Loss by size at the same compute", x, y);
    for (index, budget) in budgets.iter().enumerate() {
        let runs: Vec<_> = budget.points.iter().map(|point| (point.params, point.loss)).collect();
        let (Some(first), Some(last)) = (runs.first(), runs.last()) else { continue };
        let sizes = chart.steps(first.0, last.0, STEPS);
        if let Some([c0, c1, c2]) = budget.parabola {
            let at = |size: &f64| (*size, c0 + size.ln() * (c1 + c2 * size.ln()));
            chart.line(&sizes.iter().map(at).collect::<Vec<_>>(), color(index), false);
        }
        if let Some(fit) = &analysis.chinchilla {
            let tokens = |size: f64| crate::scaling::tokens_for(budget.flops, size);
            let at = |size: &f64| (*size, fit.law.loss(*size, tokens(*size)));
            chart.line(&sizes.iter().map(at).collect::<Vec<_>>(), color(index), true);
        }
        if let Some(minimum) = budget.minimum {
            chart.dots(&[(minimum.params, minimum.loss)], color(index), false);
        }
        chart.dots(&runs, color(index), true);
        chart.explain(color(index), name(budget));
    }
    if analysis.chinchilla.is_some() {
        chart.explain("none", "dashed: E + A/N^α + B/D^β");
    }
    chart.explain("none", "ring: minimum");
    chart.finish()
}

/// Loss by compute: all runs, the compute frontier, Kaplan's law, and Chinchilla's at the best split.
fn frontier_chart(analysis: &Analysis) -> String {
    let points = &analysis.points;
    let x = Axis::log("compute C (FLOPs)", points.iter().map(|point| point.flops));
    let y = Axis::linear("loss (nats per token)", points.iter().map(|point| point.loss));
    let mut chart = Chart::new("Loss by compute", x, y);
    let (low, high) = chart.domain();
    let budgets = chart.steps(low, high, STEPS);
    let pairs = |points: &[crate::scaling::Point]| {
        points.iter().map(|point| (point.flops, point.loss)).collect::<Vec<_>>()
    };
    chart.dots(&pairs(points), "#bbbbbb", true);
    chart.explain("#bbbbbb", format!("{} runs", points.len()));
    chart.dots(&pairs(&frontier(points)), color(0), true);
    chart.explain(color(0), "best for its compute");
    if let Some(law) = &analysis.loss_of_flops {
        let at = |flops: &f64| (*flops, law.loss(*flops));
        chart.line(&budgets.iter().map(at).collect::<Vec<_>>(), color(1), false);
        chart.explain(color(1), format!("(C₀/C)^{:.3}", law.exponent));
    }
    if let Some(fit) = &analysis.chinchilla {
        let at = |flops: &f64| (*flops, fit.law.optimum(*flops).loss);
        chart.line(&budgets.iter().map(at).collect::<Vec<_>>(), color(2), true);
        chart.explain(color(2), "Chinchilla's law");
    }
    chart.finish()
}

/// Best size by compute: minima of the parabolas, their trend, and Chinchilla's law.
fn optimum_chart(analysis: &Analysis) -> String {
    let isoflops = &analysis.isoflops;
    let minima: Vec<(&IsoFlop, Optimum)> = isoflops
        .budgets
        .iter()
        .filter_map(|budget| Some((budget, budget.minimum?)))
        .filter(|(budget, minimum)| {
            let sizes = || budget.points.iter().map(|point| point.params);
            sizes().any(|size| size <= minimum.params) && sizes().any(|size| size >= minimum.params)
        })
        .collect();
    let x = Axis::log("compute C (FLOPs)", isoflops.budgets.iter().map(|budget| budget.flops));
    let law = analysis.chinchilla.as_ref().map(|fit| fit.law);
    let of_law = law.iter().flat_map(|law| {
        isoflops.budgets.iter().map(move |budget| law.optimum(budget.flops).params)
    });
    let y = minima.iter().map(|(_, minimum)| minimum.params).chain(of_law);
    let mut chart = Chart::new("Best size by compute", x, Axis::log("parameters N", y));
    let (low, high) = chart.domain();
    let budgets = chart.steps(low, high, STEPS);
    for (budget, minimum) in &minima {
        let is_doubtful = !budget.biases.is_empty();
        chart.dots(&[(minimum.flops, minimum.params)], color(0), !is_doubtful);
    }
    chart.explain(color(0), "minima (ring: doubtful)");
    if let Some(trend) = &isoflops.trend {
        let at = |flops: &f64| (*flops, trend.params_scale * flops.powf(trend.params_exponent));
        chart.line(&budgets.iter().map(at).collect::<Vec<_>>(), color(1), false);
        chart.explain(color(1), format!("N ∝ C^{:.3}", trend.params_exponent));
    }
    if let Some(law) = law {
        let at = |flops: &f64| (*flops, law.optimum(*flops).params);
        chart.line(&budgets.iter().map(at).collect::<Vec<_>>(), color(2), true);
        let last = law.optimum(high).params;
        chart
            .explain(color(2), format!("law: N ∝ C^{:.3}, to {}", law.exponents()[0], short(last)));
    }
    chart.finish()
}
