//! Header of a GGUF file: metadata and the location of each tensor.

use std::collections::BTreeMap;

use super::blocks::{self, Quantization};
use super::value::{Cursor, Metadata, Parsed};

const MAGIC: &[u8] = b"GGUF";
/// Supported versions; 3 differs from 2 only by allowing big-endian files.
const VERSIONS: [u32; 2] = [2, 3];
/// GGML's limit.
const MOST_DIMENSIONS: u32 = 4;
/// Default alignment of the tensors, which `general.alignment` overrides.
const ALIGNMENT: usize = 32;

/// A tensor in the file.
pub struct StoredTensor<'a> {
    /// Shape with the outermost dimension first; the file stores the reverse.
    pub shape: Vec<usize>,
    quantization: Quantization,
    bytes: &'a [u8],
}

impl StoredTensor<'_> {
    /// Returns the dequantized values in row-major order.
    pub fn values(&self) -> Vec<f32> {
        self.quantization.dequantize(self.bytes)
    }
}

/// The parsed header.
pub struct Header<'a> {
    /// Model configuration and tokenizer.
    pub metadata: Metadata<'a>,
    /// Tensors by name.
    pub tensors: BTreeMap<&'a str, StoredTensor<'a>>,
}

/// A tensor's entry in the header. Its offset is relative to the start of the data.
struct TensorInfo<'a> {
    name: &'a str,
    shape: Vec<usize>,
    quantization: Quantization,
    offset: usize,
    length: usize,
}

impl<'a> Header<'a> {
    /// Parses the header. Checks that each tensor is inside the file and that tensors do not overlap.
    pub fn read(bytes: &'a [u8]) -> Parsed<Self> {
        let mut cursor = Cursor::new(bytes);
        if cursor.take(MAGIC.len())? != MAGIC {
            return Err("it does not start with the magic number GGUF".into());
        }
        let version = cursor.u32()?;
        if !VERSIONS.contains(&version) {
            let swapped = VERSIONS.contains(&version.swap_bytes());
            let order = if swapped { " in big-endian byte order" } else { "" };
            return Err(format!(
                "its version is {version}{order}, not 2 or 3 in little-endian byte order"
            ));
        }
        let tensors = cursor.u64()?;
        let entries = cursor.u64()?;
        let mut metadata = Metadata::default();
        for _ in 0..entries {
            metadata.read_entry(&mut cursor)?;
        }
        let mut infos = Vec::new();
        for _ in 0..tensors {
            infos.push(TensorInfo::read(&mut cursor)?);
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
        // Overlapping tensors could expand a small file to fill the memory.
        let mut left = data.len();
        let mut stored = BTreeMap::new();
        for TensorInfo { name, shape, quantization, offset, length } in infos {
            let end = offset.checked_add(length).filter(|end| *end <= data.len());
            let end = end.ok_or_else(|| format!("tensor {name:?} extends past the end of file"))?;
            left = left.checked_sub(length).ok_or("its tensors overlap")?;
            let tensor = StoredTensor { shape, quantization, bytes: &data[offset..end] };
            if stored.insert(name, tensor).is_some() {
                return Err(format!("tensor {name:?} occurs twice"));
            }
        }
        Ok(Self { metadata, tensors: stored })
    }
}

impl<'a> TensorInfo<'a> {
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
            let name = quantization.name;
            wrong(format!("has shape {shape:?}, which is not a whole number of {name} blocks"))
        })?;
        shape.reverse();
        Ok(Self { name, shape, quantization, offset, length })
    }
}
