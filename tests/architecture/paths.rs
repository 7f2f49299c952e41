//! Import graph of the source files, from the paths that their code names.

use std::collections::{BTreeMap, BTreeSet};

/// Files that each file uses, by path below the source folder (`model/mod.rs`).
pub type Graph = BTreeMap<String, BTreeSet<String>>;

/// A module's own file and the names that its `use` items introduce.
struct Module {
    file: String,
    tokens: Vec<String>,
    imports: Vec<Import>,
}

/// One leaf of a `use` tree.
struct Import {
    path: Vec<String>,
    /// The name it introduces; `*` for a glob.
    name: String,
    is_public: bool,
}

/// Modules by path from the crate root, which is the empty path.
type Modules = BTreeMap<Vec<String>, Module>;

/// Returns the files that each file uses. `sources` holds, for every file, its path below the source
/// folder and its code without unit tests.
pub fn dependencies(sources: impl IntoIterator<Item = (String, String)>) -> Graph {
    let modules: Modules = sources.into_iter().map(|(file, code)| module(file, &code)).collect();
    let mut graph = Graph::new();
    for (at, module) in &modules {
        let used = graph.entry(module.file.clone()).or_default();
        used.extend(named_paths(module).filter_map(|path| resolve(&modules, at, &path, 8)));
        used.remove(&module.file);
    }
    graph
}

fn module(file: String, code: &str) -> (Vec<String>, Module) {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    let path = if path == "lib" || path == "main" { "" } else { path };
    let at = path.split('/').filter(|part| !part.is_empty()).map(String::from).collect();
    let (tokens, imports) = split_imports(tokenize(code));
    (at, Module { file, tokens, imports })
}

/// Splits code into identifiers, `::` and single characters, without comments and strings.
fn tokenize(code: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let skipped = skipped_length(rest);
        if skipped > 0 {
            rest = &rest[skipped..];
            continue;
        }
        let length = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(rest[..length].to_string());
        rest = &rest[length..];
    }
    tokens
}

/// Length in bytes of the white space, comment, string or quoted quotation mark at the start of `text`; zero if
/// there is none.
fn skipped_length(text: &str) -> usize {
    let until = |end: &str, from: usize| {
        text[from..].find(end).map_or(text.len(), |at| from + at + end.len())
    };
    let hashes = text.strip_prefix('r').map(|raw| raw.len() - raw.trim_start_matches('#').len());
    match hashes {
        Some(count) if text[1 + count..].starts_with('"') => {
            return until(&format!("\"{}", "#".repeat(count)), count + 2);
        }
        _ => {}
    }
    if text.starts_with("//") {
        until("\n", 0)
    } else if text.starts_with("/*") {
        until("*/", 0)
    } else if text.starts_with('"') {
        string_length(text)
    } else if text.starts_with("'\"'") {
        3
    } else {
        text.len() - text.trim_start().len()
    }
}

/// Length in bytes of the string literal at the start of `text`, quotes included.
fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == '"' && !is_escaped {
            return at + 1;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    text.len()
}

/// Separates the `use` items of a file from the rest of its tokens.
fn split_imports(tokens: Vec<String>) -> (Vec<String>, Vec<Import>) {
    let mut rest = Vec::new();
    let mut imports = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_item = tokens[at] == "use" && tokens.get(at + 1).is_some_and(|next| next != "<");
        if !is_item {
            rest.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let is_public = rest.last().is_some_and(|last| last == "pub" || last == ")");
        at += 1;
        use_tree(&tokens, &mut at, &[], is_public, &mut imports);
    }
    (rest, imports)
}

/// Reads one `use` tree that starts at `tokens[*at]` below `prefix`.
fn use_tree(
    tokens: &[String],
    at: &mut usize,
    prefix: &[String],
    is_public: bool,
    imports: &mut Vec<Import>,
) {
    let mut path = prefix.to_vec();
    while *at < tokens.len() {
        match tokens[*at].as_str() {
            "::" => *at += 1,
            "{" => {
                *at += 1;
                while *at < tokens.len() && tokens[*at] != "}" {
                    use_tree(tokens, at, &path, is_public, imports);
                    if tokens.get(*at).is_some_and(|token| token == ",") {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            "," | "}" | ";" => break,
            "as" => {
                let name = tokens[*at + 1].clone();
                *at += 2;
                imports.push(Import { path, name, is_public });
                return;
            }
            part => {
                path.push(part.to_string());
                *at += 1;
            }
        }
    }
    if path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    if let Some(name) = path.last().cloned() {
        imports.push(Import { path, name, is_public });
    }
}

/// Paths that a module's code names. A public `use` counts only where the name is used in the module as well:
/// otherwise it is a re-export, which uses nothing itself.
fn named_paths(module: &Module) -> impl Iterator<Item = Vec<String>> {
    let imported = module.imports.iter().filter(|i| !i.is_public || is_used(module, &i.name));
    imported.map(|import| import.path.clone()).chain(qualified_paths(&module.tokens))
}

/// Returns true if a module's code uses `name`. In lower case it must be called, since variables and fields can have
/// the same name.
fn is_used(module: &Module, name: &str) -> bool {
    let is_function = name.starts_with(char::is_lowercase);
    module.tokens.iter().enumerate().any(|(at, token)| {
        let is_call = module.tokens.get(at + 1).is_some_and(|next| next == "(")
            && (at == 0 || module.tokens[at - 1] != ".");
        token == name && (!is_function || is_call)
    })
}

/// Paths of two or more identifiers joined by `::`.
fn qualified_paths(tokens: &[String]) -> impl Iterator<Item = Vec<String>> {
    let is_joint = |at: usize| tokens.get(at).is_some_and(|token| token == "::");
    // `pub(in path)` limits who may use an item; it uses nothing itself.
    let is_visibility = |at: usize| at >= 3 && tokens[at - 2] == "in" && tokens[at - 3] == "(";
    let is_start =
        move |at: usize| is_joint(at) && !is_visibility(at) && (at < 2 || !is_joint(at - 2));
    let starts = (1..tokens.len()).filter(move |at| is_start(*at));
    starts.map(move |at| {
        let mut path = vec![tokens[at - 1].clone()];
        let mut joint = at;
        while is_joint(joint) && joint + 1 < tokens.len() {
            path.push(tokens[joint + 1].clone());
            joint += 2;
        }
        path
    })
}

/// Returns the file that defines what `path` names inside the module `at`, following re-exports; none for items
/// of other crates.
fn resolve(modules: &Modules, at: &[String], path: &[String], depth: usize) -> Option<String> {
    let mut current = at.to_vec();
    for (index, part) in path.iter().enumerate() {
        match part.as_str() {
            "crate" => current.clear(),
            "self" => {}
            "super" => {
                current.pop();
            }
            _ => {
                let mut child = current.clone();
                child.push(part.clone());
                if modules.contains_key(&child) {
                    current = child;
                    continue;
                }
                let module = modules.get(&current)?;
                // `use name::…` names a crate here, not what the same statement introduces.
                let imported = module.imports.iter().find(|i| i.name == *part && i.path != *path);
                return match imported {
                    Some(import) if depth > 0 => {
                        let mut longer = import.path.clone();
                        longer.extend_from_slice(&path[index + 1..]);
                        resolve(modules, &current, &longer, depth - 1)
                    }
                    _ => (index > 0).then(|| module.file.clone()),
                };
            }
        }
    }
    modules.get(&current).map(|module| module.file.clone())
}
