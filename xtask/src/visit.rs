//! `cargo xtask bench --first-visit` and `--lighthouse`: the page as its visitors meet it, in Chromium.

use crate::bench::{collect, median};
use crate::process::{self, failure, step};
use crate::repo::Repo;
use crate::{compress, serve, setup, web};
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

const LIGHTHOUSE: &str = "lighthouse@13.5.0";

/// What a visitor waits for, as `benches/first-visit/run.mjs` names it.
const MOMENTS: [(&str, &str); 3] =
    [("usable", "it can be used"), ("step", "the first step"), ("sample", "the first sample")];

/// With a graphics adapter and without: the page then says so, and chooses the CPU.
const ADAPTERS: [(&str, &str); 2] = [
    ("WebGPU", "--enable-unsafe-webgpu --use-webgpu-adapter=swiftshader"),
    ("no WebGPU", "--disable-features=WebGPU"),
];

/// What Lighthouse plays: a desktop with a fast line, and a phone with a slow one and a fourth of this machine's speed.
const SCREENS: [&str; 2] = ["desktop", "phone"];

/// No less will do: in each round where the machine's load has no say, and in the best one where time is measured, for load
/// can only take from that.
const LEAST: f64 = 0.95;
const STEADY: [&str; 2] = ["accessibility", "best-practices"];
const TIMED: &str = "performance";

/// What is shown of a report: where it stands, its name, and the factor of its unit.
const FIGURES: [(&str, &str, f64); 7] = [
    ("/categories/performance/score", "performance", 100.0),
    ("/categories/accessibility/score", "accessibility", 100.0),
    ("/categories/best-practices/score", "best practices", 100.0),
    ("/audits/first-contentful-paint/numericValue", "first paint, s", 1e-3),
    ("/audits/largest-contentful-paint/numericValue", "largest paint, s", 1e-3),
    ("/audits/total-blocking-time/numericValue", "blocking, ms", 1.0),
    ("/audits/cumulative-layout-shift/numericValue", "layout shift", 1.0),
];

/// Builds the page, visits it round by round, and prints the seconds.
pub fn first_visit(repo: &Repo, rounds: u32, adapter: Option<&str>) -> Result<()> {
    let chromium = build(repo)?;
    let mut node = process::command("node");
    node.current_dir(&repo.root).env("CHROMIUM", chromium).arg("benches/first-visit/run.mjs");
    node.args(["--rounds", &rounds.to_string()]);
    node.args(adapter.iter().flat_map(|adapter| ["--adapter", adapter]));
    let log = repo.target.join("bench-first-visit.jsonl");
    let (lines, ended_well) =
        step(&format!("visit the page, {rounds} rounds"), || collect(&mut node, &log))?;
    let mut devices: Vec<&str> = lines.iter().filter_map(|line| line["name"].as_str()).collect();
    devices.sort_unstable();
    devices.dedup();
    println!("seconds from opening the page, least, median and most:");
    for device in devices {
        println!("{device}");
        for (field, name) in MOMENTS {
            let visits = lines.iter().filter(|line| line["name"] == device);
            print_spread(name, visits.filter_map(|line| line[field].as_f64()).collect());
        }
    }
    if !ended_well {
        return Err(failure("a visit failed", "see the messages above"));
    }
    Ok(())
}

/// Builds and serves the page, has Lighthouse look at it round by round, and prints its scores.
pub fn lighthouse(repo: &Repo, rounds: u32) -> Result<()> {
    let chromium = build(repo)?;
    let dist = repo.root.join("dist");
    step("compress dist/ with gzip and brotli", || {
        compress::folder(&dist, &repo.target.join("compressed"))
    })?;
    let server = serve::bind(0)?;
    let address = format!("http://{}/", server.server_addr());
    std::thread::spawn(move || serve::forever(server, &dist));

    let report = repo.target.join("lighthouse.json");
    let mut poor = Vec::new();
    for (adapter, flags) in ADAPTERS {
        for screen in SCREENS {
            let what = format!("look at it on a {screen}, {adapter}, {rounds} rounds");
            let reports: Vec<Value> = step(&what, || {
                (0..rounds).map(|_| look(&chromium, &address, screen, flags, &report)).collect()
            })?;
            for (place, name, factor) in FIGURES {
                let values = reports.iter().filter_map(|report| report.pointer(place)?.as_f64());
                print_spread(name, values.map(|value| factor * value).collect());
            }
            let best = reports.iter().map(|report| score(report, TIMED)).fold(0.0, f64::max);
            if best < LEAST {
                poor.push(format!("{best} on a {screen}, {adapter}"));
            }
        }
    }
    if !poor.is_empty() {
        return Err(failure(
            format!("Lighthouse gives at most {} for {TIMED}", poor.join(" and ")),
            "look again on a quiet machine; `node --test tests/web/quick.test.mjs` asserts what no load changes",
        ));
    }
    Ok(())
}

/// From 0 to 1.
fn score(report: &Value, category: &str) -> f64 {
    report["categories"][category]["score"].as_f64().unwrap_or(0.0)
}

/// One report of Lighthouse's. It is no dependency of the page: npm fetches it for this.
fn look(chromium: &Path, address: &str, screen: &str, flags: &str, report: &Path) -> Result<Value> {
    let mut npx = process::command("npx");
    npx.args(["--yes", LIGHTHOUSE, address, "--quiet", "--output=json"]);
    npx.arg(format!("--output-path={}", report.display()));
    npx.arg("--only-categories=performance,accessibility,best-practices");
    npx.arg(format!("--chrome-flags=--headless=new --no-sandbox {flags}"));
    npx.args((screen == "desktop").then_some("--preset=desktop"));
    process::output(npx.env("CHROME_PATH", chromium))?;
    let text = fs::read(report).with_context(|| format!("cannot read {}", report.display()))?;
    let found: Value = serde_json::from_slice(&text).context("the report is not JSON")?;
    for category in STEADY {
        let score = score(&found, category);
        if score < LEAST {
            return Err(failure(
                format!("Lighthouse gives {score} for {category} on a {screen}"),
                &format!("see what it names in {}", report.display()),
            ));
        }
    }
    Ok(found)
}

/// The page in dist/, and the browser that visits it.
fn build(repo: &Repo) -> Result<PathBuf> {
    let chromium = setup::chromium()?;
    setup::npm(repo)?;
    let toolchain = setup::wasm_toolchain(repo)?;
    web::build(repo, toolchain, false)?;
    Ok(chromium)
}

fn print_spread(name: &str, mut values: Vec<f64>) {
    values.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (values.first(), values.last()) else { return };
    println!("{least:>10.2}{:>10.2}{most:>10.2}  {name}", median(&values));
}
