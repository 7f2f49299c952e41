//! `cargo xtask bench --matmul`: training's matrix product beside those of the peers, in one Chromium.

use super::options::DriverOptions;
use super::peers;
use super::results::{Results, Spread, text};
use crate::process::{self, step};
use crate::repo::Repo;
use crate::web;
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeMap;

/// Peers that have a matrix product of their own.
const PEERS: &str = "jaxjs,tfjs";
/// Name of our page in the results.
const OURS: &str = "blankslate";

/// Builds the page, multiplies round by round, and prints the ratios.
pub fn run(repo: &Repo, options: &DriverOptions) -> Result<()> {
    let Some(shared) = peers::locate(repo, "matrix product") else { return Ok(()) };
    let chromium = web::build_for_chromium(repo)?;
    let folder =
        step("copy and install the peers", || peers::install(repo, &shared, PEERS))?.join("matmul");
    peers::copy_folder(&repo.root.join("benches/matmul"), &folder)?;

    let mut node = process::command("node");
    node.current_dir(&folder).arg("run.mjs");
    node.arg("--page").arg(repo.root.join("dist/bench-matmul.html"));
    node.arg("--chromium").arg(&chromium);
    options.pass_rounds(&mut node);
    options.pass_adapter(&mut node);
    let what = format!("multiply in Chromium, {} rounds", options.rounds);
    let results = step(&what, || Results::collect(repo, "bench-matmul", &mut node))?;
    print_table(&results.lines);
    results.finish("a product failed")
}

/// Results for one shape.
#[derive(Default)]
struct Row {
    /// Floating-point operations of one product.
    flops: f64,
    /// Milliseconds by peer and round.
    ms: BTreeMap<String, BTreeMap<u64, f64>>,
    remarks: Vec<String>,
}

/// Prints our speed for each shape, and our time divided by each peer's within each round.
fn print_table(lines: &[Value]) {
    let mut adapters: BTreeMap<String, String> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for line in lines {
        let what = text(&line["what"]);
        let peer = text(&line["peer"]);
        if !order.contains(&what) {
            order.push(what.clone());
        }
        let row = rows.entry(what).or_default();
        let sizes = line["shape"].as_array().into_iter().flatten().filter_map(Value::as_f64);
        row.flops = 2.0 * sizes.product::<f64>();
        match (line["ms"].as_f64(), line["round"].as_u64()) {
            (Some(ms), Some(round)) => {
                adapters.insert(peer.clone(), text(&line["adapter"]));
                row.ms.entry(peer).or_default().insert(round, ms);
            }
            _ if !line["error"].is_null() => {
                row.remarks.push(format!("FAILED {peer}: {}", text(&line["error"])));
            }
            _ => row.remarks.push(format!("SKIPPED {peer}: {}", text(&line["skipped"]))),
        }
    }
    for (peer, adapter) in &adapters {
        println!("{peer} on {adapter}");
    }
    println!("our time / the peer's within a round (above 1: we are slower):");
    println!("{:>10}{:>10}{:>8}{:>8}{:>8}", "our ms", "GFLOP/s", "min", "median", "max");
    for what in order {
        let Some(Row { flops, ms, mut remarks }) = rows.remove(&what) else { continue };
        remarks.dedup();
        remarks.iter().for_each(|remark| println!("{remark} ({what})"));
        let Some(ours) = ms.get(OURS) else { continue };
        let Some(own) = Spread::of(ours.values().copied().collect()) else { continue };
        let own = own.median;
        let gflops = flops / own / 1e6;
        for (peer, theirs) in ms.iter().filter(|(peer, _)| *peer != OURS) {
            let ratios = ours.iter().filter_map(|(round, ms)| Some(ms / theirs.get(round)?));
            let Some(Spread { min, median, max }) = Spread::of(ratios.collect()) else { continue };
            println!(
                "{own:>10.2}{gflops:>10.2}{min:>8.2}{median:>8.2}{max:>8.2}  {what}, {OURS} / {peer}"
            );
        }
    }
}
