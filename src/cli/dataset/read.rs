//! Reads the records of all inputs in order, in batches.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::checksum::hash_of_text;
use super::inputs::{Input, Opened, ReadOptions};
use super::records::{Content, Record};
use crate::data::prepared::SourceRecord;
use crate::error::{Error, Result};

/// Bytes and records after which a batch ends.
const BATCH_BYTES: usize = 1 << 20;
const BATCH_RECORDS: usize = 1 << 12;

/// Consecutive records of one input.
pub struct Batch {
    /// Number among all batches of this session.
    pub number: u64,
    /// Index of the input.
    pub input: usize,
    /// The records.
    pub records: Vec<Record>,
    /// Hash of the last record, by which it is recognized when the preparation continues; 0 without a record.
    pub last: u64,
    /// Memory that it reserves in the [`Budget`] until it is released.
    pub cost: usize,
    /// Set if the input ends with it.
    pub end: Option<SourceRecord>,
}

/// Place in the inputs, up to which everything was prepared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// Index of the input.
    pub input: usize,
    /// Number of records of it.
    pub records: u64,
    /// Hash of the last of them.
    pub last: u64,
}

/// Memory budget for batches between reading and writing. The reader waits until enough is free.
pub struct Budget {
    all: usize,
    left: Mutex<Option<usize>>,
    changed: Condvar,
}

impl Budget {
    /// Creates a budget of `bytes`.
    pub fn new(bytes: usize) -> Self {
        Self { all: bytes, left: Mutex::new(Some(bytes)), changed: Condvar::new() }
    }

    /// Reserves `cost` bytes, waiting until they are free; returns false if the budget was closed. A cost above the whole budget
    /// waits until all of it is free.
    fn take(&self, cost: usize) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match *left {
                None => return false,
                Some(bytes) if bytes >= cost.min(self.all) => {
                    *left = Some(bytes - cost.min(self.all));
                    return true;
                }
                Some(_) => {
                    left = self.changed.wait(left).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Releases `cost` bytes.
    pub fn give_back(&self, cost: usize) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.map(|bytes| bytes + cost.min(self.all));
        self.changed.notify_all();
    }

    /// Closes the budget, which ends reading.
    pub fn close(&self) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.changed.notify_all();
    }
}

/// Reads all records after `from` and passes them to `send`, until that returns false.
///
/// # Errors
/// An input cannot be read, is damaged, or is not the one that `from` belongs to. Batches before it were sent.
pub fn read_all(
    inputs: &[Input],
    options: &ReadOptions,
    from: Place,
    budget: &Budget,
    meter: &Arc<AtomicU64>,
    send: &mut dyn FnMut(Batch) -> bool,
) -> Result<()> {
    let mut number = 0;
    for (index, input) in inputs.iter().enumerate().skip(from.input) {
        let mut opened = input.open(options, meter)?;
        let mut records = 0;
        if index == from.input {
            skip(input, &mut opened, from)?;
            records = from.records;
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        loop {
            let next = opened.records.next();
            let is_end = !matches!(next, Ok(Some(_)));
            let failed = match next {
                Ok(Some(record)) => {
                    records += 1;
                    bytes += record.content.len();
                    batch.push(record);
                    None
                }
                Ok(None) => None,
                Err(error) => Some(error),
            };
            if !is_end && bytes < BATCH_BYTES && batch.len() < BATCH_RECORDS {
                continue;
            }
            let whole = std::mem::take(&mut batch);
            // Raw record, text, and at most one token of four bytes per byte of text.
            let cost = 6 * std::mem::take(&mut bytes) + 128 * whole.len();
            if !budget.take(cost) {
                return Ok(());
            }
            let last = whole.last().map_or(0, hash_of);
            let mut sent = Batch { number, input: index, records: whole, last, cost, end: None };
            number += 1;
            if is_end && failed.is_none() {
                let (bytes, sha256) = opened.finish();
                let path = input.name.clone();
                sent.end = Some(SourceRecord { path, bytes, sha256, documents: records });
                if !send(sent) {
                    return Ok(());
                }
                break;
            }
            if !send(sent) {
                return Ok(());
            }
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Skips the records that were prepared before.
fn skip(input: &Input, opened: &mut Opened, from: Place) -> Result<()> {
    let mut last = 0;
    for skipped in 0..from.records {
        match opened.records.next()? {
            Some(record) if skipped + 1 == from.records => last = hash_of(&record),
            Some(_) => {}
            None => return Err(changed(input)),
        }
    }
    if last == from.last { Ok(()) } else { Err(changed(input)) }
}

fn hash_of(record: &Record) -> u64 {
    match &record.content {
        Content::Text(text) => hash_of_text(text.as_bytes()),
        Content::Json(bytes) => hash_of_text(bytes),
    }
}

/// The error for an input that changed since the preparation began.
fn changed(input: &Input) -> Error {
    Error::malformed(
        input.describe(),
        "it is not what the preparation began with",
        "give the same data again, or delete --out and start anew",
    )
}
