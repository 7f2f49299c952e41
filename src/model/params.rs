//! Creation, initialization and traversal of named parameters.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, FloatDType, Gradients, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Normal, Uniform};

use crate::config::{InitScheme, ModelConfig};
use crate::error::Result;

/// Initialization of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// Normal distribution with mean 0 and this standard deviation.
    Normal(f64),
    /// Uniform distribution in `[-bound, bound]`.
    Uniform(f64),
}

/// Returns the values of a parameter, row-major, given its name, its shape and its initialization.
pub type ParamSource<'a> = dyn FnMut(&str, &[usize], Init) -> Result<Vec<f32>> + 'a;

/// Creates the parameters of a model's modules.
pub struct ParamBuilder<'a, 'b> {
    pub device: &'a Device,
    pub source: &'a mut ParamSource<'b>,
}

impl ParamBuilder<'_, '_> {
    /// Creates a parameter with values from the source.
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

/// Returns a source of random weights, drawn on the host.
///
/// Each parameter has its own stream of the generator, selected by its name. A seed therefore gives the same weights on
/// every device and target, whatever other parameters there are.
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
                let normal = Normal::new(0.0, deviation as f32).expect("a finite deviation");
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

/// 64-bit FNV-1a hash: stable across versions and targets, unlike the standard library's.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl ModelConfig {
    /// Returns the initialization of a matrix with `inputs` input features.
    pub(super) fn weight_init(&self, inputs: usize) -> Init {
        Init::Normal(match self.init {
            InitScheme::Gpt2 => self.initializer_range,
            InitScheme::FanIn => (1.0 / inputs as f64).sqrt(),
        })
    }

    /// Returns the initialization of a matrix that writes into the residual stream: scaled by `1 / sqrt(2 * layers)`
    /// (Radford et al. 2019, section 2.3).
    pub(super) fn residual_init(&self, inputs: usize) -> Init {
        match self.weight_init(inputs) {
            Init::Normal(deviation) => {
                Init::Normal(deviation / (2.0 * self.num_hidden_layers as f64).sqrt())
            }
            other => other,
        }
    }
}

/// Calls `visit` with the name, the shape and the flattened value of every parameter, in a fixed order.
pub fn for_each_param(model: &impl Module, visit: &mut dyn FnMut(&str, &[usize], Tensor<1>)) {
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

/// Returns the shapes of the parameters that are trained, by name. The model must be on an autodiff device.
pub fn trained_shapes(model: &impl Module) -> BTreeMap<String, Vec<usize>> {
    struct Visitor {
        path: Vec<String>,
        found: BTreeMap<String, Vec<usize>>,
    }
    impl ModuleVisitor for Visitor {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_string());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }
        fn visit_float<const N: usize>(&mut self, param: &Param<Tensor<N>>) {
            if param.is_require_grad() {
                self.found.insert(self.path.join("."), param.val().dims().to_vec());
            }
        }
    }
    let mut visitor = Visitor { path: Vec::new(), found: BTreeMap::new() };
    model.visit(&mut visitor);
    visitor.found
}

/// Flattened gradients by parameter name.
pub type NamedGradients = BTreeMap<String, Tensor<1>>;

/// Removes the gradients of a module's parameters from `gradients` and returns them. Names start with `prefix`.
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

/// Casts a parameter to the dtype of `x`, in which the forward pass computes.
pub fn cast_like<const N: usize>(x: &Tensor<2>, parameter: Tensor<N>) -> Tensor<N> {
    if x.dtype() == parameter.dtype() {
        parameter
    } else {
        parameter.cast(FloatDType::from(x.dtype()))
    }
}
