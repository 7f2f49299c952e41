//! Tests matrix products by cuBLASLt: under a simulated driver with a library that records its calls, on a GPU with the installed
//! one, and without any.

use super::gpu::{Gpu, PRODUCTS, Simulation};
use super::runs::{SAME, SMALL, difference};
use super::session::Session;
use crate::process::{command, run, step};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The test program.
pub const TEST: &str = "products";

/// Tests of the kernels with products in them.
const KERNELS: [&str; 2] = ["linear", "product"];

/// Runs the tests.
pub fn test(session: &Session) -> Result<()> {
    let Gpu::Simulated(driver) = &session.gpu else {
        return step("tests/products with the installed cuBLASLt", || {
            let mut cargo = session.cargo();
            cargo.args(["--test", TEST]);
            session.on_gpu(&mut cargo, Simulation::default())?;
            run(cargo.env(PRODUCTS, "cublaslt"), "install cuBLAS, and see the messages above")
        });
    };
    let fakes = session.folder.join("fakes");
    step("build the recording cuBLASLt", || build(session, driver, &fakes))?;
    let fake = |command: &mut Command, folders: &[&str]| -> Result<()> {
        session.on_gpu(command, Simulation::default())?;
        let folders = folders.iter().map(|folder| fakes.join(folder));
        prepend(command, "LD_LIBRARY_PATH", folders)?;
        command.env(PRODUCTS, "auto");
        Ok(())
    };
    for (name, folders) in [
        ("the host waits for each", &["cublaslt"][..]),
        ("ordered on the device", &["cublaslt", "context"][..]),
    ] {
        step(&format!("tests/products: {name}"), || {
            let mut cargo = session.cargo();
            cargo.args(["--test", TEST]);
            fake(&mut cargo, folders)?;
            for log in ["FAKE_CUBLASLT_LOG", "FAKE_CONTEXT_LOG"] {
                cargo.env(log, fakes.join(log));
            }
            run(&mut cargo, "see the messages above")
        })?;
    }
    for name in KERNELS {
        step(&format!("tests/kernels {name} with the recording cuBLASLt"), || {
            let mut cargo = session.cargo();
            cargo.args(["--test", "kernels", name]);
            fake(&mut cargo, &["cublaslt"])?;
            run(&mut cargo, "see the messages above")
        })?;
    }
    fall_back(session, &fake)
}

/// Compiles the library, and a driver with the functions of CUDA 12.5, into separate folders.
fn build(session: &Session, driver: &Path, fakes: &Path) -> Result<()> {
    let sources = session.repo.root.join("tests/fakes/cublaslt");
    let compile = |source: &str, library: &Path| {
        let folder = library.parent().context("a folder")?;
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let mut cc = command("cc");
        cc.args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]).arg(library);
        cc.arg(sources.join(source));
        anyhow::Ok(cc)
    };
    let remedy = "install a C compiler (Debian: build-essential)";
    let mut cc = compile("cublaslt.c", &fakes.join("cublaslt/libcublasLt.so"))?;
    run(cc.arg("-lm"), remedy)?;
    // Symbols that it lacks are looked for in the driver that it is linked to.
    let context = fakes.join("context/libcuda.so");
    let mut cc = compile("context.c", &context)?;
    run(cc.args(["-Wl,--no-as-needed"]).arg(driver.join("libcuda.so")), remedy)?;
    fs::copy(&context, fakes.join("context/libcuda.so.1")).context("cannot copy the driver")?;
    Ok(())
}

/// Prepends folders to a list in the environment of `command`.
fn prepend(
    command: &mut Command,
    variable: &str,
    folders: impl IntoIterator<Item = PathBuf>,
) -> Result<()> {
    let set = command.get_envs().find(|(name, _)| *name == OsStr::new(variable));
    let before = set.and_then(|(_, value)| value).unwrap_or_default().to_owned();
    let mut all: Vec<PathBuf> = folders.into_iter().collect();
    all.extend(std::env::split_paths(&before));
    command.env(variable, std::env::join_paths(all)?);
    Ok(())
}

/// Output of a training run.
struct Trained {
    succeeded: bool,
    /// Description of the products.
    choice: String,
    losses: Vec<f64>,
    errors: String,
}

/// Trains a little, with and without the library, and compares choice, reason and losses.
fn fall_back(session: &Session, fake: &dyn Fn(&mut Command, &[&str]) -> Result<()>) -> Result<()> {
    let text = fs::read_to_string(session.repo.root.join("assets/text/shakespeare.txt"))?;
    let data = session.folder.join("products.txt");
    fs::write(&data, text.chars().take(6000).collect::<String>())?;
    let train = |name: &str, folders: &[&str], variables: &[(&str, &str)]| -> Result<Trained> {
        let mut program = session.program("train", Simulation::default())?;
        fake(&mut program, folders)?;
        program.envs(variables.iter().copied());
        program.args(["--json", "--device", "cuda", "--steps", "3", "--data"]).arg(&data);
        program.args(SMALL.split_whitespace());
        program.arg("--out").arg(session.folder.join("products").join(name));
        let output = program.output().context("cannot start the program")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let events: Vec<Value> =
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let of = |kind: &'static str| events.iter().filter(move |event| event["type"] == kind);
        let choice = of("start").find_map(|event| event["device"]["reason"].as_str());
        Ok(Trained {
            succeeded: output.status.success(),
            choice: choice.unwrap_or_default().into(),
            losses: of("step").filter_map(|event| event["loss"].as_f64()).collect(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    };
    let by_burn = step("train by burn's products", || {
        let found = train("burn", &["cublaslt"], &[(PRODUCTS, "burn")])?;
        ensure!(found.choice.contains(&format!("by burn: {PRODUCTS}=burn")), "{}", found.choice);
        ensure!(found.losses.len() == 3, "{}", found.errors);
        Ok(found.losses)
    })?;
    // Environment, folders, and the expected texts of the choice and of standard error.
    type Case<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, &'a str)], &'a str, &'a str);
    let cases: [Case<'_>; 4] = [
        ("library", &["cublaslt"], &[], "by cuBLASLt 13.1.0", ""),
        ("missing", &[], &[], "by burn: cuBLASLt was not found (looked for libcublasLt.so", ""),
        (
            "old",
            &["cublaslt"],
            &[("FAKE_CUBLASLT_VERSION", "111103")],
            "by burn: cuBLASLt is too old",
            "",
        ),
        (
            "refused",
            &["cublaslt"],
            &[("FAKE_CUBLASLT_REFUSE", "all")],
            "by cuBLASLt",
            "is computed by burn instead of cuBLASLt: there is no kernel",
        ),
    ];
    for (name, folders, variables, choice, note) in cases {
        step(&format!("train: {name}"), || {
            let found = train(name, folders, variables)?;
            ensure!(found.succeeded, "{}", found.errors);
            ensure!(found.choice.contains(choice), "{}", found.choice);
            ensure!(found.errors.contains(note), "{}", found.errors);
            let difference = difference(&found.losses, &by_burn)?;
            println!("    {}; losses differ by {difference:.1e}", found.choice);
            ensure!(difference <= SAME, "the losses differ by {difference:.1e} from burn's");
            Ok(())
        })?;
    }
    step("train with cuBLASLt demanded and missing", || {
        let found = train("demanded", &[], &[(PRODUCTS, "cublaslt")])?;
        ensure!(!found.succeeded, "nothing was missed");
        let demand = format!("{PRODUCTS}=cublaslt");
        let named = [demand.as_str(), "nvidia-cublas", "LD_LIBRARY_PATH"];
        let missing = named.iter().find(|word| !found.errors.contains(**word));
        ensure!(missing.is_none(), "the message does not name {missing:?}: {}", found.errors);
        Ok(())
    })
}
