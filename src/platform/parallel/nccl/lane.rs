//! The thread of a communicator: operations start in their order, and each ends before the next one starts.
//!
//! NCCL works through the operations of one communicator in order, and one that waits for its partner holds up all that follow.
//! A group therefore has one lane for its sums and gatherings, which all ranks start in the same order, and another one for each
//! rank that it sends to and for each that it receives from: a transfer waits for none in the other direction.

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
use crate::platform::parallel::reply::{GRACE, Reply};

/// Time for which the thread looks at the device without sleeping.
const EAGER: Duration = Duration::from_micros(200);
/// Time between two looks after that.
const SHORTEST_NAP: Duration = Duration::from_micros(20);
const LONGEST_NAP: Duration = Duration::from_millis(1);
/// The share of the time for which it has waited that it sleeps between two looks.
const SHARE: u32 = 16;

/// Words of other ranks, on their way through the host.
pub type Words = Reply<Vec<Vec<u8>>>;

/// What an operation has started on the device.
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
    /// Names it in errors.
    pub label: String,
    /// Arrives once the ranks that this one watches have started it, too.
    pub words: Words,
    /// Number of bytes that this rank sends.
    pub bytes: usize,
    pub start: Start,
    pub reply: Sender<Result<Vec<CubeTensor>>>,
}

/// How a communicator begins.
pub struct Beginning {
    /// The id that its ranks have in common, from one of them.
    pub id: Id,
    /// Number of this rank in it, and number of ranks.
    pub rank: usize,
    pub ranks: usize,
}

/// Where the id of a communicator comes from.
pub enum Id {
    Own(UniqueId),
    /// The words of the rank that made it.
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
        for Job { label, words, bytes, start, reply } in jobs {
            if bytes > 0 {
                self.shared.overlap(Overlap::begin_transfer);
            }
            let outcome = self.run(&label, &mut beginning, &mut communicator, words, start);
            if bytes > 0 {
                self.shared.overlap(Overlap::end_transfer);
            }
            self.shared.progress.fetch_add(1, Ordering::Relaxed);
            self.shared.update(|traffic| {
                traffic.operations += 1;
                traffic.bytes += bytes as u64;
            });
            // Nobody may wait for it.
            let _ = reply.send(outcome);
        }
    }

    /// Makes an operation. If it fails, so does everything that this rank waits for from then on.
    fn run(
        &self,
        label: &str,
        beginning: &mut Option<Beginning>,
        created: &mut Option<Communicator>,
        words: Words,
        start: Start,
    ) -> Result<Vec<CubeTensor>> {
        // After a failure, its partner may be at another operation.
        if let Some(failure) = self.shared.failure() {
            return Err(failure);
        }
        if let Some(beginning) = beginning.take() {
            *created = Some(self.begin(beginning).map_err(|why| self.fail(label, why))?);
        }
        let communicator = created.as_mut().expect("the first operation creates it");
        let started = start(communicator).map_err(|why| self.fail(label, why))?;
        let ended = self.wait(communicator, words).map_err(|why| self.fail(label, why));
        if ended.is_err() {
            // Before its memory is let go.
            communicator.abort();
        }
        ended.map(|()| started.tensors)
    }

    /// Lets this operation fail, and what is waited for later. An earlier failure is the cause of this one.
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

    /// Waits for an operation to end.
    fn wait(&self, communicator: &Communicator, words: Words) -> std::result::Result<(), String> {
        communicator.stream().mark()?;
        let (since, mut met) = (Instant::now(), None);
        while !communicator.has_ended()? {
            if let Some(failure) = self.shared.failure() {
                return Err(failure.to_string());
            }
            if met.is_none() && words.result.try_recv().is_ok_and(|words| words.is_ok()) {
                met = Some(Instant::now());
            }
            // Once all have started it, the ranks have nothing to do but to move data.
            let limit = self.shared.timeout + GRACE;
            if met.is_some_and(|met: Instant| met.elapsed() > limit) {
                return Err(format!("NCCL has not finished it within {} s", limit.as_secs_f64()));
            }
            match since.elapsed() {
                waited if waited < EAGER => thread::yield_now(),
                waited => thread::sleep((waited / SHARE).clamp(SHORTEST_NAP, LONGEST_NAP)),
            }
        }
        Ok(())
    }
}
