//! Requirements on the machine: each is looked for first and installed only if it is missing.
//!
//! Every function tries the usual way, falls back to Debian's packages, or reports what to install by hand.

use crate::process::{self, failure, find, output, run, step, succeeds};
use crate::repo::{Repo, in_ci};
use crate::wasm::{TARGET, Toolchain};
use anyhow::{Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Debian's compiler for browsers, kept as new as Chromium and Firefox need it.
const DEBIAN_TOOLCHAIN: [&str; 6] =
    ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "rust-web-clippy", "lld-22"];

/// Oldest Node that Vite supports.
const NODE: (u32, u32) = (20, 19);

/// Names and paths of Chromium and of browsers that can replace it.
const BROWSERS: [&str; 6] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/usr/bin/chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/// Finds or installs a toolchain for [`TARGET`], with Clippy.
pub fn wasm_toolchain(repo: &Repo) -> Result<Toolchain> {
    if has_target(repo) {
        return Ok(Toolchain::Own);
    }
    let mut reasons = vec!["rustup is not in PATH".to_owned()];
    if find("rustup").is_some() {
        let added = step(&format!("add the target {TARGET} with rustup"), || {
            let mut rustup = process::command("rustup");
            rustup.current_dir(&repo.root).args(["target", "add", TARGET]);
            run(&mut rustup, "see rustup's message")
        });
        match added {
            Ok(()) if has_target(repo) => return Ok(Toolchain::Own),
            Ok(()) => reasons = vec!["rustup added the target to another toolchain".into()],
            Err(error) => reasons = vec![format!("{error:#}")],
        }
        println!("    rustup failed; trying Debian's packages");
    }
    match apt(&DEBIAN_TOOLCHAIN) {
        Ok(()) => Ok(Toolchain::Debian),
        Err(error) => {
            reasons.push(format!("{error:#}"));
            let why = format!("no toolchain compiles for {TARGET}: {}", reasons.join("; "));
            Err(failure(why, "with rustup: rustup target add wasm32-unknown-unknown"))
        }
    }
}

/// True if the current toolchain has the standard library for wasm.
fn has_target(repo: &Repo) -> bool {
    let mut rustc = process::command("rustc");
    rustc.current_dir(&repo.root).args(["--print", "target-libdir", "--target", TARGET]);
    // rustc prints the path whether or not it exists.
    let Ok(folder) = output(&mut rustc) else { return false };
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

/// Clippy and rustfmt of the native toolchain.
pub fn lints(repo: &Repo) -> Result<()> {
    if succeeds(repo.cargo().args(["clippy", "-V"]))
        && succeeds(repo.cargo().args(["fmt", "--version"]))
    {
        return Ok(());
    }
    step("add clippy and rustfmt with rustup", || {
        let mut rustup = process::command("rustup");
        rustup.current_dir(&repo.root).args(["component", "add", "clippy", "rustfmt"]);
        run(&mut rustup, "install clippy and rustfmt for this cargo")
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

/// Runs `npm ci` in a folder, without install scripts, which none of our packages needs.
pub fn npm_ci(repo: &Repo, folder: &Path) -> Result<()> {
    let mut npm = repo.npm();
    npm.current_dir(folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    run(
        &mut npm,
        "check that the npm registry is reachable and that package.json matches its lock file",
    )
}

/// Node and npm in a version that Vite supports.
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
            format!("Node {version} is too old: Vite needs {}.{} or newer", NODE.0, NODE.1),
            remedy,
        ));
    }
    Ok(())
}

/// Chromium for tests and benchmarks: `$CHROMIUM`, an installed one, or Debian's.
pub fn chromium() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("CHROMIUM").map(PathBuf::from) {
        if path.is_file() {
            return Ok(path);
        }
        bail!("CHROMIUM={}: no such file", path.display());
    }
    let installed = || BROWSERS.iter().find_map(|name| find(name));
    if let Some(path) = installed() {
        return Ok(path);
    }
    let remedy = "install Chromium or Chrome and set CHROMIUM to its path if it is not in PATH";
    apt(&["chromium"])
        .map_err(|error| failure(format!("Chromium is missing: {error:#}"), remedy))?;
    installed()
        .ok_or_else(|| failure("the package chromium was installed but has no browser", remedy))
}

/// Firefox for the tests that drive it: `$FIREFOX`, an installed one, or Debian's.
///
/// Without one its tests are skipped and listed at the end; with `CI=true` this is an error.
pub fn firefox() -> Result<Option<PathBuf>> {
    let installed = || ["firefox", "firefox-esr"].iter().find_map(|name| find(name));
    if let Some(path) = std::env::var_os("FIREFOX").map(PathBuf::from).or_else(installed) {
        return Ok(Some(path));
    }
    match apt(&["firefox-esr"]) {
        Ok(()) => Ok(installed()),
        Err(error) => {
            accept_missing(&format!("Firefox is missing: {error:#}"), in_ci()).map(|()| None)
        }
    }
}

/// WebKitGTK's driver and a virtual display for the tests that drive it.
///
/// Without them their tests are skipped and listed at the end; with `CI=true` this is an error.
pub fn webkit() -> Result<()> {
    let installed = find("WebKitWebDriver").is_some() && find("Xvfb").is_some();
    if !cfg!(target_os = "linux") || installed {
        return Ok(());
    }
    apt(&["webkit2gtk-driver", "xvfb"])
        .or_else(|error| accept_missing(&format!("WebKit is missing: {error:#}"), in_ci()))
}

/// Accepts a missing program unless `strict`. The tests that need it then record that they did not run.
fn accept_missing(reason: &str, strict: bool) -> Result<()> {
    if strict {
        return Err(failure(reason, "install it, or unset CI to leave out the tests that need it"));
    }
    println!("    without it, its tests do not run: {reason}");
    Ok(())
}

/// Python interpreter of the benchmarks: `$PYTHON`, or `python3`.
pub fn python() -> String {
    std::env::var("PYTHON").unwrap_or("python3".into())
}

/// TensorBoard, whose own loader reads event files in a test: an installed one, or one that pip installs in the target folder,
/// whose path is returned.
///
/// Without it that test does not run; with `CI=true` this is an error.
pub fn tensorboard(repo: &Repo) -> Result<Option<PathBuf>> {
    if process::python_has(&python(), "tensorboard") {
        return Ok(None);
    }
    let folder = repo.target.join("tensorboard");
    if folder.join("tensorboard").is_dir() {
        return Ok(Some(folder));
    }
    let mut pip = process::command(python());
    pip.args(["-m", "pip", "install", "--quiet", "--target"]).arg(&folder).arg("tensorboard==2.*");
    match step("install TensorBoard with pip", || {
        run(&mut pip, "install pip for python3 ($PYTHON)")
    }) {
        Ok(()) => Ok(Some(folder)),
        Err(error) => {
            accept_missing(&format!("TensorBoard is missing: {error:#}"), in_ci()).map(|()| None)
        }
    }
}

/// The Vulkan loader and a driver. A machine without a GPU gets lavapipe, which runs on the CPU.
pub fn vulkan() -> Result<()> {
    if !cfg!(target_os = "linux") || (has_vulkan_loader() && has_vulkan_driver()) {
        return Ok(());
    }
    let remedy = "install a Vulkan loader and driver (Mesa's lavapipe runs without a GPU)";
    apt(&["libvulkan1", "mesa-vulkan-drivers"])
        .map_err(|error| failure(format!("Vulkan is missing: {error:#}"), remedy))
}

/// An MPI library, its launcher, libclang, which generates the bindings, and `ip`, which makes two hosts of one machine.
pub fn mpi() -> Result<()> {
    let remedy = "install Open MPI with its headers, libclang, and iproute2";
    apt(&["openmpi-bin", "libopenmpi-dev", "libclang-dev", "iproute2"]).or_else(|error| {
        match has_mpi() {
            true => Ok(()),
            false => Err(failure(format!("MPI is missing: {error:#}"), remedy)),
        }
    })
}

/// Returns true if an MPI library and its launcher are installed.
pub fn has_mpi() -> bool {
    ["mpirun", "mpicc"].into_iter().all(|name| find(name).is_some())
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

/// Installs Debian packages that are missing.
pub fn apt(packages: &[&str]) -> Result<()> {
    if find("apt-get").is_none() {
        bail!("apt-get is missing, which would install {}", packages.join(", "));
    }
    let missing: Vec<&str> =
        packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    step(&format!("install {} with apt-get", missing.join(", ")), || {
        // Once per process. A failure may concern an unrelated package source, so it is only printed.
        static UPDATED: OnceLock<()> = OnceLock::new();
        UPDATED.get_or_init(|| {
            if let Err(error) = run(
                apt_get().args(["-qq", "update"]),
                "continuing with the package lists as they are",
            ) {
                println!("    {error:#}");
            }
        });
        run(
            apt_get().args(["-qq", "install", "-y", "--no-install-recommends"]).args(&missing),
            "see apt-get's message above; the packages exist in Debian 12 and newer",
        )
    })
}

/// Non-interactive apt-get as root.
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

#[cfg(test)]
mod tests {
    use super::accept_missing;

    #[test]
    fn a_missing_browser_is_an_error_in_ci() {
        assert!(accept_missing("Firefox is missing", false).is_ok());
        let error = accept_missing("Firefox is missing", true).unwrap_err().to_string();
        assert!(error.contains("Firefox is missing") && error.contains("install it"), "{error}");
    }
}
