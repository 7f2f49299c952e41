//! Gradients are exchanged while the backward pass still runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use blankslate::config::ModelConfig;
use blankslate::error::Result;
use blankslate::parallel::{Bounds, Collective, Pending, Traffic};
use burn::tensor::{Device, Tensor};

use crate::support::{Setup, loss, models, on_ranks};

/// A rank that counts, whenever gradients are handed over, how many earlier ones have arrived already.
#[derive(Debug)]
struct Watched {
    ranks: Arc<dyn Collective>,
    /// Operations that had ended before the first gradients of this step were handed over.
    before: AtomicU64,
    /// Steps in which other gradients had arrived before the backward pass of the first block, the last to run, began.
    overlapped: AtomicU64,
}

impl Collective for Watched {
    fn rank(&self) -> usize {
        self.ranks.rank()
    }
    fn size(&self) -> usize {
        self.ranks.size()
    }
    fn reduce_scatter(&self, label: &str, tensors: Vec<Tensor<1>>, bounds: Vec<Bounds>) -> Pending {
        let ended = self.traffic().operations;
        if label.contains(" of norm.") {
            self.before.store(ended, Ordering::SeqCst);
        } else if label.contains(" of layers.1.") && ended > self.before.load(Ordering::SeqCst) {
            self.overlapped.fetch_add(1, Ordering::SeqCst);
        }
        self.ranks.reduce_scatter(label, tensors, bounds)
    }
    fn all_gather(&self, label: &str, parts: Vec<Tensor<1>>, bounds: Vec<Bounds>) -> Pending {
        self.ranks.all_gather(label, parts, bounds)
    }
    fn exchange(&self, label: &str, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        self.ranks.exchange(label, bytes)
    }
    fn wait_long(&self, label: &str) -> Result<()> {
        self.ranks.wait_long(label)
    }
    fn send(&self, label: &str, to: usize, tensors: Vec<Tensor<1>>) -> Pending {
        self.ranks.send(label, to, tensors)
    }
    fn receive(&self, label: &str, from: usize, lens: Vec<usize>, device: &Device) -> Pending {
        self.ranks.receive(label, from, lens, device)
    }
    fn split(&self, label: &str, color: usize) -> Result<Arc<dyn Collective>> {
        self.ranks.split(label, color)
    }
    fn traffic(&self) -> Traffic {
        self.ranks.traffic()
    }
    fn leave(&self) -> Result<()> {
        self.ranks.leave()
    }
}

#[test]
fn reductions_end_before_the_backward_pass_of_the_first_block_begins() {
    let [(_, model), _] = models();
    let model: ModelConfig = model.with_layers(8).with_hidden_size(64);
    let mut setup = Setup::new(model, 2);
    setup.train.batch_size = 8;
    let overlapped = on_ranks(2, |ranks| {
        let counts = [0, 0].map(AtomicU64::new);
        let [before, overlapped] = counts;
        let watched = Arc::new(Watched { ranks, before, overlapped });
        let mut trainer = setup.trainer(watched.clone(), None);
        for _ in 0..5 {
            loss(&mut trainer);
        }
        watched.overlapped.load(Ordering::SeqCst)
    });
    println!("steps of 5 with overlap, by rank: {overlapped:?}");
    assert!(overlapped.iter().all(|steps| *steps >= 1), "{overlapped:?}");
}
