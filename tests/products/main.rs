//! Matrix products by cuBLASLt: results compared with the CPU's and, with the library of `tests/fakes/cublaslt`, the recorded
//! calls.
//!
//! `cargo xtask cuda-test --only products` runs this with that library and a simulated driver, or on an NVIDIA GPU with the real one.

mod recorded;

use blankslate::config::Precision;
use blankslate::kernels::activation::{Kind, activation};
use blankslate::kernels::linear::{linear, linear_gelu, product};
use blankslate::kernels::precision::with_products_in;
use blankslate::platform::{block_on, open_device};
use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use recorded::{Call, calls_of, order_of};

/// Types, with the largest difference from the CPU's that rounding explains, relative to the largest value.
const TYPES: [(FloatDType, f32); 3] =
    [(FloatDType::F32, 2e-6), (FloatDType::F16, 4e-3), (FloatDType::BF16, 3.2e-2)];

/// cuBLASLt's names of the types.
fn type_code(dtype: FloatDType) -> i64 {
    match dtype {
        FloatDType::F16 => 2,
        FloatDType::BF16 => 14,
        _ => 0,
    }
}

fn gpu() -> Device {
    let (device, info) = block_on(open_device("cuda")).expect("an NVIDIA GPU or a simulated one");
    let choice = info.reason.expect("the choice is described");
    assert!(choice.starts_with("matrix products by cuBLASLt"), "{choice}");
    device
}

fn cpu() -> Device {
    block_on(open_device("cpu")).expect("the CPU is always there").0
}

/// Returns a matrix on the CPU of numbers between -1 and 1 that `dtype` represents exactly.
fn draw([rows, columns]: [usize; 2], dtype: FloatDType) -> Tensor<2> {
    // A period that is prime to the sizes, so that rows differ.
    let value = |i: usize| ((i * 7919 + 31 * rows) % 10_007) as f32 / 5003.5 - 1.0;
    let values: Vec<f32> = (0..rows * columns).map(value).collect();
    let drawn = Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), &cpu());
    drawn.cast(dtype).cast(FloatDType::F32)
}

/// Copies a matrix to the GPU as a leaf of a graph.
fn leaf(x: &Tensor<2>, dtype: FloatDType, device: &Device) -> Tensor<2> {
    let copy = Tensor::<2>::from_data(x.to_data(), &device.clone().inner());
    Tensor::from_inner(copy.cast(dtype)).require_grad()
}

fn values(x: Tensor<2>) -> Vec<f32> {
    x.cast(FloatDType::F32).into_data().try_into_vec().expect("f32")
}

fn row(x: &Tensor<2>) -> Tensor<1> {
    x.clone().reshape([x.dims()[1]])
}

fn assert_near(what: &str, found: Tensor<2>, expected: Tensor<2>, tolerance: f32) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let (found, expected) = (values(found), values(expected));
    let largest = expected.iter().fold(1e-2f32, |most, x| most.max(x.abs()));
    for (found, expected) in found.iter().zip(&expected) {
        let error = (found - expected).abs() / largest;
        assert!(error <= tolerance, "{what}: {found} instead of {expected}");
    }
}

/// Values and gradients of a function of matrices, on a device and in a type.
fn with_gradients(
    inputs: &[Tensor<2>],
    dtype: FloatDType,
    device: &Device,
    function: &dyn Fn(&[Tensor<2>]) -> Tensor<2>,
) -> Vec<Tensor<2>> {
    let device = device.clone().autodiff();
    let leaves: Vec<Tensor<2>> = inputs.iter().map(|x| leaf(x, dtype, &device)).collect();
    let y = function(&leaves);
    // Not the gradient of a plain sum, whose rows are one repeated row.
    let gradients = (y.clone() * y.clone()).sum().backward();
    let found = leaves.iter().map(|leaf| leaf.grad(&gradients).expect("it was used"));
    std::iter::once(y.inner()).chain(found).collect()
}

#[test]
fn projections_are_one_product_forward_and_two_backward() {
    let (gpu, cpu) = (gpu(), cpu());
    let [n, i, o] = [12, 20, 16];
    for (dtype, tolerance) in TYPES {
        let inputs = [[n, i], [o, i], [1, o], [n, o]].map(|shape| draw(shape, dtype));
        let function = |x: &[Tensor<2>]| {
            linear(x[0].clone(), x[1].clone(), Some(row(&x[2])), Some(x[3].clone()))
        };
        let (found, calls) = calls_of(&gpu, || with_gradients(&inputs, dtype, &gpu, &function));
        let expected = with_gradients(&inputs, FloatDType::F32, &cpu, &function);
        for (place, (found, expected)) in found.into_iter().zip(expected).enumerate() {
            assert_near(&format!("{dtype:?} {place}"), found, expected, 4.0 * tolerance);
        }
        let Some(calls) = calls else { continue };
        let [forward, of_x, of_weight] = &calls[..] else { panic!("{calls:#?}") };
        for call in &calls {
            call.is_in(type_code(dtype), 68);
            assert_eq!(call.number("workspace"), 32 << 20);
        }
        // y = x Wᵀ + b + r is yᵀ = W xᵀ + …, whose bias belongs to rows.
        forward.computes([1, 0], [[i, o], [i, n], [o, n], [o, n]]);
        assert_eq!((forward.number("epilogue"), forward.number("beta")), (4, 1));
        of_x.computes([0, 0], [[i, o], [o, n], [i, n], [i, n]]);
        of_weight.computes([0, 1], [[i, n], [o, n], [i, o], [i, o]]);
        for gradient in [of_x, of_weight] {
            assert_eq!((gradient.number("epilogue"), gradient.number("beta")), (1, 0));
        }
        // Results have no gaps.
        assert_eq!(forward.of("d", "leading"), o as i64);
        assert_eq!(of_weight.of("d", "leading"), i as i64);
    }
}

#[test]
fn rows_may_have_gaps_or_be_repeated() {
    let (gpu, cpu) = (gpu(), cpu());
    let whole = draw([40, 70], FloatDType::F32);
    let weight = draw([24, 33], FloatDType::F32);
    let views: [(&str, &dyn Fn(Tensor<2>) -> Tensor<2>); 4] = [
        ("part", &|x| x.slice([3..23, 5..38])),
        ("transposed part", &|x| x.slice([3..36, 5..25]).transpose()),
        ("repeated row", &|x| x.slice([3..4, 5..38]).expand([20, 33])),
        ("repeated column", &|x| x.slice([3..23, 5..6]).expand([20, 33])),
    ];
    let put = |x: &Tensor<2>, device: &Device| Tensor::<2>::from_data(x.to_data(), device);
    for (name, view) in views {
        let compute = |device: &Device| {
            let x = view(put(&whole, device));
            linear(x, put(&weight, device), None, None)
        };
        let (found, calls) = calls_of(&gpu, || compute(&gpu));
        assert_near(name, found, compute(&cpu), 2e-6);
        let Some(calls) = calls else { continue };
        let [call] = &calls[..] else { panic!("{name}: {calls:#?}") };
        match name {
            // A view, or a copy whose rows CUDA aligns.
            "part" => assert!(call.of("b", "leading") > 33, "{call:?}"),
            "transposed part" => call.computes([1, 1], [[33, 24], [20, 33], [24, 20], [24, 20]]),
            _ => assert_eq!(call.of("b", "leading"), 33, "{name} was copied: {call:?}"),
        }
    }
}

#[test]
fn tf32_is_used_where_permitted() {
    let (gpu, cpu) = (gpu(), cpu());
    let [a, b] = [[24, 40], [40, 16]].map(|shape| draw(shape, FloatDType::F32));
    let put = |x: &Tensor<2>, device: &Device| Tensor::<2>::from_data(x.to_data(), device);
    let multiply = |device: &Device| product(put(&a, device), put(&b, device));
    let (exact, calls) = calls_of(&gpu, || multiply(&gpu));
    assert_near("f32", exact, multiply(&cpu), 2e-6);
    calls.iter().flatten().for_each(|call| call.is_in(0, 68));
    let (rounded, calls) = calls_of(&gpu, || with_products_in(Precision::Tf32, || multiply(&gpu)));
    assert_near("tf32", rounded, multiply(&cpu), 1e-3);
    calls.iter().flatten().for_each(|call| call.is_in(0, 77));
}

#[test]
fn batches_are_one_product() {
    let (gpu, cpu) = (gpu(), cpu());
    let [a, b] = [[3 * 12, 20], [3 * 20, 16]].map(|shape| draw(shape, FloatDType::F32));
    let multiply = |device: &Device| {
        let put = |x: &Tensor<2>| Tensor::<2>::from_data(x.to_data(), device);
        let (a, b) = (put(&a).reshape([3, 12, 20]), put(&b).reshape([3, 20, 16]));
        product(a, b).reshape([3 * 12, 16])
    };
    let (found, calls) = calls_of(&gpu, || multiply(&gpu));
    assert_near("batch", found, multiply(&cpu), 2e-6);
    let Some(calls) = calls else { return };
    let [call] = &calls[..] else { panic!("{calls:#?}") };
    for operand in ["a", "b", "c", "d"] {
        assert_eq!(call.of(operand, "batch"), 3);
        let numbers = call.of(operand, "leading") * call.of(operand, "columns");
        assert_eq!(call.of(operand, "distance"), numbers, "{operand}");
    }
}

#[test]
fn gelu_is_part_of_the_product_where_rows_allow() {
    let (gpu, cpu) = (gpu(), cpu());
    for (dtype, tolerance) in TYPES {
        for o in [16, 12] {
            let inputs = [[12, 20], [o, 20], [1, o]].map(|shape| draw(shape, dtype));
            let fused = |x: &[Tensor<2>]| linear_gelu(x[0].clone(), x[1].clone(), Some(row(&x[2])));
            let apart = |x: &[Tensor<2>]| {
                let sum = linear(x[0].clone(), x[1].clone(), Some(row(&x[2])), None);
                activation(sum, None, Kind::GeluTanh)
            };
            let (found, calls) = calls_of(&gpu, || with_gradients(&inputs, dtype, &gpu, &fused));
            let expected = with_gradients(&inputs, FloatDType::F32, &cpu, &apart);
            for (place, (found, expected)) in found.into_iter().zip(expected).enumerate() {
                assert_near(&format!("{dtype:?} {o} {place}"), found, expected, 4.0 * tolerance);
            }
            let Some(calls) = calls else { continue };
            assert_eq!(calls.len(), 3, "{calls:#?}");
            // The width of the kept sum must be a multiple of 8.
            let expected = if o == 16 { (164, 16) } else { (4, 0) };
            let forward: &Call = &calls[0];
            assert_eq!((forward.number("epilogue"), forward.number("aux_leading")), expected);
        }
    }
}

#[test]
fn few_rows_are_left_to_the_kernels_of_decoding() {
    let gpu = gpu();
    let [x, weight] = [[3, 20], [16, 20]].map(|shape| draw(shape, FloatDType::F32));
    let put = |x: &Tensor<2>| Tensor::<2>::from_data(x.to_data(), &gpu);
    let (_, calls) = calls_of(&gpu, || linear(put(&x), put(&weight), None, None));
    assert!(calls.is_none_or(|calls| calls.is_empty()));
}

/// If the driver synchronizes the context, each product waits for earlier launches, and later launches wait for it.
#[test]
fn products_are_ordered_on_the_device_where_the_driver_can() {
    let (_, info) = block_on(open_device("cuda")).expect("a GPU");
    let gpu = gpu();
    let x = Tensor::<2>::from_data(draw([24, 24], FloatDType::F32).to_data(), &gpu);
    let (order, calls) = order_of(&gpu, || linear(x.clone(), x.clone(), None, None));
    let Some((order, calls)) = order.zip(calls) else { return };
    let waits = info.reason.is_some_and(|words| words.contains("the host waits"));
    assert_eq!(waits, order.is_empty());
    if !waits {
        let expected: Vec<&str> = calls.iter().flat_map(|_| ["record", "wait"]).collect();
        assert_eq!(order, expected);
    }
}
