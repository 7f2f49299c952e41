//! A communicator of NCCL, and the operations on it. All of them start work on a stream and return.

use std::ffi::{c_int, c_void};
use std::ptr;

use burn::tensor::DType;

use super::cuda_order::Stream;
use super::library::{Comm, DataType, Library, SUM, UniqueId};

/// Returns the type of numbers as NCCL names it; none if it has no such numbers.
pub fn data_type(dtype: DType) -> Option<DataType> {
    match dtype {
        DType::F16 => Some(DataType::F16),
        DType::BF16 => Some(DataType::Bf16),
        DType::F32 => Some(DataType::F32),
        DType::F64 => Some(DataType::F64),
        _ => None,
    }
}

/// Numbers in the memory of a GPU.
#[derive(Clone, Copy)]
pub struct Numbers {
    pub address: u64,
    pub len: usize,
    pub data_type: DataType,
}

impl Numbers {
    fn read(self) -> *const c_void {
        self.address as *const c_void
    }

    fn write(self) -> *mut c_void {
        self.address as *mut c_void
    }
}

/// Ranks that exchange tensors in a fixed order, and this rank's stream for that.
///
/// It is never destroyed, since that waits for the other ranks, which may have failed. The process frees it when it ends.
pub struct Communicator {
    nccl: &'static Library,
    comm: Comm,
    stream: Stream,
    has_failed: bool,
}

/// Creates the communicator of `ranks` ranks with the same `id`, and waits for them.
pub fn join(
    nccl: &'static Library,
    stream: Stream,
    id: UniqueId,
    rank: usize,
    ranks: usize,
) -> Result<Communicator, String> {
    let mut comm = ptr::null_mut();
    // SAFETY: the library writes to `comm`, which outlives the call; the context of the GPU is current, since the stream is this
    // thread's.
    let code = unsafe { (nccl.comm_init_rank)(&mut comm, ranks as c_int, id, rank as c_int) };
    nccl.check(code, ptr::null_mut())?;
    Ok(Communicator { nccl, comm, stream, has_failed: false })
}

// Where the functions below call NCCL, the communicator is valid, since it is aborted only after the last call on it,
// and the stream is this thread's. Their callers hold the memory until the work has ended.
impl Communicator {
    /// Returns the stream of its work.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Adds up `ranks` parts of equal length over all ranks, and writes this rank's sum to `to`, whose length is that of a part.
    ///
    /// # Safety
    /// Both are memory held until the work has ended; `from` has `ranks` times as many numbers.
    pub unsafe fn reduce_scatter(&self, from: u64, to: Numbers) -> Result<(), String> {
        let Self { nccl, comm, stream, .. } = self;
        let (read, kind) = (from as *const c_void, to.data_type);
        // SAFETY: see above.
        let code = unsafe {
            (nccl.reduce_scatter)(read, to.write(), to.len, kind, SUM, *comm, stream.raw())
        };
        nccl.check(code, *comm)
    }

    /// Adds up numbers over all ranks, and writes the sum to `to` on rank `root`.
    ///
    /// # Safety
    /// Both are memory held until the work has ended; `to` is not used on other ranks.
    pub unsafe fn reduce(&self, from: Numbers, to: u64, root: usize) -> Result<(), String> {
        let Self { nccl, comm, stream, .. } = self;
        let (write, root) = (to as *mut c_void, root as c_int);
        // SAFETY: see above.
        let code = unsafe {
            (nccl.reduce)(
                from.read(),
                write,
                from.len,
                from.data_type,
                SUM,
                root,
                *comm,
                stream.raw(),
            )
        };
        nccl.check(code, *comm)
    }

    /// Writes the numbers of all ranks, which have equally many, to `to`, one after the other.
    ///
    /// # Safety
    /// Both are memory held until the work has ended; `to` has room for the numbers of all ranks.
    pub unsafe fn all_gather(&self, from: Numbers, to: u64) -> Result<(), String> {
        let Self { nccl, comm, stream, .. } = self;
        let write = to as *mut c_void;
        // SAFETY: see above.
        let code = unsafe {
            (nccl.all_gather)(from.read(), write, from.len, from.data_type, *comm, stream.raw())
        };
        nccl.check(code, *comm)
    }

    /// Writes the numbers `from` of rank `root` to `to` on all ranks.
    ///
    /// # Safety
    /// Both are memory held until the work has ended; `from` is not used on other ranks.
    pub unsafe fn broadcast(&self, from: u64, to: Numbers, root: usize) -> Result<(), String> {
        let Self { nccl, comm, stream, .. } = self;
        let (read, root) = (from as *const c_void, root as c_int);
        // SAFETY: see above.
        let code = unsafe {
            (nccl.broadcast)(read, to.write(), to.len, to.data_type, root, *comm, stream.raw())
        };
        nccl.check(code, *comm)
    }

    /// Sends numbers to a rank.
    ///
    /// # Safety
    /// They are memory held until the work has ended.
    pub unsafe fn send(&self, from: Numbers, to: usize) -> Result<(), String> {
        let Self { nccl, comm, stream, .. } = self;
        let (kind, peer) = (from.data_type, to as c_int);
        // SAFETY: see above.
        let code = unsafe { (nccl.send)(from.read(), from.len, kind, peer, *comm, stream.raw()) };
        nccl.check(code, *comm)
    }

    /// Receives numbers from a rank.
    ///
    /// # Safety
    /// They are memory held until the work has ended.
    pub unsafe fn receive(&self, to: Numbers, from: usize) -> Result<(), String> {
        let Self { nccl, comm, stream, .. } = self;
        let (kind, peer) = (to.data_type, from as c_int);
        // SAFETY: see above.
        let code = unsafe { (nccl.receive)(to.write(), to.len, kind, peer, *comm, stream.raw()) };
        nccl.check(code, *comm)
    }

    /// Starts several operations as one.
    pub fn together(&self, start: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
        let Self { nccl, comm, .. } = self;
        // SAFETY: the library keeps the state of a group by thread.
        nccl.check(unsafe { (nccl.group_start)() }, *comm)?;
        let started = start();
        // SAFETY: as above. It ends the group also if an operation was refused.
        let ended = nccl.check(unsafe { (nccl.group_end)() }, *comm);
        started.and(ended)
    }

    /// Returns true if everything that was started before the last mark of the stream has ended.
    ///
    /// # Errors
    /// The connection to another rank is lost, or the device fails.
    pub fn has_ended(&self) -> Result<bool, String> {
        // SAFETY: see above.
        unsafe { self.nccl.async_error(self.comm) }?;
        self.stream.has_ended()
    }

    /// Aborts the kernels that still wait for other ranks. No operation may be started afterwards.
    pub fn abort(&mut self) {
        if !std::mem::replace(&mut self.has_failed, true) {
            // SAFETY: the communicator is valid until now. An error is ignored, since the failure is already known.
            let _ = unsafe { (self.nccl.comm_abort)(self.comm) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_types_of_nccl() {
        let known = [DType::F16, DType::F32, DType::F64, DType::BF16].map(data_type);
        // As in nccl.h: ncclFloat16, ncclFloat32, ncclFloat64 and ncclBfloat16.
        assert_eq!(known.map(|kind| kind.unwrap() as i32), [6, 7, 8, 9]);
        assert_eq!(data_type(DType::I16), None);
    }
}
