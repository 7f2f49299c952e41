//! `cargo xtask bench --first-visit`: seconds from opening the page to its first step and sample, in Chromium.

use super::options::DriverOptions;
use super::results::{Results, Spread};
use crate::process::{self, step};
use crate::repo::Repo;
use crate::web;
use anyhow::Result;

/// Fields of a result of `benches/first-visit/run.mjs`, with what each one measures.
const FIELDS: [(&str, &str); 3] =
    [("usable", "interactive"), ("step", "first step"), ("sample", "first sample")];

/// Builds the page, visits it round by round, and prints the seconds.
pub fn run(repo: &Repo, options: &DriverOptions) -> Result<()> {
    let chromium = web::build_for_chromium(repo)?;
    let mut node = process::command("node");
    node.current_dir(&repo.root).env("CHROMIUM", chromium).arg("benches/first-visit/run.mjs");
    options.pass_rounds(&mut node);
    options.pass_adapter(&mut node);
    let what = format!("visit the page, {} rounds", options.rounds);
    let results = step(&what, || Results::collect(repo, "bench-first-visit", &mut node))?;
    let visits = &results.lines;
    let mut devices: Vec<&str> = visits.iter().filter_map(|visit| visit["name"].as_str()).collect();
    devices.sort_unstable();
    devices.dedup();
    println!("seconds from opening the page: min, median, max");
    for device in devices {
        println!("{device}");
        for (field, name) in FIELDS {
            let here = visits.iter().filter(|visit| visit["name"] == device);
            let seconds = here.filter_map(|visit| visit[field].as_f64()).collect();
            if let Some(Spread { min, median, max }) = Spread::of(seconds) {
                println!("{min:>10.2}{median:>10.2}{max:>10.2}  {name}");
            }
        }
    }
    results.finish("a visit failed")
}
