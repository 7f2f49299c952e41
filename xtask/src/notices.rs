//! `cargo xtask notices`: names, licenses and license texts of the third-party code in the binary and in the page.
//!
//! The crates are the normal dependencies of the target, without procedural macros, which run at compile time only; their
//! texts come from the sources that Cargo has downloaded. The npm packages are those that Vite has bundled (`build.license`
//! in vite.config.ts).

use crate::process::{self, failure};
use crate::repo::Repo;
use crate::wasm;
use anyhow::{Context, Result};
use cargo_metadata::{MetadataCommand, Package};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Name of the generated files.
const FILE: &str = "THIRD-PARTY-NOTICES.txt";
/// Written by Vite, relative to `dist/`.
const BUNDLED: &str = ".vite/licenses.json";

/// Third-party software with its license.
struct Component {
    name: String,
    version: String,
    /// SPDX expression.
    license: String,
    texts: Vec<String>,
}

/// Writes the notices beside the release binary and, if it was built, into `dist/`.
pub fn command(repo: &Repo) -> Result<()> {
    process::step("write the binary's third-party notices", || for_binary(repo))?;
    if repo.root.join("dist/index.html").is_file() {
        process::step("write the page's third-party notices", || for_page(repo))?;
    }
    Ok(())
}

/// Writes the notices beside the release binary.
fn for_binary(repo: &Repo) -> Result<()> {
    let folder = repo.target.join("release");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    write(&folder.join(FILE), crates(repo, &host(repo)?)?)
}

/// Writes the notices of the page's crates and npm packages into `dist/`.
pub fn for_page(repo: &Repo) -> Result<()> {
    let dist = repo.root.join("dist");
    let mut components = crates(repo, wasm::TARGET)?;
    components.extend(npm_packages(&dist.join(BUNDLED))?);
    write(&dist.join(FILE), components)
}

/// Target triple of the native toolchain.
fn host(repo: &Repo) -> Result<String> {
    let mut rustc = process::command("rustc");
    process::output(rustc.current_dir(&repo.root).args(["--print", "host-tuple"]))
}

/// Returns the crates that are linked into blankslate for `target`.
///
/// `cargo tree` resolves features as a build does; `cargo metadata`, which knows licenses and folders, also lists crates that
/// no enabled feature needs.
fn crates(repo: &Repo, target: &str) -> Result<Vec<Component>> {
    let mut tree = repo.cargo();
    tree.args(["tree", "--locked", "--package", "blankslate", "--target", target]);
    tree.args(["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]);
    let tree = process::output(&mut tree)?;
    let linked: BTreeSet<(&str, &str)> = tree.lines().filter_map(name_and_version).collect();

    let mut metadata = MetadataCommand::new();
    metadata.manifest_path(repo.root.join("Cargo.toml"));
    metadata.other_options(["--locked".into(), "--filter-platform".into(), target.into()]);
    let packages = metadata.exec().context("cannot read the crates' metadata")?.packages;
    let mut components = Vec::new();
    for package in packages.iter().filter(|package| package.name.as_str() != "blankslate") {
        if linked.contains(&(package.name.as_str(), &package.version.to_string())) {
            components.push(component(package)?);
        }
    }
    Ok(components)
}

/// Parses a line such as `serde v1.0.0` of `cargo tree`.
fn name_and_version(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split(' ');
    Some((words.next()?, words.next()?.strip_prefix('v')?))
}

fn component(package: &Package) -> Result<Component> {
    let folder = package.manifest_path.parent().context("a manifest has no folder")?;
    let license = package.license.clone().unwrap_or_else(|| "see the text".into());
    let mut texts = license_files(folder.as_std_path())?;
    if let Some(file) = package.license_file().filter(|_| texts.is_empty()) {
        texts.push(fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?);
    }
    if texts.is_empty() {
        texts = standard_texts(&package.name, &license)?;
    }
    Ok(Component {
        name: package.name.to_string(),
        version: package.version.to_string(),
        license,
        texts,
    })
}

/// Reads the license and notice files in the root of a crate's sources.
fn license_files(folder: &Path) -> Result<Vec<String>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let is_license = ["license", "licence", "copying", "copyright", "notice", "unlicense"]
            .iter()
            .any(|start| name.starts_with(start));
        if is_license && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    files
        .iter()
        .map(|file| {
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
        })
        .collect()
}

/// Returns SPDX's texts of the licenses in an expression, for a crate that comes without a license file.
fn standard_texts(name: &str, license: &str) -> Result<Vec<String>> {
    let expression = spdx::Expression::parse_mode(license, spdx::ParseMode::LAX)
        .map_err(|error| failure(format!("{name}: {error}"), "look up its license"))?;
    let ids = expression.requirements().filter_map(|required| required.req.license.id());
    Ok(ids.map(|id| id.text().to_owned()).collect())
}

/// Reads the packages that Vite has bundled.
fn npm_packages(file: &Path) -> Result<Vec<Component>> {
    /// An entry of Vite's list.
    #[derive(Deserialize)]
    struct Bundled {
        name: String,
        version: String,
        identifier: Option<String>,
        text: Option<String>,
    }
    let json = fs::read(file).map_err(|error| {
        let why = format!("cannot read {}: {error}", file.display());
        failure(why, "set `build.license` in vite.config.ts and build the page again")
    })?;
    let bundled: Vec<Bundled> =
        serde_json::from_slice(&json).with_context(|| format!("{}", file.display()))?;
    bundled
        .into_iter()
        .map(|package| {
            let license = package.identifier.unwrap_or_else(|| "see the text".into());
            let texts = match package.text {
                Some(text) => vec![text],
                None => standard_texts(&package.name, &license)?,
            };
            Ok(Component { name: package.name, version: package.version, license, texts })
        })
        .collect()
}

/// Writes a list of the components, and each different text once.
fn write(file: &Path, mut components: Vec<Component>) -> Result<()> {
    components.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    let mut text = "This program contains the following third-party software.\n\n".to_owned();
    let mut users: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for Component { name, version, license, texts } in &components {
        writeln!(text, "{name} {version}: {license}")?;
        for license_text in texts {
            users.entry(license_text.trim()).or_default().push(format!("{name} {version}"));
        }
    }
    for (license_text, names) in users {
        let rule = "-".repeat(80);
        write!(text, "\n{rule}\n{}\n{rule}\n\n{license_text}\n", names.join(", "))?;
    }
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    println!("    {} components: {}", components.len(), file.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_without_license_file_gets_the_standard_text() {
        let texts = standard_texts("some", "MIT/Apache-2.0").unwrap();
        assert_eq!(texts.len(), 2);
        assert!(texts[0].contains("MIT License") && texts[1].contains("Apache License"));
        assert!(standard_texts("some", "no such license").is_err());
    }

    #[test]
    fn equal_texts_are_written_once() {
        let folder = std::env::temp_dir().join(format!("blankslate-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let one = |name: &str| Component {
            name: name.into(),
            version: "1.0.0".into(),
            license: "MIT".into(),
            texts: vec!["the text".into()],
        };
        write(&folder.join(FILE), vec![one("b"), one("a")]).unwrap();
        let written = fs::read_to_string(folder.join(FILE)).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(written.matches("the text").count(), 1);
        assert!(written.contains("a 1.0.0: MIT\nb 1.0.0: MIT\n"));
        assert!(written.contains("\na 1.0.0, b 1.0.0\n"));
    }
}
