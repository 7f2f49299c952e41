//! Checkpoints as zip files.

use std::io::{Cursor, Read, Write};

use flate2::Crc;
use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use super::{ADAPTER_CONFIG, ADAPTER_WEIGHTS, CONFIG, Files, GGUF_EXTENSION};
use crate::error::{Error, Result};

/// Packs files into a zip without compression, since weights do not compress.
pub fn pack_zip(files: &Files) -> Result<Vec<u8>> {
    let failed =
        |e: zip::result::ZipError| Error::malformed("the archive", e.to_string(), "report this");
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in files {
        zip.start_file(name.as_str(), options.large_file(bytes.len() > u32::MAX as usize))
            .map_err(failed)?;
        zip.write_all(bytes).map_err(|e| failed(e.into()))?;
    }
    Ok(zip.finish().map_err(failed)?.into_inner())
}

/// Maximum bytes of an unpacked archive per packed byte, beyond [`SMALL`]. Weights hardly compress, and texts by less than ten.
const EXPANSION: u64 = 20;
/// Bytes that any archive may have unpacked.
const SMALL: u64 = 64 << 20;

/// Unpacks a zip of a checkpoint directory, stored or deflated, which may be in a folder of the zip; see [`find_checkpoint`].
///
/// # Errors
/// Returns an error if the file is not a zip, is damaged or compressed by another method, or would expand beyond measure.
pub fn unpack_zip(name: &str, bytes: &[u8]) -> Result<Files> {
    let broken = |problem: String| {
        Error::malformed(name, problem, "give a zip of a checkpoint directory, stored or deflated")
    };
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| broken(e.to_string()))?;
    let mut all = Files::new();
    // Overlapping entries, or a small file of zeros, could expand to fill the memory.
    let mut packed = bytes.len() as u64;
    let mut room = SMALL.saturating_add(packed.saturating_mul(EXPANSION));
    for index in 0..zip.len() {
        // Inflated here: the feature of `zip` for it would also add a compressor to the page.
        let mut entry = zip.by_index_raw(index).map_err(|e| broken(e.to_string()))?;
        let path = entry.name().map_err(|e| broken(e.to_string()))?.into_owned();
        if entry.is_dir() || is_foreign(&path) {
            continue;
        }
        packed = packed
            .checked_sub(entry.compressed_size())
            .ok_or_else(|| broken("its entries overlap".into()))?;
        let checksum = entry.crc32();
        let mut inflated;
        let unpacked: &mut dyn Read = match entry.compression() {
            _ if entry.encrypted() => return Err(broken(format!("{path} is encrypted"))),
            CompressionMethod::Stored => &mut entry,
            CompressionMethod::DEFLATE => {
                inflated = DeflateDecoder::new(entry);
                &mut inflated
            }
            other => return Err(broken(format!("{path} is compressed by {other}"))),
        };
        let mut content = Vec::new();
        // One byte more than there is room for tells too much from enough.
        let read = unpacked.take(room.saturating_add(1)).read_to_end(&mut content);
        read.map_err(|e| broken(format!("{path}: {e}")))?;
        room = room.checked_sub(content.len() as u64).ok_or_else(|| {
            broken(format!("{path} expands to more than {EXPANSION} times the archive"))
        })?;
        let mut crc = Crc::new();
        crc.update(&content);
        if crc.sum() != checksum {
            return Err(broken(format!("{path} has another checksum than the archive says")));
        }
        all.insert(path, content);
    }
    Ok(find_checkpoint(all))
}

/// Returns true for files that macOS adds beside others (AppleDouble), whose names look like those of the files they belong
/// to.
pub fn is_foreign(path: &str) -> bool {
    path.split('/').any(|part| part == "__MACOSX" || part.starts_with("._"))
}

/// Finds the checkpoint directory among the files below a folder and returns its files. Of several checkpoints, as in a
/// run directory, the outermost one counts. A GGUF file is a checkpoint by itself.
pub fn find_checkpoint(mut all: Files) -> Files {
    all.retain(|path, _| !is_foreign(path));
    let folder_of = |path: &str| path.rfind('/').map_or(0, |at| at + 1);
    let depth = |path: &&String| path.matches('/').count();
    let is_one =
        |path: &&String| path[folder_of(path)..] == *CONFIG || path.ends_with(GGUF_EXTENSION);
    let configs = all.keys().filter(is_one);
    // Without a checkpoint, the error message names what the outermost files are.
    let outermost = configs.min_by_key(depth).or_else(|| all.keys().min_by_key(depth));
    let folder = outermost.map_or(String::new(), |path| path[..folder_of(path)].into());
    let inside = all.into_iter().filter_map(|(path, content)| {
        let file = path.strip_prefix(&folder)?;
        let below = [ADAPTER_CONFIG, ADAPTER_WEIGHTS].contains(&file);
        (below || !file.is_empty() && !file.contains('/')).then(|| (file.to_string(), content))
    });
    inside.collect()
}
