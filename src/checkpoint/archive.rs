//! One zip file for one checkpoint directory.

use std::io::{Cursor, Read, Write};

use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

use super::Files;
use crate::error::{Error, Result};

/// Packs files without compression: weights do not compress.
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

/// Unpacks a zip whose files lie at its top or all in one folder.
///
/// # Errors
/// No zip, a damaged one, or one compressed in a way other than "stored" or "deflate".
pub fn unpack_zip(name: &str, bytes: &[u8]) -> Result<Files> {
    let remedy = "give a zip of a checkpoint directory";
    let broken = |problem: String| Error::malformed(name, problem, remedy);
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|e| broken(e.to_string()))?;
    let mut files = Files::new();
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(|e| broken(e.to_string()))?;
        // Only the last part of the path counts: nothing can point outside the checkpoint.
        let path = entry.name().map_err(|e| broken(e.to_string()))?.into_owned();
        let Some(file) = path.rsplit('/').next().filter(|file| !file.is_empty()) else { continue };
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|e| broken(format!("{path}: {e}")))?;
        if files.insert(file.to_string(), content).is_some() {
            return Err(broken(format!("it holds more than one `{file}`")));
        }
    }
    Ok(files)
}
