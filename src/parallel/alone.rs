//! The collective of a single rank.

use std::sync::Arc;

use burn::tensor::{Device, Tensor};

use super::{Bounds, Collective, Pending, Traffic};
use crate::error::{Error, Result};

/// A single rank, without communication.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Collective for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn reduce_scatter(&self, _: &str, tensors: Vec<Tensor<1>>, _: Vec<Bounds>) -> Pending {
        Pending::new(|| Ok(tensors))
    }

    fn all_gather(&self, _: &str, parts: Vec<Tensor<1>>, _: Vec<Bounds>) -> Pending {
        Pending::new(|| Ok(parts))
    }

    fn exchange(&self, _: &str, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        Ok(vec![bytes])
    }

    fn wait_long(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn send(&self, label: &str, to: usize, _: Vec<Tensor<1>>) -> Pending {
        nobody(label, to)
    }

    fn receive(&self, label: &str, from: usize, _: Vec<usize>, _: &Device) -> Pending {
        nobody(label, from)
    }

    fn split(&self, _: &str, _: usize) -> Result<Arc<dyn Collective>> {
        Ok(Arc::new(Self))
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    fn leave(&self) -> Result<()> {
        Ok(())
    }
}

/// Returns the error of an operation that needs another rank.
fn nobody(label: &str, rank: usize) -> Pending {
    let error = Error::collective(label, format!("there is no rank {rank} beside this one"));
    Pending::new(|| Err(error))
}
