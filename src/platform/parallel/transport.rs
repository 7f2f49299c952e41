//! Point-to-point messages between ranks, on which all operations are built.

/// Number of an ordered stream of messages between two ranks, the same on both.
pub type Lane = u16;

/// Number of a message in flight on this rank.
pub type Ticket = u64;

/// Non-blocking messages between ranks, owned by one thread. Only [`Self::leave`] blocks.
pub trait Transport {
    /// Returns the number of this rank.
    fn rank(&self) -> usize;

    /// Returns the number of ranks.
    fn size(&self) -> usize;

    /// Starts to send a message, which is not empty.
    fn send(&mut self, to: usize, lane: Lane, message: Vec<u8>) -> Ticket;

    /// Starts to receive the next message of `len` bytes, which is not empty.
    fn receive(&mut self, from: usize, lane: Lane, len: usize) -> Ticket;

    /// Makes progress, and returns the messages completed since the last call. Sent messages are returned empty.
    fn poll(&mut self) -> Vec<(Ticket, Vec<u8>)>;

    /// Sends a status to a rank: this one has waited long for the rank `waits_for`.
    fn tell(&mut self, to: usize, waits_for: usize);

    /// Returns the statuses received since the last call: the sender, and the rank that it waits for.
    fn told(&mut self) -> Vec<(usize, usize)>;

    /// Leaves the group, after the last message. A process that fails ends without it.
    fn leave(&mut self);
}
