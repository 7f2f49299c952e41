//! Hashes: SHA-256 of files and bytes, in hexadecimal, and a faster one of texts.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};
use twox_hash::XxHash64;

use crate::error::{Error, Result};

/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// Returns the hash of bytes.
pub fn sha256(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes).as_slice())
}

/// Returns the hash of a file.
///
/// # Errors
/// It cannot be read.
pub fn sha256_of_file(path: &Path) -> Result<String> {
    let failed = |e| Error::io(path, e);
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk).map_err(failed)? {
            0 => return Ok(hex(hasher.finalize().as_slice())),
            count => hasher.update(&chunk[..count]),
        }
    }
}

/// Returns bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the 64-bit hash of a text (XXH64, which takes little time compared with encoding). Among a billion different texts,
/// the probability of a collision is 3 %.
pub fn hash_of_text(text: &[u8]) -> u64 {
    XxHash64::oneshot(0, text)
}
