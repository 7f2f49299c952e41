//! Binary parsing of GGUF files and their typed metadata.

use std::collections::BTreeMap;

/// Type number of arrays.
const LIST: u32 = 9;

/// Result with a description of what is wrong with the file.
pub type Parsed<T> = Result<T, String>;

/// A reader of bytes. Checks every length against the bytes that are left.
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns the number of bytes read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Reads `count` bytes.
    pub fn take(&mut self, count: usize) -> Parsed<&'a [u8]> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| {
            format!("it ends after {} bytes, where {count} more are expected", self.bytes.len())
        })?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many as asked for"))
    }

    /// Reads a little-endian 32-bit integer.
    pub fn u32(&mut self) -> Parsed<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Reads a little-endian 64-bit integer.
    pub fn u64(&mut self) -> Parsed<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Reads a little-endian 64-bit integer as a size in memory.
    pub fn size(&mut self) -> Parsed<usize> {
        let number = self.u64()?;
        usize::try_from(number).map_err(|_| format!("the length {number} is out of range"))
    }

    /// Reads a string preceded by its length in bytes.
    pub fn text(&mut self) -> Parsed<&'a str> {
        let length = self.size()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| "a string in it is not UTF-8".into())
    }

    /// Reads a value of the type with this number.
    fn value(&mut self, kind: u32) -> Parsed<Value<'a>> {
        Ok(match kind {
            0 => Value::Integer(self.array::<1>()?[0].into()),
            1 => Value::Integer(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Integer(u16::from_le_bytes(self.array()?).into()),
            3 => Value::Integer(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Integer(self.u32()?.into()),
            5 => Value::Integer(i32::from_le_bytes(self.array()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array()?).into()),
            7 => Value::Bool(self.array::<1>()?[0] != 0),
            8 => Value::Text(self.text()?),
            LIST => {
                let kind = self.u32()?;
                let length = self.size()?;
                if kind == LIST {
                    return Err("an array in it contains arrays".into());
                }
                let from = self.at;
                for _ in 0..length {
                    self.value(kind)?;
                }
                Value::List { kind, bytes: &self.bytes[from..self.at] }
            }
            10 => Value::Integer(self.u64()?.into()),
            11 => Value::Integer(i64::from_le_bytes(self.array()?).into()),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            other => return Err(format!("a value in it has the unknown type {other}")),
        })
    }
}

/// A metadata value. Arrays are parsed on access.
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Integer(i128),
    Float(f64),
    Bool(bool),
    Text(&'a str),
    List { kind: u32, bytes: &'a [u8] },
}

/// Metadata by key.
#[derive(Default)]
pub struct Metadata<'a>(BTreeMap<&'a str, Value<'a>>);

impl<'a> Metadata<'a> {
    /// Reads a key and its value.
    pub fn read_entry(&mut self, cursor: &mut Cursor<'a>) -> Parsed<()> {
        let key = cursor.text()?;
        let kind = cursor.u32()?;
        let value = cursor.value(kind).map_err(|problem| format!("{key:?}: {problem}"))?;
        match self.0.insert(key, value) {
            None => Ok(()),
            Some(_) => Err(format!("the key {key:?} occurs twice")),
        }
    }

    /// Returns a non-negative integer.
    pub fn integer(&self, key: &str) -> Option<u64> {
        match self.0.get(key)? {
            Value::Integer(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// Returns an integer or a float as a float.
    pub fn number(&self, key: &str) -> Option<f64> {
        match self.0.get(key)? {
            Value::Integer(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns a boolean.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.0.get(key)? {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// Returns a string.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        match self.0.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns an array of strings.
    pub fn texts(&self, key: &str) -> Option<Vec<&'a str>> {
        self.list(key, |value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        })
    }

    /// Returns an array of integers.
    pub fn integers(&self, key: &str) -> Option<Vec<i128>> {
        self.list(key, |value| match value {
            Value::Integer(number) => Some(number),
            _ => None,
        })
    }

    /// Returns an array of floats.
    pub fn numbers(&self, key: &str) -> Option<Vec<f64>> {
        self.list(key, |value| match value {
            Value::Float(number) => Some(number),
            _ => None,
        })
    }

    fn list<T>(&self, key: &str, item: impl Fn(Value<'a>) -> Option<T>) -> Option<Vec<T>> {
        let Value::List { kind, bytes } = *self.0.get(key)? else { return None };
        let mut cursor = Cursor::new(bytes);
        let mut items = Vec::new();
        while cursor.position() < bytes.len() {
            items.push(item(cursor.value(kind).ok()?)?);
        }
        Some(items)
    }
}
