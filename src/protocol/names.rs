//! Messages in the page's terms: labels and buttons in place of the keys of settings.

use crate::config::label;
use crate::error::{Error, name_settings};

/// Keys of errors that are not about a setting, with their names on the page.
const NAMES: [(&str, &str); 20] = [
    ("ablate", "Switch off"),
    ("chat", "Chat"),
    ("data", "Data"),
    ("draft", "Draft"),
    ("engine", "Not now"),
    ("example", "Example text"),
    ("model", "Model"),
    ("name", "Run name"),
    ("pair", "Preference pair"),
    ("place", "Token"),
    ("preset", "Preset"),
    ("profile", "Profile"),
    ("resume", "Resume"),
    ("run", "Run"),
    ("allowed special tokens", "Special tokens"),
    ("special token", "Special token"),
    ("step", "Step"),
    ("text", "Text"),
    ("tokenizer", "Tokenizer"),
    ("tokenizer training text", "Text"),
];

/// Returns the message of an error for the page: settings by their labels, and other parts of the page by their names.
pub fn page_message(error: &Error) -> String {
    // Other words in backticks are keys of files.
    let named = |key: &str| match key {
        "resume" => heading(key),
        "data_format" => Some("`data-format` of the terminal program".into()),
        _ => label(key),
    };
    match error {
        Error::Config { key, problem, remedy } => {
            let key = heading(key).unwrap_or_else(|| key.clone());
            name_settings(&Error::config(&key, problem, remedy).to_string(), named)
        }
        other => other.message(named),
    }
}

fn heading(key: &str) -> Option<String> {
    let other = || NAMES.iter().find(|(name, _)| *name == key).map(|(_, name)| (*name).to_string());
    label(key).or_else(other)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;
    use std::path::Path;

    use super::{heading, page_message};
    use crate::error::Error;

    #[test]
    fn messages_name_labels_and_buttons_of_the_page() {
        let full = page_message(&Error::io("a run", io::ErrorKind::StorageFull.into()));
        assert!(full.ends_with("and Resume continues a run"), "{full}");
        let message =
            |key: &str, problem: &str| page_message(&Error::config(key, problem, "use 64"));
        assert_eq!(message("seq_len", "it is 0"), "Sequence length: it is 0; use 64");
        assert_eq!(message("name", "`text` is empty"), "Run name: `text` is empty; use 64");
        assert_eq!(message("lr", "must be above 0"), "Learning rate must be above 0; use 64");
    }

    /// Keys of errors that the page cannot cause: arguments of functions, keys of files, and several ranks.
    const ELSEWHERE: [&str; 6] =
        ["alphabet_limit", "collective", "objective", "parallel", "reference", "settings"];

    fn sources(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // The page has neither a terminal nor the planner.
            if path.is_dir() && !["cli", "plan", "scaling"].iter().any(|name| path.ends_with(name))
            {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                found.extend(code.split("Error::config(").skip(1).map(String::from));
            }
        }
    }

    #[test]
    fn the_page_has_a_name_for_every_key_that_an_error_is_about() {
        let mut calls = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut calls);
        let keys = calls.iter().filter_map(|call| call.trim_start().strip_prefix('"'));
        let keys: Vec<&str> = keys.filter_map(|rest| rest.split('"').next()).collect();
        assert!(keys.len() > 20, "{keys:?}");
        for key in keys.into_iter().filter(|key| !ELSEWHERE.contains(key)) {
            assert!(heading(key).is_some(), "{key}");
        }
    }
}
