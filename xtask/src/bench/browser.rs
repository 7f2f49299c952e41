//! `cargo xtask bench --browser`: training steps of the page beside those of its peers, in one Chromium.

use super::options::DriverOptions;
use super::peers;
use super::results::{Results, print_training_ratios};
use crate::process::{self, python_has, step};
use crate::repo::Repo;
use crate::{setup, web};
use anyhow::Result;

/// Our pages in `dist/`: on WebGPU, and on the device that `auto` chooses.
const PAGES: [&str; 2] = ["bench.html", "bench-auto.html"];

/// Builds the page, trains with it and with the peers round by round, and prints the ratios.
pub fn run(repo: &Repo, options: &DriverOptions) -> Result<()> {
    let Some(shared) = peers::locate(repo, "browser") else { return Ok(()) };
    let chromium = web::build_for_chromium(repo)?;
    let python = setup::python();
    let default_peers = || {
        if python_has(&python, "torch") { "jaxjs,tfjs,torch" } else { "jaxjs,tfjs" }
    };
    let peers = options.peers.clone().unwrap_or_else(|| default_peers().to_owned());
    let folder = step("copy and install the peers", || peers::install(repo, &shared, &peers))?;

    let mut node = process::command("node");
    node.current_dir(&folder).args(["run.mjs", "--peers", &peers, "--python", &python]);
    for page in PAGES {
        node.arg("--page").arg(repo.root.join("dist").join(page));
    }
    node.arg("--chromium").arg(&chromium);
    node.arg("--data").arg(shared.join("../data/tinyshakespeare.txt"));
    options.pass_rounds(&mut node);
    options.pass_adapter(&mut node);
    options.pass_training(&mut node);
    let what = format!("train `{}` in Chromium, {} rounds", options.config, options.rounds);
    let name = format!("bench-{}", options.config);
    let results = step(&what, || Results::collect(repo, &name, &mut node))?;
    print_training_ratios(&results.lines, options.rounds, PAGES.len());
    results.finish("the driver reports a failed run")
}
