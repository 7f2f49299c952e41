//! Compressed copies of the bundle's files, and a table of their sizes.

use anyhow::{Context, Result};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

/// One file of the bundle with its sizes in bytes.
pub struct Sizes {
    name: String,
    raw: usize,
    gzip: usize,
    brotli: usize,
}

/// Writes `FILE.gz` and `FILE.br` beside every text and wasm file of `folder`.
///
/// Brotli's highest quality takes half a minute for the wasm, so results are cached in `cache` by content hash.
pub fn folder(folder: &Path, cache: &Path) -> Result<Vec<Sizes>> {
    fs::create_dir_all(cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let mut files = Vec::new();
    list(folder, &mut files)?;
    files.sort();
    let sizes = files.iter().map(|file| twins(file, folder, cache)).collect();
    // Entries older than a day belong to older builds; one still in use is simply made again.
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    for entry in fs::read_dir(cache)?.flatten() {
        let age = entry.metadata().and_then(|meta| meta.modified()).map(|time| time.elapsed());
        if matches!(age, Ok(Ok(age)) if age > day) {
            fs::remove_file(entry.path())?;
        }
    }
    sizes
}

/// Collects the files below `folder` that are worth compressing.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        // Vite's metadata, which no page loads.
        if path.ends_with(".vite") {
            continue;
        }
        if path.is_dir() {
            list(&path, files)?;
        } else if matches!(extension, Some("wasm" | "js" | "css" | "html" | "json" | "svg" | "txt"))
        {
            files.push(path);
        }
    }
    Ok(())
}

/// Writes both compressed copies of a file and returns the sizes.
fn twins(file: &Path, folder: &Path, cache: &Path) -> Result<Sizes> {
    let raw = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut hasher = DefaultHasher::new();
    raw.hash(&mut hasher);
    let kept = cache.join(format!("{:016x}", hasher.finish()));
    let twin = |ending: &str, encode: fn(&[u8]) -> std::io::Result<Vec<u8>>| -> Result<usize> {
        let kept = kept.with_extension(ending);
        let bytes = match fs::read(&kept) {
            Ok(bytes) => bytes,
            Err(_) => {
                let bytes =
                    encode(&raw).with_context(|| format!("cannot compress {}", file.display()))?;
                fs::write(&kept, &bytes)
                    .with_context(|| format!("cannot write {}", kept.display()))?;
                bytes
            }
        };
        let mut path = file.as_os_str().to_owned();
        path.push(format!(".{ending}"));
        fs::write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(bytes.len())
    };
    // In parallel: brotli takes far longer than gzip.
    let (gzip, brotli) = std::thread::scope(|scope| {
        let gzip = scope.spawn(|| twin("gz", gzip));
        let brotli = twin("br", brotli);
        (gzip.join(), brotli)
    });
    let gzip = gzip.map_err(|_| anyhow::anyhow!("gzip of {} panicked", file.display()))??;
    let name = file.strip_prefix(folder).unwrap_or(file).display().to_string();
    Ok(Sizes { name, raw: raw.len(), gzip, brotli: brotli? })
}

fn gzip(raw: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(raw)?;
    encoder.finish()
}

fn brotli(raw: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    // Quality 11 of 11, window of 16 MiB: the largest that every browser accepts.
    let params = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 24, ..Default::default() };
    brotli::BrotliCompress(&mut &raw[..], &mut out, &params)?;
    Ok(out)
}

/// Prints each file's size raw, with gzip and with brotli, and the totals of wasm and JavaScript.
pub fn print_sizes(files: &[Sizes]) {
    println!("{:>12}{:>12}{:>12}", "raw", "gzip", "brotli");
    let line = |name: &str, raw: usize, gzip: usize, brotli: usize| {
        println!("{:>12}{:>12}{:>12}  {name}", human(raw), human(gzip), human(brotli));
    };
    for file in files {
        line(&file.name, file.raw, file.gzip, file.brotli);
    }
    for (name, ending) in [("all wasm", ".wasm"), ("all JavaScript", ".js")] {
        let of_kind = || files.iter().filter(|file| file.name.ends_with(ending));
        let sum = |size: fn(&Sizes) -> usize| of_kind().map(size).sum::<usize>();
        line(name, sum(|f| f.raw), sum(|f| f.gzip), sum(|f| f.brotli));
    }
}

/// Reference size in bytes: wasm and JavaScript together, with brotli. Update it when the page has become smaller, or
/// is larger for a good reason (last: LoRA and preference tuning, 2.70 MB; then bidirectional attention, checked kernel
/// arguments and declared settings. docs/measurements/page.md shows where the bytes are).
const SHIPPED: usize = 2_730_000;

/// Fails if the page is more than 5 % larger than [`SHIPPED`].
pub fn check_growth(files: &[Sizes]) -> Result<()> {
    let code =
        files.iter().filter(|file| file.name.ends_with(".wasm") || file.name.ends_with(".js"));
    let now = code.map(|file| file.brotli).sum::<usize>();
    println!("wasm and JavaScript with brotli: {}, reference: {}", human(now), human(SHIPPED));
    if now > SHIPPED + SHIPPED / 20 {
        return Err(crate::process::failure(
            format!("the page has grown from {} to {} (5 % allowed)", human(SHIPPED), human(now)),
            "find what was added, or update SHIPPED in xtask/src/compress.rs and say why",
        ));
    }
    Ok(())
}

/// Formats bytes in decimal units.
fn human(bytes: usize) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.2} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn twins_decompress_to_the_original() {
        let text = "to be or not to be, ".repeat(500);
        let mut back = String::new();
        flate2::read::GzDecoder::new(&gzip(text.as_bytes()).unwrap()[..])
            .read_to_string(&mut back)
            .unwrap();
        assert_eq!(back, text);
        let (mut back, packed) = (Vec::new(), brotli(text.as_bytes()).unwrap());
        brotli::BrotliDecompress(&mut &packed[..], &mut back).unwrap();
        assert_eq!(back, text.as_bytes());
        assert!(packed.len() < 100);
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!(
            [human(999), human(25_640), human(25_640_000)],
            ["999 B", "25.6 kB", "25.64 MB"]
        );
    }
}
