//! TensorBoard event files: records of TFRecord, each an `Event` in the wire format of protocol buffers.
//!
//! A record is the length of its data (u64, little endian), the masked CRC-32C of these eight bytes, the data, and the masked
//! CRC-32C of the data. An `Event` has wall_time (1, double), step (2), file_version (3), summary (5) or session_log (7); a summary
//! has values (1) of a tag (1) and a simple_value (2, float).
//!
//! docs/dependencies.md explains why no crate is used.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::platform::{host_name, now_ms};

/// Version of the format, in the first event of every file.
const FILE_VERSION: &str = "brain.Event:2";
/// Status of a session that starts: events of the same or a later step in earlier files are no longer shown.
const START: u64 = 1;
/// Time after which written events reach the file.
const FLUSH: Duration = Duration::from_secs(2);

/// Kinds of values in a message.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// An event file that is being written.
pub struct EventFile {
    path: PathBuf,
    file: BufWriter<File>,
    flushed: Instant,
}

impl EventFile {
    /// Creates an event file in `folder`, for the steps after `step`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(folder: &Path, step: u64) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        // TensorBoard reads the files in the order of their names.
        let newest = newest(folder);
        let seconds = ((now_ms() / 1e3) as u64).max(newest + 1);
        let process = std::process::id();
        let name = |number: u64| {
            folder.join(format!(
                "events.out.tfevents.{seconds:010}.{}.{process}.{number}",
                host_name()
            ))
        };
        let path = (0..).map(name).find(|path| !path.exists()).expect("some number is free");
        let file = File::create_new(&path).map_err(|e| Error::io(&path, e))?;
        let mut events = Self { path, file: BufWriter::new(file), flushed: Instant::now() };
        let mut version = Message::event(0);
        version.bytes(3, FILE_VERSION.as_bytes());
        events.write(&version)?;
        // A job that ended before its first checkpoint has left events of steps that are made again.
        if step > 0 || newest > 0 {
            events.restart_at(step)?;
        }
        Ok(events)
    }

    /// Continues after `step`: later events in this file and in earlier ones are no longer shown.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn restart_at(&mut self, step: u64) -> Result<()> {
        let mut log = Message::default();
        log.number(1, START);
        let mut event = Message::event(step + 1);
        event.bytes(7, &log.0);
        self.write(&event)
    }

    /// Adds values of `step`, by tag.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn scalars(&mut self, step: u64, values: &[(String, f64)]) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        let mut summary = Message::default();
        for (tag, number) in values {
            let mut value = Message::default();
            value.bytes(1, tag.as_bytes());
            value.float(2, *number as f32);
            summary.bytes(1, &value.0);
        }
        let mut event = Message::event(step);
        event.bytes(5, &summary.0);
        self.write(&event)?;
        if self.flushed.elapsed() >= FLUSH {
            self.flush()?;
        }
        Ok(())
    }

    /// Flushes the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.flushed = Instant::now();
        self.file.flush().map_err(|e| Error::io(&self.path, e))
    }

    fn write(&mut self, event: &Message) -> Result<()> {
        self.file.write_all(&record(&event.0)).map_err(|e| Error::io(&self.path, e))
    }
}

/// Returns the seconds in the name of the newest event file in a folder; 0 without one.
fn newest(folder: &Path) -> u64 {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let seconds = names.filter_map(|name| {
        let name = name.to_str()?.strip_prefix("events.out.tfevents.")?;
        name.split('.').next()?.parse().ok()
    });
    seconds.max().unwrap_or(0)
}

/// Returns the record of `data`.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_crc(data).to_le_bytes());
    record
}

/// CRC-32C (Castagnoli), rotated and shifted, since the checksum of data that contain checksums would be weak.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Bit by bit, since a record has a few hundred bytes.
fn crc32c(data: &[u8]) -> u32 {
    let bit = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !data.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| bit(crc)))
}

/// A message in the wire format of protocol buffers.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// Creates an event with the current time.
    fn event(step: u64) -> Self {
        let mut event = Self::default();
        event.key(1, FIXED64);
        event.0.extend((now_ms() / 1e3).to_le_bytes());
        event.number(2, step);
        event
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.varint((field << 3) | kind);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.key(field, VARINT);
        self.varint(value);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.key(field, FIXED32);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, BYTES);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        // Appendix B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn messages_have_the_bytes_of_the_encoding_guide() {
        let mut message = Message::default();
        message.number(1, 150);
        message.bytes(2, b"testing");
        assert_eq!(message.0, [8, 0x96, 1, 0x12, 7, b't', b'e', b's', b't', b'i', b'n', b'g']);
    }
}
