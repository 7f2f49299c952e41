//! `cargo xtask test`: every check there is, and a table of them at the end.

use crate::args::{Args, Usage};
use crate::process::{self, failure, run, seconds};
use crate::repo::Repo;
use crate::{compress, setup, wasm, web};
use anyhow::{Result, bail};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What `--only` takes.
const GROUPS: [&str; 6] = ["fmt", "clippy", "native", "doc", "web", "cuda"];

/// The steps that have run.
#[derive(Default)]
struct Report {
    rows: Vec<(String, Duration, bool)>,
}

impl Report {
    /// Runs one step; a failure is printed, counted, and does not end the run.
    fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        let start = Instant::now();
        let done = process::step(name, work);
        if let Err(error) = &done {
            println!("    FAILED: {error:#}");
        }
        self.rows.push((name.to_owned(), start.elapsed(), done.is_ok()));
        done.ok()
    }

    /// A cargo command as a step.
    fn cargo(&mut self, name: &str, cargo: &mut std::process::Command) {
        self.step(name, || run(cargo, "read the messages above"));
    }

    /// Prints the table; an error if a step failed.
    fn finish(self) -> Result<()> {
        println!("\n{:>14}  step", "time");
        for (name, time, passed) in &self.rows {
            let mark = if *passed { "" } else { "  FAILED, see above" };
            println!("{:>14}  {name}{mark}", seconds(*time));
        }
        println!("{:>14}  in all", seconds(self.rows.iter().map(|row| row.1).sum()));
        let failed = self.rows.iter().filter(|row| !row.2).count();
        println!("{} passed, {failed} failed", self.rows.len() - failed);
        if failed == 0 { Ok(()) } else { Err(Reported.into()) }
    }
}

/// The error of a run whose table has said everything; `main` adds nothing to it.
#[derive(Debug)]
pub struct Reported;

impl std::fmt::Display for Reported {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("some steps failed")
    }
}

impl std::error::Error for Reported {}

/// Sets up what the chosen groups need and runs them, the quick ones first.
pub fn command(repo: &Repo, mut args: Args) -> Result<()> {
    let mut only = Vec::new();
    while let Some(list) = args.option("--only")? {
        only.extend(list.split(',').map(str::to_owned));
    }
    args.finish()?;
    if let Some(unknown) = only.iter().find(|group| !GROUPS.contains(&group.as_str())) {
        let message = format!("--only takes {}, not `{unknown}`", GROUPS.join(", "));
        return Err(Usage(message).into());
    }
    let wanted = |group: &str| only.is_empty() || only.iter().any(|name| name == group);
    let mut report = Report::default();

    if ["fmt", "clippy", "cuda"].into_iter().any(wanted) {
        report.step("find clippy and rustfmt", || setup::lints(repo));
    }
    if wanted("fmt") {
        report.cargo("format", repo.cargo().args(["fmt", "--all", "--check"]));
    }
    // Everything native is built in the release profile, so that burn is compiled once. xtask is checked apart
    // from the crate: together, cargo would merge the features of what they share and compile burn again.
    let lint = ["clippy", "--release", "--all-targets"];
    let strict = ["--", "-D", "warnings"];
    if wanted("clippy") {
        report.cargo("lint xtask", repo.cargo().args(lint).args(["-p", "xtask"]).args(strict));
        report.cargo("lint natively", repo.cargo().args(lint).args(strict));
    }
    if wanted("native") {
        report.step("find Vulkan", setup::vulkan);
        report.cargo("test xtask", repo.cargo().args(["test", "--release", "-p", "xtask"]));
        let targets = ["--lib", "--bins", "--tests", "--examples", "--no-fail-fast"];
        report.cargo(
            "unit and integration tests",
            repo.cargo().args(["test", "--release"]).args(targets),
        );
    }
    if wanted("doc") {
        report.cargo("doc tests", repo.cargo().args(["test", "--release", "--doc"]));
        report.cargo(
            "documentation",
            repo.cargo().args(["doc", "--release", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
        );
    }
    if wanted("cuda") {
        // DOCS_RS lets burn's LLVM download be skipped, which linking would need and checking does not.
        report.cargo(
            "lint the cuda feature",
            repo.cargo()
                .args(["clippy", "--release", "--features", "cuda"])
                .args(strict)
                .envs([("DOCS_RS", "1"), ("CUDARC_CUDA_VERSION", "13000")]),
        );
    }
    if wanted("clippy") || wanted("web") {
        let toolchain = report.step("find a toolchain for wasm", || setup::wasm_toolchain(repo));
        if let Some(toolchain) = toolchain.filter(|_| wanted("clippy")) {
            report.cargo("lint for wasm", toolchain.cargo(repo, "clippy").args(strict));
        }
        if let Some(toolchain) = toolchain.filter(|_| wanted("web")) {
            report.web(repo, toolchain);
        }
    }
    report.finish()
}

impl Report {
    /// The build of the page as it is shipped, then the tests that drive it in Chromium.
    fn web(&mut self, repo: &Repo, toolchain: wasm::Toolchain) {
        self.step("find the npm packages", || setup::npm(repo));
        let built = self.step("build the page", || web::build(repo, toolchain, false));
        self.step("size of the page", || {
            let folder = repo.target.join("compressed");
            compress::check_growth(&compress::folder(&repo.root.join("dist"), &folder)?)
        });
        let chromium = self.step("find Chromium", setup::chromium);
        // In the same form as the tests, whose build of burn it then shares.
        let binary = self.step("build the binary", || {
            let args = ["test", "--release", "--no-run", "--bins", "--test", "cli"];
            run(repo.cargo().args(args), "read the compiler's messages above")?;
            Ok(repo.target.join("release/blankslate"))
        });
        self.step("browser tests", || {
            let (Some(()), Some(chromium), Some(binary)) = (built, chromium, binary) else {
                bail!("the page, the browser or the binary is missing, see above");
            };
            let mut node = process::command("node");
            // One file at a time: two browsers would share the cores, and their timeouts would be missed.
            node.args(["--test", "--test-concurrency=1", "--test-reporter=spec"]);
            // Twenty minutes for one test: a page that hangs shall not hang the run.
            node.arg("--test-timeout=1200000").args(browser_tests(repo)?);
            node.current_dir(&repo.root).env("CHROMIUM", chromium);
            node.env("BLANKSLATE_BIN", binary);
            setup::webkit();
            node.envs(setup::firefox().map(|firefox| ("FIREFOX", firefox)));
            run(&mut node, "read the messages above; one file runs alone with node --test FILE")
        });
    }
}

/// `tests/web/*.test.mjs`; none at all is an error, lest nothing be tested unnoticed.
fn browser_tests(repo: &Repo) -> Result<Vec<PathBuf>> {
    let folder = repo.root.join("tests/web");
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_test = |path: &PathBuf| path.to_string_lossy().ends_with(".test.mjs");
    let mut tests: Vec<PathBuf> = entries.filter(is_test).collect();
    tests.sort();
    if tests.is_empty() {
        return Err(failure(
            "there are no tests/web/*.test.mjs",
            "write one, with tests/web/harness.mjs",
        ));
    }
    Ok(tests)
}
