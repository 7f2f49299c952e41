//! Verdicts on training runs.

use super::runner::{Done, End};
use super::verdict::{Table, Verdict, events, number, peers, spread, text};
use crate::cuda::{PRECISIONS, SAME, difference};
use serde_json::Value;

/// nanoGPT's validation loss with its configuration `train_shakespeare_char` on tiny Shakespeare.
pub const TARGET: f64 = 1.4697;

/// Number of kernels shown of a profile.
const SHOWN: usize = 16;

/// Compares losses on the GPU in f32 with those on the CPU, and in other precisions with f32.
pub fn losses(done: &[(String, Done)]) -> Verdict {
    let of = |label: &str| -> Vec<f64> {
        let found = done.iter().filter(|(name, _)| name == label);
        let events = found.flat_map(|(_, done)| &done.lines).map(|line| &line.event);
        let steps = events.filter(|event| event["type"] == "step");
        steps.map(|event| event["loss"].as_f64().unwrap_or(f64::NAN)).collect()
    };
    let mut rows = Vec::new();
    let mut problems = Vec::new();
    let pairs = [("cuda f32".to_owned(), "cpu f32", SAME)].into_iter();
    let rounded = PRECISIONS.map(|(name, most)| (format!("cuda {name}"), "cuda f32", most));
    for (ours, theirs, allowed) in pairs.chain(rounded) {
        let (losses, reference) = (of(&ours), of(theirs));
        let found = match losses.is_empty() || reference.is_empty() {
            true => Err(anyhow::anyhow!("a run made no step")),
            false => difference(&losses, &reference),
        };
        let shown = match &found {
            Ok(found) => format!("{found:.1e}"),
            Err(_) => "-".into(),
        };
        match found {
            Ok(0.0) if theirs == "cuda f32" => {
                problems.push(format!("{ours} has the losses of {theirs}: nothing was rounded"));
            }
            Ok(found) if found <= allowed => {}
            Ok(found) => problems.push(format!("{ours} differs by {found:.1e} from {theirs}")),
            Err(error) => problems.push(format!("{ours} beside {theirs}: {error}")),
        }
        let row = [ours, theirs.into(), losses.len().to_string(), shown, format!("{allowed:.0e}")];
        rows.push(row);
    }
    let headers = ["run", "beside", "steps", "largest relative difference", "allowed"];
    let problem = (!problems.is_empty()).then(|| problems.join("; "));
    Verdict { problem, ..Verdict::table(headers, rows) }
}

/// Shows tokens per second and utilization of each program, and the profile of a step.
pub fn speed(done: &[(String, Done)]) -> Verdict {
    let names = ["blankslate", "PyTorch"];
    // The last result of a program covers all its rounds.
    let results = names.iter().filter_map(|name| {
        events(done, "result").filter(|result| result["contestant"] == *name).last()
    });
    let rows = results.map(|result| {
        [
            text(&result["contestant"]),
            number(&result["tokens_per_second"], 1.0, 0),
            spread(&result["ms_per_step"], 2),
            format!("{} %", number(&result["mfu"], 100.0, 1)),
            spread(&result["time_ratio"], 2),
            number(&result["loss"], 1.0, 3),
        ]
    });
    let headers = ["", "tokens/s", "ms per step", "MFU", "time / ours", "last loss"];
    let mut verdict = Verdict::table(headers, rows.collect());
    if let Some(start) = events(done, "start").next() {
        verdict.notes.push(format!(
            "{} in {}: {} parameters, {} tokens a step, {} GFLOP a token; peak for MFU: {} TFLOP/s.",
            text(&start["device"]["adapter"]),
            text(&start["precision"]),
            start["parameters"],
            start["tokens_per_step"],
            number(&start["flops_per_token"], 1e-9, 3),
            number(&start["peak_flops_per_second"], 1e-12, 1),
        ));
        verdict.notes.extend(start["device"]["reason"].as_str().map(|reason| format!("{reason}.")));
    }
    verdict.notes.extend(events(done, "warm_up").map(|event| {
        format!(
            "First round of {}, in which kernels are compiled and tuned: {} s.",
            text(&event["contestant"]),
            number(&event["seconds"], 1.0, 1)
        )
    }));
    verdict.notes.extend(peers(done));
    verdict.skipped = events(done, "skipped").next().map(|event| text(&event["reason"]));
    verdict.tables.extend(events(done, "profile").map(profile));
    verdict
}

/// Returns the table of the slowest kernels of a step.
fn profile(event: &Value) -> Table {
    let kernels = event["kernels"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows = kernels.iter().take(SHOWN).map(|kernel| {
        let share = kernel["ms"].as_f64().zip(event["computed_ms"].as_f64());
        [
            text(&kernel["kernel"]),
            kernel["calls"].to_string(),
            number(&kernel["ms"], 1.0, 3),
            share.map_or("-".into(), |(ms, all)| format!("{:.1} %", 100.0 * ms / all)),
        ]
    });
    Table::new(["kernel in one step", "calls", "ms", "of the computing"], rows.collect())
}

/// Compares a training run on several devices with that on the first. Other devices are skipped if they cannot be opened.
pub fn devices(done: &[(String, Done)]) -> Verdict {
    let mut rows = Vec::new();
    let median = |done: &[(String, Done)]| {
        events(done, "result").last().and_then(|result| result["ms_per_step"]["median"].as_f64())
    };
    let first = done.get(..1).and_then(median);
    let closed = done.iter().skip(1).find_map(|(label, done)| match &done.end {
        End::Failed(why) if done.lines.is_empty() => Some(format!("{label}: {why}")),
        _ => None,
    });
    for (label, done) in done {
        let one = [(label.clone(), done.clone())];
        let Some(result) = events(&one, "result").last() else { continue };
        let ratio = median(&one).zip(first).map(|(ms, first)| ms / first);
        let adapter = events(&one, "start").next().map(|start| {
            let device = &start["device"];
            let software = if device["software"] == true { ", executed in software" } else { "" };
            format!("{}{software}", text(&device["adapter"]))
        });
        rows.push([
            label.clone(),
            adapter.unwrap_or_default(),
            spread(&result["ms_per_step"], 2),
            number(&result["tokens_per_second"], 1.0, 0),
            ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")),
            number(&result["loss"], 1.0, 4),
        ]);
    }
    let headers = ["device", "adapter", "ms per step", "tokens/s", "time / CUDA's", "last loss"];
    Verdict { skipped: closed, ..Verdict::table(headers, rows) }
}

/// Shows the step and time at which the validation loss reached [`TARGET`]. It is `comparable` only on the same text.
pub fn shakespeare(done: &[(String, Done)], comparable: bool) -> Verdict {
    let lines: Vec<_> = done.iter().flat_map(|(_, done)| &done.lines).collect();
    let mut best: Option<f64> = None;
    let mut rows = Vec::new();
    for line in lines.iter().filter(|line| line.event["type"] == "eval") {
        let Some(loss) = line.event["loss"].as_f64() else { continue };
        best = Some(best.map_or(loss, |best| best.min(loss)));
        rows.push([
            line.event["step"].to_string(),
            format!("{loss:.4}"),
            format!("{:.1} s", line.at),
        ]);
    }
    let reached = best.is_some_and(|best| best <= TARGET);
    let mut verdict = Verdict::table(["step", "validation loss", "since the start"], rows);
    let best = best.map_or("not evaluated".into(), |best| format!("best {best:.4}"));
    verdict.notes.push(format!("nanoGPT's validation loss: {TARGET}; {best}."));
    if let Some(step) = events(done, "step").last() {
        verdict.notes.push(format!("{} tokens/s.", number(&step["tokens_per_second"], 1.0, 0)));
    }
    match (comparable, reached) {
        (true, true) => {}
        (true, false) => verdict.problem = Some(format!("{TARGET} was not reached: {best}")),
        (false, _) => verdict.notes.push(
            "The text is not tiny Shakespeare or this is a dry run, so the two losses do not compare.".into(),
        ),
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu_day::runner::Line;
    use serde_json::json;

    fn task(label: &str, events: Vec<Value>) -> (String, Done) {
        let lines = events.into_iter().zip(1..).map(|(event, at)| Line { at: at.into(), event });
        (label.into(), Done { end: End::Done, seconds: 9.0, lines: lines.collect() })
    }

    fn run(label: &str, losses: &[f64]) -> (String, Done) {
        let step = |loss: &f64| json!({"type": "step", "loss": loss});
        task(label, losses.iter().map(step).collect())
    }

    #[test]
    fn losses_must_agree_in_each_precision() {
        let mut runs = vec![
            run("cpu f32", &[4.0, 3.0]),
            run("cuda f32", &[4.0, 3.0001]),
            run("cuda bf16", &[4.01, 3.0]),
            run("cuda f16", &[4.01, 3.0]),
            run("cuda tf32", &[4.001, 3.0]),
        ];
        assert_eq!(losses(&runs).problem, None);
        runs[4] = run("cuda tf32", &[4.1, 3.0]);
        assert!(losses(&runs).problem.unwrap().starts_with("cuda tf32 differs by"));
        runs[4] = run("cuda tf32", &[4.0]);
        assert!(losses(&runs).problem.is_some(), "a run that ended early");
        runs.truncate(1);
        assert!(losses(&runs).problem.unwrap().contains("cuda f32 beside cpu f32"));
    }

    #[test]
    fn the_last_result_of_each_contestant_is_shown() {
        let result = |name: &str, rate: f64| {
            json!({
                "type": "result", "contestant": name, "tokens_per_second": rate, "mfu": 0.4,
                "ms_per_step": {"min": 1.0, "median": 2.0, "max": 3.0}, "loss": 5.0,
                "time_ratio": {"min": 1.0, "median": 1.0, "max": 1.0},
            })
        };
        let events =
            vec![result("blankslate", 1.0), result("PyTorch", 2.0), result("blankslate", 3.0)];
        let verdict = speed(&[task("both", events)]);
        let rates: Vec<&str> = verdict.tables[0].rows.iter().map(|row| row[1].as_str()).collect();
        assert_eq!(rates, ["3", "2"]);
        assert_eq!(verdict.tables[0].rows[0][2..4], ["2.00 (1.00 to 3.00)", "40.0 %"]);
        let skipped = json!({"type": "skipped", "contestant": "PyTorch", "reason": "no torch"});
        let verdict = speed(&[task("both", vec![result("blankslate", 1.0), skipped])]);
        assert_eq!(verdict.skipped.as_deref(), Some("no torch"));
        assert!(verdict.notes.contains(&"PyTorch not run: no torch".into()));
    }

    #[test]
    fn devices_are_compared_with_the_first() {
        let run = |label, ms: f64| {
            task(
                label,
                vec![
                    json!({"type": "start", "device": {"adapter": "llvmpipe", "software": true}}),
                    json!({
                        "type": "result", "ms_per_step": {"min": ms, "median": ms, "max": ms},
                        "loss": 4.0,
                    }),
                ],
            )
        };
        let verdict = devices(&[run("cuda", 2.0), task("broken", vec![]), run("vulkan", 5.0)]);
        let ratios: Vec<&str> = verdict.tables[0].rows.iter().map(|row| row[4].as_str()).collect();
        assert_eq!(ratios, ["1.00", "2.50"]);
        assert_eq!(verdict.tables[0].rows[1][1], "llvmpipe, executed in software");
        assert_eq!(verdict.skipped, None);
        let mut closed = task("vulkan", vec![]);
        closed.1.end = End::Failed("no driver".into());
        let verdict = devices(&[run("cuda", 2.0), closed.clone()]);
        assert_eq!(verdict.skipped.as_deref(), Some("vulkan: no driver"));
        let mut broken = run("vulkan", 2.0);
        broken.1.end = closed.1.end.clone();
        assert_eq!(devices(&[closed, broken]).skipped, None, "the first one, and one that began");
    }

    #[test]
    fn the_published_loss_is_reached_or_not() {
        let run = |losses: &[f64]| {
            let eval = |loss: &f64| json!({"type": "eval", "step": 250, "loss": loss});
            [task("train", losses.iter().map(eval).collect())]
        };
        let reached = shakespeare(&run(&[2.0, 1.46]), true);
        assert_eq!(reached.problem, None);
        assert_eq!(reached.tables[0].rows[1], ["250", "1.4600", "2.0 s"]);
        let problem = shakespeare(&run(&[2.0, 1.5, 1.6]), true).problem.unwrap();
        assert!(problem.ends_with("best 1.5000"), "{problem}");
        assert!(shakespeare(&run(&[]), true).problem.is_some());
        let other = shakespeare(&run(&[2.0]), false);
        assert_eq!(other.problem, None);
        assert!(other.notes.iter().any(|note| note.contains("do not compare")));
    }
}
