//! Messages between ranks, of which every operation is made.

/// A sequence of messages from one rank to another, which arrive in the order in which they were sent. Both ranks number
/// their lanes alike.
pub type Lane = u16;

/// Number of a message that is under way on this rank.
pub type Ticket = u64;

/// Moves messages between ranks. One thread owns it, and nothing but [`Self::leave`] waits.
pub trait Transport {
    /// Returns the number of this rank.
    fn rank(&self) -> usize;

    /// Returns the number of ranks.
    fn size(&self) -> usize;

    /// Starts to send a message, which is not empty.
    fn send(&mut self, to: usize, lane: Lane, message: Vec<u8>) -> Ticket;

    /// Starts to receive the next message of `len` bytes, which is not empty.
    fn receive(&mut self, from: usize, lane: Lane, len: usize) -> Ticket;

    /// Moves messages, and returns those that have ended since the last call. A sent message is returned empty.
    fn poll(&mut self) -> Vec<(Ticket, Vec<u8>)>;

    /// Tells a rank that this one has waited long for the rank `waits_for`.
    fn tell(&mut self, to: usize, waits_for: usize);

    /// Returns what other ranks have told since the last call: each of them, and the rank that it waits for.
    fn told(&mut self) -> Vec<(usize, usize)>;

    /// Leaves the group, after the last message. A process that fails ends without it.
    fn leave(&mut self);
}
