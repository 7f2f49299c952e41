//! Floating-point types of the devices.
//!
//! ```
//! use blankslate::config::Precision;
//! use blankslate::kernels::precision;
//! use burn::tensor::Device;
//!
//! assert!(precision::require(Precision::F32, &Device::flex()).is_ok());
//! let error = precision::require(Precision::F16, &Device::flex()).unwrap_err();
//! assert!(error.to_string().ends_with("use precision f32"));
//! ```

use std::cell::Cell;

use burn::backend::DispatchDevice;
use burn::tensor::{Device, FloatDType};

use super::device;
use crate::config::Precision;
use crate::error::{Error, Result};

thread_local! {
    /// True while f32 products may round their factors to TF32.
    static TF32: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, whose products of f32 matrices round their factors to TF32 if `precision` is [`Precision::Tf32`], and are
/// exact otherwise.
pub fn with_products_in<T>(precision: Precision, work: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            TF32.set(self.0);
        }
    }
    let _restore = Restore(TF32.replace(precision == Precision::Tf32));
    work()
}

/// Returns true if products of f32 matrices may round their factors to TF32 here: see [`with_products_in`].
pub(super) fn rounds_to_tf32() -> bool {
    TF32.get()
}

/// Returns the tensor type of a precision.
pub fn dtype(precision: Precision) -> FloatDType {
    match precision {
        Precision::F32 | Precision::Tf32 => FloatDType::F32,
        Precision::F16 => FloatDType::F16,
        Precision::Bf16 => FloatDType::BF16,
    }
}

/// Checks that the kernels compute in `precision` on `device`.
///
/// # Errors
/// [`Error::Device`], which names a supported precision.
pub fn require(precision: Precision, device: &Device) -> Result<()> {
    let inner = device.clone().inner();
    // CPU tensors can be of any type, but its kernels are f32.
    let cpu = matches!(inner.as_dispatch(), DispatchDevice::Flex(_));
    let has = |precision| match precision {
        Precision::F32 => true,
        Precision::Tf32 => device::has_tf32(&inner),
        _ => !cpu && inner.supports_dtype(dtype(precision)),
    };
    if has(precision) {
        return Ok(());
    }
    let others = [Precision::Bf16, Precision::Tf32, Precision::F16];
    let other = others.into_iter().find(|other| has(*other));
    let also = other.map_or(String::new(), |other| format!(" or {}", name(other)));
    Err(Error::Device {
        device: "in use".into(),
        problem: format!("it does not compute in {}", name(precision)),
        remedy: format!("use precision f32{also}"),
    })
}

fn name(precision: Precision) -> &'static str {
    match precision {
        Precision::F32 => "f32",
        Precision::Tf32 => "tf32",
        Precision::F16 => "f16",
        Precision::Bf16 => "bf16",
    }
}
