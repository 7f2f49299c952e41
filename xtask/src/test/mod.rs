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
use std::process::Command;

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
    /// Clippy with the feature `nccl`, which includes `cuda`, or with `cuda` alone where MPI is missing
    Cuda,
    /// Tests that start several ranks with `mpirun`; a part of the native ones where MPI is found
    Mpi,
    /// The contents of the crate as `cargo package` makes it
    Package,
}

/// Sets up what the chosen groups need and runs them, the quick ones first.
pub fn command(repo: &Repo, options: &Options) -> Result<()> {
    let wanted = |group| options.only.is_empty() || options.only.contains(&group);
    let mut report = Report::new(repo)?;

    if [Group::Fmt, Group::Clippy, Group::Cuda, Group::Mpi].into_iter().any(wanted) {
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
    let features = native_features(wanted, &mut report);
    if wanted(Group::Fmt) {
        report.cargo("format", repo.cargo().args(["fmt", "--all", "--check"]));
    }
    if wanted(Group::Clippy) {
        lint(repo, features, &mut report);
    }
    if wanted(Group::Page) {
        test_page_sources(repo, &mut report);
    }
    if wanted(Group::Native) {
        test_natively(repo, features, &mut report);
    }
    if wanted(Group::Doc) {
        let [mut test, mut doc] = ["test", "doc"].map(|command| native(repo, command, features));
        report.cargo("doc tests", test.arg("--doc"));
        report.cargo("documentation", doc.arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings"));
    }
    if wanted(Group::Package) {
        report.step("package the crate", || package::check(repo));
    }
    if wanted(Group::Cuda) {
        // `nccl` includes `cuda`, and needs an MPI library. DOCS_RS skips the download of burn's LLVM, which linking needs and checking
        // does not.
        let feature = if setup::has_mpi() { "nccl" } else { "cuda" };
        let mut cargo = native(repo, "clippy", &["--features", feature, "--lib", "--bins"]);
        if feature == "nccl" {
            cargo.args(["--test", "nccl"]);
        }
        cargo.args(STRICT).envs([("DOCS_RS", "1"), ("CUDARC_CUDA_VERSION", "13000")]);
        report.cargo(&format!("lint the {feature} feature"), &mut cargo);
    }
    if wanted(Group::Mpi) && !wanted(Group::Native) {
        report.cargo(
            "tests with several ranks",
            native(repo, "test", features).args(["--test", "mpi"]).envs([report.environment()]),
        );
    }
    if let Some(compiler) = &mut ahead {
        // Whether it succeeded shows when the page is built.
        compiler.wait()?;
    }
    if let Some(toolchain) = toolchain.filter(|_| wanted(Group::Web)) {
        test_page(repo, toolchain, features, &mut report);
    }
    // After the page's build, whose dependencies it uses.
    if let Some(toolchain) = toolchain.filter(|_| wanted(Group::Clippy)) {
        report.step("lint for wasm", || wasm::lint(repo, toolchain));
    }
    report.finish()
}

/// Returns the arguments for the features of all native steps, so that the crate is compiled once for them: `mpi` where there
/// is an MPI library.
fn native_features(wanted: impl Fn(Group) -> bool, report: &mut Report) -> &'static [&'static str] {
    let compiles = [Group::Clippy, Group::Native, Group::Doc, Group::Web].into_iter().any(&wanted);
    let has_mpi = match wanted(Group::Mpi) {
        true => report.step("find MPI", setup::mpi).is_some(),
        false => compiles && setup::has_mpi(),
    };
    if has_mpi { &["--features", "mpi"] } else { &[] }
}

/// A cargo command on the crate, natively. All use the release profile, so that burn is compiled once.
fn native(repo: &Repo, command: &str, features: &[&str]) -> Command {
    let mut cargo = repo.cargo();
    cargo.args([command, "--release"]).args(features);
    cargo
}

/// Clippy on everything native.
///
/// xtask is linted apart from the crate: together, cargo would unify the features of their common dependencies and compile burn
/// again.
fn lint(repo: &Repo, features: &[&str], report: &mut Report) {
    let clippy = |features| native(repo, "clippy", features);
    let xtask = ["--package", "xtask", "--all-targets"];
    report.cargo("lint xtask", clippy(&[]).args(xtask).args(STRICT));
    report.cargo("lint natively", clippy(features).arg("--all-targets").args(STRICT));
    let library = ["--lib", "--no-default-features"];
    report.cargo("lint without default features", clippy(&library).args(STRICT));
}

/// Runs the checks that need neither the wasm nor a browser; `web::build` checks the types, which come from the wasm.
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

/// Tests of the library, the program and the examples.
fn test_natively(repo: &Repo, features: &[&str], report: &mut Report) {
    report.step("find Vulkan", setup::vulkan);
    report.cargo("test xtask", native(repo, "test", &[]).args(["--package", "xtask"]));
    let tensorboard = report.step("find TensorBoard", || setup::tensorboard(repo)).flatten();
    let targets = ["--lib", "--bins", "--tests", "--examples", "--no-fail-fast"];
    report.cargo(
        "unit and integration tests",
        native(repo, "test", features)
            .args(targets)
            .envs([report.environment()])
            .envs(tensorboard.map(|folder| ("BLANKSLATE_TENSORBOARD", folder))),
    );
}

/// Builds the page as it is shipped, then runs the tests that drive it in browsers.
fn test_page(repo: &Repo, toolchain: wasm::Toolchain, features: &[&str], report: &mut Report) {
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
    let binary = report.step("build the binary", || build_binary(repo, features));
    let not_covered = report.environment();
    report.step("browser tests", || {
        browsers::test(repo, page, chromium, firefox, binary, not_covered)
    });
}

/// Builds the native binary and returns its path. `features` are arguments of cargo.
pub fn build_binary(repo: &Repo, features: &[&str]) -> Result<PathBuf> {
    let mut cargo = native(repo, "build", features);
    run(cargo.args(["--bin", "blankslate"]), "see the compiler's messages above")?;
    Ok(repo.target.join("release/blankslate"))
}
