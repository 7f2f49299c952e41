//! `cargo xtask bench --lighthouse`: Lighthouse scores of the page, in Chromium.

use super::results::Spread;
use crate::process::{self, failure, step};
use crate::repo::Repo;
use crate::{compress, serve, web};
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs;
use std::path::Path;

const LIGHTHOUSE: &str = "lighthouse@13.5.0";

/// With a WebGPU adapter and without; without one the page trains on the CPU.
const ADAPTERS: [(&str, &str); 2] = [
    ("WebGPU", "--enable-unsafe-webgpu --use-webgpu-adapter=swiftshader"),
    ("no WebGPU", "--disable-features=WebGPU"),
];

/// Lighthouse's presets: a desktop on a fast network, and a phone on a slow one with a quarter of this machine's speed.
const FORM_FACTORS: [&str; 2] = ["desktop", "phone"];

/// Minimum score.
const MIN_SCORE: f64 = 0.95;
/// Categories whose every report must reach [`MIN_SCORE`]: they do not depend on the machine's load.
const STEADY: [&str; 2] = ["accessibility", "best-practices"];
/// Category whose best report must reach [`MIN_SCORE`]: load on the machine can only lower it.
const TIMED: &str = "performance";

/// Figures shown of a report: JSON pointer, name, and the factor to its unit.
const FIGURES: [(&str, &str, f64); 7] = [
    ("/categories/performance/score", "performance", 100.0),
    ("/categories/accessibility/score", "accessibility", 100.0),
    ("/categories/best-practices/score", "best practices", 100.0),
    ("/audits/first-contentful-paint/numericValue", "first contentful paint, s", 1e-3),
    ("/audits/largest-contentful-paint/numericValue", "largest contentful paint, s", 1e-3),
    ("/audits/total-blocking-time/numericValue", "total blocking time, ms", 1.0),
    ("/audits/cumulative-layout-shift/numericValue", "cumulative layout shift", 1.0),
];

/// Builds and serves the page, runs Lighthouse on it round by round, and prints the scores.
pub fn run(repo: &Repo, rounds: u32) -> Result<()> {
    let chromium = web::build_for_chromium(repo)?;
    let dist = repo.root.join("dist");
    step("compress dist/ with gzip and brotli", || {
        compress::folder(&dist, &repo.target.join("compressed"))
    })?;
    let server = serve::bind(0)?;
    let address = format!("http://{}/", server.local_addr()?);
    std::thread::spawn(move || serve::forever(server, &dist));

    let report = repo.target.join("lighthouse.json");
    let mut low = Vec::new();
    for (adapter, flags) in ADAPTERS {
        for form_factor in FORM_FACTORS {
            let what = format!("run Lighthouse: {form_factor}, {adapter}, {rounds} rounds");
            let reports: Vec<Value> = step(&what, || {
                (0..rounds)
                    .map(|_| audit(&chromium, &address, form_factor, flags, &report))
                    .collect()
            })?;
            println!("{:>10}{:>10}{:>10}", "min", "median", "max");
            for (pointer, name, factor) in FIGURES {
                let values = reports.iter().filter_map(|report| report.pointer(pointer)?.as_f64());
                let values = values.map(|value| factor * value).collect();
                if let Some(Spread { min, median, max }) = Spread::of(values) {
                    println!("{min:>10.2}{median:>10.2}{max:>10.2}  {name}");
                }
            }
            let best = reports.iter().map(|report| score(report, TIMED)).fold(0.0, f64::max);
            if best < MIN_SCORE {
                low.push(format!("{best} on {form_factor}, {adapter}"));
            }
        }
    }
    if !low.is_empty() {
        return Err(failure(
            format!("the best Lighthouse score for {TIMED} is {}", low.join(" and ")),
            "repeat it on an idle machine; tests/web/quick.test.mjs asserts what does not depend on load",
        ));
    }
    Ok(())
}

/// Score of a category, from 0 to 1.
fn score(report: &Value, category: &str) -> f64 {
    report["categories"][category]["score"].as_f64().unwrap_or(0.0)
}

/// Runs Lighthouse once. It is not a dependency of the page: npx fetches it.
fn audit(
    chromium: &Path,
    address: &str,
    form_factor: &str,
    flags: &str,
    report: &Path,
) -> Result<Value> {
    let mut npx = process::command("npx");
    npx.args(["--yes", LIGHTHOUSE, address, "--quiet", "--output=json"]);
    npx.arg(format!("--output-path={}", report.display()));
    npx.arg("--only-categories=performance,accessibility,best-practices");
    npx.arg(format!("--chrome-flags=--headless=new --no-sandbox {flags}"));
    npx.args((form_factor == "desktop").then_some("--preset=desktop"));
    process::output(npx.env("CHROME_PATH", chromium))?;
    let text = fs::read(report).with_context(|| format!("cannot read {}", report.display()))?;
    let found: Value = serde_json::from_slice(&text).context("the report is not JSON")?;
    for category in STEADY {
        let score = score(&found, category);
        if score < MIN_SCORE {
            return Err(failure(
                format!("Lighthouse scores {category} {score} on {form_factor}"),
                &format!("see the failed audits in {}", report.display()),
            ));
        }
    }
    Ok(found)
}
