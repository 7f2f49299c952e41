//! AdamW over all parameters at once, with clipping by global norm and the loss scale of f16.
//!
//! ```
//! use blankslate::kernels::adamw::{Moments, Step};
//! use burn::tensor::{Device, Tensor};
//!
//! let device = Device::flex();
//! let params = vec![Tensor::<1>::from_data([1.0, 1.0], &device)];
//! let grads = vec![Tensor::<1>::from_data([3.0, -4.0], &device)];
//! let mut moments = Moments::zeros(&[2], &device);
//! assert_eq!(moments.clip(&grads, None).into_scalar::<f32>(), 5.0);
//!
//! let step = Step {
//!     lr: 0.1, beta1: 0.9, beta2: 0.99, eps: 0.0, weight_decay: 0.0,
//!     correction1: 0.1, correction2: 0.01,
//! };
//! let params = moments.update(params, grads, &[false], step);
//! let params = params[0].clone().into_data().to_vec::<f32>().unwrap();
//! // Whatever the gradient, the first step is as long as the learning rate.
//! assert!((params[0] - 0.9).abs() < 1e-5 && (params[1] - 1.1).abs() < 1e-5);
//! ```

mod cpu;
mod gpu;
mod layout;
mod norm;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Cube, DispatchKindConversion, DispatchTensor, Flex};
use burn::tensor::{Device, Tensor};

use super::check::Check;
use super::cost::Cost;
use super::dispatch::{Kind, kind, unwrap, wrap};
pub use cpu::norm_block;
use layout::LOSS_SCALE;
pub(super) use layout::Layout;
pub use norm::{norm_of, partial_squares};

/// Steps without overflow after which the loss scale is doubled (`growth_interval` of PyTorch's `GradScaler`).
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
    /// Added to the denominator for numerical stability.
    pub eps: f32,
    /// Weight decay, multiplied by the learning rate.
    pub weight_decay: f32,
    /// `1 - beta1^t` at step `t`.
    pub correction1: f32,
    /// `1 - beta2^t`.
    pub correction2: f32,
}

/// Returns the cost of [`Moments::clip`] and [`Moments::update`], all in f32: gradients are read twice,
/// parameters and two moments read and written.
pub fn cost(parameters: usize) -> Cost {
    Cost { bytes: 4.0 * 8.0 * parameters as f64, flops: 0.0 }
}

/// First and second moments of every parameter in a list, in one buffer. A clone is a snapshot.
#[derive(Clone, Debug)]
pub struct Moments {
    state: Vec<Tensor<1>>,
    layout: Layout,
    /// True if gradients are multiplied by a loss scale.
    scaled: bool,
}

impl Moments {
    /// Returns zero moments for flat parameters of `sizes` on `device`, which must not be an autodiff device.
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

    /// Returns the current loss scale and the number of steps without overflow since it last changed, `[2]`, or `None`
    /// if gradients are not scaled.
    pub fn loss_scale(&self) -> Option<Tensor<1>> {
        self.scaled.then(|| self.state[0].clone().narrow(0, LOSS_SCALE, 2))
    }

    /// Sets the loss scale and its step count, `[2]`. From then on [`Self::clip`] divides gradients by it, halves it if
    /// they are not finite (then the next [`Self::update`] changes nothing), and doubles it after [`CALM`] steps without
    /// overflow.
    ///
    /// # Panics
    /// If `scale` does not have two elements.
    #[track_caller]
    pub fn set_loss_scale(&mut self, scale: Tensor<1>) {
        Check("Moments::set_loss_scale").shape("scale", &scale, "[2]", [2]);
        self.scaled = true;
        for state in &mut self.state {
            let place = LOSS_SCALE..LOSS_SCALE + 2;
            let scale = scale.clone();
            state.inplace(|state| state.slice_assign([place], scale));
        }
    }

    /// Returns the first and second moment of parameter `i`, flat.
    pub fn get(&self, i: usize) -> [Tensor<1>; 2] {
        let (slot, size) = self.layout.slot(i);
        let state = &self.state[slot.buffer];
        [slot.first, slot.second].map(|from| state.clone().narrow(0, from, size))
    }

    /// Sets the moments of parameter `i`.
    ///
    /// # Panics
    /// If their sizes are not the parameter's.
    #[track_caller]
    pub fn set(&mut self, i: usize, moments: [Tensor<1>; 2]) {
        let (slot, size) = self.layout.slot(i);
        for moment in &moments {
            Check("Moments::set").shape("moment", moment, "[size]", [size]);
        }
        for (from, moment) in [slot.first, slot.second].into_iter().zip(moments) {
            let place = from..from + size;
            self.state[slot.buffer].inplace(|state| state.slice_assign([place], moment));
        }
    }

    /// Returns the norm of all `grads` together, `[1]`. The next [`Self::update`] multiplies its gradients by the
    /// factor that reduces this norm to `max_norm`, if given. `grads` may include those of parameters that another
    /// optimizer updates: the norm is that of the whole model.
    ///
    /// # Panics
    /// If there are fewer gradients than parameters, or their devices or dtypes differ.
    #[track_caller]
    pub fn clip(&mut self, grads: &[Tensor<1>], max_norm: Option<f32>) -> Tensor<1> {
        let check = Check("Moments::clip");
        let count = self.layout.slots().len().max(1);
        check.require(grads.len() >= count, || {
            format!("{} `grads`, expected at least {count}", grads.len())
        });
        check.float("grads", &grads[0]);
        check.same_device(&self.state[0], "grads", &grads[0]);
        for grad in grads {
            check.alike(&grads[0], "grads", grad);
        }
        self.clip_all(grads, max_norm)
    }

    /// As [`Self::clip`], if the norm of all gradients, `[1]`, was computed elsewhere: see [`norm_of`].
    ///
    /// # Panics
    /// If `norm` is not `[1]`.
    #[track_caller]
    pub fn clip_by(&mut self, norm: Tensor<1>, max_norm: Option<f32>) -> Tensor<1> {
        Check("Moments::clip_by").shape("norm", &norm, "[1]", [1]);
        // The norm of a vector of one number is that number.
        self.clip_all(&[norm], max_norm)
    }

    fn clip_all(&mut self, grads: &[Tensor<1>], max_norm: Option<f32>) -> Tensor<1> {
        let state = std::mem::take(&mut self.state);
        let (norm, state) = match kind(&grads[0]) {
            Kind::Gpu => clip::<Cube>(grads, state, max_norm, self.scaled),
            Kind::Cpu => clip::<Flex>(grads, state, max_norm, self.scaled),
        };
        self.state = state;
        norm
    }

    /// Returns `params` after one step along `grads`, the arguments of the last [`Self::clip`]. `decays` says which
    /// parameters have weight decay. Parameters that are not shared are changed in place.
    ///
    /// # Panics
    /// If number, sizes, devices or dtypes of parameters and gradients do not fit.
    #[track_caller]
    pub fn update(
        &mut self,
        params: Vec<Tensor<1>>,
        grads: Vec<Tensor<1>>,
        decays: &[bool],
        step: Step,
    ) -> Vec<Tensor<1>> {
        let check = Check("Moments::update");
        self.check(check, "params", &params);
        self.check(check, "grads", &grads);
        check.alike(&params[0], "grads", &grads[0]);
        check.require(decays.len() == params.len(), || {
            format!("{} values of `decays` for {} parameters", decays.len(), params.len())
        });
        let update = Update { layout: &self.layout, decays, step };
        let state = std::mem::take(&mut self.state);
        let (params, state) = match kind(&params[0]) {
            Kind::Gpu => run::<Cube>(params, grads, state, update),
            Kind::Cpu => run::<Flex>(params, grads, state, update),
        };
        self.state = state;
        params
    }

    /// Panics unless `tensors` are one for each parameter, of its size, all on the device of the moments.
    #[track_caller]
    fn check(&self, check: Check, name: &str, tensors: &[Tensor<1>]) {
        let count = self.layout.slots().len();
        check.require(tensors.len() == count && count > 0, || {
            format!("{} `{name}`, expected {count}, and at least one", tensors.len())
        });
        check.float(name, &tensors[0]);
        check.same_device(&self.state[0], name, &tensors[0]);
        for (i, tensor) in tensors.iter().enumerate() {
            let size = self.layout.slot(i).1;
            check.shape(&format!("{name}[{i}]"), tensor, "[size]", [size]);
            check.alike(&tensors[0], name, tensor);
        }
    }
}

/// Arguments of an update that are not tensors.
#[derive(Clone, Copy)]
pub(super) struct Update<'a> {
    pub(super) layout: &'a Layout,
    pub(super) decays: &'a [bool],
    pub(super) step: Step,
}

/// The operations, which each backend implements.
pub(super) trait AdamwKernels: Backend {
    /// Returns the number of floats that one buffer can hold at most on the device of `like`.
    fn largest(like: &FloatTensor<Self>) -> usize;

    /// Returns the norm of `grads`, and `state` with the factor that reduces it to `max_norm`, or one. If the gradients
    /// are `scaled`, both are those of the unscaled gradients, and `state` receives the next loss scale.
    fn clip(
        grads: &[FloatTensor<Self>],
        state: Vec<FloatTensor<Self>>,
        max_norm: Option<f32>,
        scaled: bool,
    ) -> (FloatTensor<Self>, Vec<FloatTensor<Self>>);

    /// Returns parameters and state after a step.
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
