//! Verdict on a part: tables for the report, and whether it passed.

use super::runner::Done;
use serde::Serialize;
use serde_json::Value;

/// A table of the report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Table {
    pub headers: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
}

/// Verdict on a part.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Verdict {
    pub tables: Vec<Table>,
    pub notes: Vec<String>,
    /// Reason why the part failed although its programs did not.
    pub problem: Option<String>,
    /// Reason why there was nothing to measure.
    pub skipped: Option<String>,
}

impl Table {
    pub fn new<const N: usize>(headers: [&'static str; N], rows: Vec<[String; N]>) -> Self {
        Self { headers: headers.into(), rows: rows.into_iter().map(Vec::from).collect() }
    }
}

impl Verdict {
    /// Returns a verdict with one table.
    pub fn table<const N: usize>(headers: [&'static str; N], rows: Vec<[String; N]>) -> Self {
        Self { tables: vec![Table::new(headers, rows)], ..Self::default() }
    }
}

/// Returns the events of one type from all tasks.
pub fn events<'a>(done: &'a [(String, Done)], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let lines = done.iter().flat_map(|(_, done)| &done.lines);
    lines.map(|line| &line.event).filter(move |event| event["type"] == kind)
}

/// Formats a number multiplied by `factor` with `digits` decimal places, or a dash if there is none.
pub fn number(value: &Value, factor: f64, digits: usize) -> String {
    value.as_f64().map_or("-".into(), |value| format!("{:.digits$}", factor * value))
}

/// Formats median, minimum and maximum.
pub fn spread(value: &Value, digits: usize) -> String {
    let part = |name| number(&value[name], 1.0, digits);
    format!("{} ({} to {})", part("median"), part("min"), part("max"))
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

pub fn devices(done: &[(String, Done)]) -> Verdict {
    let lines = done.iter().flat_map(|(_, done)| &done.lines);
    let found: Vec<&Value> =
        lines.filter_map(|line| line.event["devices"].as_array()).flatten().collect();
    let rows = found.iter().map(|device| [text(&device["name"]), text(&device["adapter"])]);
    let verdict = Verdict::table(["device", "adapter"], rows.collect());
    let is_cuda = |device: &&Value| device["name"].as_str().is_some_and(|n| n.starts_with("cuda"));
    let problem = (!found.iter().any(is_cuda)).then(|| "the program finds no NVIDIA GPU".into());
    Verdict { problem, ..verdict }
}

pub fn check(done: &[(String, Done)]) -> Verdict {
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    for (label, done) in done {
        // A missing report has been reported already.
        let Some(report) = done.lines.first().map(|line| &line.event) else {
            failed.push(format!("{label} (no result)"));
            continue;
        };
        if report["passed"] != true {
            failed.push(label.clone());
        }
        let error =
            |value: &Value| value.as_f64().map_or("-".into(), |error| format!("{error:.1e}"));
        let count = report["comparisons"].as_array().map_or(0, Vec::len);
        rows.push([
            label.clone(),
            count.to_string(),
            error(&report["worst"]),
            error(&report["tolerance"]),
            format!("{:.1} s", done.seconds),
        ]);
    }
    let headers = ["case", "quantities", "worst relative error", "allowed", "whole program"];
    let problem =
        (!failed.is_empty()).then(|| format!("not within the tolerance: {}", failed.join("; ")));
    Verdict { problem, ..Verdict::table(headers, rows) }
}

pub fn kernels(done: &[(String, Done)]) -> Verdict {
    let headers =
        ["kernel", "pass", "ms", "floor ms", "floor / time", "GB/s", "TFLOP/s", "bound by"];
    let rows = events(done, "kernel").map(|row| {
        [
            text(&row["kernel"]),
            text(&row["pass"]),
            number(&row["ms"]["median"], 1.0, 3),
            number(&row["floor_ms"], 1.0, 3),
            format!("{} %", number(&row["share"], 100.0, 0)),
            number(&row["bytes_per_second"], 1e-9, 0),
            number(&row["flops_per_second"], 1e-12, 1),
            text(&row["bound"]),
        ]
    });
    let mut verdict = Verdict::table(headers, rows.collect());
    let by_name: Vec<String> = events(done, "kernel")
        .map(|row| text(&row["pass"]))
        .filter(|pass| pass.starts_with("kernel "))
        .collect();
    if !by_name.is_empty() && !by_name.iter().any(|pass| pass == "kernel FlashForward") {
        verdict.problem = Some("attention in 16 bits did not run on tensor cores".into());
    }
    if let Some(start) = events(done, "start").next() {
        let peaks = &start["peaks"];
        let mut note = format!(
            "Bandwidth of the floors: {} GB/s ({})",
            number(&peaks["bytes_per_second"], 1e-9, 0),
            text(&peaks["source"]),
        );
        note += &match peaks["flops_per_second"].as_f64() {
            Some(flops) => format!("; arithmetic: {:.1} TFLOP/s (data sheet).", flops / 1e12),
            None => "; the peak of the arithmetic is not known and counts as unlimited.".into(),
        };
        verdict.notes.push(note);
    }
    let too_fast: Vec<String> = events(done, "kernel")
        .filter(|row| row["share"].as_f64().is_none_or(|share| share > 1.0))
        .map(|row| format!("{}, {}", text(&row["kernel"]), text(&row["pass"])))
        .collect();
    if !too_fast.is_empty() {
        verdict.notes.push(format!(
            "Faster than the floor, or too short to measure, so something is not measured, or comes from a cache: {}.",
            too_fast.join("; ")
        ));
    }
    verdict
}

pub fn decode(done: &[(String, Done)]) -> Verdict {
    let rows = events(done, "result").map(|row| {
        [
            text(&row["contestant"]),
            row["from"].to_string(),
            spread(&row["tokens_per_second"], 1),
            number(&row["bound_tokens_per_second"], 1.0, 0),
            spread(&row["time_ratio"], 2),
        ]
    });
    let headers = ["", "from token", "tokens/s", "memory allows", "time / ours"];
    let mut verdict = Verdict::table(headers, rows.collect());
    verdict.notes.extend(events(done, "prefill").map(|event| {
        format!("Prefill of {} tokens: {} ms.", event["tokens"], number(&event["ms"], 1.0, 1))
    }));
    verdict.notes.extend(peers(done));
    verdict
}

/// Describes the programs that we are compared with, and why any is missing.
pub fn peers(done: &[(String, Done)]) -> Vec<String> {
    let named = events(done, "peer").map(|peer| text(&peer["name"]));
    let missing = events(done, "skipped")
        .map(|event| format!("{} not run: {}", text(&event["contestant"]), text(&event["reason"])));
    named.chain(missing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu_day::runner::{End, Line};
    use serde_json::json;

    fn done(events: Vec<Value>) -> [(String, Done); 1] {
        let lines = events.into_iter().map(|event| Line { at: 1.0, event }).collect();
        [("a task".into(), Done { end: End::Done, seconds: 2.0, lines })]
    }

    #[test]
    fn a_check_passes_only_if_each_report_says_so() {
        let report =
            json!({"passed": true, "worst": 4.8e-7, "tolerance": 1e-4, "comparisons": [1, 2]});
        let passed = check(&done(vec![report]));
        assert_eq!(passed.problem, None);
        assert_eq!(passed.tables[0].rows[0], ["a task", "2", "4.8e-7", "1.0e-4", "2.0 s"]);
        let infinite =
            json!({"passed": false, "worst": null, "tolerance": 1e-4, "comparisons": []});
        assert!(check(&done(vec![infinite])).problem.unwrap().contains("a task"));
        assert!(check(&done(vec![])).problem.is_some(), "without a report");
    }

    #[test]
    fn devices_need_a_cuda_device() {
        let found = |name| done(vec![json!({"devices": [{"name": name, "adapter": "x"}]})]);
        assert_eq!(devices(&found("cuda:0")).problem, None);
        assert!(devices(&found("vulkan")).problem.is_some());
        assert!(devices(&done(vec![])).problem.is_some());
    }

    #[test]
    fn a_kernel_faster_than_its_floor_is_reported() {
        let peaks = json!({"bytes_per_second": 4.8e12, "flops_per_second": 9.895e14, "source": "data sheet"});
        let row = |name: &str, share: f64| {
            json!({
                "type": "kernel", "kernel": name, "pass": "forward", "share": share, "floor_ms": 0.1,
                "ms": {"min": 0.2, "median": 0.25, "max": 0.3}, "bound": "memory",
                "bytes_per_second": 2e12, "flops_per_second": 0.0,
            })
        };
        let start = json!({"type": "start", "peaks": peaks});
        // In JSON, non-finite numbers are null.
        let rows = vec![start, row("norm", 0.4), row("linear", 1.2), row("embedding", f64::NAN)];
        let verdict = kernels(&done(rows));
        let expected = ["norm", "forward", "0.250", "0.100", "40 %", "2000", "0.0", "memory"];
        assert_eq!(verdict.tables[0].rows[0], expected);
        assert!(verdict.notes[0].contains("4800 GB/s (data sheet); arithmetic: 989.5"));
        assert!(
            verdict.notes[1].ends_with("a cache: linear, forward; embedding, forward."),
            "{:?}",
            verdict.notes
        );
    }
}
