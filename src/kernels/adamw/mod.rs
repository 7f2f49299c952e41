//! AdamW over all parameters at once, and the norm of all gradients.

pub(super) mod cpu;
pub(super) mod gpu;
mod layout;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Cube, DispatchKindConversion, DispatchTensor, Flex};
use burn::tensor::{Device, Tensor};

use super::lists::{Kind, kind, unwrap, wrap};
use layout::LOSS_SCALE;
pub(super) use layout::Layout;

/// Steps that must fit into f16 before the loss scale is doubled (as PyTorch's `GradScaler`).
pub const CALM: u32 = 2000;

/// One step of AdamW (Loshchilov & Hutter 2019).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Learning rate.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// What keeps the denominator from zero.
    pub eps: f32,
    /// Weight decay, multiplied by the learning rate.
    pub weight_decay: f32,
    /// `1 - beta1^t` at step `t`.
    pub correction1: f32,
    /// `1 - beta2^t`.
    pub correction2: f32,
}

/// Both moments of every parameter in a list, in one buffer. A clone keeps its
/// moments while this one goes on.
#[derive(Clone, Debug)]
pub struct Moments {
    state: Vec<Tensor<1>>,
    layout: Layout,
    /// Whether gradients come multiplied by a loss scale.
    scaled: bool,
}

impl Moments {
    /// Zeros, for flat parameters of `sizes` on `device`.
    pub fn zeros(sizes: &[usize], device: &Device) -> Self {
        let like = Tensor::<1>::empty([1], device);
        let largest = match kind(&like) {
            Kind::Gpu => Cube::largest(&unwrap::<Cube, 1>(like)),
            Kind::Cpu => Flex::largest(&unwrap::<Flex, 1>(like)),
        };
        let layout = Layout::new(sizes, largest);
        let state = layout.lengths().iter().map(|len| Tensor::zeros([*len], device)).collect();
        Self { state, layout, scaled: false }
    }

    /// The loss scale that the next gradients must come with, and how many steps fitted since it last changed, as
    /// [`Self::set_loss_scale`] takes them; without one, gradients come as they are.
    pub fn loss_scale(&self) -> Option<Tensor<1>> {
        self.scaled.then(|| self.state[0].clone().narrow(0, LOSS_SCALE, 2))
    }

    /// From now on [`Self::clip`] divides gradients by a loss scale, halves it when they are not finite, in which
    /// case the next [`Self::update`] changes nothing, and doubles it after [`CALM`] steps that fitted.
    pub fn set_loss_scale(&mut self, scale: Tensor<1>) {
        self.scaled = true;
        for state in &mut self.state {
            let (place, scale) = (LOSS_SCALE..LOSS_SCALE + 2, scale.clone());
            state.inplace(|state| state.slice_assign([place], scale));
        }
    }

    /// First and second moment of parameter `i`, flat.
    pub fn get(&self, i: usize) -> [Tensor<1>; 2] {
        let (slot, size) = self.layout.slot(i);
        let state = &self.state[slot.buffer];
        [slot.first, slot.second].map(|from| state.clone().narrow(0, from, size))
    }

    /// Sets the moments of parameter `i`.
    pub fn set(&mut self, i: usize, moments: [Tensor<1>; 2]) {
        let (slot, size) = self.layout.slot(i);
        for (from, moment) in [slot.first, slot.second].into_iter().zip(moments) {
            let place = from..from + size;
            self.state[slot.buffer].inplace(|state| state.slice_assign([place], moment));
        }
    }

    /// The norm of all `grads` together, `[1]`. The next [`Self::update`] multiplies its gradients by what
    /// brings them down to `max_norm`, if that is given.
    pub fn clip(&mut self, grads: &[Tensor<1>], max_norm: Option<f32>) -> Tensor<1> {
        let state = std::mem::take(&mut self.state);
        let (norm, state) = match kind(&grads[0]) {
            Kind::Gpu => clip::<Cube>(grads, state, max_norm, self.scaled),
            Kind::Cpu => clip::<Flex>(grads, state, max_norm, self.scaled),
        };
        self.state = state;
        norm
    }

    /// `params` after one step along `grads`, for which [`Self::clip`] was called before; `decays` says which of them decay. Parameters that nobody else
    /// holds are changed in place.
    pub fn update(
        &mut self,
        params: Vec<Tensor<1>>,
        grads: Vec<Tensor<1>>,
        decays: &[bool],
        step: Step,
    ) -> Vec<Tensor<1>> {
        let update = Update { layout: &self.layout, decays, step };
        let state = std::mem::take(&mut self.state);
        let (params, state) = match kind(&params[0]) {
            Kind::Gpu => run::<Cube>(params, grads, state, update),
            Kind::Cpu => run::<Flex>(params, grads, state, update),
        };
        self.state = state;
        params
    }
}

/// What an update needs beside tensors.
#[derive(Clone, Copy)]
pub(super) struct Update<'a> {
    pub(super) layout: &'a Layout,
    pub(super) decays: &'a [bool],
    pub(super) step: Step,
}

/// What a backend brings along for it.
pub(super) trait AdamwKernels: Backend {
    /// Numbers the largest buffer may hold, on the device of `like`.
    fn largest(like: &FloatTensor<Self>) -> usize;

    /// The norm of `grads`, and `state` with the factor that brings it down to `max_norm`, or one; if they are
    /// `scaled`, both for the gradients without their scale, and `state` with the next one.
    fn clip(
        grads: &[FloatTensor<Self>],
        state: Vec<FloatTensor<Self>>,
        max_norm: Option<f32>,
        scaled: bool,
    ) -> (FloatTensor<Self>, Vec<FloatTensor<Self>>);

    /// Parameters and state after a step.
    fn update(
        params: Vec<FloatTensor<Self>>,
        grads: Vec<FloatTensor<Self>>,
        state: Vec<FloatTensor<Self>>,
        update: Update<'_>,
    ) -> (Vec<FloatTensor<Self>>, Vec<FloatTensor<Self>>);
}

fn clip<B: AdamwKernels>(
    grads: &[Tensor<1>],
    state: Vec<Tensor<1>>,
    max_norm: Option<f32>,
    scaled: bool,
) -> (Tensor<1>, Vec<Tensor<1>>)
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let grads: Vec<_> = grads.iter().cloned().map(unwrap::<B, 1>).collect();
    let state = state.into_iter().map(unwrap::<B, 1>).collect();
    let (norm, state) = B::clip(&grads, state, max_norm, scaled);
    (wrap::<B, 1>(norm), state.into_iter().map(wrap::<B, 1>).collect())
}

fn run<B: AdamwKernels>(
    params: Vec<Tensor<1>>,
    grads: Vec<Tensor<1>>,
    state: Vec<Tensor<1>>,
    update: Update<'_>,
) -> (Vec<Tensor<1>>, Vec<Tensor<1>>)
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let [params, grads, state] =
        [params, grads, state].map(|list| list.into_iter().map(unwrap::<B, 1>).collect::<Vec<_>>());
    let (params, state) = B::update(params, grads, state, update);
    let [params, state] =
        [params, state].map(|list| list.into_iter().map(wrap::<B, 1>).collect::<Vec<_>>());
    (params, state)
}
