//! Checks of arguments before a kernel is launched: kernels themselves check nothing.
//!
//! A wrong shape, dtype or device is a bug in the calling code. As in burn's own operations (`check!` in
//! burn-tensor), the call panics with a message that names the operation, the argument, the value found and the value
//! expected. Values that come from data (token ids, targets, document boundaries) are checked on the host when they are
//! put on a device, and refused with an [`Error`](crate::error::Error).

use burn::backend::DispatchDevice;
use burn::tensor::kind::Basic;
use burn::tensor::{DType, Tensor};

/// Checks of one call of an operation.
#[derive(Clone, Copy)]
pub(super) struct Check(pub(super) &'static str);

impl Check {
    /// Panics with `problem` unless `holds`.
    #[track_caller]
    pub(super) fn require(self, holds: bool, problem: impl FnOnce() -> String) {
        assert!(holds, "{}: {}", self.0, problem());
    }

    /// Panics unless `tensor` has the shape `expected`, whose dimensions are called `names`.
    #[track_caller]
    pub(super) fn shape<const D: usize, K: Basic>(
        self,
        name: &str,
        tensor: &Tensor<D, K>,
        names: &str,
        expected: [usize; D],
    ) {
        let found = tensor.dims();
        self.require(found == expected, || {
            format!("`{name}` has shape {found:?}, expected {names} = {expected:?}")
        });
    }

    /// Panics if `tensor` is empty, which no kernel computes: a launch has at least one row.
    #[track_caller]
    pub(super) fn not_empty<const D: usize, K: Basic>(self, name: &str, tensor: &Tensor<D, K>) {
        let found = tensor.dims();
        self.require(!found.contains(&0), || format!("`{name}` has shape {found:?}: it is empty"));
    }

    /// Panics unless `tensor` is of a type that the kernels of its device compute in.
    #[track_caller]
    pub(super) fn float<const D: usize>(self, name: &str, tensor: &Tensor<D>) {
        let dtype = tensor.dtype();
        let device = tensor.device().inner();
        let cpu = matches!(device.as_dispatch(), DispatchDevice::Flex(_));
        let types: &[DType] =
            if cpu { &[DType::F32] } else { &[DType::F32, DType::F16, DType::BF16] };
        self.require(types.contains(&dtype), || {
            format!("`{name}` is {dtype:?}, expected one of {types:?} on this device")
        });
    }

    /// Panics unless `other` is on the device of `x` and of its type.
    #[track_caller]
    pub(super) fn alike<const D: usize, const E: usize>(
        self,
        x: &Tensor<D>,
        name: &str,
        other: &Tensor<E>,
    ) {
        self.same_device(x, name, other);
        let (found, expected) = (other.dtype(), x.dtype());
        self.require(found == expected, || {
            format!("`{name}` is {found:?}, expected {expected:?} as the first tensor")
        });
    }

    /// Panics unless `other` is on the device of `x`.
    #[track_caller]
    pub(super) fn same_device<const D: usize, const E: usize, K: Basic>(
        self,
        x: &Tensor<D>,
        name: &str,
        other: &Tensor<E, K>,
    ) {
        let (found, expected) = (other.device(), x.device());
        self.require(found == expected, || {
            format!("`{name}` is on {found:?}, expected {expected:?} as the first tensor")
        });
    }

    /// Panics unless `heads` query heads share `kv_heads` key and value heads evenly and no number is 0.
    #[track_caller]
    pub(super) fn heads(self, heads: usize, kv_heads: usize, dim: usize) {
        self.require(heads > 0 && kv_heads > 0 && dim > 0, || {
            format!(
                "{heads} query heads, {kv_heads} key/value heads of {dim} numbers: none may be 0"
            )
        });
        self.require(heads.is_multiple_of(kv_heads), || {
            format!("{heads} query heads are not a multiple of {kv_heads} key/value heads")
        });
    }
}
