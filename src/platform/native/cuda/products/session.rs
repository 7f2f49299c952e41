//! cuBLASLt on one device: its handle, its workspace and the plans so far.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;

use cudarc::cublaslt::{result as lt, sys};
use rustc_hash::FxBuildHasher;

use super::order::{Order, allocate};
use super::plan::{Addresses, Key, Plan, WORKSPACE};

/// State of cuBLASLt on one device, which lives as long as the process.
pub struct Session {
    handle: sys::cublasLtHandle_t,
    workspace: *mut c_void,
    order: Order,
    /// None for products that cuBLASLt has no kernel for.
    plans: HashMap<Key, Option<Plan>, FxBuildHasher>,
}

// SAFETY: handles, streams, events and device memory of CUDA belong to a process, not to a thread. The context is made current in
// each thread that uses them.
unsafe impl Send for Session {}

impl Session {
    /// Prepares the GPU with this index.
    ///
    /// # Errors
    /// A stream, the handle or the workspace cannot be created.
    pub fn new(index: usize) -> Result<Self, String> {
        let order = Order::new(index).map_err(|error| format!("a stream was refused: {error}"))?;
        let handle =
            lt::create_handle().map_err(|error| format!("cublasLtCreate failed: {:?}", error.0))?;
        let workspace = allocate(WORKSPACE)
            .map_err(|error| format!("{WORKSPACE} bytes of memory were refused: {error}"))?;
        Ok(Self { handle, workspace, order, plans: HashMap::default() })
    }

    /// Returns true if the host waits for every product, since the driver is too old to order them on the device.
    pub fn blocks_the_host(&self) -> bool {
        self.order.blocks_the_host()
    }

    /// Enqueues a product after everything that was launched before.
    ///
    /// # Errors
    /// There is no kernel for it, or the device failed. The result is then undefined.
    ///
    /// # Safety
    /// The addresses hold operands as `key` describes them, and are not reused before this call.
    pub unsafe fn multiply(&mut self, key: Key, at: &Addresses) -> Result<(), String> {
        let Self { handle, workspace, order, plans } = self;
        order.enter().map_err(|error| format!("the device cannot be used: {error}"))?;
        let plan = match plans.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let plan = Plan::new(*handle, &key);
                if let Err(error) = &plan {
                    place.insert(None);
                    return Err(format!("{KNOWN} ({:?})", error.0));
                }
                place.insert(plan.ok())
            }
        };
        let Some(plan) = plan else { return Err(KNOWN.into()) };
        let outcome = order.run(|stream| {
            // SAFETY: operands are as the caller guarantees. All others of these live as long as the process, and the
            // workspace is used by this stream only.
            let done = unsafe { plan.enqueue(*handle, at, *workspace, stream.cast()) };
            done.map_err(|error| format!("cuBLASLt failed: {:?}", error.0))
        });
        if outcome.is_err() {
            // Not tried again, so that the reason is printed once.
            plans.insert(key, None);
        }
        outcome
    }
}

/// The error of a product that was refused before.
pub const KNOWN: &str = "there is no kernel for it";
