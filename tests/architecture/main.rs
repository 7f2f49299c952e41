//! The rules of ARCHITECTURE.md, checked against the sources: which module may import which, no circles between
//! files, and where a target or a backend may be named.

mod circles;
mod missing;
mod paths;
mod scripts;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use circles::circles;
use paths::dependencies;

/// Modules by level: a module may use those of lower levels only.
const LEVELS: [&[&str]; 7] = [
    &["error", "config"],
    &["tokenizer", "data", "kernels", "parallel", "scaling"],
    &["model", "plan"],
    &["objective", "optim", "sample", "inspect"],
    &["eval", "train"],
    &["checkpoint"],
    &["check"],
];

/// Edges and the modules that each may use in addition to all levels above.
const EDGES: [(&str, &[&str]); 6] = [
    ("platform", &["error", "kernels", "parallel"]),
    (
        "protocol",
        &[
            "check",
            "config",
            "data",
            "error",
            "inspect",
            "objective",
            "parallel",
            "platform",
            "run",
            "sample",
            "tokenizer",
        ],
    ),
    ("run", &["platform"]),
    ("engine", &["protocol", "run", "platform"]),
    ("cli", &["protocol", "run", "platform"]),
    ("web", &["protocol", "run", "platform", "engine"]),
];
/// Edges that may use the modules listed above and no level.
const NARROW: [&str; 2] = ["platform", "protocol"];

/// Folders whose files still use each other in circles. An entry without a circle fails the test as well, so that
/// this list only shrinks.
const CIRCLES: &[&str] = &[];

/// Returns module, path below `src` and text of every source file of the crate.
fn sources() -> Vec<(String, PathBuf, String)> {
    files("src", &["rs"])
        .into_iter()
        .map(|(inside, text)| {
            let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
            let module = first.trim_end_matches(".rs").to_string();
            (module, inside, text)
        })
        .collect()
}

/// Returns path below `root` and text of every file with one of `extensions`.
fn files(root: &str, extensions: &[&str]) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, extensions: &[&str], files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, extensions, files);
            } else if path.extension().is_some_and(|e| extensions.iter().any(|known| e == *known)) {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let mut paths = Vec::new();
    walk(&root, extensions, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let below = path.strip_prefix(&root).unwrap().to_str().unwrap();
            (below.replace(std::path::MAIN_SEPARATOR, "/").into(), text)
        })
        .collect()
}

/// Removes the unit tests from the end of a file.
fn without_tests(text: &str) -> &str {
    let starts = ["mod ", "pub(super) mod "].map(|word| format!("#[cfg(test)]\n{word}"));
    let end = starts.iter().filter_map(|start| text.find(start)).min();
    &text[..end.unwrap_or(text.len())]
}

/// Removes comments and unit tests from a file.
fn code(text: &str) -> String {
    let lines = without_tests(text).lines().map(|line| line.split("//").next().unwrap_or(""));
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns every module named after `crate::`, also inside braces.
fn imports(code: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap_or("");
                found.extend(list.split(',').map(|item| word(item.trim())));
            }
            None => found.push(word(rest)),
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

/// Returns the modules that each module may import.
fn allowed() -> BTreeMap<String, Vec<String>> {
    let mut table = BTreeMap::new();
    let mut below: Vec<String> = Vec::new();
    for level in LEVELS {
        for module in level {
            table.insert(module.to_string(), below.clone());
        }
        below.extend(level.iter().map(|module| module.to_string()));
    }
    for (edge, more) in EDGES {
        let mut may: Vec<String> = more.iter().map(|module| module.to_string()).collect();
        if !NARROW.contains(&edge) {
            may.extend(below.iter().cloned());
        }
        table.insert(edge.to_string(), may);
    }
    table
}

#[test]
fn modules_import_downward_only() {
    let table = allowed();
    let mut wrong = Vec::new();
    for (module, path, text) in sources() {
        if module == "lib" || module == "main" {
            continue;
        }
        let may = table.get(&module).unwrap_or_else(|| panic!("`{module}` is in no level"));
        for import in imports(&code(&text)) {
            // Level 0: the settings report their own errors.
            let siblings = module == "config" && import == "error";
            // What depends on the target is a constant of `lib.rs`, which is no module.
            let constant = import == import.to_uppercase();
            if import != module && !siblings && !constant && !may.contains(&import) {
                wrong.push(format!("src/{} uses {import}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn targets_are_named_in_two_files_and_backends_in_platform() {
    let mut wrong = Vec::new();
    for (module, path, text) in sources() {
        let code = code(&text);
        let file = path.to_string_lossy();
        let target = ["target_family", "target_arch", "target_os", "cfg(unix", "cfg(windows"];
        if target.iter().any(|word| code.contains(word))
            && file != "lib.rs"
            && file != "platform/mod.rs"
        {
            wrong.push(format!("src/{file} names a target"));
        }
        // The terminal is a feature of its own.
        let code = if file == "lib.rs" { code.replace("feature = \"cli\"", "") } else { code };
        if code.contains("feature = ") && module != "platform" {
            wrong.push(format!("src/{file} names a feature"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The core uses no terminal, file system, clock, thread or JavaScript, and never waits for the device.
#[test]
fn the_core_uses_no_edge() {
    let edges: Vec<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    let forbidden = [
        "std::fs",
        "std::thread",
        "std::time",
        "std::env",
        "println!",
        "eprintln!",
        "wasm_bindgen",
        "js_sys",
        "web_sys",
        "rayon",
        "indicatif",
        "memmap2",
        ".into_data()",
        ".to_data()",
        ".into_scalar(",
    ];
    let mut wrong = Vec::new();
    for (module, path, text) in sources() {
        if edges.contains(&module.as_str()) || module == "lib" || module == "main" {
            continue;
        }
        // Kernels may divide arithmetic among threads; everything else leaves threads to the edges.
        let allowed = |word: &str| module == "kernels" && word == "rayon";
        let used = forbidden.iter().filter(|word| code(&text).contains(**word));
        for word in used.filter(|word| !allowed(word)) {
            wrong.push(format!("src/{} uses {word}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Returns every circle between the files of the crate, of xtask and of the page, with paths from the root.
fn circles_of_all_files() -> Vec<Vec<String>> {
    let rust = |root: &str| {
        dependencies(files(root, &["rs"]).into_iter().map(|(path, text)| {
            (path.to_str().unwrap().to_string(), without_tests(&text).to_string())
        }))
    };
    let page = files("www", &["ts", "svelte"]);
    let page = scripts::dependencies(
        page.into_iter().map(|(path, text)| (path.to_str().unwrap().to_string(), text)),
    );
    let roots = [("src", rust("src")), ("xtask/src", rust("xtask/src")), ("www", page)];
    let mut found = Vec::new();
    for (root, graph) in roots {
        for circle in circles(&graph) {
            found.push(circle.iter().map(|file| format!("{root}/{file}")).collect());
        }
    }
    found
}

#[test]
fn files_do_not_use_each_other_in_circles() {
    let found = circles_of_all_files();
    let is_in = |circle: &[String], folder: &str| {
        circle.iter().any(|file| file.starts_with(&format!("{folder}/")))
    };
    let new: Vec<_> =
        found.iter().filter(|circle| !CIRCLES.iter().any(|folder| is_in(circle, folder))).collect();
    assert!(new.is_empty(), "files use each other in circles: {new:#?}");
    let opened: Vec<_> =
        CIRCLES.iter().filter(|folder| !found.iter().any(|circle| is_in(circle, folder))).collect();
    assert!(opened.is_empty(), "no circle is left here, so remove it from CIRCLES: {opened:?}");
}

#[test]
fn circles_are_found_through_any_kind_of_path() {
    let circle_of = |sources: &[(&str, &str)]| {
        let sources = sources.iter().map(|(path, code)| (path.to_string(), code.to_string()));
        let found = circles(&dependencies(sources));
        found.into_iter().map(|files| files.join(" ")).collect::<Vec<_>>()
    };
    let siblings = |first: &str, second: &str| {
        circle_of(&[("m/mod.rs", "mod a; mod b;"), ("m/a.rs", first), ("m/b.rs", second)])
    };
    assert_eq!(siblings("use super::b::X;", "fn f() { super::a::g() }"), ["m/a.rs m/b.rs"]);
    assert_eq!(siblings("use crate::m::{b::{X, Y as Z}};", "use super::a;"), ["m/a.rs m/b.rs"]);
    assert!(
        siblings("use super::b::X;", "// super::a::g()\nconst S: &str = \"super::a\";").is_empty()
    );
    // A re-export leads to the file that defines the item, and is no use by the file that re-exports.
    let reexport = "mod a; mod b; pub use a::X; pub use b::Y;";
    let files = |a, b, more| {
        circle_of(&[("m/mod.rs", &format!("{reexport}{more}")), ("m/a.rs", a), ("m/b.rs", b)])
    };
    assert!(files("pub struct X;", "use super::X;", "").is_empty());
    assert_eq!(files("use crate::m::Y;", "use super::X;", ""), ["m/a.rs m/b.rs"]);
    // A child that uses an item of a parent that uses the child.
    assert_eq!(files("use super::Own;", "", "struct Own(X);"), ["m/a.rs m/mod.rs"]);
    assert!(files("use super::Own;", "", "struct Own;").is_empty());
    // A circle of three.
    assert_eq!(
        circle_of(&[
            ("a.rs", "use crate::b::B;"),
            ("b.rs", "use super::c;"),
            ("c.rs", "crate::a::f();")
        ]),
        ["a.rs b.rs c.rs"]
    );
    let page = [("a.ts", "import type { b } from './lib/b'"), ("lib/b.ts", "export * from '../a'")];
    let page = page.map(|(path, text)| (path.to_string(), text.to_string()));
    assert_eq!(circles(&scripts::dependencies(page)).len(), 1);
}

#[test]
fn the_checks_above_can_fail() {
    assert_eq!(
        imports("use crate::{model::X, train};\ncrate::cli::main()"),
        ["model", "train", "cli"]
    );
    assert!(!allowed()["model"].contains(&"train".to_string()));
    assert!(!code("use a; // crate::cli").contains("cli"));
}
