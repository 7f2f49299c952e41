//! Output of `blankslate plan`.

use serde_json::{Value, json};

use super::failure::CliResult;
use super::output::{self, bytes, grouped, spaced};
use super::stderr;
use crate::config::{Costs, Precision};
use crate::plan::{Hardware, Layout, Plan, Program, Work};

/// The run that was planned, and the assumptions about it.
pub struct Subject<'a> {
    /// Preset, or path of the model.
    pub name: &'a str,
    pub work: Work<'a>,
    pub hardware: Hardware,
    pub program: Program,
    /// Tokens to train on.
    pub tokens: Option<u64>,
}

/// Prints plans, the best first. Without `all`, one for each dp, tp and pp.
pub fn report(subject: &Subject<'_>, plans: Vec<Plan>, all: bool, json: bool) -> CliResult<()> {
    let fastest = plans.iter().position(|plan| plan.missing.is_none());
    let trainable = plans.iter().position(|plan| plan.missing.is_none() && plan.trainable);
    let best: Vec<Plan> =
        [fastest, trainable].into_iter().flatten().map(|i| plans[i].clone()).collect();
    let plans = if all { plans } else { one_of_each(plans) };
    if json {
        return output::json(&object(subject, &plans));
    }
    for (label, text) in head(subject) {
        output::line(&format!("{label:12} {text}"))?;
    }
    let (fit, rest): (Vec<&Plan>, Vec<&Plan>) =
        plans.iter().partition(|plan| plan.missing.is_none());
    if !fit.is_empty() {
        output::line("")?;
        output::line(&columns(subject))?;
        for plan in fit {
            output::line(&row(subject, plan))?;
        }
    }
    if !rest.is_empty() {
        output::line("")?;
        output::line("does not fit:")?;
        for plan in rest {
            output::line(&lack(plan))?;
        }
    }
    for (index, plan) in best.iter().enumerate() {
        if index == 0 || plan.layout != best[0].layout {
            output::line("")?;
            details(subject, plan, index > 0)?;
        }
    }
    remarks(subject, &plans);
    Ok(())
}

/// Keeps the first plan of each dp, tp and pp.
fn one_of_each(plans: Vec<Plan>) -> Vec<Plan> {
    let mut seen = std::collections::BTreeSet::new();
    let key = |plan: &Plan| (plan.layout.dp, plan.layout.tp, plan.layout.pp);
    plans.into_iter().filter(|plan| seen.insert(key(plan))).collect()
}

/// Returns the run and the assumptions.
fn head(subject: &Subject<'_>) -> Vec<(&'static str, String)> {
    let Subject { name, work, hardware: h, program, .. } = subject;
    let costs = Costs::new(work.model, work.seq_len);
    let share = |part: f64| format!("{:.0} %", 100.0 * part);
    let rate = |value: f64| format!("{}B/s", spaced(value));
    vec![
        (
            "model",
            format!(
                "{name}: {} blocks, {} wide, {} parameters",
                work.model.num_hidden_layers,
                work.model.hidden_size,
                spaced(costs.parameters()).trim_end(),
            ),
        ),
        (
            "step",
            format!(
                "{} sequences of {} tokens: {} tokens, {}",
                grouped((work.global_batch * work.rows) as u64),
                grouped(work.seq_len as u64),
                grouped(work.tokens() as u64),
                json!(work.train.precision).as_str().unwrap_or_default(),
            ),
        ),
        (
            "products",
            format!(
                "{} at {}FLOP/s, {} of it reached",
                h.name,
                spaced(h.peak(work.train.precision)),
                share(h.efficiency)
            ),
        ),
        (
            "memory",
            format!(
                "{}, {} of it usable, {}",
                bytes(h.memory as u64),
                share(h.usable),
                rate(h.memory_bandwidth)
            ),
        ),
        (
            "transfers",
            format!(
                "{} within a node of {}, {} per device between nodes, {:.0} µs per step",
                rate(h.link_bandwidth),
                h.per_node,
                rate(h.network_bandwidth),
                h.latency * 1e6,
            ),
        ),
        (
            "assumed",
            format!(
                "{} of each bandwidth reached; gradients travel during {} of a backward pass",
                share(h.bandwidth_efficiency),
                share(program.overlap),
            ),
        ),
    ]
}

fn columns(subject: &Subject<'_>) -> String {
    let days = if subject.tokens.is_some() { "       days" } else { "" };
    format!(
        "{:>5} {:>4} {:>4} {:>5} {:>6} {:>6} {:>10} {:>8} {:>10} {:>6}{days}",
        "dp", "tp", "pp", "ZeRO", "micro", "recomp", "memory", "step", "tokens/s", "MFU"
    )
}

fn row(subject: &Subject<'_>, plan: &Plan) -> String {
    let Layout { dp, tp, pp, zero, micro_batch, recompute, .. } = plan.layout;
    let days = days(subject, plan).map_or(String::new(), |days| format!(" {days:>10.2}"));
    let planned = if plan.trainable { "" } else { "  planned" };
    format!(
        "{dp:>5} {tp:>4} {pp:>4} {zero:>5} {micro_batch:>6} {:>6} {:>10} {:>8} {:>10} {:>4.1} %{days}{planned}",
        if recompute { "yes" } else { "no" },
        bytes(plan.peak() as u64),
        seconds(plan.time.total()),
        spaced(plan.tokens_per_second).trim_end(),
        100.0 * plan.mfu,
    )
}

fn lack(plan: &Plan) -> String {
    let Layout { dp, tp, pp, zero, micro_batch, recompute, .. } = plan.layout;
    let recomputed = if recompute { ", recomputed" } else { "" };
    let when = if plan.peak() > plan.memory.total() { " to save" } else { "" };
    format!(
        "  dp {dp}, tp {tp}, pp {pp}, ZeRO {zero}, micro-batches of {micro_batch}{recomputed}: needs {}{when}, lacks {}",
        bytes(plan.peak() as u64),
        bytes(plan.missing.unwrap_or(0.0) as u64),
    )
}

/// Prints memory and time of a plan by part.
fn details(subject: &Subject<'_>, plan: &Plan, of_today: bool) -> CliResult<()> {
    let Layout { dp, tp, pp, zero, micro_batch, .. } = plan.layout;
    let which = if of_today { "fastest that can be trained today" } else { "fastest" };
    output::line(&format!(
        "{which}: dp {dp}, tp {tp}, pp {pp}, ZeRO {zero}, {} micro-batches of {micro_batch} per replica",
        plan.micro_batches
    ))?;
    let m = &plan.memory;
    let memory = [
        ("weights", m.weights),
        ("gradients", m.gradients),
        ("optimizer", m.optimizer),
        ("activations", m.activations),
        ("logits", m.logits),
        ("buffers", m.buffers),
    ];
    let t = &plan.time;
    let time = [
        ("products", t.products),
        ("elementwise", t.elementwise),
        ("tp all-reduce", t.tensor),
        ("pp send", t.pipeline),
        ("bubble", t.bubble),
        ("dp exchange", t.data),
        ("optimizer", t.optimizer),
    ];
    let text = |parts: &[(&str, f64)], format: &dyn Fn(f64) -> String| {
        let there = parts.iter().filter(|(_, value)| *value > 0.0);
        let texts: Vec<String> =
            there.map(|(name, value)| format!("{name} {}", format(*value))).collect();
        texts.join(", ")
    };
    let room = bytes(subject.hardware.room() as u64);
    let total = bytes(m.total() as u64);
    let memory = text(&memory, &|value| bytes(value as u64));
    output::line(&format!("  memory of a step {total} of {room}: {memory}"))?;
    if let Some(saving) = plan.saving {
        output::line(&format!("  memory while saving {}", bytes(saving as u64)))?;
    }
    output::line(&format!("  step {}: {}", seconds(t.total()), text(&time, &seconds)))
}

/// Says what the figures do not.
fn remarks(subject: &Subject<'_>, plans: &[Plan]) {
    let Subject { work, hardware, .. } = subject;
    if plans.iter().any(|plan| !plan.trainable) {
        stderr::note(
            "adapters with tp or pp, and muon with tp, are planned: blankslate trains them with dp and ZeRO 0 to 2, and muon with pp, today",
        );
    }
    if hardware.shared {
        return;
    }
    if plans.iter().any(|plan| plan.layout.dp > 1) {
        stderr::note(
            "gradients of GPUs travel through the memory of the host today: set --link-bandwidth and --network-bandwidth to what that reaches",
        );
    }
    let best = hardware.peak(Precision::Bf16) / hardware.peak(work.train.precision);
    if best > 1.0 {
        stderr::note(&format!("--precision bf16 has {best:.1} times the FLOP/s"));
    }
}

/// Returns the days that the tokens to train on take.
fn days(subject: &Subject<'_>, plan: &Plan) -> Option<f64> {
    Some(subject.tokens? as f64 / plan.tokens_per_second / 86_400.0)
}

fn object(subject: &Subject<'_>, plans: &[Plan]) -> Value {
    let Subject { name, work, hardware, program, tokens } = subject;
    let costs = Costs::new(work.model, work.seq_len);
    let plans: Vec<Value> = plans
        .iter()
        .map(|plan| {
            let mut value = json!(plan);
            value["memory"]["total"] = plan.memory.total().into();
            value["peak"] = plan.peak().into();
            value["time"]["total"] = plan.time.total().into();
            value["days"] = days(subject, plan).into();
            value
        })
        .collect();
    json!({
        "name": name, "config": work.model, "parameters": costs.parameters() as u64,
        "precision": work.train.precision, "seq_len": work.seq_len,
        "global_batch": work.global_batch, "tokens_per_step": work.tokens() as u64,
        "tokens": tokens, "hardware": hardware, "program": program, "plans": plans,
    })
}

/// Formats a duration: `283 ms`, `2.80 s`.
pub fn seconds(value: f64) -> String {
    match value {
        s if s < 0.0995 => format!("{:.1} ms", 1e3 * s),
        s if s < 0.9995 => format!("{:.0} ms", 1e3 * s),
        s if s < 99.95 => format!("{s:.2} s"),
        s => format!("{s:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn durations_are_readable() {
        let texts = [0.00123, 0.283, 0.9996, 2.8, 123.4].map(seconds);
        assert_eq!(texts, ["1.2 ms", "283 ms", "1.00 s", "2.80 s", "123 s"]);
    }
}
