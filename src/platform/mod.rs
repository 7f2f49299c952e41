//! Platform layer: devices, clock, yielding and storage, with the same interface natively and in the browser.
//!
//! Besides `lib.rs` this is the only file with a target `cfg`.
//!
//! ```
//! use blankslate::platform::{Store, block_on, open_device};
//!
//! # fn main() -> blankslate::error::Result<()> {
//! block_on(async {
//!     let (_, info) = open_device("cpu").await?;
//!     assert_eq!(info.name, "cpu");
//!
//!     let store = Store::open("target/store-example").await?;
//!     store.write("notes/first.txt", b"hello").await?;
//!     assert_eq!(store.list("notes").await?, ["first.txt"]);
//!     assert_eq!(store.read("notes/first.txt").await?, b"hello");
//!     store.remove("notes").await?;
//!     assert_eq!(store.size("").await?, 0);
//!     Ok(())
//! })
//! # }
//! ```

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

/// Description of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DeviceInfo {
    /// `cpu`, `wgpu`, `vulkan`, `cuda:0` or `webgpu`.
    pub name: String,
    /// Name of the adapter or processor.
    pub adapter: String,
    /// True for a software adapter.
    pub software: bool,
    /// Reason for the choice, if it was automatic or is not the requested device.
    pub reason: Option<String>,
}

impl DeviceInfo {
    /// Returns true for a GPU or a software adapter.
    pub fn is_gpu(&self) -> bool {
        self.name != "cpu"
    }
}
