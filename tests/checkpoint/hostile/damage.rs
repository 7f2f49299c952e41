//! Damage to files: bytes, JSON values, and headers with absurd lengths.

use serde_json::{Value, json};

/// Random numbers that are the same in every run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }

    pub fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// Returns a position in `len` bytes: near the start or the end, where headers and directories are, or anywhere.
    pub fn place(&mut self, len: usize) -> usize {
        let edge = len.min(600);
        match self.below(3) {
            0 => self.below(edge),
            1 => len - 1 - self.below(edge).min(len - 1),
            _ => self.below(len),
        }
    }
}

/// Strings that are difficult for parsers.
const WORDS: [&str; 16] = [
    "-1",
    "0",
    "1e308",
    "1e999",
    "-0.0",
    "4294967296",
    "9223372036854775808",
    "1152921504606846976",
    "18446744073709551616",
    "null",
    "\"\"",
    "[]",
    "{}",
    "\"\\ud800\"",
    "\u{0}",
    "99999",
];
/// Absurd lengths and offsets.
const LENGTHS: [u64; 8] = [0, 1, 1 << 16, u32::MAX as u64, 1 << 31, 1 << 60, 1 << 63, u64::MAX];

fn values() -> Vec<Value> {
    let mut nested = json!(0);
    for _ in 0..100 {
        nested = json!([nested]);
    }
    vec![
        json!(-1),
        json!(0),
        json!(1),
        json!(1e308),
        json!(0.5),
        json!(1u64 << 30),
        json!(1u64 << 31),
        json!(1u64 << 60),
        json!(1u64 << 63),
        json!(u64::MAX),
        json!(null),
        json!(true),
        json!(""),
        json!("\u{0}日本"),
        json!([]),
        json!({}),
        json!([0, 0]),
        nested,
    ]
}

/// Damages bytes one to three times.
pub fn damage(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        if bytes.is_empty() {
            break;
        }
        let at = random.place(bytes.len());
        let end = (at + 1 + random.below(40)).min(bytes.len());
        match random.below(8) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let copy = bytes[at..end].to_vec();
                let to = random.place(bytes.len());
                bytes.splice(to..to, copy);
            }
            5 => drop(bytes.splice(at..end.min(at + random.below(3)), random.of(&WORDS).bytes())),
            6 => {
                let number = random.of(&LENGTHS).to_le_bytes();
                let size = *random.of(&[2, 4, 8]);
                for (byte, new) in bytes[at..].iter_mut().zip(&number[..size]) {
                    *byte = *new;
                }
            }
            _ => {
                let nested = if random.below(2) == 0 { "[" } else { "{\"a\":" };
                bytes.splice(at..at, nested.repeat(300).into_bytes());
            }
        }
    }
    bytes
}

/// Replaces a value in a JSON text; returns other text unchanged.
pub fn rewrite(json: &[u8], random: &mut Random) -> Vec<u8> {
    pub fn size(value: &Value) -> usize {
        1 + match value {
            Value::Array(list) => list.iter().map(size).sum(),
            Value::Object(map) => map.values().map(size).sum(),
            _ => 0,
        }
    }
    pub fn replace(value: &mut Value, place: &mut usize, new: &Value) {
        if *place == 0 {
            *value = new.clone();
        }
        *place = place.wrapping_sub(1);
        match value {
            Value::Array(list) => list.iter_mut().for_each(|part| replace(part, place, new)),
            Value::Object(map) => map.values_mut().for_each(|part| replace(part, place, new)),
            _ => {}
        }
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(json) else { return json.to_vec() };
    let mut place = random.below(size(&value));
    replace(&mut value, &mut place, random.of(&values()));
    value.to_string().into_bytes()
}

/// Replaces the header of a safetensors file and updates its length.
pub fn rewrite_header(file: &[u8], random: &mut Random) -> Vec<u8> {
    let end = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header = rewrite(&file[8..end], random);
    [&(header.len() as u64).to_le_bytes()[..], &header, &file[end..]].concat()
}
