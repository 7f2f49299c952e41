//! Tests that drive the page in real browsers (`tests/web/*.test.mjs`).

use crate::process::{self, failure, run};
use crate::repo::Repo;
use anyhow::{Result, bail};
use std::fs;
use std::path::PathBuf;

/// Runs all of them. `page`, `chromium` and `binary` come from earlier steps and are none if those failed;
/// `not_covered` is [`super::report::Report::environment`].
pub fn test(
    repo: &Repo,
    page: Option<()>,
    chromium: Option<PathBuf>,
    firefox: Option<PathBuf>,
    binary: Option<PathBuf>,
    not_covered: (&str, PathBuf),
) -> Result<()> {
    let (Some(()), Some(chromium), Some(binary)) = (page, chromium, binary) else {
        bail!("the page, the browser or the binary is missing, see above");
    };
    let mut node = process::command("node");
    // Two files at a time: a browser waits for the page more than it computes. More of them would miss their timeouts on two cores.
    node.args(["--test", "--test-concurrency=2", "--test-reporter=spec"]);
    // A hanging page must not hang the run: 20 minutes for one test.
    node.arg("--test-timeout=1200000").args(files(repo)?);
    node.current_dir(&repo.root).env("CHROMIUM", chromium).env("BLANKSLATE_BIN", binary);
    node.envs([not_covered]).envs(firefox.map(|firefox| ("FIREFOX", firefox)));
    run(&mut node, "see the messages above; to run one file alone: node --test FILE")
}

/// Returns the test files; an error if there are none, so that testing nothing can't pass.
fn files(repo: &Repo) -> Result<Vec<PathBuf>> {
    let folder = repo.root.join("tests/web");
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.to_string_lossy().ends_with(".test.mjs")).collect();
    files.sort();
    if files.is_empty() {
        return Err(failure(
            format!("{} has no *.test.mjs", folder.display()),
            "restore the files, or change the folder in xtask/src/test/browsers.rs",
        ));
    }
    Ok(files)
}
