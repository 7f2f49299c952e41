//! `cargo xtask bench --dawn`: the pages' code in Node with Dawn, Chromium's own WebGPU, on the GPU that Vulkan finds.
//!
//! A headless Chromium often has no way to the GPU; Dawn has. The folder that this makes, `peers/dawn` in the target
//! folder, holds all that `node run.mjs` needs, and may be carried to a machine that has a GPU and no network.

use crate::bench::{
    BrowserOptions, collect, copy_folder, install_package, install_peers, peers, print_ratios,
};
use crate::process::{self, failure, run as run_process, step};
use crate::repo::Repo;
use crate::{setup, wasm};
use anyhow::Result;
use std::path::Path;

/// The software adapter that comes with Chromium.
const SWIFTSHADER: &str = "/usr/lib/chromium/vk_swiftshader_icd.json";

/// Builds the wasm, trains round by round, and prints the ratios.
pub fn run(repo: &Repo, options: &BrowserOptions) -> Result<()> {
    let Some(shared) = peers(repo, "Dawn") else { return Ok(()) };
    setup::npm(repo)?;
    let toolchain = setup::wasm_toolchain(repo)?;
    wasm::build(repo, toolchain, false)?;
    let peers = options.peers.as_deref().unwrap_or("jaxjs");
    let folder = step("copy and install Dawn and the peers", || {
        let folder = install_peers(repo, &shared, peers)?.join("dawn");
        copy_folder(&repo.root.join("benches/dawn"), &folder)?;
        install_package(repo, &folder)?;
        let mut node = process::command("node");
        node.current_dir(&folder).arg("bundle.mjs").arg(&repo.root);
        node.arg(shared.join("../data/tinyshakespeare.txt")).arg(peers);
        run_process(&mut node, "read esbuild's message above")?;
        Ok(folder)
    })?;

    let mut node = process::command("node");
    node.current_dir(&folder).args(["run.mjs", "--config", &options.config]);
    node.args(["--rounds", &options.rounds.to_string()]);
    for (name, number) in &options.numbers {
        node.args([name, number.to_string().as_str()]);
    }
    match options.adapter.as_deref() {
        Some("swiftshader") if Path::new(SWIFTSHADER).is_file() => {
            node.env("VK_ICD_FILENAMES", SWIFTSHADER);
        }
        Some("swiftshader") => {
            return Err(failure(
                format!("{SWIFTSHADER} is not there"),
                "install Debian's chromium",
            ));
        }
        _ => (),
    }
    let log = repo.target.join(format!("bench-dawn-{}.jsonl", options.config));
    let what = format!("train `{}` in Dawn, {} rounds", options.config, options.rounds);
    let (runs, ended_well) = step(&what, || collect(&mut node, &log))?;
    print_ratios(&runs, options.rounds, 1);
    println!("all results: {}", log.display());
    if !ended_well {
        return Err(failure("a run failed", "see FAILED and the messages above"));
    }
    Ok(())
}
