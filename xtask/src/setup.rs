//! What has to be on the machine, each looked for first and installed only when missing.
//!
//! Every function tries the ordinary way and falls back to Debian's packages, or says what to install by hand.

use crate::process::{self, failure, find, output, run, step, succeeds};
use crate::repo::Repo;
use crate::wasm::{TARGET, Toolchain};
use anyhow::{Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Debian's compiler for the browser, kept current with Chromium's and Firefox's needs.
const DEBIAN_TOOLCHAIN: [&str; 6] =
    ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "rust-web-clippy", "lld-22"];

/// The oldest Node that Vite runs on.
const NODE: (u32, u32) = (20, 19);

/// Names and places of Chromium and of browsers that can stand in for it.
const BROWSERS: [&str; 6] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/usr/bin/chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/// Finds or installs something that compiles for [`TARGET`], clippy included.
pub fn wasm_toolchain(repo: &Repo) -> Result<Toolchain> {
    if has_target(repo) {
        return Ok(Toolchain::Own);
    }
    let mut reasons = vec!["rustup is not in PATH".to_owned()];
    if find("rustup").is_some() {
        let added = step(&format!("add the target {TARGET} with rustup"), || {
            let mut rustup = process::command("rustup");
            run(rustup.args(["target", "add", TARGET]), "see rustup's message")
        });
        match added {
            Ok(()) if has_target(repo) => return Ok(Toolchain::Own),
            Ok(()) => reasons = vec!["rustup added the target to another toolchain".to_owned()],
            Err(error) => reasons = vec![format!("{error:#}")],
        }
        println!("    rustup could not do it; trying Debian's packages");
    }
    match apt(&DEBIAN_TOOLCHAIN) {
        Ok(()) => Ok(Toolchain::Debian),
        Err(error) => {
            reasons.push(format!("{error:#}"));
            let why = format!("nothing here compiles for {TARGET}: {}", reasons.join("; "));
            Err(failure(why, "with rustup: rustup target add wasm32-unknown-unknown"))
        }
    }
}

/// True if the toolchain in use has the standard library for wasm.
fn has_target(repo: &Repo) -> bool {
    let mut rustc = process::command("rustc");
    rustc.current_dir(&repo.root).args(["--print", "target-libdir", "--target", TARGET]);
    // The path is printed whether or not it exists.
    let Ok(folder) = output(&mut rustc) else { return false };
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

/// clippy and rustfmt of the native toolchain.
pub fn lints(repo: &Repo) -> Result<()> {
    if succeeds(repo.cargo().args(["clippy", "-V"]))
        && succeeds(repo.cargo().args(["fmt", "--version"]))
    {
        return Ok(());
    }
    step("add clippy and rustfmt with rustup", || {
        let mut rustup = process::command("rustup");
        run(
            rustup.args(["component", "add", "clippy", "rustfmt"]),
            "install clippy and rustfmt for this cargo",
        )
    })
}

/// Node and the packages of package-lock.json.
pub fn npm(repo: &Repo) -> Result<()> {
    node()?;
    let modified = |path: &str| fs::metadata(repo.root.join(path)).and_then(|meta| meta.modified());
    let installed = modified("node_modules/.package-lock.json");
    if let (Ok(installed), Ok(wanted)) = (installed, modified("package-lock.json"))
        && installed >= wanted
    {
        return Ok(());
    }
    step("install the npm packages", || npm_ci(repo, &repo.root))
}

/// `npm ci` in any folder. No package of ours needs its install script.
pub fn npm_ci(repo: &Repo, folder: &Path) -> Result<()> {
    let mut npm = repo.npm();
    npm.current_dir(folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    run(
        &mut npm,
        "check that the npm registry can be reached, and that package.json fits its lock file",
    )
}

/// Node and npm, recent enough.
fn node() -> Result<()> {
    let remedy = "install Node 22 LTS (nodejs.org, nvm, or your system's packages)";
    if find("node").is_none() || find("npm").is_none() {
        apt(&["nodejs", "npm"])
            .map_err(|error| failure(format!("Node is missing: {error:#}"), remedy))?;
    }
    let version = output(process::command("node").arg("--version"))?;
    let mut numbers =
        version.trim_start_matches('v').split('.').map_while(|part| part.parse::<u32>().ok());
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < NODE {
        return Err(failure(
            format!("Node {version} is too old for Vite, which needs {}.{}", NODE.0, NODE.1),
            remedy,
        ));
    }
    Ok(())
}

/// The browser of the tests and benchmarks: `$CHROMIUM`, or the first that is found, or Debian's.
pub fn chromium() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CHROMIUM").map(PathBuf::from) {
        if path.is_file() {
            return Ok(path);
        }
        bail!("CHROMIUM names {}, which is no file", path.display());
    }
    // `find` takes the absolute ones as they are.
    let installed = || BROWSERS.iter().find_map(|name| find(name));
    if let Some(path) = installed() {
        return Ok(path);
    }
    let remedy = "install Chromium or Chrome and set CHROMIUM to its path if it is not in PATH";
    apt(&["chromium"])
        .map_err(|error| failure(format!("Chromium is missing: {error:#}"), remedy))?;
    installed()
        .ok_or_else(|| failure("the package chromium was installed but left no browser", remedy))
}

/// A Firefox for the test that drives it: `$FIREFOX`, the first that is found, or Debian's. None where there is
/// none: the test then says that it was skipped.
pub fn firefox() -> Option<PathBuf> {
    let installed = || ["firefox", "firefox-esr"].iter().find_map(|name| find(name));
    let named = std::env::var_os("FIREFOX").map(PathBuf::from);
    named.or_else(installed).or_else(|| {
        if let Err(error) = apt(&["firefox-esr"]) {
            println!("    no Firefox: {error:#}");
        }
        installed()
    })
}

/// WebKitGTK with its driver, and a display for it, for the test that drives it. Where they are not to be had, the test
/// says that it was skipped.
pub fn webkit() {
    if !cfg!(target_os = "linux") || (find("WebKitWebDriver").is_some() && find("Xvfb").is_some()) {
        return;
    }
    if let Err(error) = apt(&["webkit2gtk-driver", "xvfb"]) {
        println!("    no WebKit: {error:#}");
    }
}

/// The Vulkan loader, and a driver: a machine without a GPU gets lavapipe, which runs on the CPU.
pub fn vulkan() -> Result<()> {
    if !cfg!(target_os = "linux") || (has_vulkan_loader() && has_vulkan_driver()) {
        return Ok(());
    }
    let remedy = "install a Vulkan loader and driver (Mesa's lavapipe runs without a GPU)";
    apt(&["libvulkan1", "mesa-vulkan-drivers"])
        .map_err(|error| failure(format!("Vulkan is missing: {error:#}"), remedy))
}

fn has_vulkan_loader() -> bool {
    let mut folders = vec![PathBuf::from("/usr/lib"), PathBuf::from("/usr/lib64")];
    folders
        .extend(fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path()));
    folders.iter().any(|folder| folder.join("libvulkan.so.1").exists())
}

fn has_vulkan_driver() -> bool {
    let named = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let listed = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    let has_entry = |folder| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    named("VK_DRIVER_FILES") || named("VK_ICD_FILENAMES") || listed.into_iter().any(has_entry)
}

/// Installs those of Debian's packages that are missing.
fn apt(packages: &[&str]) -> Result<()> {
    if find("apt-get").is_none() {
        bail!("there is no apt-get to install {} with", packages.join(", "));
    }
    let missing: Vec<&str> =
        packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    step(&format!("install {} with apt-get", missing.join(", ")), || {
        // Once per process. Its failure may concern a source that is of no interest here, so it is only shown.
        static UPDATED: OnceLock<()> = OnceLock::new();
        UPDATED.get_or_init(|| {
            if let Err(error) =
                run(apt_get().args(["-qq", "update"]), "going on with the lists as they are")
            {
                println!("    {error:#}");
            }
        });
        run(
            apt_get().args(["-qq", "install", "-y", "--no-install-recommends"]).args(&missing),
            "read apt-get's message above; the packages exist in Debian 12 and newer",
        )
    })
}

/// apt-get as root, without questions.
fn apt_get() -> std::process::Command {
    let root = output(process::command("id").arg("-u")).is_ok_and(|id| id == "0");
    let mut command = process::command(if root { "env" } else { "sudo" });
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    command
}

fn is_installed(package: &str) -> bool {
    let mut query = process::command("dpkg-query");
    query.args(["-W", "-f=${db:Status-Status}", package]);
    output(&mut query).is_ok_and(|status| status == "installed")
}
