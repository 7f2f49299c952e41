//! Dequantization of GGML blocks, as in llama.cpp's `ggml-quants.c`.
//!
//! A block holds small integers `q`, a scale `d` and, in some types, a minimum `m`.

use half::{bf16, f16};

/// A storage type of tensors.
#[derive(Clone, Copy)]
pub struct Quantization {
    /// Name in llama.cpp.
    pub name: &'static str,
    /// Values per block.
    pub values: usize,
    /// Bytes per block.
    pub bytes: usize,
    /// Appends a block's values.
    widen: fn(&[u8], &mut Vec<f32>),
}

impl Quantization {
    /// Converts blocks to f32.
    pub fn dequantize(&self, bytes: &[u8]) -> Vec<f32> {
        let mut values = Vec::with_capacity(bytes.len() / self.bytes * self.values);
        for block in bytes.chunks_exact(self.bytes) {
            (self.widen)(block, &mut values);
        }
        values
    }
}

/// Returns the storage type with this number in `ggml_type`.
pub fn quantization(number: u32) -> Result<Quantization, String> {
    let of = |name, values, bytes, widen| Ok(Quantization { name, values, bytes, widen });
    match number {
        0 => of("F32", 1, 4, |b, out| out.push(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
        1 => of("F16", 1, 2, |b, out| out.push(half_at(b, 0))),
        30 => of("BF16", 1, 2, |b, out| out.push(bf16::from_le_bytes([b[0], b[1]]).to_f32())),
        2 => of("Q4_0", 32, 18, q4_0),
        3 => of("Q4_1", 32, 20, q4_1),
        6 => of("Q5_0", 32, 22, q5_0),
        7 => of("Q5_1", 32, 24, q5_1),
        8 => of("Q8_0", 32, 34, q8_0),
        12 => of("Q4_K", 256, 144, q4_k),
        13 => of("Q5_K", 256, 176, q5_k),
        14 => of("Q6_K", 256, 210, q6_k),
        other => Err(format!(
            "has the unsupported type {other}: quantize the model as F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, \
             Q4_K, Q5_K or Q6_K"
        )),
    }
}

fn half_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Returns the lower four bits of all bytes, then the upper four.
fn nibbles(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let lower = bytes.iter().map(|byte| byte & 15);
    lower.chain(bytes.iter().map(|byte| byte >> 4))
}

/// Returns 5-bit values: four bits from [`nibbles`], the fifth from the bits of `high` in order.
fn five_bits(high: &[u8], low: &[u8]) -> impl Iterator<Item = u8> {
    let fifth = move |at: usize| (high[at / 8] >> (at % 8) & 1) << 4;
    nibbles(low).enumerate().map(move |(at, low)| low | fifth(at))
}

/// `d (q - 8)`
fn q4_0(block: &[u8], out: &mut Vec<f32>) {
    let d = half_at(block, 0);
    out.extend(nibbles(&block[2..]).map(|q| d * (f32::from(q) - 8.0)));
}

/// `d q + m`
fn q4_1(block: &[u8], out: &mut Vec<f32>) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    out.extend(nibbles(&block[4..]).map(|q| d * f32::from(q) + m));
}

/// `d (q - 16)`
fn q5_0(block: &[u8], out: &mut Vec<f32>) {
    let d = half_at(block, 0);
    out.extend(five_bits(&block[2..6], &block[6..]).map(|q| d * (f32::from(q) - 16.0)));
}

/// `d q + m`
fn q5_1(block: &[u8], out: &mut Vec<f32>) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    out.extend(five_bits(&block[4..8], &block[8..]).map(|q| d * f32::from(q) + m));
}

/// `d q`
fn q8_0(block: &[u8], out: &mut Vec<f32>) {
    let d = half_at(block, 0);
    out.extend(block[2..].iter().map(|q| d * f32::from(q.cast_signed())));
}

/// Returns the 6-bit scale and minimum of each of eight groups (`get_scale_min_k4`).
fn scales_and_minima(packed: &[u8]) -> [(f32, f32); 8] {
    std::array::from_fn(|group| {
        let (scale, minimum) = match group {
            0..4 => (packed[group] & 63, packed[group + 4] & 63),
            _ => {
                let low = packed[group + 4];
                let high_scale = packed[group - 4] >> 6;
                let high_minimum = packed[group] >> 6;
                (low & 15 | high_scale << 4, low >> 4 | high_minimum << 4)
            }
        };
        (scale.into(), minimum.into())
    })
}

/// Appends eight groups of 32 values `d scale q - m minimum`; `q` is a function of group and index.
fn groups_of_32(block: &[u8], out: &mut Vec<f32>, q: impl Fn(usize, usize) -> u8) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for (group, (scale, minimum)) in scales_and_minima(&block[4..16]).into_iter().enumerate() {
        let (d, m) = (d * scale, m * minimum);
        out.extend((0..32).map(|at| d * f32::from(q(group, at)) - m));
    }
}

/// Returns four bits of a value. Groups 0 and 1 share bytes, as do 2 and 3, and so on.
fn paired(low: &[u8], group: usize, at: usize) -> u8 {
    low[group / 2 * 32 + at] >> (4 * (group % 2)) & 15
}

fn q4_k(block: &[u8], out: &mut Vec<f32>) {
    groups_of_32(block, out, |group, at| paired(&block[16..], group, at));
}

fn q5_k(block: &[u8], out: &mut Vec<f32>) {
    let (high, low) = block[16..].split_at(32);
    groups_of_32(block, out, |group, at| paired(low, group, at) | (high[at] >> group & 1) << 4);
}

/// Sixteen groups of 16 values `d scale (q - 32)`. In each half of the block, four runs of 32 values share 64 bytes for
/// the lower four bits and 32 bytes for the upper two.
fn q6_k(block: &[u8], out: &mut Vec<f32>) {
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let d = half_at(rest, 16);
    for at in 0..256 {
        let half = at / 128;
        let run = at / 32 % 4;
        let place = at % 32;
        let four = low[half * 64 + run % 2 * 32 + place] >> (4 * (run / 2)) & 15;
        let two = high[half * 32 + place] >> (2 * run) & 3;
        let q = f32::from(four | two << 4) - 32.0;
        out.push(d * f32::from(rest[at / 16].cast_signed()) * q);
    }
}
