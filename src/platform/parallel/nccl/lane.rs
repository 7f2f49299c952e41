//! The thread of a communicator: operations start in their order, and each ends before the next one starts.
//!
//! NCCL executes the operations of one communicator in order, and one that waits for its partner blocks all later ones. A group
//! therefore has one lane for its collectives, which all ranks start in the same order, and one for each rank that it sends to
//! and for each that it receives from, so that a transfer never waits for one in the other direction.
//!
//! An operation starts on the GPU once all its ranks have begun it. A kernel of NCCL that waited for them would keep the GPU
//! busy, and CUDA may wait for it before it loads a kernel that was just compiled: two ranks that compile could wait for each other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use burn_cubecl::tensor::CubeTensor;

use super::communicator::{Communicator, join};
use super::cuda_order::{Gpu, Held, Stream};
use super::library::{ID_BYTES, Library, UniqueId};
use crate::error::{Error, Result};
use crate::platform::parallel::operations::{Shared, failed};
use crate::platform::parallel::overlap::Overlap;
use crate::platform::parallel::reply::Reply;

/// Time for which the thread polls the device without sleeping.
const EAGER: Duration = Duration::from_micros(200);
/// Minimum and maximum sleep between two later polls.
const SHORTEST_NAP: Duration = Duration::from_micros(20);
const LONGEST_NAP: Duration = Duration::from_millis(1);
/// Divisor of the time waited so far that gives the sleep between two polls.
const SHARE: u32 = 16;

/// Pending announcements of other ranks, which are sent through the host.
pub type Words = Reply<Vec<Vec<u8>>>;

/// Work that an operation has started on the device.
pub struct Started {
    /// Results, which are complete when it has ended.
    pub tensors: Vec<CubeTensor>,
    /// Memory that it uses.
    pub held: Vec<Held>,
}

/// Starts an operation on the device.
type Start = Box<dyn FnOnce(&Communicator) -> std::result::Result<Started, String> + Send>;

/// An operation.
pub struct Job {
    /// Name in errors.
    pub label: String,
    /// Announcements, which arrive once all its ranks have begun it.
    pub words: Words,
    /// Number of bytes that this rank sends.
    pub bytes: usize,
    pub start: Start,
    pub reply: Sender<Result<Vec<CubeTensor>>>,
}

/// Arguments for creating a communicator.
pub struct Beginning {
    /// The id that its ranks share, created by one of them.
    pub id: Id,
    /// Number of this rank in it, and number of ranks.
    pub rank: usize,
    pub ranks: usize,
}

/// Source of a communicator's id.
pub enum Id {
    Own(UniqueId),
    /// Announcement of the rank that created it.
    Told(Words),
}

/// Starts a thread with a communicator, which it creates with its first operation. It ends when the sender is gone.
///
/// # Errors
/// The thread cannot be started.
pub fn start(
    nccl: &'static Library,
    gpu: Gpu,
    shared: Arc<Shared>,
    beginning: Beginning,
) -> Result<Sender<Job>> {
    let (sender, jobs) = channel();
    let lane = Lane { nccl, gpu, shared };
    let thread = thread::Builder::new().name("nccl".into());
    thread
        .spawn(move || lane.serve(beginning, jobs))
        .map_err(|error| Error::io("the thread of a communicator", error))?;
    Ok(sender)
}

struct Lane {
    nccl: &'static Library,
    gpu: Gpu,
    shared: Arc<Shared>,
}

impl Lane {
    fn serve(self, beginning: Beginning, jobs: Receiver<Job>) {
        let (mut beginning, mut communicator) = (Some(beginning), None);
        for job in jobs {
            let reply = job.reply.clone();
            // The receiver may be gone.
            let _ = reply.send(self.run(job, &mut beginning, &mut communicator));
        }
    }

    /// Runs an operation. If it fails, so do all later waits of this rank.
    fn run(
        &self,
        job: Job,
        beginning: &mut Option<Beginning>,
        created: &mut Option<Communicator>,
    ) -> Result<Vec<CubeTensor>> {
        let Job { label, words, bytes, start, .. } = job;
        words.outcome()?;
        // After a failure, a partner may be at another operation.
        if let Some(failure) = self.shared.failure() {
            return Err(failure);
        }
        if let Some(beginning) = beginning.take() {
            *created = Some(self.begin(beginning).map_err(|why| self.fail(&label, why))?);
        }
        let communicator = created.as_mut().expect("the first operation creates it");
        let started = start(communicator);
        // Before, it waits for what writes the tensors.
        let is_sent = bytes > 0 && started.is_ok();
        if is_sent {
            self.shared.overlap(Overlap::begin_transfer);
        }
        let ended = started.and_then(|Started { tensors, held }| {
            let ended = self.wait(&label, communicator);
            drop(held);
            ended.map(|()| tensors)
        });
        if is_sent {
            self.shared.overlap(Overlap::end_transfer);
        }
        self.shared.progress.fetch_add(1, Ordering::Relaxed);
        self.shared.update(|traffic| {
            traffic.operations += 1;
            traffic.bytes += bytes as u64;
        });
        ended.map_err(|why| self.fail(&label, why))
    }

    /// Fails this operation and all later waits. An earlier failure is reported as the cause.
    fn fail(&self, label: &str, problem: String) -> Error {
        self.shared.fail(label, problem.clone());
        self.shared.failure().unwrap_or_else(|| failed(label, problem))
    }

    /// Creates the communicator.
    fn begin(&self, beginning: Beginning) -> std::result::Result<Communicator, String> {
        let Beginning { id, rank, ranks } = beginning;
        let id = match id {
            Id::Own(id) => id,
            Id::Told(words) => {
                let word = words.outcome().map_err(|error| error.to_string())?.concat();
                let id = <[u8; ID_BYTES]>::try_from(word);
                UniqueId(id.map_err(|word| format!("an id of NCCL has {} bytes", word.len()))?)
            }
        };
        join(self.nccl, Stream::new(&self.gpu)?, id, rank, ranks)
    }

    /// Waits for the started work to end, and aborts it if it fails, before its memory is released.
    fn wait(
        &self,
        label: &str,
        communicator: &mut Communicator,
    ) -> std::result::Result<(), String> {
        let ended = self.look(communicator);
        if let Err(why) = &ended {
            // First, since an abort may hang.
            self.shared.fail(label, why.clone());
            communicator.abort();
        }
        ended
    }

    fn look(&self, communicator: &Communicator) -> std::result::Result<(), String> {
        communicator.stream().mark()?;
        let since = Instant::now();
        while !communicator.has_ended()? {
            if let Some(failure) = self.shared.failure() {
                return Err(failure.to_string());
            }
            // All ranks have begun it, so only data transfers remain.
            if since.elapsed() > self.shared.timeout {
                let seconds = self.shared.timeout.as_secs_f64();
                return Err(format!("NCCL has not finished it within {seconds} s"));
            }
            match since.elapsed() {
                waited if waited < EAGER => thread::yield_now(),
                waited => thread::sleep((waited / SHARE).clamp(SHORTEST_NAP, LONGEST_NAP)),
            }
        }
        Ok(())
    }
}
