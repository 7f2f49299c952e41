//! Bindings of NVIDIA's library of collectives, which is loaded at run time, and descriptions of its errors.
//!
//! It is declared here instead of using cudarc, which does not search for `libnccl.so.2`, the only name in packages without
//! headers, and panics if a function is missing.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

/// Names of the library, of which the first is the one that every package has.
const NAMES: [&str; 2] = ["libnccl.so.2", "libnccl.so"];

/// Remedy if it is missing.
pub const INSTALL: &str = "install it (Debian: libnccl2, PyPI: nvidia-nccl-cu13), or set LD_LIBRARY_PATH to the folder that holds libnccl.so.2";

/// Number of bytes of a [`UniqueId`].
pub const ID_BYTES: usize = 128;

/// Result of most functions; 0 is success.
type Code = c_int;
/// A communicator.
pub type Comm = *mut c_void;
/// A CUDA stream.
pub type Stream = *mut c_void;

/// Id that the ranks of a communicator share when they create it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct UniqueId(pub [u8; ID_BYTES]);

/// Type of numbers, as NCCL counts them.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    F16 = 6,
    F32 = 7,
    F64 = 8,
    Bf16 = 9,
}

/// Adds numbers up, as NCCL counts its operations.
pub const SUM: c_int = 0;

type Init = unsafe extern "C" fn(*mut Comm, c_int, UniqueId, c_int) -> Code;
type Sum =
    unsafe extern "C" fn(*const c_void, *mut c_void, usize, DataType, c_int, Comm, Stream) -> Code;
type Reduce = unsafe extern "C" fn(
    *const c_void,
    *mut c_void,
    usize,
    DataType,
    c_int,
    c_int,
    Comm,
    Stream,
) -> Code;
type Gather =
    unsafe extern "C" fn(*const c_void, *mut c_void, usize, DataType, Comm, Stream) -> Code;
type Broadcast =
    unsafe extern "C" fn(*const c_void, *mut c_void, usize, DataType, c_int, Comm, Stream) -> Code;
type Send = unsafe extern "C" fn(*const c_void, usize, DataType, c_int, Comm, Stream) -> Code;
type Receive = unsafe extern "C" fn(*mut c_void, usize, DataType, c_int, Comm, Stream) -> Code;

/// The functions of the library. They can be called from any thread.
pub struct Library {
    version: c_int,
    get_unique_id: unsafe extern "C" fn(*mut UniqueId) -> Code,
    pub comm_init_rank: Init,
    pub comm_abort: unsafe extern "C" fn(Comm) -> Code,
    comm_get_async_error: unsafe extern "C" fn(Comm, *mut Code) -> Code,
    get_error_string: unsafe extern "C" fn(Code) -> *const c_char,
    get_last_error: unsafe extern "C" fn(Comm) -> *const c_char,
    pub reduce_scatter: Sum,
    pub reduce: Reduce,
    pub all_gather: Gather,
    pub broadcast: Broadcast,
    pub send: Send,
    pub receive: Receive,
    pub group_start: unsafe extern "C" fn() -> Code,
    pub group_end: unsafe extern "C" fn() -> Code,
    /// Keeps the functions above in memory.
    _loaded: libloading::Library,
}

impl Library {
    /// Returns the library, which is loaded by the first call.
    ///
    /// # Errors
    /// It is missing or too old. The error has the problem and its remedy.
    pub fn load() -> Result<&'static Self, (String, &'static str)> {
        static LOADED: OnceLock<Result<Library, (String, &'static str)>> = OnceLock::new();
        LOADED.get_or_init(Self::open).as_ref().map_err(Clone::clone)
    }

    fn open() -> Result<Self, (String, &'static str)> {
        // SAFETY: NVIDIA's library, whose loading has no side effects.
        let library =
            NAMES.into_iter().find_map(|name| unsafe { libloading::Library::new(name) }.ok());
        let Some(library) = library else {
            return Err((format!("{} was not found", NAMES[0]), INSTALL));
        };
        let missing =
            |name: &str| (format!("libnccl.so.2 has no {name}"), "install NCCL 2.13 or newer");
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: the type of the field that it becomes is that of the function in nccl.h.
                *unsafe { library.get($name.as_bytes()) }.map_err(|_| missing($name))?
            };
        }
        let get_version: unsafe extern "C" fn(*mut c_int) -> Code = function!("ncclGetVersion");
        let mut nccl = Self {
            version: 0,
            get_unique_id: function!("ncclGetUniqueId"),
            comm_init_rank: function!("ncclCommInitRank"),
            comm_abort: function!("ncclCommAbort"),
            comm_get_async_error: function!("ncclCommGetAsyncError"),
            get_error_string: function!("ncclGetErrorString"),
            get_last_error: function!("ncclGetLastError"),
            reduce_scatter: function!("ncclReduceScatter"),
            reduce: function!("ncclReduce"),
            all_gather: function!("ncclAllGather"),
            broadcast: function!("ncclBroadcast"),
            send: function!("ncclSend"),
            receive: function!("ncclRecv"),
            group_start: function!("ncclGroupStart"),
            group_end: function!("ncclGroupEnd"),
            _loaded: library,
        };
        // SAFETY: the library writes to `version`, which outlives the call.
        let code = unsafe { get_version(&mut nccl.version) };
        nccl.check(code, ptr::null_mut()).map_err(|problem| (problem, INSTALL))?;
        Ok(nccl)
    }

    /// Returns the version: 2.27.5 is 22705.
    pub fn version(&self) -> i32 {
        self.version
    }

    /// Returns a new id, which the ranks of one communicator share.
    pub fn unique_id(&self) -> Result<UniqueId, String> {
        let mut id = UniqueId([0; ID_BYTES]);
        // SAFETY: the library writes to `id`, which outlives the call.
        self.check(unsafe { (self.get_unique_id)(&mut id) }, ptr::null_mut())?;
        Ok(id)
    }

    /// Converts the result of a function on `comm`, which may be null, to an error message.
    pub fn check(&self, code: Code, comm: Comm) -> Result<(), String> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: both functions return text that lives as long as the library, or null.
        let [what, last] = unsafe {
            [(self.get_error_string)(code), (self.get_last_error)(comm)].map(|text| words(text))
        };
        let detail = if last.is_empty() { String::new() } else { format!(" ({last})") };
        Err(format!("NCCL reports: {what}{detail}; NCCL_DEBUG=INFO shows more"))
    }

    /// Returns the error of a running operation on `comm`, if it has one.
    ///
    /// # Safety
    /// `comm` was created and not aborted.
    pub unsafe fn async_error(&self, comm: Comm) -> Result<(), String> {
        let mut found = 0;
        // SAFETY: `comm` is valid, and the library writes to `found`, which outlives the call.
        self.check(unsafe { (self.comm_get_async_error)(comm, &mut found) }, comm)?;
        self.check(found, comm)
    }
}

/// Returns a text of C in one line.
///
/// # Safety
/// It is null, or ends with a zero.
unsafe fn words(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Formats a version as text: 2.27.5.
pub fn describe(version: i32) -> String {
    // Up to 2.8, two digits fewer.
    let (major, rest) = match version {
        ..10_000 => (version / 1000, version % 1000),
        _ => (version / 10_000, version % 10_000),
    };
    format!("{major}.{}.{}", rest / 100, rest % 100)
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn versions_are_written_with_dots() {
        for (version, text) in
            [(2804, "2.8.4"), (21304, "2.13.4"), (22705, "2.27.5"), (23003, "2.30.3")]
        {
            assert_eq!(describe(version), text);
        }
    }
}
