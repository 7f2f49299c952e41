//! The house rules of ARCHITECTURE.md, read off the sources: who may import whom, and where a target or a
//! backend may be named.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules by level: a module may use those of lower levels only. Edges are at the end.
const LEVELS: [&[&str]; 7] = [
    &["error", "config"],
    &["tokenizer", "data", "kernels"],
    &["model"],
    &["optim", "sample", "eval", "inspect"],
    &["train"],
    &["checkpoint"],
    &["check"],
];

/// What the edges may use, beside every level above.
const EDGES: [(&str, &[&str]); 6] = [
    ("platform", &["error", "kernels"]),
    ("protocol", &["check", "config", "data", "inspect", "platform", "sample", "tokenizer"]),
    ("runs", &["checkpoint", "error", "platform"]),
    ("session", &["protocol", "runs", "platform"]),
    ("cli", &["protocol", "runs", "platform"]),
    ("web", &["protocol", "runs", "platform", "session"]),
];
/// Edges that may use nothing but what stands above.
const NARROW: [&str; 3] = ["platform", "protocol", "runs"];

fn sources() -> Vec<(String, PathBuf, String)> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&root).unwrap().to_path_buf();
            let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
            let module = first.trim_end_matches(".rs").to_string();
            let text = fs::read_to_string(&path).unwrap();
            (module, inside, text)
        })
        .collect()
}

/// The code of a file: no comments, no unit tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or(""));
    lines.collect::<Vec<_>>().join("\n")
}

/// Every module named after `crate::`, braces included.
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
            if import != module && !siblings && !may.contains(&import) {
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
        if code.contains("feature = ") && module != "platform" {
            wrong.push(format!("src/{file} names a feature"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What a terminal, a file system, a clock, a thread or JavaScript is known by.
#[test]
fn the_core_knows_no_edge() {
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
        // Threads are an edge's business, but for arithmetic that is divided among them.
        let allowed = |word: &str| module == "kernels" && word == "rayon";
        let said = forbidden.iter().filter(|word| code(&text).contains(**word));
        for word in said.filter(|word| !allowed(word)) {
            wrong.push(format!("src/{} says {word}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
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
