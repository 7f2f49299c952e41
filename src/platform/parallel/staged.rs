//! Collectives over host memory: tensors are copied to the host, and a thread sends, receives and adds them up while training
//! continues.
//!
//! A reduce-scatter exchanges parts and adds up each part locally in a fixed order; an all-reduce is followed by an all-gather.
//! This moves as many bytes as a ring, and the result does not depend on the order in which messages arrive.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::operations::{Job, Messages, Operation, Operations, Shared, failed};
use super::reply::Reply;
use super::transport::{Lane, Transport};
use super::wire::{Kind, add, bytes_of, cut, join, joined, part_len};
use crate::error::{Error, Result};
use crate::parallel::{Bounds, Collective, Pending, Traffic, Tree};

/// Factor of the timeout for operations that wait for long work of one rank.
const LONG: u32 = 12;
/// Lanes of a group: operations of the whole group, messages between two ranks, and, for tensors on another transport,
/// announcements between two ranks in each direction.
const LANES: u16 = 4;
/// Maximum number of groups of a rank.
const GROUPS: u16 = 1 << 12;

/// A group of ranks that exchange tensors through the memory of the host.
pub struct Staged {
    /// Global ranks of the members, which errors name.
    members: Vec<usize>,
    /// Rank of this process in the group.
    rank: usize,
    /// Number of the group, the same for all its ranks.
    group: u16,
    jobs: Sender<Job>,
    shared: Arc<Shared>,
    /// The smallest unused group number of this rank.
    next_group: Arc<AtomicU16>,
}

impl Staged {
    /// Starts the thread that calls `connect` and owns the transport. An operation whose partners do not answer within
    /// `timeout` fails.
    ///
    /// # Errors
    /// The thread cannot be started; any error of `connect`.
    pub fn start<T: Transport + 'static>(
        connect: impl FnOnce() -> Result<T> + Send + 'static,
        timeout: Duration,
    ) -> Result<Self> {
        let (jobs, inbox) = channel::<Job>();
        let (reply, ready) = channel();
        let shared = Arc::new(Shared::new(timeout));
        let of_thread = shared.clone();
        let body = move || match connect() {
            Err(error) => drop(reply.send(Err(error))),
            Ok(transport) => {
                let _ = reply.send(Ok((transport.rank(), transport.size())));
                Operations::new(transport, of_thread).serve(inbox);
            }
        };
        let thread = thread::Builder::new().name("collectives".into()).spawn(body);
        thread.map_err(|error| Error::io("the thread of collectives", error))?;
        let ended = || Err(failed("joining the group", "its thread ended".into()));
        let (rank, size) = ready.recv().unwrap_or_else(|_| ended())?;
        let next_group = Arc::new(AtomicU16::new(1));
        Ok(Self { members: (0..size).collect(), rank, group: 0, jobs, shared, next_group })
    }

    /// Lane of operations of the whole group, which all ranks start in the same order.
    fn lane_of_group(&self) -> Lane {
        self.group * LANES
    }

    /// Lane of messages between two ranks.
    fn lane_of_pair(&self) -> Lane {
        self.group * LANES + 1
    }

    /// Copies tensors of an operation to the host. An error fails all current and later operations of this rank: the operation
    /// itself may be waited for late or not at all, and until then this rank would seem to wait for its partners.
    fn on_host(
        &self,
        label: &str,
        tensors: Vec<Tensor<1>>,
    ) -> std::result::Result<Vec<TensorData>, Pending> {
        bytes_of(tensors).map_err(|error| {
            self.shared.fail(label, error.to_string());
            Pending::new(|| Err(error))
        })
    }

    /// Starts an operation. `messages` and `finish`, which turns the received messages into the result, run on the thread.
    fn begin<T: Send + 'static>(
        &self,
        label: &str,
        lane: Lane,
        messages: impl FnOnce() -> Messages + Send + 'static,
        finish: impl FnOnce(Vec<Vec<u8>>) -> T + Send + 'static,
    ) -> Reply<T> {
        self.begin_within(label, self.shared.timeout, lane, true, messages, finish)
    }

    /// Starts an operation whose partners may take `timeout` to answer, and whose messages may be counted.
    fn begin_within<T: Send + 'static>(
        &self,
        label: &str,
        timeout: Duration,
        lane: Lane,
        is_counted: bool,
        messages: impl FnOnce() -> Messages + Send + 'static,
        finish: impl FnOnce(Vec<Vec<u8>>) -> T + Send + 'static,
    ) -> Reply<T> {
        let (reply, result) = channel();
        let members = self.members.clone();
        let of_all = move || {
            let Messages { sends, receives } = messages();
            let sends = sends.into_iter().map(|(rank, message)| (members[rank], message)).collect();
            let receives = receives.into_iter().map(|(rank, len)| (members[rank], len)).collect();
            Messages { sends, receives }
        };
        let done = move |found: Result<Vec<Vec<u8>>>| {
            // The receiver may be gone.
            let _ = reply.send(found.map(finish));
        };
        let operation = Operation {
            label: label.into(),
            timeout,
            lane,
            is_counted,
            messages: Box::new(of_all),
            done: Box::new(done),
        };
        // If the thread has ended, `result` is disconnected.
        let _ = self.jobs.send(Job::Start(operation));
        Reply { label: label.into(), timeout, result, shared: self.shared.clone() }
    }

    /// All-to-all: sends a part to each rank and receives one of `lens` bytes from each. `parts` and `finish`, which receives the
    /// parts in the order of their ranks, run on the thread.
    fn swap<T: Send + 'static>(
        &self,
        label: &str,
        parts: impl FnOnce() -> Vec<Vec<u8>> + Send + 'static,
        lens: Vec<usize>,
        finish: impl FnOnce(Vec<Vec<u8>>) -> T + Send + 'static,
    ) -> Reply<T> {
        let messages = move || Messages {
            sends: parts().into_iter().enumerate().collect(),
            receives: lens.into_iter().enumerate().collect(),
        };
        self.begin(label, self.lane_of_group(), messages, finish)
    }

    /// Barrier. Sends one byte to each rank, since empty messages are not sent.
    fn meet(&self, label: &str, timeout: Duration) -> Result<()> {
        let size = self.size();
        let messages = move || Messages {
            sends: (0..size).map(|rank| (rank, vec![0])).collect(),
            receives: (0..size).map(|rank| (rank, 1)).collect(),
        };
        self.begin_within(label, timeout, self.lane_of_group(), true, messages, drop).wait()
    }

    /// Divides the group; see [`Collective::split`].
    pub fn divide(&self, label: &str, color: usize) -> Result<Self> {
        let next = self.next_group.load(Ordering::Relaxed);
        let message = [color as u64, u64::from(next)].map(u64::to_le_bytes).concat();
        let read = |message: Vec<u8>| match message.as_chunks::<8>().0 {
            [color, next] => Ok([*color, *next].map(u64::from_le_bytes)),
            _ => Err(failed(label, "the ranks do not split the same group".into())),
        };
        let found: Vec<[u64; 2]> =
            self.exchange(label, message)?.into_iter().map(read).collect::<Result<_>>()?;
        // The number is free on all ranks.
        let group = found.iter().map(|[_, next]| *next).max().unwrap_or_default();
        if group >= u64::from(GROUPS) {
            return Err(failed(label, format!("a rank is in {GROUPS} groups already")));
        }
        let group = group as u16;
        self.next_group.store(group + 1, Ordering::Relaxed);
        let is_member = |rank: &usize| found[*rank][0] == color as u64;
        let ranks: Vec<usize> = (0..self.size()).filter(is_member).collect();
        Ok(Self {
            rank: ranks.iter().position(|rank| *rank == self.rank).unwrap_or_default(),
            members: ranks.into_iter().map(|rank| self.members[rank]).collect(),
            group,
            jobs: self.jobs.clone(),
            shared: self.shared.clone(),
            next_group: self.next_group.clone(),
        })
    }
}

impl Collective for Staged {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.members.len()
    }

    fn reduce_scatter(&self, label: &str, tensors: Vec<Tensor<1>>, bounds: Vec<Bounds>) -> Pending {
        let (rank, size, kind) = (self.rank, self.size(), Kind::of(&tensors));
        let tensors = match self.on_host(label, tensors) {
            Ok(tensors) => tensors,
            Err(pending) => return pending,
        };
        let own: Vec<usize> = bounds.iter().map(|bounds| bounds.of(rank).len()).collect();
        let lens = vec![own.iter().sum::<usize>() * size_of::<f32>(); size];
        let parts = move || cut(&tensors, &bounds, size_of::<f32>(), size);
        let reply = self.swap(label, parts, lens, |parts| {
            let mut sum = Tree::balanced();
            for part in parts {
                let part: Vec<f32> = bytemuck::pod_collect_to_vec(&part);
                let Ok(()) = sum.push(part, |a, b| Ok::<_, Infallible>(add(a, b)));
            }
            let Ok(total) = sum.total(|a, b| Ok::<_, Infallible>(add(a, b)));
            total.unwrap_or_default()
        });
        Pending::new(move || Ok(kind.tensors(bytemuck::cast_slice(&reply.wait()?), &own)))
    }

    fn all_gather(&self, label: &str, parts: Vec<Tensor<1>>, bounds: Vec<Bounds>) -> Pending {
        let (size, kind) = (self.size(), Kind::of(&parts));
        let width = kind.width();
        let own = match self.on_host(label, parts) {
            Ok(parts) => joined(&parts),
            Err(pending) => return pending,
        };
        let lens = (0..size).map(|rank| part_len(&bounds, rank) * width).collect();
        let reply = self.swap(
            label,
            move || vec![own; size],
            lens,
            move |parts| join(&parts, &bounds, width),
        );
        Pending::new(move || Ok(reply.wait()?.iter().map(|bytes| kind.tensor(bytes)).collect()))
    }

    fn exchange(&self, label: &str, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let size = self.size();
        let len = (bytes.len() as u64).to_le_bytes().to_vec();
        let lens = self.swap(
            label,
            move || vec![len; size],
            vec![size_of::<u64>(); size],
            |lens| {
                let number = |bytes: &Vec<u8>| bytemuck::pod_read_unaligned::<u64>(bytes) as usize;
                lens.iter().map(number).collect()
            },
        );
        self.swap(label, move || vec![bytes; size], lens.wait()?, |found| found).wait()
    }

    fn wait_long(&self, label: &str) -> Result<()> {
        self.meet(label, self.shared.timeout * LONG)
    }

    fn send(&self, label: &str, to: usize, tensors: Vec<Tensor<1>>) -> Pending {
        let label = format!("{label} to rank {}", self.members[to]);
        let message = match self.on_host(&label, tensors) {
            Ok(tensors) => joined(&tensors),
            Err(pending) => return pending,
        };
        let messages = move || Messages { sends: vec![(to, message)], ..Messages::default() };
        let reply = self.begin(&label, self.lane_of_pair(), messages, |_| Vec::new());
        Pending::new(|| reply.wait())
    }

    fn receive(&self, label: &str, from: usize, lens: Vec<usize>, device: &Device) -> Pending {
        let label = format!("{label} from rank {}", self.members[from]);
        let kind = Kind::new(DType::F32, device);
        let len = lens.iter().sum::<usize>() * kind.width();
        let messages = move || Messages { receives: vec![(from, len)], ..Messages::default() };
        let reply = self.begin(&label, self.lane_of_pair(), messages, |found| found);
        Pending::new(move || Ok(kind.tensors(&reply.wait()?.concat(), &lens)))
    }

    fn split(&self, label: &str, color: usize) -> Result<Arc<dyn Collective>> {
        Ok(Arc::new(self.divide(label, color)?))
    }

    fn traffic(&self) -> Traffic {
        self.shared.traffic()
    }

    fn leave(&self) -> Result<()> {
        self.meet("the end", self.shared.timeout)?;
        if self.group == 0 {
            let (reply, left) = channel();
            let _ = self.jobs.send(Job::Leave(reply));
            left.recv().map_err(|_| failed("the end", "the thread of collectives ended".into()))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank, self.size())
    }
}

#[cfg(feature = "nccl")]
mod words;
#[cfg(feature = "nccl")]
pub use words::About;

#[cfg(test)]
mod failures;
