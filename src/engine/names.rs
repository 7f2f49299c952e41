//! Names that the page shows in place of the keys in messages.

use crate::config::label;

/// Returns the label of a setting, or of a button that a message mentions.
pub fn page_name(key: &str) -> Option<String> {
    match key {
        "resume" => Some("Resume".into()),
        key => label(key),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::page_name;
    use crate::error::Error;

    #[test]
    fn messages_name_labels_and_buttons_of_the_page() {
        let full = Error::io("a run", io::ErrorKind::StorageFull.into());
        assert!(full.message(page_name).ends_with("and Resume continues a run"));
        let setting = Error::config("seq_len", "it is 0", "use 64");
        assert_eq!(setting.message(page_name), "Sequence length: it is 0; use 64");
    }
}
