//! Replaces NCCL in a program that was built without it.

use super::choice::{Choice, Offer, Way};
use crate::error::Result;
use crate::platform::host_name;

/// Returns the NCCL capabilities of this rank: at most a GPU.
pub async fn offer(choice: Choice, device: &str) -> Result<(Offer, Option<Way>)> {
    let gpu = device.starts_with("cuda").then(|| [host_name(), device.into()]);
    let problem = "this program was built without NCCL".into();
    let remedy = "build it with `cargo build --release --features nccl`".into();
    let problem = Some([problem, remedy]);
    let offer = Offer { choice, device: device.into(), gpu, version: None, shares: false, problem };
    Ok((offer, None))
}
