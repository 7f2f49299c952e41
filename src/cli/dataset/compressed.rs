//! Streaming decompression, selected by the file extension, with bounded memory.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::BlockDecodingStrategy;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

/// Maximum memory for the window of a compressed file, which is enough for `zstd --ultra --long=27` and `xz -9e`.
const WINDOW: u64 = 128 << 20;
const CHUNK: usize = 1 << 18;

/// Compression of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Uncompressed.
    None,
    /// `.gz`: gzip, also of several members.
    Gzip,
    /// `.zst`: Zstandard, also of several frames.
    Zstd,
    /// `.xz`, also of several streams.
    Xz,
}

impl Compression {
    const ENDINGS: [(&str, Self); 3] =
        [(".gz", Self::Gzip), (".zst", Self::Zstd), (".xz", Self::Xz)];

    /// Returns the compression that a file name indicates, and the name without that extension.
    pub fn of(name: &str) -> (Self, &str) {
        let found = Self::ENDINGS
            .iter()
            .find_map(|(ending, compression)| Some((*compression, name.strip_suffix(ending)?)));
        found.unwrap_or((Self::None, name))
    }

    /// Decompresses `input`.
    pub fn decompress(self, input: impl Read + Send + 'static) -> Box<dyn Read + Send> {
        match self {
            Self::None => Box::new(input),
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(CHUNK, input))),
            Self::Zstd => Box::new(ZstdReader::new(BufReader::with_capacity(CHUNK, input))),
            Self::Xz => {
                let limit = (WINDOW >> 9) as u32;
                let input = BufReader::with_capacity(CHUNK, input);
                Box::new(XzReader::new_mem_limit(input, true, limit))
            }
        }
    }
}

/// Decompresses all frames of a Zstandard file and compares their checksums.
struct ZstdReader<R> {
    input: R,
    decoder: FrameDecoder,
    is_in_frame: bool,
}

impl<R: BufRead> ZstdReader<R> {
    fn new(input: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        Self { input, decoder, is_in_frame: false }
    }

    /// Begins the next frame; false at the end of the file.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.input.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.input) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut (&mut self.input).take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(false)
    }

    fn check(&self) -> io::Result<()> {
        match (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum()) {
            (Some(stored), Some(found)) if stored != found => {
                Err(io::Error::other("a checksum of its content is wrong"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Read for ZstdReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.is_in_frame {
                if !self.next_frame()? {
                    return Ok(0);
                }
                self.is_in_frame = true;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.input, one).map_err(io::Error::other)?;
            }
            match self.decoder.read(out)? {
                0 if !out.is_empty() => {
                    self.check()?;
                    self.is_in_frame = false;
                }
                count => return Ok(count),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_says_how_a_file_is_compressed() {
        assert_eq!(Compression::of("a/b.jsonl.gz"), (Compression::Gzip, "a/b.jsonl"));
        assert_eq!(Compression::of("b.txt.zst"), (Compression::Zstd, "b.txt"));
        assert_eq!(Compression::of("b.csv.xz"), (Compression::Xz, "b.csv"));
        assert_eq!(Compression::of("b.txt"), (Compression::None, "b.txt"));
    }
}
