//! Ranks with an NVIDIA GPU each: tensors are sent between the GPUs with NCCL, everything else through the host.
//!
//! MPI starts the ranks and sends the id of a communicator to its ranks. A rank that begins an operation announces this to its
//! partners through the host, with one byte, so that an error names a rank that does not begin; NCCL alone would hang.
//!
//! Sums are computed in f32, in an order that NCCL chooses, so different numbers of ranks differ by rounding.

mod buckets;
mod communicator;
mod cuda_order;
mod lane;
mod library;
mod offer;
mod packed;

pub use offer::offer;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{DType, Device, Tensor};
use burn_cubecl::tensor::CubeTensor;

use super::reply::Reply;
use super::staged::{About, Staged};
use crate::error::Result;
use crate::parallel::{Bounds, Collective, Pending, Traffic};
use communicator::{Communicator, data_type};
use cuda_order::Gpu;
use lane::{Beginning, Id, Job, Started};
use library::{ID_BYTES, Library, UniqueId};
use packed::Packed;

/// A group of ranks whose tensors stay on their GPUs.
pub struct Nccl {
    /// The same ranks, through the host.
    host: Arc<Staged>,
    library: &'static Library,
    gpu: Gpu,
    /// The threads of the communicators, which are created when they are first used: each needs memory of the GPU.
    lanes: Mutex<BTreeMap<Route, Sender<Job>>>,
}

/// The tensors of one communicator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Route {
    /// Of the whole group.
    Group,
    /// From this rank to another.
    To(usize),
    /// From another rank to this one.
    From(usize),
}

impl Nccl {
    /// Creates a group that sends the tensors of `host` on `gpu` with NCCL.
    pub fn new(host: Arc<Staged>, library: &'static Library, gpu: Gpu) -> Self {
        Self { host, library, gpu, lanes: Mutex::default() }
    }

    /// Returns true if tensors are sent with NCCL: they are on the GPU, and of a type that NCCL supports.
    fn takes(&self, tensors: &[Tensor<1>]) -> bool {
        let takes = |tensor: &Tensor<1>| {
            self.gpu.is(&tensor.device()) && data_type(tensor.dtype()).is_some()
        };
        !tensors.is_empty() && tensors.iter().all(takes)
    }

    /// Starts an operation on the device, of which this rank sends `bytes`.
    fn begin(
        &self,
        label: &str,
        route: Route,
        bytes: usize,
        start: impl FnOnce(&Communicator) -> std::result::Result<Started, String> + Send + 'static,
    ) -> Result<Reply<Vec<CubeTensor>>> {
        let lanes = &mut *self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = match lanes.get(&route) {
            Some(lane) => lane,
            None => {
                let beginning = self.beginning(label, route)?;
                let shared = self.host.shared().clone();
                let lane = lane::start(self.library, self.gpu.clone(), shared, beginning)?;
                &*lanes.entry(route).or_insert(lane)
            }
        };
        let (about, partners) = self.partners(route);
        let told = partners.iter().map(|partner| (*partner, vec![0])).collect();
        let heard = partners.into_iter().map(|partner| (partner, 1)).collect();
        let words = self.host.talk(label, about, told, heard);
        let (reply, result) = channel();
        let job = Job { label: label.into(), words, bytes, start: Box::new(start), reply };
        // If the thread has ended, `result` is disconnected.
        let _ = lane.send(job);
        let shared = self.host.shared().clone();
        Ok(Reply { label: label.into(), timeout: shared.timeout, result, shared })
    }

    /// Returns the subject of a route's announcements, and its other ranks.
    fn partners(&self, route: Route) -> (About, Vec<usize>) {
        let rank = self.host.rank();
        match route {
            Route::Group => {
                let others = (0..self.host.size()).filter(|other| *other != rank);
                (About::Group, others.collect())
            }
            Route::To(to) => (About::Pair { is_upward: to > rank }, vec![to]),
            Route::From(from) => (About::Pair { is_upward: rank > from }, vec![from]),
        }
    }

    /// Returns the arguments for creating the communicator of a route. The first rank of a group, or the sender, creates its id.
    fn beginning(&self, label: &str, route: Route) -> Result<Beginning> {
        let (about, partners) = self.partners(route);
        let ranks = partners.len() + 1;
        let rank = match route {
            Route::Group => self.host.rank(),
            Route::To(_) => 0,
            Route::From(_) => 1,
        };
        if rank > 0 {
            let words = self.host.talk(label, about, Vec::new(), vec![(partners[0], ID_BYTES)]);
            return Ok(Beginning { id: Id::Told(words), rank, ranks });
        }
        let UniqueId(bytes) = self.library.unique_id().map_err(|problem| {
            let shared = self.host.shared();
            shared.fail(label, problem.clone());
            shared.failure().unwrap_or_else(|| super::operations::failed(label, problem))
        })?;
        let sends = partners.into_iter().map(|rank| (rank, bytes.to_vec())).collect();
        drop(self.host.talk(label, about, sends, Vec::new()));
        Ok(Beginning { id: Id::Own(UniqueId(bytes)), rank, ranks })
    }

    /// Starts an operation on the device, and returns its results as tensors of burn, on an autodiff device if `is_autodiff`.
    fn pending(
        &self,
        label: &str,
        route: Route,
        bytes: usize,
        is_autodiff: bool,
        start: impl FnOnce(&Communicator) -> std::result::Result<Started, String> + Send + 'static,
    ) -> Pending {
        let launched = self.gpu.launched();
        let start = move |communicator: &Communicator| {
            launched()?;
            start(communicator)
        };
        match self.begin(label, route, bytes, start) {
            Err(error) => Pending::new(|| Err(error)),
            Ok(reply) => Pending::new(move || {
                let tensors = reply.wait()?.into_iter().map(Gpu::wrap);
                Ok(match is_autodiff {
                    true => tensors.map(Tensor::autodiff).collect(),
                    false => tensors.collect(),
                })
            }),
        }
    }

    fn unwrap(&self, tensors: Vec<Tensor<1>>) -> Vec<CubeTensor> {
        tensors.into_iter().map(|tensor| self.gpu.unwrap(tensor)).collect()
    }
}

fn is_autodiff(tensors: &[Tensor<1>]) -> bool {
    tensors.iter().any(|tensor| tensor.device().is_autodiff())
}

impl Collective for Nccl {
    fn rank(&self) -> usize {
        self.host.rank()
    }

    fn size(&self) -> usize {
        self.host.size()
    }

    fn reduce_scatter(&self, label: &str, tensors: Vec<Tensor<1>>, bounds: Vec<Bounds>) -> Pending {
        let packed = Packed::new(bounds.clone(), self.size());
        if packed.is_empty() || !self.takes(&tensors) {
            return self.host.reduce_scatter(label, tensors, bounds);
        }
        let (rank, gpu, is_autodiff) = (self.rank(), self.gpu.clone(), is_autodiff(&tensors));
        let bytes = packed.sent(rank) * tensors[0].dtype().size();
        let tensors = self.unwrap(tensors);
        self.pending(label, Route::Group, bytes, is_autodiff, move |communicator| {
            buckets::reduce_scatter(communicator, &gpu, &tensors, &packed, rank)
        })
    }

    fn all_gather(&self, label: &str, parts: Vec<Tensor<1>>, bounds: Vec<Bounds>) -> Pending {
        let packed = Packed::new(bounds.clone(), self.size());
        if packed.is_empty() || !self.takes(&parts) {
            return self.host.all_gather(label, parts, bounds);
        }
        let (rank, gpu, is_autodiff) = (self.rank(), self.gpu.clone(), is_autodiff(&parts));
        let bytes = packed.sent(rank) * parts[0].dtype().size();
        let parts = self.unwrap(parts);
        self.pending(label, Route::Group, bytes, is_autodiff, move |communicator| {
            buckets::all_gather(communicator, &gpu, &parts, &packed, rank)
        })
    }

    fn exchange(&self, label: &str, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        self.host.exchange(label, bytes)
    }

    fn wait_long(&self, label: &str) -> Result<()> {
        self.host.wait_long(label)
    }

    fn send(&self, label: &str, to: usize, tensors: Vec<Tensor<1>>) -> Pending {
        let numbers: usize = tensors.iter().map(|tensor| tensor.dims()[0]).sum();
        if numbers == 0 || !self.takes(&tensors) {
            return self.host.send(label, to, tensors);
        }
        let label = format!("{label} to rank {}", self.host.name(to));
        let (bytes, gpu) = (numbers * tensors[0].dtype().size(), self.gpu.clone());
        let tensors = self.unwrap(tensors);
        self.pending(&label, Route::To(to), bytes, false, move |communicator| {
            buckets::send(communicator, &gpu, &tensors)
        })
    }

    fn receive(&self, label: &str, from: usize, lens: Vec<usize>, device: &Device) -> Pending {
        if lens.iter().sum::<usize>() == 0 || !self.gpu.is(device) {
            return self.host.receive(label, from, lens, device);
        }
        let label = format!("{label} from rank {}", self.host.name(from));
        let (gpu, is_autodiff) = (self.gpu.clone(), device.is_autodiff());
        self.pending(&label, Route::From(from), 0, is_autodiff, move |communicator| {
            buckets::receive(communicator, &gpu, &lens, DType::F32)
        })
    }

    fn split(&self, label: &str, color: usize) -> Result<Arc<dyn Collective>> {
        let host = Arc::new(self.host.divide(label, color)?);
        Ok(Arc::new(Self::new(host, self.library, self.gpu.clone())))
    }

    fn traffic(&self) -> Traffic {
        self.host.traffic()
    }

    fn leave(&self) -> Result<()> {
        self.host.leave()
    }
}

impl fmt::Debug for Nccl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, through NCCL", self.host)
    }
}
