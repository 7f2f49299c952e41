//! The operations of a group on tensors in the memory of a GPU. Each starts on the stream of a communicator and returns.
//!
//! The tensors of a bucket are copied into one buffer, unless there is only one, and the results out of it. If the ranks have
//! equal or nearly equal counts of numbers, one operation of NCCL processes the buffer; otherwise there is one operation for each
//! rank that has any.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;

use super::communicator::{Communicator, Numbers, data_type};
use super::cuda_order::{Gpu, Held};
use super::lane::Started;
use super::library::DataType;
use super::packed::Packed;

type Result<T> = std::result::Result<T, String>;

/// Adds up tensors over all ranks; the results are the parts of `rank`. See
/// [`Collective::reduce_scatter`](crate::parallel::Collective::reduce_scatter).
pub fn reduce_scatter(
    communicator: &Communicator,
    gpu: &Gpu,
    tensors: &[CubeTensor],
    packed: &Packed,
    rank: usize,
) -> Result<Started> {
    let memory = Memory::new(communicator, gpu, tensors[0].dtype, packed)?;
    let given = held(gpu, tensors)?;
    let parts: Vec<CubeTensor> =
        packed.own(rank).into_iter().map(|len| gpu.empty(len, memory.dtype)).collect();
    let results = held(gpu, &parts)?;
    let buffer = match packed.is_tensor() {
        true => None,
        false => Some(memory.buffer()?),
    };
    gpu.finish()?;
    let from = match &buffer {
        None => given[0].address,
        Some(buffer) => {
            for owner in 0..packed.ranks() {
                for (tensor, part, place) in packed.parts(owner) {
                    let source = memory.at(&given[tensor], part.start);
                    memory.copy(memory.at(buffer, place), source, part.len())?;
                }
            }
            buffer.address
        }
    };
    // In place if there is a buffer.
    let own = packed.of(rank);
    let to = match &buffer {
        None => results[0].address,
        Some(buffer) => memory.at(buffer, own.start),
    };
    match packed.stride() {
        Some(len) => {
            let to = memory.numbers(to, len);
            // SAFETY: the buffer has as many numbers for each rank, and without one the result has; both are held.
            unsafe { communicator.reduce_scatter(from, to) }?;
        }
        None => communicator.together(|| {
            for root in (0..packed.ranks()).filter(|root| !packed.of(*root).is_empty()) {
                let place = packed.of(root);
                let part = memory.numbers(from + memory.bytes(place.start), place.len());
                // SAFETY: the part lies within the buffer, and the result, only written on its owner, has the same length.
                unsafe { communicator.reduce(part, to, root) }?;
            }
            Ok(())
        })?,
    }
    if let Some(buffer) = &buffer {
        for (tensor, part, place) in packed.parts(rank) {
            memory.copy(results[tensor].address, memory.at(buffer, place), part.len())?;
        }
    }
    Ok(Started { tensors: parts, held: given.into_iter().chain(results).chain(buffer).collect() })
}

/// Gathers the parts of all ranks; the results are whole tensors. See
/// [`Collective::all_gather`](crate::parallel::Collective::all_gather).
pub fn all_gather(
    communicator: &Communicator,
    gpu: &Gpu,
    parts: &[CubeTensor],
    packed: &Packed,
    rank: usize,
) -> Result<Started> {
    let memory = Memory::new(communicator, gpu, parts[0].dtype, packed)?;
    let given = held(gpu, parts)?;
    let whole: Vec<CubeTensor> =
        packed.whole().into_iter().map(|len| gpu.empty(len, memory.dtype)).collect();
    let results = held(gpu, &whole)?;
    let buffer = match packed.is_tensor() {
        true => None,
        false => Some(memory.buffer()?),
    };
    gpu.finish()?;
    let own = packed.of(rank);
    let (from, to) = match &buffer {
        None => (given[0].address, results[0].address),
        Some(buffer) => {
            for (tensor, part, place) in packed.parts(rank) {
                memory.copy(memory.at(buffer, place), given[tensor].address, part.len())?;
            }
            (memory.at(buffer, own.start), buffer.address)
        }
    };
    match packed.stride() {
        Some(len) => {
            let from = memory.numbers(from, len);
            // SAFETY: the buffer has as many numbers for each rank, and without one the given part has; both are held.
            unsafe { communicator.all_gather(from, to) }?;
        }
        None => communicator.together(|| {
            for root in (0..packed.ranks()).filter(|root| !packed.of(*root).is_empty()) {
                let place = packed.of(root);
                let part = memory.numbers(to + memory.bytes(place.start), place.len());
                // SAFETY: the part lies within the result, and the input, which is only read on its owner, has the same length.
                unsafe { communicator.broadcast(from, part, root) }?;
            }
            Ok(())
        })?,
    }
    if let Some(buffer) = &buffer {
        for owner in 0..packed.ranks() {
            for (tensor, part, place) in packed.parts(owner) {
                let target = memory.at(&results[tensor], part.start);
                memory.copy(target, memory.at(buffer, place), part.len())?;
            }
        }
    }
    Ok(Started { tensors: whole, held: given.into_iter().chain(results).chain(buffer).collect() })
}

/// Sends tensors to the other rank of a pair.
pub fn send(communicator: &Communicator, gpu: &Gpu, tensors: &[CubeTensor]) -> Result<Started> {
    let data_type = require_type(tensors[0].dtype)?;
    let held = held(gpu, tensors)?;
    gpu.finish()?;
    communicator.together(|| {
        for (tensor, memory) in tensors.iter().zip(&held) {
            let len = tensor.meta.shape().num_elements();
            let numbers = Numbers { address: memory.address, len, data_type };
            if len > 0 {
                // SAFETY: the tensor has no gaps, and is held.
                unsafe { communicator.send(numbers, 1) }?;
            }
        }
        Ok(())
    })?;
    Ok(Started { tensors: Vec::new(), held })
}

/// Receives tensors of `lens` numbers from the other rank of a pair.
pub fn receive(
    communicator: &Communicator,
    gpu: &Gpu,
    lens: &[usize],
    dtype: DType,
) -> Result<Started> {
    let data_type = require_type(dtype)?;
    let tensors: Vec<CubeTensor> = lens.iter().map(|len| gpu.empty(*len, dtype)).collect();
    let held = held(gpu, &tensors)?;
    gpu.finish()?;
    communicator.together(|| {
        for (len, memory) in lens.iter().zip(&held).filter(|(len, _)| **len > 0) {
            let numbers = Numbers { address: memory.address, len: *len, data_type };
            // SAFETY: the tensor is as long, and is held.
            unsafe { communicator.receive(numbers, 0) }?;
        }
        Ok(())
    })?;
    Ok(Started { tensors, held })
}

fn held(gpu: &Gpu, tensors: &[CubeTensor]) -> Result<Vec<Held>> {
    tensors.iter().map(|tensor| gpu.hold(tensor)).collect()
}

fn require_type(dtype: DType) -> Result<DataType> {
    data_type(dtype).ok_or_else(|| format!("NCCL has no numbers of type {dtype:?}"))
}

/// Numbers of one type on one device.
struct Memory<'a> {
    communicator: &'a Communicator,
    gpu: &'a Gpu,
    packed: &'a Packed,
    dtype: DType,
    data_type: DataType,
}

impl<'a> Memory<'a> {
    fn new(
        communicator: &'a Communicator,
        gpu: &'a Gpu,
        dtype: DType,
        packed: &'a Packed,
    ) -> Result<Self> {
        Ok(Self { communicator, gpu, packed, dtype, data_type: require_type(dtype)? })
    }

    /// Allocates the buffer of all parts.
    fn buffer(&self) -> Result<Held> {
        self.gpu.hold(&self.gpu.empty(self.packed.len(), self.dtype))
    }

    fn bytes(&self, numbers: usize) -> u64 {
        (numbers * self.dtype.size()) as u64
    }

    /// Returns the address of a number.
    fn at(&self, memory: &Held, place: usize) -> u64 {
        memory.address + self.bytes(place)
    }

    fn numbers(&self, address: u64, len: usize) -> Numbers {
        Numbers { address, len, data_type: self.data_type }
    }

    /// Copies numbers between held memory, at places within it.
    fn copy(&self, to: u64, from: u64, numbers: usize) -> Result<()> {
        let bytes = numbers * self.dtype.size();
        // SAFETY: the places are those of parts in tensors and in the buffer, all of which are held.
        unsafe { self.communicator.stream().copy(to, from, bytes) }
    }
}
