//! `cargo xtask bench --decode-tab`: decoding speed of GPT-2's 124M shape in Chromium, beside transformers.js with the
//! same weights.

use super::options::DriverOptions;
use super::peers;
use super::results::{Results, Spread, text};
use crate::process::{self, python_has, step};
use crate::repo::Repo;
use crate::{setup, web};
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeMap;

/// Name of our page in the results.
const OURS: &str = "blankslate";

/// Builds the page, exports the model, decodes round by round, and prints the ratios.
pub fn run(repo: &Repo, options: &DriverOptions) -> Result<()> {
    let Some(shared) = peers::locate(repo, "decoding in the tab") else { return Ok(()) };
    let python = setup::python();
    if !python_has(&python, "optimum.exporters.onnx") {
        println!(
            "SKIPPED: decoding in the tab. {python} lacks `optimum-onnx`, which exports the model for transformers.js; set PYTHON to an interpreter that has it."
        );
        return Ok(());
    }
    let chromium = web::build_for_chromium(repo)?;
    let folder = step("copy and install transformers.js", || {
        let folder = peers::install(repo, &shared, "jaxjs")?.join("decode");
        peers::copy_folder(&repo.root.join("benches/decode/tab"), &folder)?;
        peers::install_packages(repo, &folder)?;
        Ok(folder)
    })?;
    let model = repo.target.join("bench-gpt2");
    if !model.join("onnx/model.onnx").is_file() {
        step("create a model of 124M parameters and export it to ONNX", || {
            let mut export = process::command(&python);
            export.arg(folder.join("export.py")).arg(&model);
            process::run(&mut export, "see Python's message above")
        })?;
    }

    let mut node = process::command("node");
    node.current_dir(&folder).arg("run.mjs").arg("--model").arg(&model);
    node.arg("--page").arg(repo.root.join("dist/bench-decode.html"));
    node.arg("--chromium").arg(&chromium);
    options.pass_rounds(&mut node);
    options.pass_adapter(&mut node);
    let what = format!("decode in Chromium, {} rounds", options.rounds);
    let results = step(&what, || Results::collect(repo, "bench-decode-tab", &mut node))?;
    print_ratios(&results.lines);
    results.finish("a contestant failed or decoded other tokens")
}

/// Prints each contestant's time per token, and ours divided by it within each round.
fn print_ratios(lines: &[Value]) {
    let mut ours = BTreeMap::new();
    let mut times: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for line in lines {
        let device = text(&line["device"]);
        let peer = text(&line["peer"]);
        let Some(ms) = line["ms_per_token"].as_f64() else {
            println!("FAILED: {peer} on {device}: {}", text(&line["error"]));
            continue;
        };
        if line["agrees"] != true {
            println!("FAILED: {peer} on {device} decoded other tokens");
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
    println!("milliseconds per token (median), and our time / the contestant's within a round:");
    println!("{:>10}{:>8}{:>8}{:>8}", "ms", "min", "median", "max");
    for (what, measured) in times {
        let (ms, ratios): (Vec<f64>, Vec<f64>) = measured.into_iter().unzip();
        if let (Some(ms), Some(ratio)) = (Spread::of(ms), Spread::of(ratios)) {
            let Spread { min, median, max } = ratio;
            println!("{:>10.1}{min:>8.2}{median:>8.2}{max:>8.2}  {what}", ms.median);
        }
    }
}
