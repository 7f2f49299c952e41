//! `cargo xtask bench --matmul`: the product that training uses beside those of the peers, in one Chromium.

use crate::bench::{collect, copy_folder, install_peers, median, peers};
use crate::process::{self, failure, step};
use crate::repo::Repo;
use crate::{setup, web};
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeMap;

/// The peers' names in `install_peers`.
const PEERS: &str = "jaxjs,tfjs";
/// What our page calls itself.
const OURS: &str = "blankslate";

/// Builds the page, multiplies round by round, and prints the ratios.
pub fn run(repo: &Repo, rounds: u32, adapter: Option<&str>) -> Result<()> {
    let Some(shared) = peers(repo, "matrix product") else { return Ok(()) };
    let chromium = setup::chromium()?;
    setup::npm(repo)?;
    let toolchain = setup::wasm_toolchain(repo)?;
    web::build(repo, toolchain, false)?;
    let folder =
        step("copy and install the peers", || install_peers(repo, &shared, PEERS))?.join("matmul");
    copy_folder(&repo.root.join("benches/matmul"), &folder)?;

    let mut node = process::command("node");
    node.current_dir(&folder).args(["run.mjs", "--rounds", &rounds.to_string()]);
    node.arg("--page").arg(repo.root.join("dist/bench-matmul.html"));
    node.arg("--chromium").arg(&chromium);
    node.args(adapter.iter().flat_map(|adapter| ["--adapter", adapter]));
    let log = repo.target.join("bench-matmul.jsonl");
    let (lines, ended_well) =
        step(&format!("multiply in Chromium, {rounds} rounds"), || collect(&mut node, &log))?;
    print_table(&lines);
    println!("all results: {}", log.display());
    if !ended_well {
        return Err(failure("a product failed", "see FAILED and the messages above"));
    }
    Ok(())
}

/// One shape's times, by peer and round.
#[derive(Default)]
struct Row {
    operations: f64,
    ms: BTreeMap<String, BTreeMap<u64, f64>>,
    remarks: Vec<String>,
}

/// Prints our speed for each shape, and our time divided by each peer's, taken within each round.
fn print_table(lines: &[Value]) {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut adapters: BTreeMap<String, String> = BTreeMap::new();
    let mut order: Vec<String> = Vec::new();
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for line in lines {
        let (what, peer) = (text(&line["what"]), text(&line["peer"]));
        if !order.contains(&what) {
            order.push(what.clone());
        }
        let row = rows.entry(what).or_default();
        let sizes = line["shape"].as_array().into_iter().flatten().filter_map(Value::as_f64);
        row.operations = 2.0 * sizes.product::<f64>();
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
    println!("our time / the peer's, within a round (above 1 we are slower):");
    println!("{:>10}{:>10}{:>8}{:>8}{:>8}", "our ms", "GFLOP/s", "least", "median", "most");
    for what in order {
        let Row { operations, ms, mut remarks } = rows.remove(&what).unwrap_or_default();
        remarks.dedup();
        remarks.iter().for_each(|remark| println!("{remark} ({what})"));
        let Some(ours) = ms.get(OURS) else { continue };
        let mut own: Vec<f64> = ours.values().copied().collect();
        own.sort_by(f64::total_cmp);
        let own = median(&own);
        for (peer, theirs) in ms.iter().filter(|(peer, _)| *peer != OURS) {
            let both = ours.iter().filter_map(|(round, ms)| Some(ms / theirs.get(round)?));
            let mut ratios: Vec<f64> = both.collect();
            ratios.sort_by(f64::total_cmp);
            let (Some(least), Some(most)) = (ratios.first(), ratios.last()) else { continue };
            println!(
                "{own:>10.2}{:>10.2}{least:>8.2}{:>8.2}{most:>8.2}  {what}, against {peer}",
                operations / own / 1e6,
                median(&ratios),
            );
        }
    }
}
