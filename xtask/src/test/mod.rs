//! `cargo xtask test`: every check there is, and a table of them at the end.

mod browsers;
mod package;
mod report;

use crate::process::run;
use crate::repo::Repo;
use crate::{compress, notices, setup, wasm, web};
use anyhow::Result;
use clap::{Args, ValueEnum};
use report::Report;
use std::path::PathBuf;

pub use report::StepsFailed;

/// Passed to rustc or Clippy: warnings are errors.
const STRICT: [&str; 3] = ["--", "-D", "warnings"];

#[derive(Args)]
pub struct Options {
    /// Run only these groups of checks (may be repeated, or a comma-separated list)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "GROUP")]
    only: Vec<Group>,
}

/// Groups of checks that `--only` selects.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    /// rustfmt
    Fmt,
    /// Clippy: natively, without default features, for wasm
    Clippy,
    /// Unit and integration tests, and the examples
    Native,
    /// Doc tests, and rustdoc without warnings
    Doc,
    /// The page's sources: eslint, prettier, and unit tests with vitest
    Page,
    /// The page as built: types, size, notices, and tests in Chromium, Firefox and WebKit
    Web,
    /// Clippy with the feature `cuda`
    Cuda,
    /// The contents of the crate as `cargo package` makes it
    Package,
}

/// Sets up what the chosen groups need and runs them, the quick ones first.
pub fn command(repo: &Repo, options: &Options) -> Result<()> {
    let wanted = |group| options.only.is_empty() || options.only.contains(&group);
    let mut report = Report::new(repo)?;

    if [Group::Fmt, Group::Clippy, Group::Cuda].into_iter().any(wanted) {
        report.step("find clippy and rustfmt", || setup::lints(repo));
    }
    let toolchain = (wanted(Group::Clippy) || wanted(Group::Web))
        .then(|| report.step("find a toolchain for wasm", || setup::wasm_toolchain(repo)))
        .flatten();
    // Both sides have crates that all others wait for, so that together they use two cores better than one after the other.
    let mut ahead =
        toolchain.filter(|_| wanted(Group::Web) && wanted(Group::Native)).and_then(|toolchain| {
            report.step("start to compile for wasm", || wasm::compile_ahead(repo, toolchain))
        });
    if wanted(Group::Fmt) {
        report.cargo("format", repo.cargo().args(["fmt", "--all", "--check"]));
    }
    if wanted(Group::Clippy) {
        lint(repo, &mut report);
    }
    if wanted(Group::Page) {
        test_page_sources(repo, &mut report);
    }
    if wanted(Group::Native) {
        test_natively(repo, &mut report);
    }
    if wanted(Group::Doc) {
        report.cargo("doc tests", repo.cargo().args(["test", "--release", "--doc"]));
        report.cargo(
            "documentation",
            repo.cargo().args(["doc", "--release", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"),
        );
    }
    if wanted(Group::Package) {
        report.step("package the crate", || package::check(repo));
    }
    if wanted(Group::Cuda) {
        // DOCS_RS skips the download of burn's LLVM, which linking needs and checking does not.
        report.cargo(
            "lint the cuda feature",
            repo.cargo()
                .args(["clippy", "--release", "--features", "cuda"])
                .args(STRICT)
                .envs([("DOCS_RS", "1"), ("CUDARC_CUDA_VERSION", "13000")]),
        );
    }
    if let Some(compiler) = &mut ahead {
        // Whether it succeeded shows when the page is built.
        compiler.wait()?;
    }
    if let Some(toolchain) = toolchain.filter(|_| wanted(Group::Web)) {
        test_page(repo, toolchain, &mut report);
    }
    // After the page's build, whose dependencies it uses.
    if let Some(toolchain) = toolchain.filter(|_| wanted(Group::Clippy)) {
        report.step("lint for wasm", || wasm::lint(repo, toolchain));
    }
    report.finish()
}

/// Clippy on everything native.
///
/// All native steps use the release profile, so that burn is compiled once. xtask is linted apart from the crate:
/// together, cargo would unify the features of their common dependencies and compile burn again.
fn lint(repo: &Repo, report: &mut Report) {
    let clippy = ["clippy", "--release"];
    let xtask = ["--package", "xtask", "--all-targets"];
    report.cargo("lint xtask", repo.cargo().args(clippy).args(xtask).args(STRICT));
    report.cargo("lint natively", repo.cargo().args(clippy).arg("--all-targets").args(STRICT));
    report.cargo(
        "lint without default features",
        repo.cargo().args(clippy).args(["--lib", "--no-default-features"]).args(STRICT),
    );
}

/// What needs neither the wasm nor a browser; `web::build` checks the types, which come from the wasm.
fn test_page_sources(repo: &Repo, report: &mut Report) {
    report.step("find the npm packages", || setup::npm(repo));
    for (name, script) in [
        ("lint the page", "lint"),
        ("format of the page", "format:check"),
        ("unit tests of the page", "test"),
    ] {
        report.step(name, || {
            run(repo.npm().args(["run", "--silent", script]), "see the messages above")
        });
    }
}

fn test_natively(repo: &Repo, report: &mut Report) {
    report.step("find Vulkan", setup::vulkan);
    report.cargo("test xtask", repo.cargo().args(["test", "--release", "--package", "xtask"]));
    let targets = ["--lib", "--bins", "--tests", "--examples", "--no-fail-fast"];
    report.cargo(
        "unit and integration tests",
        repo.cargo().args(["test", "--release"]).args(targets).envs([report.environment()]),
    );
}

/// Builds the page as it is shipped, then runs the tests that drive it in browsers.
fn test_page(repo: &Repo, toolchain: wasm::Toolchain, report: &mut Report) {
    report.step("find the npm packages", || setup::npm(repo));
    let page = report.step("build the page", || web::build(repo, toolchain, false));
    report.step("size of the page", || {
        let folder = repo.target.join("compressed");
        compress::check_growth(&compress::folder(&repo.root.join("dist"), &folder)?)
    });
    report.step("third-party notices", || notices::command(repo));
    let chromium = report.step("find Chromium", setup::chromium);
    let firefox = report.step("find Firefox", setup::firefox).flatten();
    report.step("find WebKit", setup::webkit);
    let binary = report.step("build the binary", || build_binary(repo));
    let not_covered = report.environment();
    report.step("browser tests", || {
        browsers::test(repo, page, chromium, firefox, binary, not_covered)
    });
}

/// Builds the native binary and returns its path.
pub fn build_binary(repo: &Repo) -> Result<PathBuf> {
    let args = ["build", "--release", "--bin", "blankslate"];
    run(repo.cargo().args(args), "see the compiler's messages above")?;
    Ok(repo.target.join("release/blankslate"))
}
