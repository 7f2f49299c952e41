//! Tokenizes records on all cores, and returns the results in the order of the records.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::checksum::hash_of_text;
use super::dedup::DedupRule;
use super::inputs::{Input, ReadOptions};
use super::jsonl;
use super::read::{Batch, Budget, Place, read_all};
use super::records::{Content, Record};
use crate::data::prepared::{SourceRecord, band_keys};
use crate::error::{Error, Result};
use crate::tokenizer::{AllowedSpecial, Tokenizer};

/// Interval at which a stop is checked for while no results arrive.
const GLANCE: Duration = Duration::from_millis(100);

/// Processing of each record.
#[derive(Clone)]
pub struct Recipe {
    /// Encodes the texts.
    pub tokenizer: Tokenizer,
    /// True if special tokens in texts are recognized.
    pub special_tokens: bool,
    /// Minimum number of characters of a document.
    pub min_chars: usize,
    /// Definition of duplicate documents.
    pub dedup: DedupRule,
    /// Options for reading the inputs.
    pub read: ReadOptions,
}

/// Resources of the pipeline.
pub struct Means {
    /// Threads that encode.
    pub workers: usize,
    /// Maximum bytes of texts and tokens in flight.
    pub memory: usize,
    /// Counts the bytes that are read.
    pub meter: Arc<AtomicU64>,
}

/// A document as tokens.
pub struct Encoded {
    /// Hash of its text.
    pub hash: u64,
    /// Keys that it shares with its duplicates.
    pub keys: Vec<u64>,
    /// Its tokens, without an end-of-text token.
    pub tokens: Vec<u32>,
}

/// The documents of a [`Batch`].
pub struct Documents {
    /// The documents in order; none for those that are too short.
    pub documents: Vec<Option<Encoded>>,
    /// Hash of the last record; 0 without one.
    pub last: u64,
    /// Set if an input ends with them.
    pub end: Option<SourceRecord>,
    cost: usize,
}

type Outcome = (u64, Result<Documents>);

/// Reads and encodes everything after `from`, and calls `consume` with the documents in order until it returns
/// false. `stop` ends everything sooner.
///
/// # Errors
/// The first error in the order of the records, once all records before it were consumed; an error of `consume`.
pub fn run(
    inputs: &Arc<[Input]>,
    recipe: &Recipe,
    from: Place,
    means: &Means,
    stop: &dyn Fn() -> bool,
    consume: &mut dyn FnMut(Documents) -> Result<bool>,
) -> Result<()> {
    let budget = Arc::new(Budget::new(means.memory));
    let (done, results) = channel();
    let threads = start(inputs, recipe, from, means, &budget, done);
    let outcome = consume_in_order(&results, &budget, stop, consume);
    budget.close();
    match outcome {
        // After an early stop, the threads are not joined: one may be waiting for standard input.
        Ok(false) | Err(_) => {}
        Ok(true) => {
            for thread in threads {
                thread.join().unwrap_or_else(|panic| resume_unwind(panic));
            }
        }
    }
    outcome.map(drop)
}

/// Consumes results by number. Returns true if all threads have ended.
fn consume_in_order(
    results: &Receiver<Outcome>,
    budget: &Budget,
    stop: &dyn Fn() -> bool,
    consume: &mut dyn FnMut(Documents) -> Result<bool>,
) -> Result<bool> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    loop {
        match results.recv_timeout(GLANCE) {
            Ok((number, result)) => {
                waiting.insert(number, result);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(true),
        }
        while let Some(result) = waiting.remove(&next) {
            next += 1;
            let documents: Documents = result?;
            let cost = documents.cost;
            if !consume(documents)? {
                return Ok(false);
            }
            budget.give_back(cost);
        }
        if stop() {
            return Ok(false);
        }
    }
}

/// Starts the reading thread and the encoding threads. All of them end at the end of the inputs, or when the budget is closed.
fn start(
    inputs: &Arc<[Input]>,
    recipe: &Recipe,
    from: Place,
    means: &Means,
    budget: &Arc<Budget>,
    done: Sender<Outcome>,
) -> Vec<JoinHandle<()>> {
    let (ready, batches) = sync_channel::<Batch>(means.workers);
    let batches = Arc::new(Mutex::new(batches));
    let mut threads = Vec::new();
    for _ in 0..means.workers {
        let (batches, done, recipe, inputs) =
            (batches.clone(), done.clone(), recipe.clone(), inputs.clone());
        let guard = CloseOnPanic(budget.clone());
        threads.push(thread::spawn(move || {
            let _guard = guard;
            loop {
                let batch = batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(batch) = batch else { return };
                let number = batch.number;
                let name = inputs[batch.input].describe();
                if done.send((number, encode_all(batch, &recipe, name))).is_err() {
                    return;
                }
            }
        }));
    }
    let (inputs, recipe, budget, meter) =
        (inputs.clone(), recipe.clone(), budget.clone(), means.meter.clone());
    threads.push(thread::spawn(move || {
        let mut count = 0;
        let mut send = |batch: Batch| {
            count = batch.number + 1;
            ready.send(batch).is_ok()
        };
        let read = read_all(&inputs, &recipe.read, from, &budget, &meter, &mut send);
        if let Err(error) = read {
            let _ = done.send((count, Err(error)));
        }
    }));
    threads
}

/// Closes the budget if its thread panics, since no batch after the missing one can be consumed.
struct CloseOnPanic(Arc<Budget>);

impl Drop for CloseOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.close();
        }
    }
}

fn encode_all(batch: Batch, recipe: &Recipe, name: &str) -> Result<Documents> {
    let Batch { records, last, cost, end, .. } = batch;
    let documents = records.into_iter().map(|record| encode(record, recipe, name));
    Ok(Documents { documents: documents.collect::<Result<_>>()?, last, end, cost })
}

/// Encodes a record; none if its text is too short.
fn encode(record: Record, recipe: &Recipe, name: &str) -> Result<Option<Encoded>> {
    let Record { place, content } = record;
    let text = match content {
        Content::Text(text) => text,
        Content::Json(line) => {
            let found = jsonl::text_of(&line, &recipe.read.text_field).map_err(|problem| {
                let remedy = "correct or remove the line";
                Error::malformed(name, format!("line {place}: {problem}"), remedy)
            })?;
            found.unwrap_or_default()
        }
    };
    if text.is_empty() || text.chars().take(recipe.min_chars).count() < recipe.min_chars {
        return Ok(None);
    }
    let allowed = if recipe.special_tokens { AllowedSpecial::All } else { AllowedSpecial::None };
    let tokens = recipe.tokenizer.encode_with_special(&text, &allowed).map_err(|error| {
        let remedy = "use a tokenizer that can encode it";
        Error::malformed(name, format!("record {place}: {error}"), remedy)
    })?;
    let hash = hash_of_text(text.as_bytes());
    let keys = match recipe.dedup {
        DedupRule::None => Vec::new(),
        DedupRule::Exact => vec![hash],
        DedupRule::MinHash => band_keys(&text).to_vec(),
    };
    Ok(Some(Encoded { hash, keys, tokens }))
}
