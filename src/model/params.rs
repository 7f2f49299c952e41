//! Parameters by name: how they are created, initialized and visited.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Normal, Uniform};

use super::Decoder;
use crate::config::{InitScheme, ModelConfig};
use crate::error::Result;

/// How a fresh parameter is filled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// Normal with mean zero and this standard deviation.
    Normal(f64),
    /// Uniform between this and its negative.
    Uniform(f64),
}

/// Gives the values of a parameter, row-major, for its name, shape and fresh initialization.
pub type ParamSource<'a> = dyn FnMut(&str, &[usize], Init) -> Result<Vec<f32>> + 'a;

/// What the parts of the model are built with.
pub struct Builder<'a, 'b> {
    pub device: &'a Device,
    pub source: &'a mut ParamSource<'b>,
}

impl Builder<'_, '_> {
    /// One parameter, filled by the source.
    pub fn param<const N: usize>(
        &mut self,
        name: &str,
        shape: [usize; N],
        init: Init,
    ) -> Result<Param<Tensor<N>>> {
        let values = (self.source)(name, &shape, init)?;
        Ok(Param::from_data(TensorData::new(values, shape), self.device))
    }
}

/// Draws fresh weights on the host.
///
/// Every parameter has its own stream of the generator, named after it: the same seed gives the same
/// weights on every device and target, whatever other parameters there are.
pub fn random_source(seed: u64) -> impl FnMut(&str, &[usize], Init) -> Result<Vec<f32>> {
    let rng = move |name: &str| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(fnv1a(name.as_bytes()));
        rng
    };
    move |name, shape, init| {
        let count = shape.iter().product();
        Ok(match init {
            Init::Zeros => vec![0.0; count],
            Init::Ones => vec![1.0; count],
            Init::Normal(deviation) => {
                let normal = Normal::new(0.0, deviation as f32).expect("validated deviation");
                normal.sample_iter(rng(name)).take(count).collect()
            }
            Init::Uniform(bound) => {
                let bound = bound as f32;
                let uniform = Uniform::new_inclusive(-bound, bound).expect("bounds are finite");
                uniform.sample_iter(rng(name)).take(count).collect()
            }
        })
    }
}

/// Fowler-Noll-Vo hash, 64 bits: stable across versions and targets, unlike the standard library's.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl ModelConfig {
    /// Initialization of a matrix with `inputs` inputs.
    pub(super) fn weight_init(&self, inputs: usize) -> Init {
        Init::Normal(match self.init {
            InitScheme::Gpt2 => self.initializer_range,
            InitScheme::FanIn => (1.0 / inputs as f64).sqrt(),
        })
    }

    /// Initialization of a matrix that writes into the residual stream.
    pub(super) fn residual_init(&self, inputs: usize) -> Init {
        match self.weight_init(inputs) {
            Init::Normal(deviation) => {
                Init::Normal(deviation / (2.0 * self.num_hidden_layers as f64).sqrt())
            }
            other => other,
        }
    }
}

/// Calls `visit` with every parameter's name, shape and value (flattened), in a fixed order.
pub fn for_each_param(model: &Decoder, visit: &mut dyn FnMut(&str, &[usize], Tensor<1>)) {
    struct Visitor<'a> {
        path: Vec<String>,
        visit: &'a mut dyn FnMut(&str, &[usize], Tensor<1>),
    }
    impl ModuleVisitor for Visitor<'_> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_string());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }
        fn visit_float<const N: usize>(&mut self, param: &Param<Tensor<N>>) {
            let value = param.val().without_autodiff();
            let shape = value.dims();
            let count = shape.iter().product::<usize>();
            (self.visit)(&self.path.join("."), &shape, value.reshape([count]));
        }
    }
    model.visit(&mut Visitor { path: Vec::new(), visit });
}

/// Gradients by parameter name, flattened.
pub type NamedGradients = BTreeMap<String, Tensor<1>>;

/// Takes every gradient of a module's parameters out of `gradients`, by names that begin with `prefix`.
pub fn named_gradients(
    module: &impl Module,
    prefix: &str,
    gradients: &mut Gradients,
) -> NamedGradients {
    struct Collect<'a> {
        gradients: &'a mut Gradients,
        path: Vec<String>,
        found: NamedGradients,
    }
    impl ModuleVisitor for Collect<'_> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_string());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }
        fn visit_float<const N: usize>(&mut self, param: &Param<Tensor<N>>) {
            if let Some(gradient) = param.val().grad_remove(self.gradients) {
                let count = gradient.shape().num_elements();
                self.found.insert(self.path.join("."), gradient.reshape([count]));
            }
        }
    }
    let path = prefix.split('.').filter(|part| !part.is_empty()).map(String::from).collect();
    let mut collect = Collect { gradients, path, found: BTreeMap::new() };
    module.visit(&mut collect);
    collect.found
}
