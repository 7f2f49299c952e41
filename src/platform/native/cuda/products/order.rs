//! Synchronization of the products, which run in a stream of their own, with burn's kernels, whose streams are not accessible.
//!
//! With CUDA 12.5 or newer, the driver does it on the device, for the whole context: the products wait for an event that captures
//! everything launched before (`cuCtxRecordEvent`), and everything launched later waits for the products (`cuCtxWaitEvent`). The host
//! runs ahead as usual. With an older driver the host itself waits, before each product and after it.
//!
//! "Before" and "later" are certain because products are enqueued by the thread that launches all kernels of the device.

use std::ptr;

use cudarc::driver::result::{self, DriverError, ctx, event, primary_ctx, stream};
use cudarc::driver::sys::{
    self, CUcontext, CUevent, CUevent_flags, CUevent_wait_flags, CUresult, CUstream,
};

/// `cuCtxRecordEvent` or `cuCtxWaitEvent`.
type OfContext = unsafe extern "C" fn(CUcontext, CUevent) -> CUresult;

/// The stream of the products of one device, and its synchronization.
pub struct Order {
    context: CUcontext,
    stream: CUstream,
    /// Recorded after everything that was launched before a product.
    before: CUevent,
    /// Recorded after a product.
    done: CUevent,
    /// `cuCtxRecordEvent` and `cuCtxWaitEvent`, if the driver has them.
    on_device: Option<(OfContext, OfContext)>,
}

impl Order {
    /// Creates a stream on the GPU with this index, in the context that burn uses.
    pub fn new(index: usize) -> Result<Self, DriverError> {
        let device = result::device::get(index as i32)?;
        let kind = CUevent_flags::CU_EVENT_DISABLE_TIMING;
        // SAFETY: the driver returned the device. The context is never released, so it outlives everything created in it.
        let context = unsafe { primary_ctx::retain(device)? };
        // SAFETY: the context was just retained.
        unsafe { ctx::set_current(context)? };
        Ok(Self {
            context,
            stream: stream::create(stream::StreamKind::NonBlocking)?,
            before: event::create(kind)?,
            done: event::create(kind)?,
            on_device: of_context("cuCtxRecordEvent").zip(of_context("cuCtxWaitEvent")),
        })
    }

    /// Returns true if the host waits for every product.
    pub fn blocks_the_host(&self) -> bool {
        self.on_device.is_none()
    }

    /// Makes the context current in this thread.
    pub fn enter(&self) -> Result<(), DriverError> {
        // SAFETY: the context is never released.
        unsafe { ctx::set_current(self.context) }
    }

    /// Calls `enqueue` with the stream. The enqueued work runs after everything that was launched before, and before everything
    /// that is launched later.
    pub fn run<T>(&self, enqueue: impl FnOnce(CUstream) -> Result<T, String>) -> Result<T, String> {
        self.begin().map_err(|error| format!("waiting for the device failed: {error}"))?;
        let outcome = enqueue(self.stream);
        // Also if it failed: part of the work may have been enqueued.
        self.end().map_err(|error| format!("waiting for the product failed: {error}"))?;
        outcome
    }

    fn begin(&self) -> Result<(), DriverError> {
        let Some((record, _)) = self.on_device else { return ctx::synchronize() };
        // SAFETY: the event belongs to the context, and both outlive the call.
        unsafe { record(self.context, self.before) }.result()?;
        let flags = CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: stream and event are never destroyed.
        unsafe { stream::wait_event(self.stream, self.before, flags) }
    }

    fn end(&self) -> Result<(), DriverError> {
        let Some((_, wait)) = self.on_device else {
            // SAFETY: the stream is never destroyed.
            return unsafe { stream::synchronize(self.stream) };
        };
        // SAFETY: event and stream are never destroyed.
        let ordered = unsafe { event::record(self.done, self.stream) }
            // SAFETY: the event belongs to the context, and both outlive the call.
            .and_then(|()| unsafe { wait(self.context, self.done) }.result());
        // SAFETY: the stream is never destroyed. The host waits if the device does not.
        ordered.or_else(|_| unsafe { stream::synchronize(self.stream) })
    }
}

/// Looks up a function that older drivers lack.
fn of_context(name: &str) -> Option<OfContext> {
    // SAFETY: the driver was loaded to open the device. Both functions are of this type.
    let found = unsafe { sys::culib().get::<OfContext>(name.as_bytes()) };
    found.ok().map(|function| *function)
}

/// Allocates memory that is never freed, in the current context.
pub fn allocate(bytes: usize) -> Result<*mut std::ffi::c_void, DriverError> {
    // SAFETY: nothing reads it before it was written.
    let address = unsafe { result::malloc_sync(bytes)? };
    Ok(ptr::with_exposed_provenance_mut(address as usize))
}
