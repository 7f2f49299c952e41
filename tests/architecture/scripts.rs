//! Import graph of the page's scripts.

use std::collections::BTreeSet;

use super::paths::Graph;

/// Returns the files that each TypeScript or Svelte file imports by a relative path, be it only for types.
/// `sources` holds path and text of every file.
pub fn dependencies(sources: impl IntoIterator<Item = (String, String)>) -> Graph {
    let sources: Vec<(String, String)> = sources.into_iter().collect();
    let known: BTreeSet<&String> = sources.iter().map(|(path, _)| path).collect();
    let find = |from: &str, specifier: &str| {
        let target = join(from, specifier);
        let candidates = [target.clone(), format!("{target}.ts"), format!("{target}/index.ts")];
        candidates.into_iter().find(|path| known.contains(path))
    };
    sources
        .iter()
        .map(|(path, text)| {
            (path.clone(), specifiers(text).filter_map(|name| find(path, name)).collect())
        })
        .collect()
}

/// Relative paths after the word `from`.
fn specifiers(text: &str) -> impl Iterator<Item = &str> {
    text.split(" from ").skip(1).filter_map(|quoted| {
        let quote = quoted.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        quoted[1..].split(quote).next().filter(|specifier| specifier.starts_with('.'))
    })
}

/// Resolves a relative path against the folder of the file `from`.
fn join(from: &str, relative: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}
