//! JSON Lines: one object per line. This module only splits lines; [`super::work`] parses them on all cores.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};

use super::records::{Content, LONGEST_RECORD, Record, Records, read_error, too_long};
use crate::error::{Result, json_words};

/// A file of JSON Lines.
pub struct JsonLines {
    name: String,
    input: BufReader<Box<dyn Read + Send>>,
    line: u64,
}

impl JsonLines {
    /// Reads `input`. `name` names it in errors.
    pub fn new(name: &str, input: Box<dyn Read + Send>) -> Self {
        Self { name: name.into(), input: BufReader::with_capacity(1 << 18, input), line: 0 }
    }
}

impl Records for JsonLines {
    fn next(&mut self) -> Result<Option<Record>> {
        loop {
            let mut bytes = Vec::new();
            let mut limited = (&mut self.input).take(LONGEST_RECORD as u64 + 1);
            let read = limited.read_until(b'\n', &mut bytes);
            read.map_err(|e| read_error(&self.name, e))?;
            if bytes.is_empty() {
                return Ok(None);
            }
            self.line += 1;
            if bytes.len() > LONGEST_RECORD {
                return Err(too_long(&self.name, &format!("line {}", self.line)));
            }
            if self.line == 1 && bytes.starts_with(b"\xef\xbb\xbf") {
                bytes.drain(..3);
            }
            if !bytes.trim_ascii().is_empty() {
                return Ok(Some(Record { place: self.line, content: Content::Json(bytes) }));
            }
        }
    }
}

/// Returns the text in the field `key` of a line; none if the field is null.
///
/// # Errors
/// The line is not a JSON object, or has no such text. The error gives the reason.
pub fn text_of(line: &[u8], key: &str) -> std::result::Result<Option<String>, String> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let found = Field { key }.deserialize(&mut json).and_then(|found| json.end().map(|()| found));
    match found {
        Err(problem) => Err(format!("{} (column {})", json_words(&problem), problem.column())),
        Ok(Found { text: None, keys }) => Err(format!(
            "it has no `{key}`, but {}: name the field with --text-field",
            keys.join(", ")
        )),
        Ok(Found { text: Some(text), .. }) => Ok(text),
    }
}

/// Finds one field of an object and skips all others without keeping them.
struct Field<'a> {
    key: &'a str,
}

#[derive(Default)]
struct Found {
    text: Option<Option<String>>,
    /// The other keys, for messages.
    keys: Vec<String>,
}

/// Number of keys that a message names.
const NAMED_KEYS: usize = 10;

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Found;

    fn deserialize<D>(self, json: D) -> std::result::Result<Found, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "an object with a `{}`", self.key)
    }

    fn visit_map<A>(self, mut map: A) -> std::result::Result<Found, A::Error>
    where
        A: MapAccess<'de>,
    {
        let mut found = Found::default();
        while let Some(key) = map.next_key::<String>()? {
            if key == self.key {
                found.text = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
                if found.text.is_none() && found.keys.len() < NAMED_KEYS {
                    found.keys.push(format!("`{key}`"));
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_found_among_others() {
        let line = br#" {"meta": {"text": "no", "list": [1, {"text": 2}]}, "text": "yes \u00e4\n", "id": 7} "#;
        assert_eq!(text_of(line, "text").unwrap().unwrap(), "yes \u{e4}\n");
        assert_eq!(text_of(br#"{"text": null}"#, "text").unwrap(), None);
        for (line, words) in [
            (r#"{"id": 1, "content": "a"}"#, "no `text`, but `id`, `content`"),
            (r#"["a"]"#, "a list"),
            (r#"{"text": 3}"#, "3"),
            (r#"{"text": "a"#, "ends too early"),
            (r#"{"text": "a"} {"#, "column"),
        ] {
            let problem = text_of(line.as_bytes(), "text").unwrap_err();
            assert!(problem.contains(words), "{problem}");
        }
    }
}
