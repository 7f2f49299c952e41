//! What differs between a terminal and a tab, under the same names on both: device, clock, yielding,
//! storage. The only file beside `lib.rs` where a target is named.

use serde::{Deserialize, Serialize};

mod probe;
mod profile;

pub use profile::{KernelTime, ProfileReport, Profiler};

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(not(target_family = "wasm"))]
pub use native::*;

#[cfg(target_family = "wasm")]
mod web;
#[cfg(target_family = "wasm")]
pub use web::*;

/// The device in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DeviceInfo {
    /// `cpu`, `wgpu`, `vulkan`, `cuda:0`, `webgpu`.
    pub name: String,
    /// The adapter's or processor's own name.
    pub adapter: String,
    /// Whether it is a GPU interface that is executed in software.
    pub software: bool,
    /// Why this one: set where another was asked for or could have been expected.
    pub reason: Option<String>,
}

impl DeviceInfo {
    /// Whether it is a GPU, or a software that plays one.
    pub fn is_gpu(&self) -> bool {
        self.name != "cpu"
    }
}
