//! Ranks as threads of one process, connected by channels, for tests and experiments without MPI.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::staged::Staged;
use super::transport::{Lane, Ticket, Transport};
use crate::error::Result;
use crate::parallel::Collective;

/// Creates a group of `size` ranks in this process, one for each thread of the caller.
///
/// # Errors
/// A thread cannot be started.
pub fn threads(size: usize, timeout: Duration) -> Result<Vec<Arc<dyn Collective>>> {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..size).map(|_| channel()).unzip();
    let ranks = receivers.into_iter().enumerate();
    ranks
        .map(|(rank, receiver)| {
            let transport = Channels::new(rank, senders.clone(), receiver);
            let staged = Staged::start(move || Ok(transport), timeout)?;
            Ok(Arc::new(staged) as Arc<dyn Collective>)
        })
        .collect()
}

/// Message from one rank to another.
enum Letter {
    Message(Lane, Vec<u8>),
    WaitsFor(usize),
}

/// Channels as a transport: a sender to every rank, and one receiver.
struct Channels {
    rank: usize,
    senders: Vec<Sender<(usize, Letter)>>,
    receiver: Receiver<(usize, Letter)>,
    /// Messages that have arrived and are not received yet, by rank and lane.
    arrived: BTreeMap<(usize, Lane), VecDeque<Vec<u8>>>,
    /// Pending receives and their lengths, by rank and lane.
    wanted: BTreeMap<(usize, Lane), VecDeque<(Ticket, usize)>>,
    ended: Vec<(Ticket, Vec<u8>)>,
    told: Vec<(usize, usize)>,
    tickets: Ticket,
}

impl Channels {
    fn new(
        rank: usize,
        senders: Vec<Sender<(usize, Letter)>>,
        receiver: Receiver<(usize, Letter)>,
    ) -> Self {
        Self {
            rank,
            senders,
            receiver,
            arrived: BTreeMap::new(),
            wanted: BTreeMap::new(),
            ended: Vec::new(),
            told: Vec::new(),
            tickets: 0,
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        self.tickets
    }

    fn post(&self, to: usize, letter: Letter) {
        // If the other rank has ended, the next receive from it reports that.
        let _ = self.senders[to].send((self.rank, letter));
    }

    fn unpack(&mut self) {
        while let Ok((from, letter)) = self.receiver.try_recv() {
            match letter {
                Letter::Message(lane, message) => {
                    self.arrived.entry((from, lane)).or_default().push_back(message);
                }
                Letter::WaitsFor(rank) => self.told.push((from, rank)),
            }
        }
    }
}

impl Transport for Channels {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.senders.len()
    }

    fn send(&mut self, to: usize, lane: Lane, message: Vec<u8>) -> Ticket {
        self.post(to, Letter::Message(lane, message));
        let ticket = self.ticket();
        self.ended.push((ticket, Vec::new()));
        ticket
    }

    fn receive(&mut self, from: usize, lane: Lane, len: usize) -> Ticket {
        let ticket = self.ticket();
        self.wanted.entry((from, lane)).or_default().push_back((ticket, len));
        ticket
    }

    fn poll(&mut self) -> Vec<(Ticket, Vec<u8>)> {
        self.unpack();
        for (place, wanted) in &mut self.wanted {
            let Some(arrived) = self.arrived.get_mut(place) else { continue };
            while !wanted.is_empty() && !arrived.is_empty() {
                let pair = wanted.pop_front().zip(arrived.pop_front());
                // A message of another length belongs to another operation, so this receive times out.
                let found = pair.filter(|((_, len), message)| message.len() == *len);
                self.ended.extend(found.map(|((ticket, _), message)| (ticket, message)));
            }
        }
        std::mem::take(&mut self.ended)
    }

    fn tell(&mut self, to: usize, waits_for: usize) {
        self.post(to, Letter::WaitsFor(waits_for));
    }

    fn told(&mut self) -> Vec<(usize, usize)> {
        self.unpack();
        std::mem::take(&mut self.told)
    }

    fn leave(&mut self) {}
}
