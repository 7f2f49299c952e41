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

mod device_info;
mod probe;
mod profile;
mod room;

pub use device_info::DeviceInfo;
pub use profile::{KernelTime, ProfileReport, Profiler};
pub use room::Room;

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(not(target_family = "wasm"))]
pub mod parallel;
#[cfg(not(target_family = "wasm"))]
pub use native::*;

#[cfg(unix)]
mod hangup;
#[cfg(unix)]
pub use hangup::keep_ignoring_hangup;

/// Calls `install`, which installs signal handlers. Other systems have no SIGHUP.
#[cfg(not(any(unix, target_family = "wasm")))]
pub fn keep_ignoring_hangup<T>(install: impl FnOnce() -> T) -> T {
    install()
}

#[cfg(target_family = "wasm")]
mod web;
#[cfg(target_family = "wasm")]
pub use web::*;

#[cfg(not(any(unix, target_family = "wasm")))]
mod other;
#[cfg(not(any(unix, target_family = "wasm")))]
pub use other::free_space;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::{free_space, report_lost_files, user_signal_arrived, watch_user_signal};

/// Does nothing: other systems report lost files as errors.
#[cfg(not(unix))]
pub fn report_lost_files() {}

/// Does nothing: other systems have no SIGUSR1.
#[cfg(not(unix))]
pub fn watch_user_signal() {}

/// Returns false: other systems have no SIGUSR1.
#[cfg(not(unix))]
pub fn user_signal_arrived() -> bool {
    false
}
