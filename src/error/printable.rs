//! Text from outside, as it may be shown in a terminal or on the page.

/// Returns `text` with control characters escaped, but for tabs and line breaks, and each line cut to `most` characters.
///
/// Names in files are written by strangers: they can hold the escape sequences that move a terminal's cursor or change its
/// title, characters that reverse the direction of what follows, and megabytes of text.
pub fn printable(text: &str, most: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(most.saturating_mul(4)));
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            shown.push('\n');
        }
        let length = line.chars().count();
        // The end of a message says what to do.
        let (head, tail) = if length > most { (most - most / 4, most / 4) } else { (length, 0) };
        push_escaped(&mut shown, line.chars().take(head));
        if length > most {
            shown += &format!(" … ({} more characters) … ", length - head - tail);
            push_escaped(&mut shown, line.chars().skip(length - tail));
        }
    }
    shown
}

/// Escapes control characters, in JSON as JSON does.
pub fn printable_json(json: &str) -> String {
    if !json.chars().any(is_hidden) {
        return json.into();
    }
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if is_hidden(c) {
            shown += &format!("\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}

fn push_escaped(shown: &mut String, text: impl Iterator<Item = char>) {
    for c in text {
        if is_hidden(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
}

/// Returns true for control characters but tabs and line feeds, for those that set the direction of text, and for Unicode's
/// line and paragraph separators. All are below U+10000.
fn is_hidden(c: char) -> bool {
    match c {
        '\t' | '\n' => false,
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        c => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        let hostile = "a\u{1b}[2J\u{9b}31m\r\u{7f}\u{202e}b\tc\nd\u{0}é";
        let shown = r"a\u{1b}[2J\u{9b}31m\u{d}\u{7f}\u{202e}b".to_string() + "\tc\nd\\u{0}é";
        assert_eq!(printable(hostile, 100), shown);
        assert_eq!(printable("", 100), "");
        let value = serde_json::json!({ "a\u{9b}": hostile });
        let json = printable_json(&value.to_string());
        assert!(!json.chars().any(|c| c.is_control()), "{json}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
    }

    #[test]
    fn long_lines_keep_their_beginning_and_their_end() {
        let long = format!("{}; check the path", "x".repeat(1_000_000));
        let shown = printable(&long, 100);
        assert!(shown.chars().count() < 150, "{shown}");
        assert!(
            shown.ends_with("; check the path") && shown.contains("… (999916 more characters) …")
        );
        assert_eq!(printable("two\nlines", 5), "two\nlines");
    }
}
