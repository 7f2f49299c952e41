//! The thread that owns a transport. It runs any number of operations concurrently.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::overlap::Overlap;
use super::transport::{Lane, Ticket, Transport};
use crate::error::{Error, Result};
use crate::parallel::Traffic;

/// Time for which the thread polls without sleeping.
const EAGER: Duration = Duration::from_millis(1);
/// Divisor of the time since the last progress that gives the sleep between two later polls, within bounds.
const SHARE: u32 = 16;
const SHORTEST_NAP: Duration = Duration::from_micros(50);
const LONGEST_NAP: Duration = Duration::from_millis(1);

/// Messages of an operation. Both sides leave out empty ones, and a message to this rank itself is not sent.
#[derive(Default)]
pub struct Messages {
    /// Receivers and messages to send.
    pub sends: Vec<(usize, Vec<u8>)>,
    /// Senders and lengths of messages to receive.
    pub receives: Vec<(usize, usize)>,
}

/// Callback for the received messages of an operation, in the order of [`Messages::receives`].
pub type Done = Box<dyn FnOnce(Result<Vec<Vec<u8>>>) + Send>;

/// Messages to send and to receive, and a callback for those received. Both functions run on the thread.
pub struct Operation {
    /// Names the operation in errors.
    pub label: String,
    /// Time that its partners have to answer.
    pub timeout: Duration,
    pub lane: Lane,
    /// True if its messages are counted. Announcements that this rank has begun an operation are not.
    pub is_counted: bool,
    pub messages: Box<dyn FnOnce() -> Messages + Send>,
    pub done: Done,
}

/// Request to the thread.
pub enum Job {
    Start(Operation),
    /// Leaves the group, and then replies.
    Leave(Sender<()>),
}

/// State shared by the thread and its users.
pub struct Shared {
    /// Time that partners have to answer.
    pub timeout: Duration,
    traffic: Mutex<Traffic>,
    overlap: Mutex<Overlap>,
    /// Number of messages sent or received so far.
    pub progress: AtomicU64,
    /// The operation that failed first, and the problem. All later operations fail with the same error, without waiting.
    failure: OnceLock<(String, String)>,
}

impl Shared {
    pub fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            traffic: Mutex::default(),
            overlap: Mutex::default(),
            progress: AtomicU64::new(0),
            failure: OnceLock::new(),
        }
    }

    pub fn update<T>(&self, change: impl FnOnce(&mut Traffic) -> T) -> T {
        change(&mut self.traffic.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a transfer or a result, whose number `change` changes.
    pub fn overlap(&self, change: impl FnOnce(&mut Overlap)) {
        change(&mut self.overlap.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Returns the communication statistics of this rank so far.
    pub fn traffic(&self) -> Traffic {
        let hidden = self.overlap.lock().unwrap_or_else(PoisonError::into_inner).hidden();
        self.update(|traffic| Traffic { hidden_ms: hidden.as_secs_f64() * 1e3, ..*traffic })
    }

    /// Fails all current and later operations, unless an earlier failure has done so. The next operation to be waited for reports
    /// the error.
    pub fn fail(&self, label: &str, problem: String) {
        let _ = self.failure.set((label.into(), problem));
    }

    /// Returns the error of the first failure, if there was one.
    pub fn failure(&self) -> Option<Error> {
        let (label, problem) = self.failure.get()?;
        Some(failed(label, problem.clone()))
    }
}

/// Returns the error of an operation.
pub fn failed(label: &str, problem: String) -> Error {
    Error::collective(label, problem)
}

/// Returns the milliseconds since a moment.
pub fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// An operation in progress.
struct Open {
    label: String,
    timeout: Duration,
    started: Instant,
    is_counted: bool,
    /// Bytes to send that are counted.
    bytes: u64,
    /// For each message in flight, the other rank and, if it is received, its index in `found`.
    waiting: BTreeMap<Ticket, (usize, Option<usize>)>,
    found: Vec<Vec<u8>>,
    done: Done,
}

/// A transport and its operations in progress.
pub struct Operations<T> {
    transport: T,
    shared: Arc<Shared>,
    open: Vec<Open>,
    /// Time of the last message received from or delivered to each rank.
    heard: Vec<Instant>,
    /// Last status of each rank: its time, and the rank that it waits for.
    told: BTreeMap<usize, (Instant, usize)>,
    /// Time at which this rank last sent its own status.
    told_others: Instant,
}

impl<T: Transport> Operations<T> {
    pub fn new(transport: T, shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        let heard = vec![now; transport.size()];
        Self { transport, shared, open: Vec::new(), heard, told: BTreeMap::new(), told_others: now }
    }

    /// Runs until the senders of `jobs` are gone and no operation is in progress.
    pub fn serve(mut self, jobs: Receiver<Job>) {
        let mut moved = Instant::now();
        loop {
            let job = if self.open.is_empty() {
                match jobs.recv() {
                    Ok(job) => Some(job),
                    Err(_) => return,
                }
            } else if moved.elapsed() < EAGER {
                thread::yield_now();
                jobs.try_recv().ok()
            } else {
                self.require_answers();
                let nap = (moved.elapsed() / SHARE).clamp(SHORTEST_NAP, LONGEST_NAP);
                match jobs.recv_timeout(nap) {
                    Ok(job) => Some(job),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => {
                        thread::sleep(nap);
                        None
                    }
                }
            };
            let has_job = job.is_some();
            match job {
                Some(Job::Start(operation)) => self.start(operation),
                Some(Job::Leave(reply)) => {
                    self.transport.leave();
                    let _ = reply.send(());
                    return;
                }
                None => {}
            }
            if self.advance() || has_job {
                moved = Instant::now();
            }
        }
    }

    fn start(&mut self, operation: Operation) {
        let Operation { label, timeout, lane, is_counted, messages, done } = operation;
        let Messages { sends, receives } = match self.shared.failure.get() {
            None => messages(),
            Some(_) => Messages::default(),
        };
        let own = self.transport.rank();
        let (to_self, sends): (Vec<_>, Vec<_>) = sends.into_iter().partition(|(to, _)| *to == own);
        let mut to_self = to_self.into_iter().map(|(_, message)| message);
        let bytes = sends.iter().map(|(_, message)| message.len() as u64).sum();
        let mut open = Open {
            label,
            timeout,
            started: Instant::now(),
            is_counted,
            bytes: if is_counted { bytes } else { 0 },
            waiting: BTreeMap::new(),
            found: vec![Vec::new(); receives.len()],
            done,
        };
        for (place, (from, len)) in receives.into_iter().enumerate() {
            if from == own {
                open.found[place] = to_self.next().unwrap_or_default();
            } else if len > 0 {
                let ticket = self.transport.receive(from, lane, len);
                open.waiting.insert(ticket, (from, Some(place)));
            }
        }
        for (to, message) in sends.into_iter().filter(|(_, message)| !message.is_empty()) {
            open.waiting.insert(self.transport.send(to, lane, message), (to, None));
        }
        // Messages that another rank has yet to send may not be computed yet, so they overlap with nothing.
        if open.bytes > 0 {
            self.shared.overlap(Overlap::begin_transfer);
        }
        self.open.push(open);
    }

    /// Advances messages and completes operations. Returns true if there was progress.
    fn advance(&mut self) -> bool {
        let ended = self.transport.poll();
        let has_moved = !ended.is_empty();
        self.shared.progress.fetch_add(ended.len() as u64, Ordering::Relaxed);
        for (ticket, mut message) in ended {
            let of_open = |open: &mut Open| {
                let (rank, place) = open.waiting.remove(&ticket)?;
                if let Some(place) = place {
                    open.found[place] = std::mem::take(&mut message);
                }
                Some(rank)
            };
            // Messages of a failed operation are ignored. Taking a message counts as a response, too.
            if let Some(rank) = self.open.iter_mut().find_map(of_open) {
                self.heard[rank] = Instant::now();
            }
        }
        let has_failed = self.shared.failure.get().is_some();
        for open in self.open.extract_if(.., |open| has_failed || open.waiting.is_empty()) {
            if open.bytes > 0 {
                self.shared.overlap(Overlap::end_transfer);
            }
            self.shared.update(|traffic| {
                traffic.operations += u64::from(open.is_counted);
                traffic.bytes += open.bytes;
            });
            (open.done)(self.shared.failure().map_or(Ok(open.found), Err));
        }
        has_moved
    }

    /// Fails all operations if a rank that owes a message has been silent for the timeout.
    ///
    /// Such a rank may itself wait for another one, as the stages of a pipeline do. After half of the timeout, each rank
    /// therefore sends the others the rank that it waits for, and the error names the last rank of the chain.
    fn require_answers(&mut self) {
        let now = Instant::now();
        // Always read, since the time of a status is that of its reading.
        self.told.extend(self.transport.told().into_iter().map(|(rank, of)| (rank, (now, of))));
        let Some((_, late)) = self.silent(now, 0.5) else { return };
        if now - self.told_others > self.shared.timeout / 4 {
            self.told_others = now;
            let own = self.transport.rank();
            for rank in (0..self.transport.size()).filter(|rank| *rank != own) {
                self.transport.tell(rank, late[0]);
            }
        }
        if let Some((open, lost)) = self.silent(now, 1.0) {
            let causes: BTreeSet<usize> = lost.into_iter().map(|rank| self.cause(rank)).collect();
            let plural = if causes.len() == 1 { "" } else { "s" };
            let names: Vec<String> = causes.iter().map(usize::to_string).collect();
            let (names, seconds) = (names.join(", "), open.timeout.as_secs_f64());
            let problem = format!("no answer from rank{plural} {names} within {seconds} s");
            self.shared.fail(&open.label, problem);
        }
    }

    /// Returns the first operation that waits for ranks that have been silent for `share` of its timeout, and these ranks in
    /// order.
    fn silent(&self, now: Instant, share: f64) -> Option<(&Open, Vec<usize>)> {
        self.open.iter().find_map(|open| {
            let patience = open.timeout.mul_f64(share);
            let is_late = |rank: &usize| now - open.started.max(self.heard[*rank]) > patience;
            let waiting = open.waiting.values().map(|(rank, _)| *rank);
            let mut ranks: Vec<usize> = waiting.filter(is_late).collect();
            ranks.sort_unstable();
            ranks.dedup();
            (!ranks.is_empty()).then_some((open, ranks))
        })
    }

    /// Returns the last rank of the chain of waiting ranks that starts with `rank`.
    fn cause(&self, rank: usize) -> usize {
        let (own, half) = (self.transport.rank(), self.shared.timeout / 2);
        let mut cause = rank;
        for _ in 0..self.transport.size() {
            match self.told.get(&cause) {
                Some((when, of)) if when.elapsed() < half && *of != own => cause = *of,
                _ => return cause,
            }
        }
        // They wait for each other.
        rank
    }
}
