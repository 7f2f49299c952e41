//! The beginning and the end of what ranks that divide a layer compute together: `f` and `g` of Megatron-LM (Shoeybi et al. 2019,
//! "Megatron-LM", section 3).
//!
//! Between [`enter`] and [`leave`], every rank computes with its part of the weights: what enters is the same on all of them, and
//! so is what leaves. A sum over the ranks is made in the forward pass at the end, and in the backward pass at the beginning.

mod cpu;
mod gpu;

use std::fmt::Debug;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, Dispatch, DispatchKindConversion, DispatchTensor, TensorMetadata,
    backend_extension,
};
use burn::tensor::{FloatDType, Shape, Tensor};

use super::autodiff::{Rule, record};
use super::check::Check;
use super::dispatch::{unwrap, wrap};

/// Ranks that add up tensors. All of them call it in the same order, so it must not depend on anything that differs between
/// them.
pub trait AddUp: Debug + Send + Sync {
    /// Returns the sum of the tensors `x [n]` of f32 of all ranks: the same bits on each of them. It waits for them.
    ///
    /// It cannot fail, as nothing in a backward pass can: an implementation keeps its error until it is asked for.
    fn add_up(&self, x: Tensor<1>) -> Tensor<1>;
}

/// Returns `x`. In the backward pass, its gradient is the sum of those of all ranks.
///
/// # Panics
/// If `x` is empty.
#[track_caller]
pub fn enter<const N: usize>(x: Tensor<N>, ranks: Arc<dyn AddUp>) -> Tensor<N> {
    check(Check("enter"), &x);
    Tensor::from_dispatch(Dispatch::enter(x.into_dispatch(), ranks))
}

/// Returns the sum of `x` over all ranks. In the backward pass, the gradient of the sum is that of `x` on each of them.
///
/// # Panics
/// If `x` is empty.
#[track_caller]
pub fn leave<const N: usize>(x: Tensor<N>, ranks: Arc<dyn AddUp>) -> Tensor<N> {
    check(Check("leave"), &x);
    Tensor::from_dispatch(Dispatch::leave(x.into_dispatch(), ranks))
}

#[track_caller]
fn check<const N: usize>(check: Check, x: &Tensor<N>) {
    check.float("x", x);
    check.not_empty("x", x);
}

/// The operations on every backend, autodiff included.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait AcrossOps: Backend {
    /// See [`enter`](fn@enter).
    fn enter(x: FloatTensor<Self>, ranks: Arc<dyn AddUp>) -> FloatTensor<Self>;

    /// See [`leave`](fn@leave).
    fn leave(x: FloatTensor<Self>, ranks: Arc<dyn AddUp>) -> FloatTensor<Self>;
}

/// Returns the sum of `x` over all ranks, in the dtype of `x`.
fn sum<B: Backend>(x: FloatTensor<B>, ranks: &dyn AddUp) -> FloatTensor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let (shape, dtype) = (x.shape(), FloatDType::from(x.dtype()));
    let flat = B::float_reshape(x, Shape::new([shape.num_elements()]));
    let sum = ranks.add_up(wrap::<B, 1>(flat).cast(FloatDType::F32)).cast(dtype);
    B::float_reshape(unwrap::<B, 1>(sum), shape)
}

/// Backward pass of [`enter`](fn@enter).
#[derive(Clone, Debug)]
struct Entered(Arc<dyn AddUp>);

impl<B: AcrossOps> Rule<B> for Entered {
    fn gradients(self, grad: FloatTensor<B>, _: &[bool]) -> Vec<Option<FloatTensor<B>>> {
        vec![Some(B::leave(grad, self.0))]
    }
}

/// Backward pass of [`leave`](fn@leave).
#[derive(Clone, Debug)]
struct Left;

impl<B: Backend> Rule<B> for Left {
    fn gradients(self, grad: FloatTensor<B>, _: &[bool]) -> Vec<Option<FloatTensor<B>>> {
        vec![Some(grad)]
    }
}

impl<B: AcrossOps, S: CheckpointStrategy> AcrossOps for Autodiff<B, S> {
    fn enter(x: FloatTensor<Self>, ranks: Arc<dyn AddUp>) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        record::<B, S, _>(vec![node], x, || Entered(ranks))
    }

    fn leave(x: FloatTensor<Self>, ranks: Arc<dyn AddUp>) -> FloatTensor<Self> {
        let (x, node) = x.into_parts();
        record::<B, S, _>(vec![node], B::leave(x, ranks), || Left)
    }
}
