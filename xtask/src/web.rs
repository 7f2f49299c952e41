//! `cargo xtask web`: from an empty machine to the page in a browser.

use crate::process::{self, failure, run};
use crate::repo::Repo;
use crate::wasm::{self, Toolchain};
use crate::{compress, notices, serve, setup};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

/// Port tried first if none is given.
const DEFAULT_PORT: u16 = 8080;

#[derive(Args)]
pub struct Options {
    /// Port to serve on [default: 8080, or a free one if that is taken]
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Open the page in the default browser
    #[arg(long)]
    open: bool,
    /// Build only
    #[arg(long)]
    no_serve: bool,
    /// Keep function names in the wasm, for profiles and stack traces (larger)
    #[arg(long)]
    names: bool,
}

/// Sets up, builds, prints the sizes and serves.
pub fn command(repo: &Repo, options: &Options) -> Result<()> {
    setup::npm(repo)?;
    let toolchain = setup::wasm_toolchain(repo)?;
    build(repo, toolchain, options.names)?;
    process::step("write the third-party notices", || notices::for_page(repo))?;
    let files = process::step("compress dist/ with gzip and brotli", || {
        compress::folder(&repo.root.join("dist"), &repo.target.join("compressed"))
    })?;
    compress::print_sizes(&files);
    if options.no_serve {
        println!("built: dist/");
        return Ok(());
    }
    let server = match options.port {
        Some(port) => serve::bind(port).map_err(|error| {
            failure(error, "choose another port with --port, or omit it to get a free one")
        })?,
        None => serve::bind(DEFAULT_PORT).or_else(|_| serve::bind(0))?,
    };
    let address = format!("http://{}/", server.local_addr()?);
    println!("serving dist/ at {address} (stop with Ctrl-C)");
    if options.open {
        open_in_browser(&address);
    }
    serve::forever(server, &repo.root.join("dist"))
}

/// Builds `dist/`: wasm, type check, bundle. The browser tests and benchmarks use the same build.
pub fn build(repo: &Repo, toolchain: Toolchain, names: bool) -> Result<()> {
    wasm::build(repo, toolchain, names)?;
    process::step("check the types of the page", || {
        run(repo.npm().args(["run", "--silent", "check"]), "fix the type errors above")
    })?;
    process::step("bundle the page into dist/", || {
        run(repo.npm().args(["run", "--silent", "bundle"]), "see Vite's message above")
    })
}

/// Sets up and builds `dist/`, and returns the Chromium to open it with.
pub fn build_for_chromium(repo: &Repo) -> Result<PathBuf> {
    let chromium = setup::chromium()?;
    setup::npm(repo)?;
    let toolchain = setup::wasm_toolchain(repo)?;
    build(repo, toolchain, false)?;
    Ok(chromium)
}

/// Opens the address with the system's opener. A failure is only printed.
fn open_in_browser(address: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    if let Err(error) = process::command(opener).arg(address).spawn() {
        println!("cannot start a browser ({opener}: {error}); open the address yourself");
    }
}
