//! Plain text: a file is one document, or several with a separator between them.

use std::io::Read;

use super::records::{Content, LONGEST, Record, Records, read_error};
use crate::error::{Error, Result};

/// Bytes read at a time.
const CHUNK: usize = 1 << 18;
/// Byte order mark, which some editors write at the start of a text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A text file.
pub struct TextFile {
    name: String,
    input: Box<dyn Read + Send>,
    separator: Option<String>,
    /// Text that was read, beginning with the part that was already returned.
    text: String,
    /// Start of the rest in `text`.
    start: usize,
    /// Bytes of an incomplete character after `text`.
    partial: Vec<u8>,
    /// Offset in the file of the end of `text`.
    offset: usize,
    has_ended: bool,
    documents: u64,
}

impl TextFile {
    /// Reads `input`. `name` names it in errors.
    pub fn new(name: &str, input: Box<dyn Read + Send>, separator: Option<&str>) -> Self {
        Self {
            name: name.into(),
            input,
            separator: separator.map(String::from),
            text: String::new(),
            start: 0,
            partial: Vec::new(),
            offset: 0,
            has_ended: false,
            documents: 0,
        }
    }

    /// Reads more text.
    fn fill(&mut self) -> Result<()> {
        self.text.drain(..self.start);
        self.start = 0;
        let mut chunk = vec![0; CHUNK];
        let count = self.input.read(&mut chunk).map_err(|e| read_error(&self.name, e))?;
        self.has_ended = count == 0;
        let mut bytes = std::mem::take(&mut self.partial);
        bytes.extend_from_slice(&chunk[..count]);
        let good = match std::str::from_utf8(&bytes) {
            Ok(_) => bytes.len(),
            Err(error) if error.error_len().is_none() && !self.has_ended => error.valid_up_to(),
            Err(error) => {
                let offset = self.offset + error.valid_up_to();
                let invalid = Error::NotUtf8 { what: self.name.clone(), offset };
                // The first bytes may indicate the encoding.
                let named = (offset == 0).then(|| Error::decode(&self.name, bytes).err()).flatten();
                return Err(named.unwrap_or(invalid));
            }
        };
        self.partial = bytes.split_off(good);
        let text = String::from_utf8(bytes).expect("it was checked");
        let text = if self.offset == 0 { text.trim_start_matches(BYTE_ORDER_MARK) } else { &text };
        self.text.push_str(text);
        self.offset += good;
        Ok(())
    }

    /// Returns the length of the next document in the rest of the text and the length of the separator after it; none if more text
    /// is needed.
    fn next_end(&self, searched: usize) -> Option<(usize, usize)> {
        let rest = &self.text[self.start..];
        if let Some(separator) = &self.separator {
            let from = rest.floor_char_boundary(searched.saturating_sub(separator.len()));
            let found = rest[from..].find(separator.as_str()).map(|at| from + at);
            if let Some(at) = found.filter(|at| *at <= LONGEST) {
                return Some((at, separator.len()));
            }
        }
        if rest.len() > LONGEST {
            let longest = &rest[..rest.floor_char_boundary(LONGEST)];
            return Some((longest.rfind('\n').map_or(longest.len(), |at| at + 1), 0));
        }
        self.has_ended.then_some((rest.len(), 0))
    }
}

impl Records for TextFile {
    fn next(&mut self) -> Result<Option<Record>> {
        let mut searched = 0;
        loop {
            if let Some((length, separator)) = self.next_end(searched) {
                let document = &self.text[self.start..self.start + length];
                let document = match self.separator {
                    Some(_) => document.trim_matches(['\n', '\r']).to_string(),
                    None => document.to_string(),
                };
                self.start += length + separator;
                searched = 0;
                if !document.is_empty() {
                    self.documents += 1;
                    let content = Content::Text(document);
                    return Ok(Some(Record { place: self.documents, content }));
                }
                if self.has_ended && self.start >= self.text.len() {
                    return Ok(None);
                }
            } else {
                searched = self.text.len() - self.start;
                self.fill()?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(text: &[u8], separator: Option<&str>) -> Result<Vec<String>> {
        let mut file =
            TextFile::new("a.txt", Box::new(std::io::Cursor::new(text.to_vec())), separator);
        let mut found = Vec::new();
        while let Some(record) = file.next()? {
            match record.content {
                Content::Text(text) => found.push(text),
                Content::Json(_) => unreachable!("it is text"),
            }
        }
        Ok(found)
    }

    #[test]
    fn a_separator_divides_a_file_into_documents() {
        let end = Some("<|endoftext|>");
        let text = b"one\n<|endoftext|>\n\ntwo\nlines<|endoftext|><|endoftext|>\n";
        assert_eq!(documents(text, end).unwrap(), ["one", "two\nlines"]);
        assert_eq!(documents(text, None).unwrap().len(), 1);
        assert!(documents(b"", end).unwrap().is_empty());
        // Across the chunks in which it is read.
        let story = format!("{}<|endoftext|>", "x".repeat(CHUNK - 5));
        let found = documents(story.repeat(20).as_bytes(), end).unwrap();
        assert_eq!((found.len(), found[19].len()), (20, CHUNK - 5));
    }

    #[test]
    fn a_long_text_is_cut_at_line_breaks_and_nothing_is_lost() {
        let text = format!("\u{feff}{}", "ä line of some words\n".repeat(LONGEST / 8));
        let found = documents(text.as_bytes(), None).unwrap();
        assert!(found.len() > 2 && found.iter().all(|part| part.len() <= LONGEST));
        assert!(found.iter().all(|part| part.ends_with('\n')));
        assert_eq!(found.concat(), text[3..]);
        let unbroken = "ä".repeat(LONGEST);
        assert_eq!(documents(unbroken.as_bytes(), None).unwrap().concat(), unbroken);
    }

    #[test]
    fn text_of_another_encoding_is_refused_with_the_place() {
        let mut text = "a".repeat(CHUNK + 7).into_bytes();
        text.push(0xff);
        let problem = documents(&text, None).unwrap_err().to_string();
        assert!(problem.contains(&format!("offset {}", CHUNK + 7)), "{problem}");
        let problem = documents(b"\xff\xfea\0", None).unwrap_err().to_string();
        assert!(problem.contains("UTF-16"), "{problem}");
        assert!(documents("ab\u{e4}".as_bytes().split_last().unwrap().1, None).is_err());
    }
}
