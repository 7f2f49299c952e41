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

use burn::backend::DispatchDevice;
use burn::tensor::{Device, FloatDType};

use crate::config::Precision;
use crate::error::{Error, Result};

/// Returns the tensor type of a precision.
pub fn dtype(precision: Precision) -> FloatDType {
    match precision {
        Precision::F32 => FloatDType::F32,
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
        _ => !cpu && inner.supports_dtype(dtype(precision)),
    };
    if has(precision) {
        return Ok(());
    }
    let other = [Precision::Bf16, Precision::F16].into_iter().find(|other| has(*other));
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
        Precision::F16 => "f16",
        Precision::Bf16 => "bf16",
    }
}
