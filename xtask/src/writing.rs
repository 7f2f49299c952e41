//! `cargo xtask bench --decode-tab`: how fast GPT-2's 124M shape writes in a tab, beside transformers.js with the same weights.

use crate::bench::{
    BrowserOptions, collect, copy_folder, install_package, install_peers, median, peers,
};
use crate::process::{self, failure, run as run_process, step, succeeds};
use crate::repo::Repo;
use crate::{setup, web};
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeMap;

/// What our page calls itself.
const OURS: &str = "blankslate";

/// Builds the page, exports the model, writes round by round, and prints the ratios.
pub fn run(repo: &Repo, options: &BrowserOptions) -> Result<()> {
    let Some(shared) = peers(repo, "decoding in the tab") else { return Ok(()) };
    let python = std::env::var("PYTHON").unwrap_or("python3".into());
    if !succeeds(process::command(&python).args(["-c", "import optimum.exporters.onnx"])) {
        println!(
            "SKIPPED: decoding in the tab. {python} lacks `optimum-onnx`, which makes transformers.js' model; set PYTHON to an interpreter that has it."
        );
        return Ok(());
    }
    let chromium = setup::chromium()?;
    setup::npm(repo)?;
    let toolchain = setup::wasm_toolchain(repo)?;
    web::build(repo, toolchain, false)?;
    let folder = step("copy and install transformers.js", || {
        let folder = install_peers(repo, &shared, "jaxjs")?.join("decode");
        copy_folder(&repo.root.join("benches/decode/tab"), &folder)?;
        install_package(repo, &folder)?;
        Ok(folder)
    })?;
    let model = repo.target.join("bench-gpt2");
    if !model.join("onnx/model.onnx").is_file() {
        step("make a model of 124M parameters, and its ONNX form", || {
            let mut export = process::command(&python);
            export.arg(folder.join("export.py")).arg(&model);
            run_process(&mut export, "read Python's message above")
        })?;
    }

    let rounds = options.rounds.to_string();
    let mut node = process::command("node");
    node.current_dir(&folder).args(["run.mjs", "--rounds", &rounds]).arg("--model").arg(&model);
    node.arg("--page").arg(repo.root.join("dist/bench-decode.html"));
    node.arg("--chromium").arg(&chromium);
    node.args(options.adapter.iter().flat_map(|adapter| ["--adapter", adapter]));
    let log = repo.target.join("bench-decode-tab.jsonl");
    let (lines, ended_well) =
        step(&format!("write in Chromium, {rounds} rounds"), || collect(&mut node, &log))?;
    print_ratios(&lines);
    println!("all results: {}", log.display());
    if !ended_well {
        return Err(failure(
            "a contestant failed, or wrote other tokens",
            "see FAILED and the messages above",
        ));
    }
    Ok(())
}

/// Prints each contestant's time for a token, and ours divided by it, taken within each round.
fn print_ratios(lines: &[Value]) {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut ours = BTreeMap::new();
    let mut times: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for line in lines {
        let [device, peer] = ["device", "peer"].map(|key| text(&line[key]));
        let Some(ms) = line["ms_per_token"].as_f64() else {
            println!("FAILED: {peer} on {device}: {}", text(&line["error"]));
            continue;
        };
        if line["agrees"] != true {
            println!("FAILED: {peer} on {device} wrote other tokens");
        }
        // Ours comes first in each round.
        let round = (device.clone(), line["round"].to_string());
        if peer == OURS {
            ours.insert(round.clone(), ms);
        }
        let Some(own) = ours.get(&round) else { continue };
        let what = format!("{peer}, {device} ({})", text(&line["adapter"]));
        times.entry(what).or_default().push((ms, own / ms));
    }
    println!("milliseconds a token, and our time / the contestant's within a round:");
    println!("{:>10}{:>8}{:>8}{:>8}", "ms", "least", "median", "most");
    for (what, both) in times {
        let (mut ms, mut ratios): (Vec<f64>, Vec<f64>) = both.into_iter().unzip();
        ms.sort_by(f64::total_cmp);
        ratios.sort_by(f64::total_cmp);
        println!(
            "{:>10.1}{:>8.2}{:>8.2}{:>8.2}  {what}",
            median(&ms),
            ratios[0],
            median(&ratios),
            ratios[ratios.len() - 1]
        );
    }
}
