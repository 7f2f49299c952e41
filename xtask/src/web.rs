//! `cargo xtask web`: from an empty machine to the page in a browser.

use crate::args::Args;
use crate::process::{self, failure, run};
use crate::repo::Repo;
use crate::wasm::{self, Toolchain};
use crate::{compress, serve, setup};
use anyhow::Result;

/// The port tried first when none is asked for.
const PORT: u16 = 8080;

/// Sets up, builds, prints the sizes and serves.
pub fn command(repo: &Repo, mut args: Args) -> Result<()> {
    let port = args.parsed::<u16>("--port")?;
    let (open, no_serve) = (args.flag("--open"), args.flag("--no-serve"));
    let names = args.flag("--names");
    args.finish()?;

    setup::npm(repo)?;
    let toolchain = setup::wasm_toolchain(repo)?;
    build(repo, toolchain, names)?;
    let files = process::step("compress dist/ with gzip and brotli", || {
        compress::folder(&repo.root.join("dist"), &repo.target.join("compressed"))
    })?;
    compress::print_sizes(&files);
    if no_serve {
        println!("built: dist/");
        return Ok(());
    }
    let server = match port {
        Some(port) => serve::bind(port).map_err(|error| {
            failure(error, "choose another port with --port, or leave it out to get a free one")
        })?,
        None => serve::bind(PORT).or_else(|_| serve::bind(0))?,
    };
    let address = format!("http://{}/", server.server_addr());
    println!("serving dist/ at {address} (Ctrl-C ends it)");
    if open {
        open_in_browser(&address);
    }
    serve::forever(server, &repo.root.join("dist"))
}

/// Builds `dist/`: wasm, type check, bundle. The browser tests and benchmarks use this very build.
pub fn build(repo: &Repo, toolchain: Toolchain, names: bool) -> Result<()> {
    wasm::build(repo, toolchain, names)?;
    process::step("check the types of the page", || {
        run(repo.npm().args(["run", "--silent", "check"]), "mend the types that tsc names above")
    })?;
    process::step("bundle the page into dist/", || {
        run(repo.npm().args(["run", "--silent", "bundle"]), "read Vite's message above")
    })
}

/// Opens the address with the system's opener; a failure is only worth a line.
fn open_in_browser(address: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    if let Err(error) = process::command(opener).arg(address).spawn() {
        println!("could not open a browser ({opener}: {error}); open the address by hand");
    }
}
