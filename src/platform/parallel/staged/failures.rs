//! Time of failures, and the ranks that they name.

use std::thread;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};

use super::super::transport::{Lane, Ticket, Transport};
use super::Staged;
use crate::parallel::{Collective, Traffic};

/// Transport of rank 0 of two. The other rank sends nothing, and takes messages from the time `takes` on.
struct Mute {
    takes: Instant,
    sent: Vec<Ticket>,
    tickets: Ticket,
}

impl Mute {
    /// Starts rank 0. The other rank takes messages after `pause`.
    fn start(pause: Duration, timeout: Duration) -> Staged {
        let takes = Instant::now() + pause;
        let transport = Self { takes, sent: Vec::new(), tickets: 0 };
        Staged::start(move || Ok(transport), timeout).unwrap()
    }
}

impl Transport for Mute {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        2
    }

    fn send(&mut self, _: usize, _: Lane, _: Vec<u8>) -> Ticket {
        self.tickets += 1;
        self.sent.push(self.tickets);
        self.tickets
    }

    fn receive(&mut self, _: usize, _: Lane, _: usize) -> Ticket {
        self.tickets += 1;
        self.tickets
    }

    fn poll(&mut self) -> Vec<(Ticket, Vec<u8>)> {
        if Instant::now() < self.takes {
            return Vec::new();
        }
        self.sent.drain(..).map(|ticket| (ticket, Vec::new())).collect()
    }

    fn tell(&mut self, _: usize, _: usize) {}

    fn told(&mut self) -> Vec<(usize, usize)> {
        Vec::new()
    }

    fn leave(&mut self) {}
}

fn number() -> Vec<Tensor<1>> {
    vec![Tensor::from_floats([1.0], &Device::flex())]
}

#[test]
fn a_failure_of_this_rank_is_reported_by_whatever_it_waits_for() {
    let ranks = Mute::start(Duration::ZERO, Duration::from_secs(600));
    let before = ranks.receive("the gradient", 1, vec![1], &Device::flex());
    ranks.shared.fail("the activations to rank 1", "the device was lost".into());
    let later = ranks.exchange("the loss", vec![1]).unwrap_err();
    for error in [before.wait().unwrap_err(), later] {
        let error = error.to_string();
        assert!(error.starts_with("the activations to rank 1: the device was lost"), "{error}");
    }
}

#[test]
fn what_is_not_taken_fails_with_its_own_name_and_that_of_its_partner() {
    let ranks = Mute::start(Duration::from_secs(600), Duration::from_millis(200));
    // The result is not waited for.
    drop(ranks.send("the activations", 1, number()));
    thread::sleep(Duration::from_millis(100));
    let error = ranks.receive("the gradient", 1, vec![1], &Device::flex()).wait().unwrap_err();
    let words = "the activations to rank 1: no answer from rank 1 within 0.2 s";
    assert!(error.to_string().starts_with(words), "{error}");
}

/// In a pipeline, a rank computes while its activations are in flight, and then waits for those of others.
#[test]
fn a_transfer_is_hidden_while_nothing_is_waited_for() {
    let (pause, timeout) = (Duration::from_millis(200), Duration::from_millis(600));
    let ranks = Mute::start(pause, timeout);
    let sent = ranks.send("the activations", 1, number());
    // Computes.
    thread::sleep(pause * 2);
    sent.wait().unwrap();
    ranks.receive("the gradient", 1, vec![1], &Device::flex()).wait().unwrap_err();
    let Traffic { waited_ms, hidden_ms, .. } = ranks.traffic();
    // The later wait is not counted as hidden.
    assert!(hidden_ms > 100.0 && waited_ms > hidden_ms, "{hidden_ms} of 200 ms, {waited_ms}");
    let waiting = Mute::start(pause, timeout);
    waiting.send("the activations", 1, number()).wait().unwrap();
    let Traffic { waited_ms, hidden_ms, .. } = waiting.traffic();
    assert!(waited_ms > hidden_ms && hidden_ms < 100.0, "{hidden_ms} of 200 ms");
}

#[test]
fn a_rank_that_takes_a_message_is_not_silent() {
    let (pause, timeout) = (Duration::from_millis(200), Duration::from_millis(300));
    let started = Instant::now();
    let ranks = Mute::start(pause, timeout);
    let asked = ranks.receive("the gradient", 1, vec![1], &Device::flex());
    ranks.send("the activations", 1, number()).wait().unwrap();
    let error = asked.wait().unwrap_err().to_string();
    assert!(started.elapsed() >= pause + timeout, "{:?}", started.elapsed());
    assert!(error.starts_with("the gradient from rank 1: no answer from rank 1"), "{error}");
}
