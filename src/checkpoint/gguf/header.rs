//! The front of a GGUF file: its metadata, and where each tensor lies.

use std::collections::BTreeMap;

use super::blocks::{self, Quantization};
use super::value::{Cursor, Metadata, Parsed};

const MAGIC: &[u8] = b"GGUF";
/// Between them, only the type of lengths in version 1 changed.
const VERSIONS: [u32; 2] = [2, 3];
/// GGML's limit.
const MOST_DIMENSIONS: u32 = 4;
/// Where tensors begin, unless `general.alignment` says otherwise.
const ALIGNMENT: usize = 32;

/// A tensor in the file.
pub struct Stored<'a> {
    /// Its shape, outermost dimension first (the file has it the other way round).
    pub shape: Vec<usize>,
    quantization: Quantization,
    bytes: &'a [u8],
}

impl Stored<'_> {
    /// Its numbers, row by row.
    pub fn values(&self) -> Vec<f32> {
        self.quantization.dequantize(self.bytes)
    }
}

/// Everything that a file tells.
pub struct Header<'a> {
    /// Settings and tokenizer.
    pub metadata: Metadata<'a>,
    /// The tensors by name.
    pub tensors: BTreeMap<&'a str, Stored<'a>>,
}

/// A tensor before it is known where the data begin.
struct Info<'a> {
    name: &'a str,
    shape: Vec<usize>,
    quantization: Quantization,
    offset: usize,
    length: usize,
}

impl<'a> Header<'a> {
    /// Reads it, and makes sure that every tensor lies inside the file and all together are no larger.
    pub fn read(bytes: &'a [u8]) -> Parsed<Self> {
        let mut cursor = Cursor::new(bytes);
        if cursor.take(MAGIC.len())? != MAGIC {
            return Err("it does not begin with GGUF".into());
        }
        let version = cursor.u32()?;
        if !VERSIONS.contains(&version) {
            let swapped = VERSIONS.contains(&version.swap_bytes());
            let order =
                if swapped { ", with the bytes of numbers in big-endian order" } else { "" };
            return Err(format!(
                "it has version {version}{order}, not 2 or 3 in little-endian order"
            ));
        }
        let (tensors, entries) = (cursor.u64()?, cursor.u64()?);
        let mut metadata = Metadata::default();
        for _ in 0..entries {
            metadata.read_entry(&mut cursor)?;
        }
        let mut infos = Vec::new();
        for _ in 0..tensors {
            infos.push(Info::read(&mut cursor)?);
        }
        let alignment = match metadata.integer("general.alignment") {
            None => ALIGNMENT,
            Some(number) => usize::try_from(number)
                .ok()
                .filter(|number| number.is_power_of_two())
                .ok_or_else(|| format!("general.alignment is {number}, not a power of two"))?,
        };
        let data = cursor.position().checked_next_multiple_of(alignment).unwrap_or(usize::MAX);
        let data = bytes.get(data..).unwrap_or_default();
        // Tensors that share their bytes could fill the memory from a small file.
        let mut left = data.len();
        let mut stored = BTreeMap::new();
        for Info { name, shape, quantization, offset, length } in infos {
            let end = offset.checked_add(length).filter(|end| *end <= data.len());
            let end = end.ok_or_else(|| format!("tensor {name:?} lies beyond the file's end"))?;
            left = left.checked_sub(length).ok_or("its tensors overlap")?;
            let tensor = Stored { shape, quantization, bytes: &data[offset..end] };
            if stored.insert(name, tensor).is_some() {
                return Err(format!("tensor {name:?} is there twice"));
            }
        }
        Ok(Self { metadata, tensors: stored })
    }
}

impl<'a> Info<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let name = cursor.text()?;
        let wrong = |problem: String| format!("tensor {name:?} {problem}");
        let dimensions = cursor.u32()?;
        if dimensions > MOST_DIMENSIONS {
            return Err(wrong(format!("has {dimensions} dimensions")));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(cursor.size()?);
        }
        let quantization = blocks::quantization(cursor.u32()?).map_err(wrong)?;
        let offset = cursor.size()?;
        let row = shape.first().copied().unwrap_or(1);
        let elements = shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
        let length = elements
            .filter(|_| row.is_multiple_of(quantization.values))
            .and_then(|elements| (elements / quantization.values).checked_mul(quantization.bytes));
        let length = length.ok_or_else(|| {
            wrong(format!("of shape {shape:?} is no whole number of {} blocks", quantization.name))
        })?;
        shape.reverse();
        Ok(Self { name, shape, quantization, offset, length })
    }
}
