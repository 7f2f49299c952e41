//! Tensors that may be missing, in the form burn's dispatch takes them.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, ExtensionType};
use burn::tensor::{Int, Tensor};

/// `Option<FloatTensor<B>>`, which burn's dispatch does not take.
#[derive(ExtensionType)]
pub enum Optional<B: Backend> {
    /// There is one.
    Given(FloatTensor<B>),
    /// There is none.
    Missing,
}

impl<B: Backend> Optional<B> {
    /// The tensor, if there is one.
    pub fn into_option(self) -> Option<FloatTensor<B>> {
        match self {
            Self::Given(tensor) => Some(tensor),
            Self::Missing => None,
        }
    }

    /// From an option.
    pub fn from_option(tensor: Option<FloatTensor<B>>) -> Self {
        tensor.map_or(Self::Missing, Self::Given)
    }
}

/// From an option of what a model holds.
pub fn optional<const N: usize>(tensor: Option<Tensor<N>>) -> Optional<Dispatch> {
    Optional::from_option(tensor.map(Tensor::into_dispatch))
}

/// `Option<IntTensor<B>>`.
#[derive(ExtensionType)]
pub enum OptionalInts<B: Backend> {
    /// There is one.
    Given(IntTensor<B>),
    /// There is none.
    Missing,
}

impl<B: Backend> OptionalInts<B> {
    /// The tensor, if there is one.
    pub fn into_option(self) -> Option<IntTensor<B>> {
        match self {
            Self::Given(tensor) => Some(tensor),
            Self::Missing => None,
        }
    }

    /// From an option.
    pub fn from_option(tensor: Option<IntTensor<B>>) -> Self {
        tensor.map_or(Self::Missing, Self::Given)
    }
}

/// [`optional`] for whole numbers.
pub fn optional_ints<const N: usize>(tensor: Option<Tensor<N, Int>>) -> OptionalInts<Dispatch> {
    OptionalInts::from_option(tensor.map(Tensor::into_dispatch))
}
