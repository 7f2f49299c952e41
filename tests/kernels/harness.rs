//! Compares kernels with their references: values and all gradients, on every device, in every type it computes in and
//! in every memory layout.
//!
//! On the CPU a case costs milliseconds, and all of them run. On a GPU every new combination of shape, options, type
//! and kind of kernel is compiled, which takes a software adapter up to a second, so the full product would take many
//! minutes. Covered there:
//!
//! - the cases of an operation (shapes with ragged edges, and options): each with both kinds of kernels, in one type
//!   and one memory layout. These rotate in [`Harness::check`], so that an operation meets every pair of a type and a
//!   layout, and an option most of them. [`Harness::report`] asserts that no layout and no type was left out;
//! - memory layouts: all, in all types and with both kinds of kernels, at a small shape
//!   ([`Harness::check_all_views`]);
//! - options that are mere numbers: every value, but not with every other option ([`Harness::choose`]).

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use blankslate::kernels::attention::uses_tensor_cores;
use burn::tensor::{Device, FloatDType, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use crate::common;
use crate::common::missing::{Need, missing};
use crate::views::{Array, CASE_VIEWS, Views};

/// The kind of kernels whose units share memory; see [`common::gpus`].
const PARALLEL: &str = "parallel";

fn name(dtype: FloatDType) -> &'static str {
    match dtype {
        FloatDType::F16 => "F16",
        FloatDType::BF16 => "BF16",
        _ => "F32",
    }
}

/// Largest difference allowed, relative to the largest value expected. Kernels round to 16 bits whenever they store a
/// number: by up to 5e-4 of it in f16, 4e-3 in bf16.
fn tolerance(dtype: FloatDType) -> f32 {
    match dtype {
        FloatDType::F16 => 4e-3,
        FloatDType::BF16 => 3.2e-2,
        _ => 2e-5,
    }
}

/// Expected values below this count as this large: there, all of them may be rounding errors.
const SMALLEST: f32 = 1e-2;

/// A function from inputs to an output.
pub type Operation<'a> = &'a dyn Fn(&[Tensor<2>], &Device) -> Tensor<2>;

/// The layouts and types in which the cases of an operation were run.
#[derive(Default)]
struct Coverage {
    cases: usize,
    views: BTreeSet<Views>,
    types: BTreeSet<&'static str>,
}

/// A device under test and what was found on it.
pub struct Harness {
    name: &'static str,
    pub device: Device,
    /// Types that the device computes in.
    types: Vec<FloatDType>,
    /// Type of the tensors that the last kernel received.
    pub dtype: FloatDType,
    pub rng: ChaCha8Rng,
    covered: BTreeMap<&'static str, Coverage>,
    worst: BTreeMap<(&'static str, &'static str), (f32, String)>,
    pub failures: Vec<String>,
}

impl Harness {
    pub fn new(name: &'static str, device: Device, types: Vec<FloatDType>) -> Self {
        Self {
            name,
            device,
            dtype: types[0],
            types,
            rng: ChaCha8Rng::seed_from_u64(1),
            covered: BTreeMap::new(),
            worst: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    /// Returns true if the device is the CPU backend.
    pub fn is_cpu(&self) -> bool {
        self.name == "cpu"
    }

    /// Returns true if tensor cores compute attention in 16 bits.
    pub fn has_tensor_cores(&self) -> bool {
        let has = self.types.iter().any(|dtype| uses_tensor_cores(&self.device, *dtype));
        if !has && !self.is_cpu() && common::gpu_name().starts_with("cuda") {
            missing(Need::TensorCores, &"attention in 16 bits");
        }
        has
    }

    /// Returns the values of an option to run: all on the CPU, one of them on a GPU. With the sum of the places of the
    /// other options as `turn`, each of them meets each value.
    pub fn choose<'a, T>(&self, values: &'a [T], turn: usize) -> &'a [T] {
        if self.is_cpu() { values } else { &values[turn % values.len()..][..1] }
    }

    /// Draws normally distributed numbers.
    pub fn draw(&mut self, rows: usize, columns: usize) -> Array {
        let values = StandardNormal.sample_iter(&mut self.rng).take(rows * columns).collect();
        Array { shape: [rows, columns], values, tracked: true }
    }

    /// Compares output and gradients of a kernel and its reference, in one memory layout and type after the other.
    pub fn check(
        &mut self,
        operation: &'static str,
        case: &str,
        inputs: &[Array],
        kernel: Operation,
        reference: Operation,
    ) {
        let covered = self.covered.entry(operation).or_default();
        // Both shift after four cases, since options tend to repeat with a period of two or four. The second kind of
        // kernels runs a case in another type than the first.
        let place = covered.cases % 4;
        let round = covered.cases / 4;
        let views = CASE_VIEWS[(place + round) % 4];
        let first_type = usize::from(self.name == PARALLEL);
        let dtype = self.types[(place / 2 + round + first_type) % self.types.len()];
        covered.cases += 1;
        covered.views.insert(views);
        covered.types.insert(name(dtype));
        self.check_views(operation, case, inputs, dtype, views, kernel, reference);
    }

    /// [`Self::check`] in every type of 16 bits.
    pub fn check_in_16_bits(
        &mut self,
        operation: &'static str,
        case: &str,
        inputs: &[Array],
        kernel: Operation,
        reference: Operation,
    ) {
        for dtype in self.types.clone().into_iter().filter(|dtype| *dtype != FloatDType::F32) {
            self.check_views(operation, case, inputs, dtype, CASE_VIEWS[0], kernel, reference);
        }
    }

    /// [`Self::check`] with every memory layout in every type.
    pub fn check_all_views(
        &mut self,
        operation: &'static str,
        inputs: &[Array],
        kernel: Operation,
        reference: Operation,
    ) {
        for dtype in self.types.clone() {
            for views in CASE_VIEWS.into_iter().chain([Views::Expanded]) {
                self.check_views(operation, "views", inputs, dtype, views, kernel, reference);
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "a case and how to run it")]
    fn check_views(
        &mut self,
        operation: &'static str,
        case: &str,
        inputs: &[Array],
        dtype: FloatDType,
        views: Views,
        kernel: Operation,
        reference: Operation,
    ) {
        self.dtype = dtype;
        let prepared = |input: &Array| {
            let input = input.clone().round(dtype);
            if views == Views::Expanded { input.repeat_first_row() } else { input }
        };
        let inputs = &inputs.iter().map(prepared).collect::<Vec<_>>()[..];
        let plain = match views {
            Views::ExpandedGradient | Views::Expanded => views,
            _ => Views::Contiguous,
        };
        let exact = FloatDType::F32;
        let expected = values_and_gradients(reference, inputs, &common::cpu(), exact, plain);
        let found = values_and_gradients(kernel, inputs, &self.device, dtype, views);
        for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let what = match place {
                0 => "output".to_string(),
                _ => format!("gradient {}", place - 1),
            };
            let case = format!("{case} {dtype:?} {views:?} {what}");
            self.compare(operation, &case, found, expected);
        }
    }

    pub fn compare(
        &mut self,
        operation: &'static str,
        case: &str,
        found: &[f32],
        expected: &[f32],
    ) {
        assert_eq!(found.len(), expected.len(), "{operation} {case}");
        let largest = expected.iter().map(|x| x.abs()).fold(SMALLEST, f32::max);
        let pairs = found.iter().zip(expected);
        // Not f32::max, which ignores NaN.
        let difference = pairs
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, |most: f32, x| if most.is_nan() || x <= most { most } else { x });
        let error = difference / largest;
        let worst = self.worst.entry((operation, name(self.dtype))).or_default();
        if error.is_nan() || error > worst.0 {
            *worst = (error, case.to_string());
        }
        if error.is_nan() || error > tolerance(self.dtype) {
            self.failures.push(format!("{operation} {case}: {error:e} of {largest}"));
        }
    }

    pub fn compare_bits(&mut self, what: &str, found: &[Vec<f32>], expected: &[Vec<f32>]) {
        let bits = |lists: &[Vec<f32>]| -> Vec<u32> {
            lists.iter().flatten().map(|x| x.to_bits()).collect()
        };
        if bits(found) != bits(expected) {
            self.failures.push(format!("{what}: the bits differ"));
        }
    }

    /// Checks that `call` panics with a message that contains `message`.
    pub fn refuses<T>(&mut self, message: &str, call: impl FnOnce() -> T) {
        let problem = match catch_unwind(AssertUnwindSafe(call)) {
            Ok(_) => "nothing".to_string(),
            Err(panic) => match panic.downcast::<String>() {
                Ok(found) if found.contains(message) => return,
                Ok(found) => *found,
                Err(_) => "another panic".to_string(),
            },
        };
        self.failures.push(format!("expected a panic about \"{message}\", found: {problem}"));
    }

    /// Prints the largest errors and returns the failures.
    ///
    /// # Panics
    /// If the cases of an operation were too few in kind: not in every memory layout, or all in one type.
    fn report(self) -> Vec<String> {
        for ((operation, dtype), (error, case)) in &self.worst {
            println!("{} {dtype}: {operation}: {error:.1e} at {case}", self.name);
        }
        for (operation, Coverage { cases, views, types }) in &self.covered {
            println!("{}: {operation}: {cases} cases", self.name);
            assert_eq!(views.len(), CASE_VIEWS.len().min(*cases), "{operation}: {views:?}");
            assert!(
                types.len() >= self.types.len().min(*cases / 2).min(2),
                "{operation}: {types:?}"
            );
        }
        self.failures.into_iter().map(|failure| format!("{}: {failure}", self.name)).collect()
    }
}

/// Returns the output, then the gradients of the tracked inputs.
pub fn values_and_gradients(
    operation: Operation,
    inputs: &[Array],
    device: &Device,
    dtype: FloatDType,
    views: Views,
) -> Vec<Vec<f32>> {
    let device = device.clone().autodiff();
    let leaves: Vec<Tensor<2>> = inputs
        .iter()
        .map(|input| {
            let leaf = views.store(input).put_as(dtype, &device);
            if input.tracked { leaf.require_grad() } else { leaf }
        })
        .collect();
    let leaves_and_inputs = || leaves.iter().cloned().zip(inputs);
    let arguments: Vec<_> =
        leaves_and_inputs().map(|(leaf, input)| views.view(leaf, input.shape)).collect();
    let y = operation(&arguments, &device);
    let mut weights = Harness::new("weights", device.clone(), vec![dtype]);
    let weights = weights.draw(y.dims()[0], y.dims()[1]).round(FloatDType::F16);
    let weights = weights.put_as(y.dtype().into(), &device);
    let weighted = match views {
        Views::ExpandedGradient => y.clone(),
        Views::Transposed => y.clone().transpose() * weights.transpose(),
        _ => y.clone() * weights,
    };
    let gradients = weighted.sum().backward();
    let mut all = vec![floats(y.inner())];
    for (leaf, input) in leaves_and_inputs() {
        if input.tracked {
            let gradient = leaf.grad(&gradients).expect("tracked");
            // That of an expanded row stays a row.
            let gradient = match views {
                Views::Expanded => gradient,
                _ => views.view(gradient, input.shape),
            };
            all.push(floats(gradient));
        }
    }
    all
}

pub fn floats<const N: usize>(tensor: Tensor<N>) -> Vec<f32> {
    tensor.cast(FloatDType::F32).into_data().try_into_vec().expect("f32")
}

/// Returns the only row of `x`.
pub fn row(x: &Tensor<2>) -> Tensor<1> {
    x.clone().reshape([x.dims()[1]])
}

/// The cases of an operation.
pub type Cases = fn(&mut Harness);

pub fn on_cpu(cases: Cases) {
    let mut harness = Harness::new("cpu", common::cpu(), vec![FloatDType::F32]);
    cases(&mut harness);
    assert_no_failures(&harness.report());
}

/// Runs `cases` with both kinds of kernels, in those of `types` that the device computes in.
fn on_gpus_in(types: &[FloatDType], cases: Cases) {
    let mut failures: Vec<String> = Vec::new();
    for (kind, device) in common::gpus() {
        let start = Instant::now();
        let types = types.iter().copied().filter(|dtype| computes_in(&device, *dtype)).collect();
        let mut harness = Harness::new(kind, device, types);
        cases(&mut harness);
        failures.extend(harness.report());
        println!("{kind}: {:.1} s", start.elapsed().as_secs_f32());
    }
    assert_no_failures(&failures);
}

fn computes_in(device: &Device, dtype: FloatDType) -> bool {
    let need = match dtype {
        FloatDType::F16 => Need::F16,
        FloatDType::BF16 => Need::Bf16,
        _ => return true,
    };
    let computes = device.supports_dtype(dtype);
    if !computes {
        missing(need, &"the kernels' tests ran on a device that does not compute in it");
    }
    computes
}

pub fn on_gpus(cases: Cases) {
    on_gpus_in(&[FloatDType::F32, FloatDType::F16, FloatDType::BF16], cases);
}

/// Runs `cases` in f32 on the CPU and with both kinds of kernels on a GPU.
pub fn everywhere(cases: Cases) {
    on_cpu(cases);
    on_gpus_in(&[FloatDType::F32], cases);
}

fn assert_no_failures(failures: &[String]) {
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
