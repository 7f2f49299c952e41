//! `cargo xtask bench --dawn`: the page's code in Node with Dawn, Chromium's WebGPU, on the GPU that Vulkan finds.
//!
//! A headless Chromium often cannot reach the GPU; Dawn can. The folder `peers/dawn` in the target folder then holds
//! everything that `node run.mjs` needs, so it can be copied to a machine with a GPU and without a network.

use super::options::DriverOptions;
use super::peers;
use super::results::{Results, print_training_ratios};
use crate::process::{self, failure, step};
use crate::repo::Repo;
use crate::{setup, wasm};
use anyhow::Result;
use std::path::Path;

/// Driver of the software adapter that comes with Debian's Chromium.
const SWIFTSHADER: &str = "/usr/lib/chromium/vk_swiftshader_icd.json";

/// Builds the wasm, trains round by round, and prints the ratios.
pub fn run(repo: &Repo, options: &DriverOptions) -> Result<()> {
    let Some(shared) = peers::locate(repo, "Dawn") else { return Ok(()) };
    setup::npm(repo)?;
    let toolchain = setup::wasm_toolchain(repo)?;
    wasm::build(repo, toolchain, false)?;
    let peers = options.peers.as_deref().unwrap_or("jaxjs");
    let folder = step("copy and install Dawn and the peers", || {
        let folder = peers::install(repo, &shared, peers)?.join("dawn");
        peers::copy_folder(&repo.root.join("benches/dawn"), &folder)?;
        peers::install_packages(repo, &folder)?;
        let mut node = process::command("node");
        node.current_dir(&folder).arg("bundle.mjs").arg(&repo.root);
        node.arg(shared.join("../data/tinyshakespeare.txt")).arg(peers);
        process::run(&mut node, "see esbuild's message above")?;
        Ok(folder)
    })?;

    let mut node = process::command("node");
    node.current_dir(&folder).arg("run.mjs");
    options.pass_rounds(&mut node);
    options.pass_training(&mut node);
    if options.adapter.as_deref() == Some("swiftshader") {
        if !Path::new(SWIFTSHADER).is_file() {
            return Err(failure(
                format!("{SWIFTSHADER} is missing"),
                "install Debian's chromium package",
            ));
        }
        node.env("VK_ICD_FILENAMES", SWIFTSHADER);
    }
    let what = format!("train `{}` in Dawn, {} rounds", options.config, options.rounds);
    let name = format!("bench-dawn-{}", options.config);
    let results = step(&what, || Results::collect(repo, &name, &mut node))?;
    print_training_ratios(&results.lines, options.rounds, 1);
    results.finish("a run failed")
}
