//! Output of `blankslate scaling fit`.

use crate::cli::failure::CliResult;
use crate::cli::output::{self, short};
use crate::cli::stderr;
use crate::scaling::{Analysis, Interval, Intervals, IsoFlop, LawFit, PowerLaw};

/// Prints the fits.
pub fn report(from: &str, analysis: &Analysis) -> CliResult<()> {
    let dropped = match analysis.dropped {
        0 => String::new(),
        dropped => format!(", without the {dropped} of the highest loss"),
    };
    output::line(&format!("points       {} from {from}{dropped}", analysis.points.len()))?;
    if let Some(fit) = &analysis.chinchilla {
        chinchilla(fit, analysis.intervals.as_ref())?;
    }
    let kaplan = [
        ("L(N) = (N₀/N)^α", "N₀", "sizes", &analysis.loss_of_params),
        ("L(C) = (C₀/C)^α", "C₀", "best runs", &analysis.loss_of_flops),
    ];
    for (form, scale, what, law) in kaplan {
        if let Some(PowerLaw { scale: value, exponent, points, rmse }) = law {
            output::line(&format!(
                "Kaplan       {form}: α {exponent:.4}, {scale} {value:.3e}; {points} {what}, rms error {rmse:.4} nats"
            ))?;
        }
    }
    isoflops(analysis)?;
    if !analysis.optima.is_empty() {
        output::line("")?;
        output::line("best split by Chinchilla's law")?;
        output::line("       FLOPs  parameters      tokens  tokens/parameter    loss")?;
        for best in &analysis.optima {
            output::line(&format!(
                "  {:>10.3e}  {:>10}  {:>10}  {:>16.1}  {:>6.4}",
                best.flops,
                short(best.params),
                short(best.tokens),
                best.tokens / best.params,
                best.loss
            ))?;
        }
    }
    for remark in &analysis.remarks {
        stderr::note(remark);
    }
    Ok(())
}

fn chinchilla(fit: &LawFit, intervals: Option<&Intervals>) -> CliResult<()> {
    let LawFit { law, huber, rmse } = fit;
    output::line(&format!(
        "Chinchilla   L(N, D) = E + A/N^α + B/D^β: mean Huber loss {huber:.3e}, rms error {rmse:.4} nats"
    ))?;
    let rows = [
        ("E", law.floor, intervals.map(|all| all.floor)),
        ("A", law.a, intervals.map(|all| all.a)),
        ("B", law.b, intervals.map(|all| all.b)),
        ("α", law.alpha, intervals.map(|all| all.alpha)),
        ("β", law.beta, intervals.map(|all| all.beta)),
        ("β/(α+β)", law.exponents()[0], intervals.map(|all| all.params_exponent)),
    ];
    for (name, value, interval) in rows {
        let number = |value: f64| match value {
            value if value >= 10.0 => format!("{value:.2}"),
            value => format!("{value:.4}"),
        };
        let spread = interval.map_or(String::new(), |Interval { low, high, error }| {
            format!("   {} to {} (± {})", number(low), number(high), number(error))
        });
        let meaning = if name.len() > 2 { "   N ∝ C^this" } else { "" };
        output::line(&format!("  {name:9} {:>12}{spread}{meaning}", number(value)))?;
    }
    if let Some(Intervals { samples, failed, .. }) = intervals {
        let without = match failed {
            0 => String::new(),
            failed => format!("; {failed} more determine no law"),
        };
        output::line(&format!("  intervals of 95 % from {samples} resampled fits{without}"))?;
    }
    Ok(())
}

fn isoflops(analysis: &Analysis) -> CliResult<()> {
    let isoflops = &analysis.isoflops;
    if isoflops.budgets.is_empty() {
        return Ok(());
    }
    output::line("")?;
    output::line(
        "IsoFLOP parabolas (bias: by which one without noise would miss the law's best size)",
    )?;
    output::line("       FLOPs  runs  parameters      tokens    loss    bias")?;
    for budget in &isoflops.budgets {
        output::line(&row(budget))?;
    }
    match &isoflops.trend {
        None => output::line("  fewer than 2 minima inside their sizes: no power law"),
        Some(trend) => {
            let predicted = trend.predicted_exponent.map_or(String::new(), |predicted| {
                format!("; without noise, the law would give {predicted:.4} on this grid")
            });
            output::line(&format!(
                "  N ∝ C^{:.4}, D ∝ C^{:.4} through {} minima{predicted}",
                trend.params_exponent, trend.tokens_exponent, trend.budgets
            ))
        }
    }
}

fn row(budget: &IsoFlop) -> String {
    let (params, tokens, loss) = match budget.minimum {
        None => ("-".into(), "-".into(), "-".into()),
        Some(best) => (short(best.params), short(best.tokens), format!("{:.4}", best.loss)),
    };
    let bias = budget.predicted_bias.map_or("-".into(), |bias| format!("{:+.1} %", 100.0 * bias));
    let words: Vec<&str> = budget.biases.iter().map(|bias| bias.words()).collect();
    let line = format!(
        "  {:>10.3e}  {:>4}  {params:>10}  {tokens:>10}  {loss:>6}  {bias:>6}  {}",
        budget.flops,
        budget.points.len(),
        words.join("; ")
    );
    line.trim_end().into()
}
