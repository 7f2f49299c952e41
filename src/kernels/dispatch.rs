//! Optional tensors and lists of tensors on their way to a backend: burn's dispatch takes single tensors only.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{
    Backend, BackendTensor, Dispatch, DispatchKindConversion, DispatchTensor, DispatchTensorKind,
    ExtensionType,
};
use burn::tensor::{Int, Tensor};

/// `Option<FloatTensor<B>>` in the form that burn's dispatch takes.
#[derive(ExtensionType)]
pub enum Optional<B: Backend> {
    /// `Some`.
    Given(FloatTensor<B>),
    /// `None`.
    Missing,
}

impl<B: Backend> Optional<B> {
    /// Converts to an option.
    pub fn into_option(self) -> Option<FloatTensor<B>> {
        match self {
            Self::Given(tensor) => Some(tensor),
            Self::Missing => None,
        }
    }

    /// Converts from an option.
    pub fn from_option(tensor: Option<FloatTensor<B>>) -> Self {
        tensor.map_or(Self::Missing, Self::Given)
    }
}

/// Converts an optional tensor for burn's dispatch.
pub fn optional<const N: usize>(tensor: Option<Tensor<N>>) -> Optional<Dispatch> {
    Optional::from_option(tensor.map(Tensor::into_dispatch))
}

/// [`Optional`] for integers.
#[derive(ExtensionType)]
pub enum OptionalInts<B: Backend> {
    /// `Some`.
    Given(IntTensor<B>),
    /// `None`.
    Missing,
}

impl<B: Backend> OptionalInts<B> {
    /// Converts to an option.
    pub fn into_option(self) -> Option<IntTensor<B>> {
        match self {
            Self::Given(tensor) => Some(tensor),
            Self::Missing => None,
        }
    }

    /// Converts from an option.
    pub fn from_option(tensor: Option<IntTensor<B>>) -> Self {
        tensor.map_or(Self::Missing, Self::Given)
    }
}

/// [`optional`] for integers.
pub fn optional_ints<const N: usize>(tensor: Option<Tensor<N, Int>>) -> OptionalInts<Dispatch> {
    OptionalInts::from_option(tensor.map(Tensor::into_dispatch))
}

/// Backend of a tensor.
pub(super) enum Kind {
    Gpu,
    Cpu,
}

/// Returns the backend of `tensor`.
///
/// # Panics
/// If the tensor is on an autodiff device: optimizers are not differentiated.
pub(super) fn kind<const N: usize>(tensor: &Tensor<N>) -> Kind {
    match tensor.clone().into_dispatch().kind {
        DispatchTensorKind::Cube(_) => Kind::Gpu,
        DispatchTensorKind::Flex(_) => Kind::Cpu,
        DispatchTensorKind::Autodiff(_) => {
            panic!("an optimizer's tensor is on an autodiff device; use its inner tensor")
        }
    }
}

/// Converts a tensor to the representation of its backend `B`.
pub(super) fn unwrap<B: Backend, const N: usize>(tensor: Tensor<N>) -> FloatTensor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let tensor = DispatchTensor::try_into_backend(tensor.into_dispatch());
    tensor.expect("the caller checked that all tensors are on one device").float()
}

/// Converts a backend's tensor of `N` dimensions to burn's.
pub(super) fn wrap<B: Backend, const N: usize>(tensor: FloatTensor<B>) -> Tensor<N>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    Tensor::from_dispatch(DispatchTensor::from_backend(BackendTensor::Float(tensor)))
}
