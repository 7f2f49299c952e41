//! The bytes of a GGUF file in order, and the typed values of its metadata.

use std::collections::BTreeMap;

/// The type of lists.
const LIST: u32 = 9;

/// What is wrong with a file, in words.
pub type Parsed<T> = Result<T, String>;

/// Bytes that are read one after the other. Nothing is taken on trust: what a length promises must be there.
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// From the beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Parsed<&'a [u8]> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| {
            format!("{count} bytes are missing behind the {} there are", self.bytes.len())
        })?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many as asked for"))
    }

    /// A little-endian number of 32 bits.
    pub fn u32(&mut self) -> Parsed<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A little-endian number of 64 bits.
    pub fn u64(&mut self) -> Parsed<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A little-endian number of 64 bits that counts or measures something in memory.
    pub fn size(&mut self) -> Parsed<usize> {
        let number = self.u64()?;
        usize::try_from(number).map_err(|_| format!("the length {number} is out of range"))
    }

    /// Text behind its length in bytes.
    pub fn text(&mut self) -> Parsed<&'a str> {
        let length = self.size()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| "a text in it is not UTF-8".into())
    }

    /// A value of the type with this number.
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
                let (kind, length) = (self.u32()?, self.size()?);
                if kind == LIST {
                    return Err("a list in it holds lists".into());
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

/// A value of the metadata. Lists stay bytes until they are asked for.
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Integer(i128),
    Float(f64),
    Bool(bool),
    Text(&'a str),
    List { kind: u32, bytes: &'a [u8] },
}

/// The metadata by key.
#[derive(Default)]
pub struct Metadata<'a>(BTreeMap<&'a str, Value<'a>>);

impl<'a> Metadata<'a> {
    /// Reads the next key and its value.
    pub fn read_entry(&mut self, cursor: &mut Cursor<'a>) -> Parsed<()> {
        let key = cursor.text()?;
        let kind = cursor.u32()?;
        let value = cursor.value(kind).map_err(|problem| format!("{key:?}: {problem}"))?;
        match self.0.insert(key, value) {
            None => Ok(()),
            Some(_) => Err(format!("the key {key:?} is given twice")),
        }
    }

    /// A whole number that is not negative.
    pub fn integer(&self, key: &str) -> Option<u64> {
        match self.0.get(key)? {
            Value::Integer(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// A number of any type.
    pub fn number(&self, key: &str) -> Option<f64> {
        match self.0.get(key)? {
            Value::Integer(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// True or false.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.0.get(key)? {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// A text.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        match self.0.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A list of texts.
    pub fn texts(&self, key: &str) -> Option<Vec<&'a str>> {
        self.list(key, |value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        })
    }

    /// A list of whole numbers.
    pub fn integers(&self, key: &str) -> Option<Vec<i128>> {
        self.list(key, |value| match value {
            Value::Integer(number) => Some(number),
            _ => None,
        })
    }

    /// A list of numbers with a point.
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
