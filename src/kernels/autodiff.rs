//! Registers operations with a backward pass of their own in burn's automatic differentiation.

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend};

/// State that an operation saves in its forward pass, and the backward pass that uses it.
pub trait Rule<B: Backend>: Clone + Debug + Send + 'static {
    /// Returns the gradients of the inputs, in the order of [`record`]'s `inputs`. `wanted` says which are used.
    fn gradients(self, grad: FloatTensor<B>, wanted: &[bool]) -> Vec<Option<FloatTensor<B>>>;
}

#[derive(Debug)]
struct Recorded<R>(PhantomData<R>);

impl<B: Backend, R: Rule<B>, const N: usize> Backward<B, N> for Recorded<R> {
    type State = R;

    fn backward(self, ops: Ops<R, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = ops.state.gradients(grad, &wanted);
        for (parent, grad) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(grad)) = (parent, grad) {
                grads.register::<B>(parent.id, grad);
            }
        }
    }
}

/// Makes `output` depend on `inputs` through `rule`, which is built only if an input is tracked.
///
/// # Panics
/// With no input or more than four.
pub fn record<B: Backend, S: CheckpointStrategy, R: Rule<B>>(
    inputs: Vec<NodeGuard>,
    output: FloatTensor<B>,
    rule: impl FnOnce() -> R,
) -> FloatTensor<Autodiff<B, S>> {
    fn exactly<B: Backend, S: CheckpointStrategy, R: Rule<B>, const N: usize>(
        inputs: Vec<NodeGuard>,
        output: FloatTensor<B>,
        rule: impl FnOnce() -> R,
    ) -> FloatTensor<Autodiff<B, S>> {
        let inputs: [NodeGuard; N] = inputs.try_into().expect("counted by the caller");
        match Recorded(PhantomData::<R>).prepare::<S>(inputs).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(rule(), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
    match inputs.len() {
        1 => exactly::<B, S, R, 1>(inputs, output, rule),
        2 => exactly::<B, S, R, 2>(inputs, output, rule),
        3 => exactly::<B, S, R, 3>(inputs, output, rule),
        4 => exactly::<B, S, R, 4>(inputs, output, rule),
        n => unreachable!("an operation of {n} inputs"),
    }
}

/// Splits an optional tensor into its value and its node in the graph.
pub fn split<B: Backend, S: CheckpointStrategy>(
    tensor: Option<FloatTensor<Autodiff<B, S>>>,
) -> (Option<FloatTensor<B>>, Option<NodeGuard>) {
    tensor.map(|tensor| tensor.into_parts()).unzip()
}
