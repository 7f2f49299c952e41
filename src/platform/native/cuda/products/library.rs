//! Finds cuBLASLt.

use std::env;
use std::env::consts::DLL_SUFFIX;
use std::ffi::OsString;

use cudarc::cublaslt::sys;
use cudarc::get_lib_name_candidates;

/// Environment variable that chooses the library of the products.
pub const SWITCH: &str = "BLANKSLATE_PRODUCTS";

/// Oldest version with everything that is used here: that of CUDA 12.
const OLDEST: usize = 120_000;

/// The user's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// cuBLASLt if it is installed, burn's kernels otherwise.
    Auto,
    /// burn's kernels.
    Burn,
    /// cuBLASLt, or an error.
    CublasLt,
}

impl Choice {
    /// Reads the environment.
    ///
    /// # Errors
    /// The value, if it is unknown.
    pub fn of_environment() -> Result<Self, OsString> {
        let Some(value) = env::var_os(SWITCH) else { return Ok(Self::Auto) };
        match value.to_str() {
            Some("" | "auto") => Ok(Self::Auto),
            Some("burn") => Ok(Self::Burn),
            Some("cublaslt") => Ok(Self::CublasLt),
            _ => Err(value),
        }
    }
}

/// Loads the library and returns its version, or else the reason why it cannot be used.
pub fn load() -> Result<String, String> {
    // SAFETY: it only tries to load the library.
    if !unsafe { sys::is_culib_present() } {
        return Err(format!("cuBLASLt was not found (looked for {})", names().join(", ")));
    }
    // SAFETY: the library was found, and has had this function since its first version.
    let version = unsafe { sys::cublasLtGetVersion() };
    if version < OLDEST {
        return Err(format!(
            "cuBLASLt is too old: version {}, and {} is needed",
            number(version),
            number(OLDEST)
        ));
    }
    Ok(number(version))
}

/// Names under which the library may be installed on this system.
fn names() -> Vec<String> {
    let mut names = get_lib_name_candidates("cublasLt");
    // Windows has the word size in the names.
    names.retain(|name| !name.contains("64") || DLL_SUFFIX == ".dll");
    names
}

fn number(version: usize) -> String {
    format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
}

#[cfg(test)]
mod tests {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};

    use super::{names, number};

    #[test]
    fn versions_are_written_as_nvidia_writes_them() {
        assert_eq!(number(120_805), "12.8.5");
        assert_eq!(number(130_100), "13.1.0");
    }

    #[test]
    fn names_are_those_of_this_system() {
        let plain = format!("{DLL_PREFIX}cublasLt{DLL_SUFFIX}");
        assert!(names().contains(&plain));
        assert!(names().iter().all(|name| name.contains(DLL_SUFFIX)));
    }
}
