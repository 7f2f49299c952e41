//! Lists of tensors on their way to a backend: burn's own dispatch takes single ones only.

use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Backend, BackendTensor, DispatchKindConversion, DispatchTensor, DispatchTensorKind,
};
use burn::tensor::Tensor;

/// Where a tensor lives.
pub(super) enum Kind {
    Gpu,
    Cpu,
}

/// Where `tensor` lives, which must not be on an automatic differentiation device.
pub(super) fn kind<const N: usize>(tensor: &Tensor<N>) -> Kind {
    match tensor.clone().into_dispatch().kind {
        DispatchTensorKind::Cube(_) => Kind::Gpu,
        DispatchTensorKind::Flex(_) => Kind::Cpu,
        DispatchTensorKind::Autodiff(_) => unreachable!("optimizers do not differentiate"),
    }
}

/// A tensor as the backend it lives on has it.
pub(super) fn unwrap<B: Backend, const N: usize>(tensor: Tensor<N>) -> FloatTensor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let tensor = DispatchTensor::try_into_backend(tensor.into_dispatch());
    tensor.expect("all parameters are on one device").float()
}

/// A backend's tensor of `N` dimensions as burn has it.
pub(super) fn wrap<B: Backend, const N: usize>(tensor: FloatTensor<B>) -> Tensor<N>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    Tensor::from_dispatch(DispatchTensor::from_backend(BackendTensor::Float(tensor)))
}
