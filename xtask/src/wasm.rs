//! The wasm half of the crate: which toolchain builds it, and wasm-bindgen.

use crate::process::{self, failure, run};
use crate::repo::Repo;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Command;
use wasm_bindgen_cli_support::{Bindgen, Output};

pub const TARGET: &str = "wasm32-unknown-unknown";

/// What can compile for [`TARGET`] on this machine; `setup::wasm_toolchain` finds or installs one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Toolchain {
    /// The toolchain that runs xtask has the target's standard library.
    Own,
    /// Debian's `rustc-web` and `cargo-web`, which compile the standard library themselves.
    Debian,
}

impl Toolchain {
    /// `cargo build` or `cargo clippy` of the library, in the profile of the shipped page.
    pub fn cargo(self, repo: &Repo, subcommand: &str) -> Command {
        let mut cargo = match self {
            Self::Own => repo.cargo(),
            // `/usr/bin/cargo clippy` would find rustup's cargo-clippy first, so it is named in full.
            Self::Debian if subcommand == "clippy" => process::command("/usr/bin/cargo-clippy"),
            Self::Debian => process::command("/usr/bin/cargo"),
        };
        cargo.args([subcommand, "--lib", "--target", TARGET, "--profile", "web"]);
        cargo.current_dir(&repo.root).env("CARGO_TARGET_DIR", &repo.wasm_target);
        // The flags in .cargo/config.toml hold only while these are not set.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"] {
            cargo.env_remove(name);
        }
        if self == Self::Debian {
            cargo.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1");
            cargo.env("CARGO", "/usr/bin/cargo").env("RUSTC", "/usr/bin/rustc");
            // Set by rustup's cargo, for rustup's compilers.
            for name in ["RUSTUP_TOOLCHAIN", "RUSTDOC", "LD_LIBRARY_PATH"] {
                cargo.env_remove(name);
            }
        }
        cargo
    }
}

/// Compiles the crate and writes `pkg/`: JavaScript, its types, and the wasm.
pub fn build(repo: &Repo, toolchain: Toolchain, names: bool) -> Result<()> {
    process::step(
        "compile the crate to wasm (the first time takes 15 to 25 minutes on 2 cores)",
        || run(&mut toolchain.cargo(repo, "build"), "read the compiler's message above"),
    )?;
    let wasm = repo.wasm_target.join(TARGET).join("web/blankslate.wasm");
    process::step("write pkg/ with wasm-bindgen", || bindgen(&wasm, &repo.root.join("pkg"), names))
}

/// wasm-bindgen as a library, so that its version is always the one in Cargo.lock.
///
/// Nothing is done if `out` was made from the same wasm in the same way.
fn bindgen(wasm: &Path, out: &Path, names: bool) -> Result<()> {
    let bytes = fs::read(wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
    // "The same way": the options below and wasm-bindgen's version, both read from their source.
    let how = (names, include_str!("wasm.rs"), include_str!("../Cargo.toml"));
    let mut hasher = DefaultHasher::new();
    (bytes, how).hash(&mut hasher);
    let stamp = format!("{:016x}", hasher.finish());
    let stamp_file = out.join(".stamp");
    if fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) {
        println!("    pkg/ is up to date");
        return Ok(());
    }

    if out.exists() {
        fs::remove_dir_all(out).with_context(|| format!("cannot empty {}", out.display()))?;
    }
    let mut bindgen = Bindgen::new();
    // `init()` without an argument finds the wasm beside the script, as the command line tool has it.
    bindgen.input_path(wasm).typescript(true).omit_default_module_path(false);
    bindgen.remove_name_section(!names).remove_producers_section(true);
    let mut output =
        bindgen.web(true).and_then(|bindgen| bindgen.generate_output()).map_err(|error| {
            failure(
                format!("wasm-bindgen: {error:#}"),
                "if it speaks of versions, give xtask/Cargo.toml and Cargo.toml the same wasm-bindgen",
            )
        })?;
    // Who asks for names wants to read them.
    let long = if names { Vec::new() } else { shorten_imports(&mut output) };
    output.emit(out).with_context(|| format!("cannot write {}", out.display()))?;
    rename_in_script(&out.join("blankslate.js"), &long)?;
    fs::write(&stamp_file, stamp).with_context(|| format!("cannot write {}", stamp_file.display()))
}

/// Numbers the functions that the wasm takes from its script, and returns the names they had.
///
/// Their own end with 16 digits of a hash each, which no compression makes smaller: 3 kB of the script and as much of the wasm.
fn shorten_imports(output: &mut Output) -> Vec<String> {
    let imports = output.wasm_mut().imports.iter_mut();
    // The others are in files of ours.
    let from_script = imports.filter(|import| import.module == "./blankslate_bg.js");
    from_script
        .enumerate()
        .map(|(i, import)| std::mem::replace(&mut import.name, format!("_{i}")))
        .collect()
}

/// Gives the script's functions their numbers too.
fn rename_in_script(script: &Path, long: &[String]) -> Result<()> {
    let mut text = fs::read_to_string(script)?;
    for (i, name) in long.iter().enumerate() {
        let defined = format!(" {name}: function(");
        ensure!(
            text.matches(&defined).count() == 1,
            "wasm-bindgen defines {name} otherwise than {} knows; look at its script",
            file!()
        );
        text = text.replacen(&defined, &format!(" _{i}: function("), 1);
    }
    fs::write(script, text).with_context(|| format!("cannot write {}", script.display()))
}
