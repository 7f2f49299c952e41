//! Messages over MPI. The thread that creates [`Mpi`] is the only one that calls MPI.

use std::mem::ManuallyDrop;
use std::ptr;

use mpi::Threading;
use mpi::environment::Universe;
use mpi::ffi::{
    MPI_Irecv, MPI_Isend, MPI_Request, MPI_Test, RSMPI_COMM_WORLD, RSMPI_REQUEST_NULL,
    RSMPI_STATUS_IGNORE, RSMPI_UINT8_T,
};
use mpi::topology::Communicator;
use mpi::traits::Source;

use super::transport::{Lane, Ticket, Transport};
use crate::error::{Error, Result};

/// Maximum bytes of an MPI message, whose length MPI stores in 31 bits.
const LONGEST: usize = 1 << 30;
/// Tag of status messages (see [`Transport::tell`]); tags of lanes are smaller. MPI guarantees 15 bits.
const TOLD: i32 = (1 << 15) - 1;

/// MPI as a transport.
pub struct Mpi {
    /// Dropped by [`Transport::leave`] only: dropping waits for all processes, which a failed run must not do.
    universe: ManuallyDrop<Universe>,
    rank: usize,
    size: usize,
    tickets: Ticket,
    open: Vec<Message>,
}

/// A message in flight, in pieces of [`LONGEST`] bytes, which MPI delivers in order.
struct Message {
    ticket: Ticket,
    requests: Vec<MPI_Request>,
    bytes: Vec<u8>,
    is_received: bool,
}

impl Mpi {
    /// Starts MPI.
    ///
    /// # Errors
    /// MPI was started before in this process.
    pub fn new() -> Result<Self> {
        // Only one of several threads calls MPI.
        let (universe, level) =
            mpi::initialize_with_threading(Threading::Funneled).ok_or_else(|| {
                Error::collective("starting MPI", "it was started before in this process")
            })?;
        if level == Threading::Single {
            let problem = format!("it supports threads only at level {level:?}, not Funneled");
            return Err(Error::collective("starting MPI", problem));
        }
        let world = universe.world();
        let [rank, size] = [world.rank(), world.size()].map(|number| number as usize);
        let universe = ManuallyDrop::new(universe);
        Ok(Self { universe, rank, size, tickets: 0, open: Vec::new() })
    }

    fn open(&mut self, requests: Vec<MPI_Request>, bytes: Vec<u8>, is_received: bool) -> Ticket {
        self.tickets += 1;
        self.open.push(Message { ticket: self.tickets, requests, bytes, is_received });
        self.tickets
    }
}

impl Transport for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn send(&mut self, to: usize, lane: Lane, message: Vec<u8>) -> Ticket {
        let pieces = message.chunks(LONGEST);
        let requests = pieces.map(|piece| send(piece, to, i32::from(lane))).collect();
        self.open(requests, message, false)
    }

    fn receive(&mut self, from: usize, lane: Lane, len: usize) -> Ticket {
        let mut message = vec![0; len];
        let pieces = message.chunks_mut(LONGEST);
        let requests = pieces.map(|piece| receive(piece, from, i32::from(lane))).collect();
        self.open(requests, message, true)
    }

    fn poll(&mut self) -> Vec<(Ticket, Vec<u8>)> {
        let has_ended = |message: &mut Message| {
            message.requests.retain_mut(|request| !has_ended(request));
            message.requests.is_empty()
        };
        let ended = self.open.extract_if(.., has_ended);
        ended
            .map(|Message { ticket, bytes, is_received, .. }| {
                (ticket, if is_received { bytes } else { Vec::new() })
            })
            .collect()
    }

    fn tell(&mut self, to: usize, waits_for: usize) {
        let message = (waits_for as u64).to_le_bytes().to_vec();
        let requests = vec![send(&message, to, TOLD)];
        self.open(requests, message, false);
    }

    fn told(&mut self) -> Vec<(usize, usize)> {
        let world = self.universe.world();
        let mut told = Vec::new();
        while let Some((message, status)) =
            world.any_process().immediate_matched_probe_with_tag(TOLD)
        {
            let mut bytes = [0u8; 8];
            message.matched_receive_into(&mut bytes[..]);
            told.push((status.source_rank() as usize, u64::from_le_bytes(bytes) as usize));
        }
        told
    }

    fn leave(&mut self) {
        // SAFETY: this is the last call on the transport, and the universe is not used after it.
        unsafe { ManuallyDrop::drop(&mut self.universe) }
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        // MPI may still read and write these buffers.
        std::mem::forget(std::mem::take(&mut self.open));
    }
}

/// Starts to receive a message from `peer` into `piece`, which must live until the request completes.
fn receive(piece: &mut [u8], peer: usize, tag: i32) -> MPI_Request {
    // SAFETY: the null handle, which MPI replaces.
    let mut request = unsafe { RSMPI_REQUEST_NULL };
    let (buffer, count) = (piece.as_mut_ptr().cast(), piece.len() as i32);
    // SAFETY: MPI is running; the buffer is kept in `Mpi::open` until the request has ended.
    unsafe {
        MPI_Irecv(buffer, count, RSMPI_UINT8_T, peer as i32, tag, RSMPI_COMM_WORLD, &mut request)
    };
    request
}

/// Starts to send `piece`, which must live until the request completes, to `peer`.
fn send(piece: &[u8], peer: usize, tag: i32) -> MPI_Request {
    // SAFETY: the null handle, which MPI replaces.
    let mut request = unsafe { RSMPI_REQUEST_NULL };
    let (buffer, count) = (piece.as_ptr().cast(), piece.len() as i32);
    // SAFETY: MPI is running; the buffer is kept in `Mpi::open` until the request has ended.
    unsafe {
        MPI_Isend(buffer, count, RSMPI_UINT8_T, peer as i32, tag, RSMPI_COMM_WORLD, &mut request)
    };
    request
}

/// Returns true if a request has completed. MPI makes progress in this call.
fn has_ended(request: &mut MPI_Request) -> bool {
    let mut flag = 0;
    // SAFETY: MPI is running, and the request was started by one of the functions above.
    unsafe { MPI_Test(ptr::from_mut(request), &mut flag, RSMPI_STATUS_IGNORE) };
    flag != 0
}
