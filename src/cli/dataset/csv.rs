//! CSV and TSV with a header: each record holds a document in one of its columns.

use std::io::{BufRead, BufReader, Read};

use csv_core::{ReadFieldResult, Reader, ReaderBuilder};

use super::records::{Content, LONGEST_RECORD, Record, Records, read_error, too_long};
use crate::error::{Error, Result};

/// Maximum number of columns.
const MOST_COLUMNS: usize = 1 << 16;

/// A file of comma- or tab-separated values.
pub struct CsvFile {
    name: String,
    input: BufReader<Box<dyn Read + Send>>,
    parser: Reader,
    /// Buffer for one field.
    field: Vec<u8>,
    /// Index of the column with the documents, and number of columns.
    column: Option<(usize, usize)>,
    text_field: String,
    record: u64,
}

impl CsvFile {
    /// Reads `input` with columns separated by `delimiter`. `name` names it in errors; `text_field` is the column with the documents.
    pub fn new(name: &str, input: Box<dyn Read + Send>, delimiter: u8, text_field: &str) -> Self {
        Self {
            name: name.into(),
            input: BufReader::with_capacity(1 << 18, input),
            parser: ReaderBuilder::new().delimiter(delimiter).build(),
            field: vec![0; 1 << 16],
            column: None,
            text_field: text_field.into(),
            record: 0,
        }
    }

    /// Reads a record and returns those of its fields that `is_wanted`, and the number of all; none at the end.
    fn fields(
        &mut self,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Result<Option<(Vec<Vec<u8>>, usize)>> {
        let mut wanted = Vec::new();
        let mut index = 0;
        let mut length = 0;
        loop {
            let input = self.input.fill_buf().map_err(|e| read_error(&self.name, e))?;
            let (result, read, written) = self.parser.read_field(input, &mut self.field[length..]);
            self.input.consume(read);
            length += written;
            match result {
                ReadFieldResult::InputEmpty => {}
                ReadFieldResult::OutputFull if self.field.len() < LONGEST_RECORD => {
                    let more = (2 * self.field.len()).min(LONGEST_RECORD);
                    self.field.resize(more, 0);
                }
                ReadFieldResult::OutputFull => {
                    let place = format!("a field of record {}", self.record + 1);
                    return Err(too_long(&self.name, &place));
                }
                ReadFieldResult::Field { record_end } => {
                    if is_wanted(index) {
                        wanted.push(self.field[..length].to_vec());
                    }
                    index += 1;
                    if index > MOST_COLUMNS {
                        let place = format!("{}, record {}", self.name, self.record + 1);
                        let problem = format!("it has more than {MOST_COLUMNS} fields");
                        let remedy = "check that it is a table with line breaks";
                        return Err(Error::malformed(place, problem, remedy));
                    }
                    length = 0;
                    if record_end {
                        return Ok(Some((wanted, index)));
                    }
                }
                ReadFieldResult::End => return Ok(None),
            }
        }
    }

    /// Reads the header.
    fn find_column(&mut self) -> Result<Option<(usize, usize)>> {
        let Some((names, count)) = self.fields(|_| true)? else { return Ok(None) };
        let names: Vec<String> =
            names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        match names.iter().position(|name| *name == self.text_field) {
            Some(index) => Ok(Some((index, count))),
            None => Err(Error::malformed(
                &self.name,
                format!("it has no column `{}`, but {}", self.text_field, names.join(", ")),
                "name the column with --text-field",
            )),
        }
    }
}

impl Records for CsvFile {
    fn next(&mut self) -> Result<Option<Record>> {
        let (wanted, count) = match self.column {
            Some(column) => column,
            None => match self.find_column()? {
                None => return Ok(None),
                Some(column) => *self.column.insert(column),
            },
        };
        let Some((mut fields, found)) = self.fields(|index| index == wanted)? else {
            return Ok(None);
        };
        self.record += 1;
        let what = format!("{}, record {}", self.name, self.record);
        if found != count {
            let problem = format!("it has {found} fields, but the header has {count}");
            let remedy = "check the quotes around it and before it";
            return Err(Error::malformed(what, problem, remedy));
        }
        let text = Error::decode(&what, fields.pop().unwrap_or_default())?;
        Ok(Some(Record { place: self.record, content: Content::Text(text) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(content: &str, delimiter: u8) -> Result<Vec<String>> {
        let input = Box::new(std::io::Cursor::new(content.as_bytes().to_vec()));
        let mut file = CsvFile::new("a.csv", input, delimiter, "text");
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
    fn a_column_is_read_with_its_quotes_and_line_breaks() {
        let long = "x".repeat(1 << 17);
        let content = format!("\u{feff}id,text\r\n1,\"a \"\"b\"\",\nc\"\r\n2,\n3,{long}");
        assert_eq!(texts(&content, b',').unwrap(), ["a \"b\",\nc", "", &long]);
        assert_eq!(texts("text\tid\none, two\t1\n", b'\t').unwrap(), ["one, two"]);
        assert!(texts("", b',').unwrap().is_empty());
    }

    #[test]
    fn damage_is_refused_with_its_place() {
        let problem = |content: &str| texts(content, b',').unwrap_err().to_string();
        assert!(problem("id,body\n1,a\n").contains("no column `text`, but id, body"));
        let ragged = problem("id,text\n1,a\n2,b,c\n");
        assert!(ragged.contains("a.csv, record 2") && ragged.contains("3 fields"), "{ragged}");
        let endless = format!("id,text\n1,\"{}", "x".repeat(LONGEST_RECORD + 1));
        assert!(problem(&endless).contains("record 1 is longer than 16 MiB"));
    }
}
