//! JSON lines that the drivers print, and the statistics shown of them.

use crate::process::failure;
use crate::repo::Repo;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Results of a driver: one JSON object per line.
pub struct Results {
    pub lines: Vec<Value>,
    log: PathBuf,
    succeeded: bool,
}

impl Results {
    /// Runs a driver and keeps its output in `NAME.jsonl` in the target folder.
    pub fn collect(repo: &Repo, name: &str, node: &mut Command) -> Result<Self> {
        let mut child = node.stdout(Stdio::piped()).spawn().context("cannot start node")?;
        let stdout = child.stdout.take().context("node has no standard output")?;
        let mut text = String::new();
        let mut lines = Vec::new();
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            text += &format!("{line}\n");
            if let Ok(value) = serde_json::from_str(&line) {
                lines.push(value);
            }
        }
        let status = child.wait()?;
        let log = repo.target.join(format!("{name}.jsonl"));
        fs::write(&log, text).with_context(|| format!("cannot write {}", log.display()))?;
        if lines.is_empty() {
            bail!("the driver printed no result ({status})");
        }
        Ok(Self { lines, log, succeeded: status.success() })
    }

    /// Prints where the results are; an error if the driver ended with one.
    pub fn finish(self, failed: &str) -> Result<()> {
        println!("all results: {}", self.log.display());
        if self.succeeded {
            Ok(())
        } else {
            Err(failure(failed, "see FAILED and the messages above"))
        }
    }
}

/// A JSON value as plain text: strings without quotes.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Minimum, median and maximum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Spread {
    /// None without values. With an even number of them the median is the mean of the two in the middle.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[half]
        } else {
            (values[half - 1] + values[half]) / 2.0
        };
        Some(Self { min, median, max })
    }
}

/// Prints our time divided by each peer's within each round. The last `own` runs of a round are ours.
pub fn print_training_ratios(lines: &[Value], rounds: u32, own: usize) {
    let mut ratios: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in 1..=u64::from(rounds) {
        let mut runs: Vec<&Value> = lines.iter().filter(|line| line["round"] == round).collect();
        // Comparisons of losses carry a round too.
        runs.retain(|line| line.get("check").is_none());
        let ours = runs.split_off(runs.len().saturating_sub(own));
        for ours in ours {
            if let Some(error) = ours.get("error") {
                println!("FAILED: ours in round {round}: {error}");
                continue;
            }
            for peer in &runs {
                for measure in ["ms_per_step", "first_step_ms"] {
                    if let (Some(own), Some(their)) =
                        (ours[measure].as_f64(), peer[measure].as_f64())
                    {
                        let key =
                            format!("{measure}, {} / {}", text(&ours["peer"]), text(&peer["peer"]));
                        ratios.entry(key).or_default().push(own / their);
                    }
                }
            }
        }
    }
    for line in lines {
        if line["check"] == "loss_agreement" {
            let [a, b, difference] = ["a", "b", "max_diff"].map(|key| text(&line[key]));
            println!("round {}: maximum loss difference {a} - {b}: {difference}", line["round"]);
        } else if line["round"] == 1 && line.get("error").is_none() {
            print_contestant(line);
        }
    }
    println!("our time / the peer's within a round (above 1: we are slower):");
    println!("{:>10}{:>10}{:>10}", "min", "median", "max");
    for (what, values) in ratios {
        if let Some(Spread { min, median, max }) = Spread::of(values) {
            println!("{min:>10.2}{median:>10.2}{max:>10.2}  {what}");
        }
    }
}

/// Prints a contestant's adapter and, if known, the size of its code.
fn print_contestant(line: &Value) {
    let [peer, adapter] = ["peer", "adapter"].map(|key| text(&line[key]));
    match ["js_gzip", "wasm_gzip"].map(|key| line[key].as_u64()) {
        [Some(js), Some(wasm)] => {
            println!("{peer} on {adapter}; gzipped: {js} bytes of JavaScript, {wasm} of wasm");
        }
        _ => println!("{peer} on {adapter}"),
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn spread_of_odd_even_and_no_values() {
        let spread = |values: &[f64]| Spread::of(values.to_vec());
        assert_eq!(spread(&[9.0, 1.0, 2.0]), Some(Spread { min: 1.0, median: 2.0, max: 9.0 }));
        assert_eq!(spread(&[9.0, 1.0, 2.0, 4.0]), Some(Spread { min: 1.0, median: 3.0, max: 9.0 }));
        assert_eq!(spread(&[]), None);
    }
}
