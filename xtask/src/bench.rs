//! `cargo xtask bench`: native benchmarks, and the page beside its peers in one Chromium.
//!
//! [`dawn`](crate::dawn), [`matmul`](crate::matmul), [`memory`](crate::memory), [`visit`](crate::visit) and
//! [`writing`](crate::writing) are benchmarks of their own.

use crate::args::Args;
use crate::process::{self, failure, run, step, succeeds};
use crate::repo::Repo;
use crate::{dawn, matmul, memory, setup, visit, web, writing};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Where the peers lie, seen from the repository's root.
const PEERS: &str = "../shared/peers";

/// Our pages in `dist/`: one on WebGPU, one on the device that `auto` chooses.
const PAGES: [&str; 2] = ["bench.html", "bench-auto.html"];

/// What can be chosen.
const BENCHMARKS: [&str; 10] = [
    "--browser",
    "--dawn",
    "--matmul",
    "--decode-tab",
    "--first-visit",
    "--lighthouse",
    "--memory",
    "--train",
    "--tokenizer",
    "--decode",
];

/// Runs what was chosen, or everything.
pub fn command(repo: &Repo, mut args: Args) -> Result<()> {
    let chosen: Vec<&str> = BENCHMARKS.into_iter().filter(|name| args.flag(name)).collect();
    let wanted = |name: &str| chosen.is_empty() || chosen.contains(&name);
    let options = BrowserOptions::take(&mut args)?;
    let rest = std::mem::take(&mut args.rest);
    args.finish()?;
    let (rounds, adapter) = (options.rounds, options.adapter.as_deref());

    for (flag, name) in [("--train", "train"), ("--tokenizer", "tokenizer"), ("--decode", "decode")]
    {
        if !wanted(flag) {
            continue;
        }
        step(&format!("run the benchmark {name}"), || {
            let mut cargo = repo.cargo();
            cargo.args(["bench", "--profile", "release", "--bench", name, "--"]).args(&rest);
            run(&mut cargo, "read the messages above")
        })?;
    }
    if wanted("--memory") {
        memory::run_all(repo)?;
    }
    if wanted("--matmul") {
        matmul::run(repo, rounds, adapter)?;
    }
    if wanted("--decode-tab") {
        writing::run(repo, &options)?;
    }
    if wanted("--first-visit") {
        visit::first_visit(repo, rounds, adapter)?;
    }
    if wanted("--lighthouse") {
        visit::lighthouse(repo, rounds)?;
    }
    if wanted("--dawn") {
        dawn::run(repo, &options)?;
    }
    if wanted("--browser") { options.run(repo) } else { Ok(()) }
}

/// What the benchmarks of the page's code were asked for.
pub struct BrowserOptions {
    pub rounds: u32,
    pub config: String,
    pub peers: Option<String>,
    pub adapter: Option<String>,
    /// Handed on to the driver as they are.
    pub numbers: Vec<(&'static str, u32)>,
}

impl BrowserOptions {
    fn take(args: &mut Args) -> Result<Self> {
        let mut numbers = Vec::new();
        for name in ["--steps", "--warmup", "--timeout", "--read-every"] {
            numbers.extend(args.parsed(name)?.map(|number: u32| (name, number)));
        }
        Ok(Self {
            rounds: args.parsed("--rounds")?.unwrap_or(3),
            config: args.option("--config")?.unwrap_or("tiny".into()),
            peers: args.option("--peers")?,
            adapter: args.option("--adapter")?,
            numbers,
        })
    }

    /// Builds the page, runs it and the peers round by round, and prints the ratios.
    fn run(self, repo: &Repo) -> Result<()> {
        let Some(shared) = peers(repo, "browser") else { return Ok(()) };
        let chromium = setup::chromium()?;
        setup::npm(repo)?;
        let toolchain = setup::wasm_toolchain(repo)?;
        web::build(repo, toolchain, false)?;
        let python = std::env::var("PYTHON").unwrap_or("python3".into());
        let peers = self.peers.clone().unwrap_or_else(|| {
            let torch = succeeds(process::command(&python).args(["-c", "import torch"]));
            if torch { "jaxjs,tfjs,torch".into() } else { "jaxjs,tfjs".into() }
        });
        let folder = step("copy and install the peers", || install_peers(repo, &shared, &peers))?;

        let mut node = process::command("node");
        node.current_dir(&folder).args(["run.mjs", "--peers", &peers, "--config", &self.config]);
        for page in PAGES {
            node.arg("--page").arg(repo.root.join("dist").join(page));
        }
        node.arg("--chromium").arg(&chromium);
        node.arg("--data").arg(shared.join("../data/tinyshakespeare.txt"));
        node.args(["--rounds", &self.rounds.to_string(), "--python", &python]);
        node.args(self.adapter.iter().flat_map(|adapter| ["--adapter", adapter]));
        for (name, number) in &self.numbers {
            node.args([name, number.to_string().as_str()]);
        }
        let log = repo.target.join(format!("bench-{}.jsonl", self.config));
        let what = format!("train `{}` in Chromium, {} rounds", self.config, self.rounds);
        let (runs, ended_well) = step(&what, || collect(&mut node, &log))?;
        print_ratios(&runs, self.rounds, PAGES.len());
        println!("all results: {}", log.display());
        if !ended_well {
            return Err(failure(
                "the driver reports a failed run",
                "see FAILED and the messages above",
            ));
        }
        Ok(())
    }
}

/// Where the peers lie; none, loudly, where they are absent.
pub fn peers(repo: &Repo, benchmark: &str) -> Option<PathBuf> {
    let shared = repo.root.join(PEERS);
    let there = shared.join("run.mjs").is_file();
    if !there {
        println!(
            "SKIPPED: the {benchmark} benchmark. It needs the peers in {PEERS}, which is not there."
        );
    }
    there.then_some(shared)
}

/// A copy of the peers, which may lie on a read-only disk, with their npm packages.
pub fn install_peers(repo: &Repo, shared: &Path, peers: &str) -> Result<PathBuf> {
    let folder = repo.target.join("peers");
    copy_folder(shared, &folder)?;
    copy_folder(&repo.root.join("benches/browser"), &folder.join("browser"))?;
    let nested = peers.split(',').any(|peer| peer == "nanogpt").then(|| folder.join("nanogpt"));
    for folder in std::iter::once(folder.clone()).chain(nested) {
        install_package(repo, &folder)?;
    }
    Ok(folder)
}

/// Installs a folder's npm packages, unless they were since its lock file changed.
pub fn install_package(repo: &Repo, folder: &Path) -> Result<()> {
    let lock = fs::read(folder.join("package-lock.json"))
        .with_context(|| format!("{} has no lock file", folder.display()))?;
    let installed = folder.join("node_modules/.installed-lock.json");
    if fs::read(&installed).is_ok_and(|old| old == lock) {
        return Ok(());
    }
    setup::npm_ci(repo, folder)?;
    fs::write(&installed, lock).with_context(|| format!("cannot write {}", installed.display()))
}

/// Copies the files of a folder, without what npm or a bundler has put there.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let (source, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if ["node_modules", "dist", "__pycache__"].iter().any(|skipped| name == *skipped) {
            continue;
        }
        let target = to.join(name);
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            // Bytes, not fs::copy, which would copy the write protection too.
            let bytes =
                fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
            fs::write(&target, bytes)
                .with_context(|| format!("cannot write {}", target.display()))?;
        }
    }
    Ok(())
}

/// Runs the driver, keeps its JSON lines in `log`, and returns them with whether it ended with status 0.
pub fn collect(node: &mut std::process::Command, log: &Path) -> Result<(Vec<Value>, bool)> {
    let mut child = node.stdout(Stdio::piped()).spawn().context("cannot start node")?;
    let stdout = child.stdout.take().context("node has no standard output")?;
    let (mut text, mut lines) = (String::new(), Vec::new());
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        text += &format!("{line}\n");
        if let Ok(value) = serde_json::from_str(&line) {
            lines.push(value);
        }
    }
    let status = child.wait()?;
    fs::write(log, text).with_context(|| format!("cannot write {}", log.display()))?;
    if lines.is_empty() {
        bail!("the driver printed no result ({status})");
    }
    Ok((lines, status.success()))
}

/// Prints our time divided by each peer's, taken within each round, of which the last `own` runs are ours.
pub fn print_ratios(lines: &[Value], rounds: u32, own: usize) {
    let mut ratios: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in 1..=u64::from(rounds) {
        let mut runs: Vec<&Value> = lines.iter().filter(|line| line["round"] == round).collect();
        runs.retain(|line| line.get("check").is_none()); // the comparisons name a round too
        let ours = runs.split_off(runs.len().saturating_sub(own));
        for ours in ours {
            if let Some(error) = ours.get("error") {
                println!("FAILED: ours in round {round}: {error}");
                continue;
            }
            for peer in &runs {
                for measure in ["ms_per_step", "first_step_ms"] {
                    let times = (ours[measure].as_f64(), peer[measure].as_f64());
                    if let (Some(own_time), Some(their_time)) = times {
                        let [own, their] =
                            [&ours["peer"], &peer["peer"]].map(|name| name.as_str().unwrap_or("?"));
                        let key = format!("{measure}, {own} against {their}");
                        ratios.entry(key).or_default().push(own_time / their_time);
                    }
                }
            }
        }
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for line in lines {
        if line["check"] == "loss_agreement" {
            let [a, b, largest] = ["a", "b", "max_diff"].map(|key| text(&line[key]));
            println!("round {}: losses of {a} and {b} differ by {largest} at most", line["round"]);
        } else if line["round"] == 1 && line.get("error").is_none() {
            let [peer, adapter] = ["peer", "adapter"].map(|key| text(&line[key]));
            let sizes = ["js_gzip", "wasm_gzip"].map(|key| line[key].as_u64());
            let sizes = match sizes {
                [Some(js), Some(wasm)] => {
                    format!("; gzipped: {js} bytes of JavaScript, {wasm} of wasm")
                }
                _ => String::new(),
            };
            println!("{peer} on {adapter}{sizes}");
        }
    }
    println!("our time / the peer's, within a round (above 1 we are slower):");
    println!("{:>10}{:>10}{:>10}", "least", "median", "most");
    for (what, mut values) in ratios {
        values.sort_by(f64::total_cmp);
        let (least, most) = (values[0], values[values.len() - 1]);
        println!("{least:>10.2}{:>10.2}{most:>10.2}  {what}", median(&values));
    }
}

/// The middle of sorted values, or the mean of the two in the middle.
pub fn median(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[half] } else { (sorted[half - 1] + sorted[half]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn median_of_odd_and_even() {
        assert_eq!(median(&[1.0, 2.0, 9.0]), 2.0);
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), 3.0);
    }
}
