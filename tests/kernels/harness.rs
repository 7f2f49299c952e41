//! Compares kernels with their references: values and all gradients, on every device and in every type it computes in.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

use crate::common;

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

/// A matrix on the host.
#[derive(Clone)]
pub struct Array {
    pub shape: [usize; 2],
    pub values: Vec<f32>,
    /// Whether its gradient is computed.
    pub tracked: bool,
}

impl Array {
    pub fn times(mut self, factor: f32) -> Self {
        self.values.iter_mut().for_each(|x| *x *= factor);
        self
    }

    pub fn put(&self, device: &Device) -> Tensor<2> {
        Tensor::from_data(TensorData::new(self.values.clone(), self.shape), device)
    }

    /// Creates a leaf for differentiation, of another type.
    fn put_as(&self, dtype: FloatDType, device: &Device) -> Tensor<2> {
        Tensor::from_inner(self.put(&device.clone().inner()).cast(dtype))
    }

    fn transpose(&self) -> Self {
        let [rows, columns] = self.shape;
        let place = |i: usize| i % rows * columns + i / rows;
        let values = (0..rows * columns).map(|i| self.values[place(i)]).collect();
        Self { shape: [columns, rows], values, ..*self }
    }

    /// Surrounds the matrix with NaN, which shows in whatever reads beyond it.
    fn pad(&self) -> Self {
        let [rows, columns] = self.shape;
        let width = columns + PADDING[1] + 2;
        let mut values = vec![f32::NAN; (rows + PADDING[0] + 1) * width];
        for (row, from) in self.values.chunks_exact(columns).enumerate() {
            let start = (row + PADDING[0]) * width + PADDING[1];
            values[start..start + columns].copy_from_slice(from);
        }
        Self { shape: [rows + PADDING[0] + 1, width], values, ..*self }
    }

    fn first_row(&self) -> Self {
        let columns = self.shape[1];
        Self { shape: [1, columns], values: self.values[..columns].to_vec(), ..*self }
    }

    /// Replaces every row by the first.
    fn repeat_first_row(&self) -> Self {
        let [rows, columns] = self.shape;
        Self { values: self.values[..columns].repeat(rows), ..*self }
    }
}

/// Rows above and columns left of a padded matrix.
const PADDING: [usize; 2] = [1, 3];

/// A function from inputs to an output.
pub type Operation<'a> = &'a dyn Fn(&[Tensor<2>], &Device) -> Tensor<2>;

/// Memory layout of the tensors that a kernel receives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Views {
    Contiguous,
    /// Inputs and the output's gradient are transposed views.
    Transposed,
    /// The output's gradient is a single number, expanded.
    ExpandedGradient,
    /// Inputs are parts of larger tensors, whose other elements are NaN.
    Narrowed,
    /// Inputs are single rows, expanded.
    Expanded,
}

const ALL_VIEWS: [Views; 5] = [
    Views::Contiguous,
    Views::Transposed,
    Views::ExpandedGradient,
    Views::Narrowed,
    Views::Expanded,
];

impl Views {
    /// Returns the matrix that is put on the device for an input.
    pub fn store(self, input: &Array) -> Array {
        match self {
            Self::Transposed => input.transpose(),
            Self::Narrowed => input.pad(),
            Self::Expanded => input.first_row(),
            Self::Contiguous | Self::ExpandedGradient => input.clone(),
        }
    }

    /// Returns the view of a stored matrix that has the shape of the input.
    pub fn view(self, stored: Tensor<2>, [rows, columns]: [usize; 2]) -> Tensor<2> {
        match self {
            Self::Transposed => stored.transpose(),
            Self::Narrowed => stored.narrow(0, PADDING[0], rows).narrow(1, PADDING[1], columns),
            Self::Expanded => stored.expand([rows, columns]),
            Self::Contiguous | Self::ExpandedGradient => stored,
        }
    }
}

/// A device under test and what was found on it.
pub struct Harness {
    name: String,
    pub device: Device,
    /// Type of the tensors that kernels receive.
    pub dtype: FloatDType,
    pub rng: ChaCha8Rng,
    cases: usize,
    worst: BTreeMap<&'static str, (f32, String)>,
    pub failures: Vec<String>,
}

impl Harness {
    pub fn new(name: impl Into<String>, device: Device, dtype: FloatDType) -> Self {
        Self {
            name: name.into(),
            device,
            dtype,
            rng: ChaCha8Rng::seed_from_u64(1),
            cases: 0,
            worst: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    /// Whether the device is the CPU backend, where a case costs milliseconds. A software GPU takes seconds to compile
    /// the kernels of a shape.
    pub fn is_cpu(&self) -> bool {
        self.name == "cpu"
    }

    /// Draws normally distributed numbers that the type can represent.
    pub fn draw(&mut self, rows: usize, columns: usize) -> Array {
        let values = StandardNormal.sample_iter(&mut self.rng).take(rows * columns);
        let round = |x: f32| match self.dtype {
            FloatDType::F16 => half::f16::from_f32(x).to_f32(),
            FloatDType::BF16 => half::bf16::from_f32(x).to_f32(),
            _ => x,
        };
        Array { shape: [rows, columns], values: values.map(round).collect(), tracked: true }
    }

    /// Compares output and gradients of a kernel and its reference, with one memory layout after the other.
    pub fn check(
        &mut self,
        operation: &'static str,
        case: &str,
        inputs: &[Array],
        kernel: Operation,
        reference: Operation,
    ) {
        let views = ALL_VIEWS[self.cases % 4];
        self.cases += 1;
        self.check_views(operation, case, inputs, views, kernel, reference);
    }

    /// [`Self::check`] with every memory layout.
    pub fn check_all_views(
        &mut self,
        operation: &'static str,
        inputs: &[Array],
        kernel: Operation,
        reference: Operation,
    ) {
        for views in ALL_VIEWS {
            self.check_views(operation, "views", inputs, views, kernel, reference);
        }
    }

    fn check_views(
        &mut self,
        operation: &'static str,
        case: &str,
        inputs: &[Array],
        views: Views,
        kernel: Operation,
        reference: Operation,
    ) {
        let repeated: Vec<Array> = inputs.iter().map(Array::repeat_first_row).collect();
        let inputs = if views == Views::Expanded { &repeated } else { inputs };
        let plain = match views {
            Views::ExpandedGradient | Views::Expanded => views,
            _ => Views::Contiguous,
        };
        let exact = FloatDType::F32;
        let expected = values_and_gradients(reference, inputs, &common::cpu(), exact, plain);
        let found = values_and_gradients(kernel, inputs, &self.device, self.dtype, views);
        for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let what = match place {
                0 => "output".to_string(),
                _ => format!("gradient {}", place - 1),
            };
            self.compare(operation, &format!("{case} {views:?} {what}"), found, expected);
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
        let worst = self.worst.entry(operation).or_default();
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
    fn report(self) -> Vec<String> {
        for (operation, (error, case)) in &self.worst {
            println!("{}: {operation}: {error:.1e} at {case}", self.name);
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
    let mut weights = Harness::new("weights", device.clone(), FloatDType::F16);
    let weights = weights.draw(y.dims()[0], y.dims()[1]).put_as(y.dtype().into(), &device);
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

/// Returns `values` as a view in the middle of a larger vector of NaN.
pub fn narrowed(values: &[f32], device: &Device) -> Tensor<1> {
    let padding = [f32::NAN; 3];
    let all = [&padding, values, &padding].concat();
    let len = all.len();
    Tensor::<1>::from_data(TensorData::new(all, [len]), device).narrow(0, 3, values.len())
}

/// The cases of an operation.
pub type Cases = fn(&mut Harness);

pub fn on_cpu(cases: Cases) {
    let mut harness = Harness::new("cpu", common::cpu(), FloatDType::F32);
    cases(&mut harness);
    assert_no_failures(&harness.report());
}

/// Runs `cases` on both kinds of GPU in each of `types` that the device computes in.
fn on_gpus_in(types: &[FloatDType], cases: Cases) {
    let mut failures: Vec<String> = Vec::new();
    for (kind, device) in common::gpus() {
        for dtype in types {
            if !device.supports_dtype(*dtype) {
                println!("{kind}: the driver does not compute in {dtype:?}");
                continue;
            }
            let start = Instant::now();
            let name = format!("{kind} {dtype:?}");
            let mut harness = Harness::new(&name, device.clone(), *dtype);
            cases(&mut harness);
            failures.extend(harness.report());
            println!("{name}: {:.1} s", start.elapsed().as_secs_f32());
        }
    }
    assert_no_failures(&failures);
}

pub fn on_gpus(cases: Cases) {
    on_gpus_in(&[FloatDType::F32, FloatDType::F16, FloatDType::BF16], cases);
}

pub fn on_gpus_in_f32(cases: Cases) {
    on_gpus_in(&[FloatDType::F32], cases);
}

/// Runs `cases` in f32 on the CPU and on both kinds of GPU.
pub fn everywhere(cases: Cases) {
    on_cpu(cases);
    on_gpus_in_f32(cases);
}

fn assert_no_failures(failures: &[String]) {
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
