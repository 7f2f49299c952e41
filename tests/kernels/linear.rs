use blankslate::config::Precision;
use blankslate::kernels::activation::{self, Kind};
use blankslate::kernels::linear::{self, linear, linear_gelu};
use blankslate::kernels::precision::with_products_in;
use burn::tensor::{Device, FloatDType, Tensor};

use crate::common;
use crate::harness::{Harness, everywhere, on_cpu, on_gpus, row};

fn linear_cases(harness: &mut Harness) {
    const SIZES: [usize; 6] = [1, 3, 7, 65, 128, 130];
    const PARTS: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];
    let every = |n| SIZES.iter().flat_map(move |i| SIZES.map(|o| [n, *i, o]));
    let shapes: Vec<_> = SIZES.into_iter().flat_map(every).collect();
    if harness.is_cpu() {
        for shape in shapes {
            for (bias, residual) in PARTS {
                linear_case(harness, shape, bias, residual, 0);
            }
        }
        // With gradients of some inputs only.
        for untracked in 1..15 {
            linear_case(harness, [7, 65, 12], true, true, untracked);
        }
        return;
    }
    // On a GPU, every size once in every place.
    let shapes = [
        [1, 130, 65],
        [3, 128, 7],
        [7, 65, 128],
        [65, 7, 130],
        [128, 3, 1],
        [130, 1, 3],
        [128, 128, 128],
        [65, 130, 130],
        [8, 64, 9],
        [2, 260, 33],
        [5, 12, 70],
        [4, 516, 6],
    ];
    for (turn, shape) in shapes.into_iter().enumerate() {
        let (bias, residual) = PARTS[turn % 4];
        linear_case(harness, shape, bias, residual, 0);
    }
    // With frozen weight and bias, the input is not kept.
    for untracked in [1, 2, 4, 6, 8] {
        linear_case(harness, [65, 130, 130], true, true, untracked);
    }
}

/// Compares one shape. Inputs whose bits are set in `untracked` have no gradients.
fn linear_case(
    harness: &mut Harness,
    [n, i, o]: [usize; 3],
    bias: bool,
    residual: bool,
    untracked: usize,
) {
    let mut inputs = vec![harness.draw(n, i), harness.draw(o, i)];
    if bias {
        inputs.push(harness.draw(1, o));
    }
    if residual {
        inputs.push(harness.draw(n, o));
    }
    for (place, input) in inputs.iter_mut().enumerate() {
        input.tracked = untracked >> place & 1 == 0;
    }
    let unpack = |x: &[Tensor<2>]| {
        let bias = bias.then(|| row(&x[2]));
        (x[0].clone(), x[1].clone(), bias, residual.then(|| x[x.len() - 1].clone()))
    };
    harness.check(
        "linear",
        &format!("{n} {i} {o}, bias {bias}, residual {residual}, untracked {untracked:b}"),
        &inputs,
        &|x, _| {
            let (x, weight, bias, residual) = unpack(x);
            linear(x, weight, bias, residual)
        },
        &|x, _| {
            let (x, weight, bias, residual) = unpack(x);
            linear::reference::linear(x, weight, bias, residual)
        },
    );
}

fn gelu_cases(harness: &mut Harness) {
    for (turn, [n, i, o]) in [[3, 7, 5], [65, 12, 16], [12, 33, 130]].into_iter().enumerate() {
        let has_bias = turn != 1;
        let mut inputs = vec![harness.draw(n, i), harness.draw(o, i)];
        inputs.extend(has_bias.then(|| harness.draw(1, o)));
        // One of them without a gradient.
        for untracked in [None, Some(0), Some(1)] {
            for (place, input) in inputs.iter_mut().enumerate() {
                input.tracked = Some(place) != untracked;
            }
            let bias = |x: &[Tensor<2>]| has_bias.then(|| row(&x[2]));
            harness.check(
                "linear_gelu",
                &format!("{n} {i} {o}, bias {has_bias}, untracked {untracked:?}"),
                &inputs,
                &|x, _| linear_gelu(x[0].clone(), x[1].clone(), bias(x)),
                &|x, _| {
                    let sum = linear::reference::linear(x[0].clone(), x[1].clone(), bias(x), None);
                    activation::reference::activation(sum, None, Kind::GeluTanh)
                },
            );
        }
    }
}

fn product_cases(harness: &mut Harness) {
    for [batch, m, k, n] in [[2, 5, 3, 7], [3, 65, 12, 66], [1, 64, 64, 32], [4, 33, 130, 1]] {
        let inputs = [harness.draw(batch * m, k), harness.draw(batch * k, n)];
        let batches = |x: &[Tensor<2>]| {
            let [a, b] = [&x[0], &x[1]].map(Clone::clone);
            (a.reshape([batch, m, k]), b.reshape([batch, k, n]))
        };
        harness.check(
            "product",
            &format!("{batch} {m} {k} {n}"),
            &inputs,
            &|x, _| {
                let (a, b) = batches(x);
                linear::product(a, b).reshape([batch * m, n])
            },
            &|x, _| {
                let (a, b) = batches(x);
                a.matmul(b).reshape([batch * m, n])
            },
        );
    }
}

fn linear_views(harness: &mut Harness) {
    for [n, i, o] in [[12, 20, 8], [3, 12, 16]] {
        let inputs =
            [harness.draw(n, i), harness.draw(o, i), harness.draw(1, o), harness.draw(n, o)];
        harness.check_all_views(
            "linear",
            &inputs,
            &|x, _| linear(x[0].clone(), x[1].clone(), Some(row(&x[2])), Some(x[3].clone())),
            &|x, _| {
                let (bias, residual) = (Some(row(&x[2])), Some(x[3].clone()));
                linear::reference::linear(x[0].clone(), x[1].clone(), bias, residual)
            },
        );
    }
}

fn linear_refusals(harness: &mut Harness) {
    let device = harness.device.clone();
    let matrix = |rows, columns| Tensor::<2>::zeros([rows, columns], &device);
    let vector = |len| Tensor::<1>::zeros([len], &device);
    let [x, weight] = [matrix(5, 3), matrix(2, 3)];
    let call = |weight: Tensor<2>, bias: Option<Tensor<1>>, residual: Option<Tensor<2>>| {
        linear(x.clone(), weight, bias, residual)
    };
    call(weight.clone(), Some(vector(2)), Some(matrix(5, 2)));
    harness.refuses("linear: `weight` has shape [2, 4], expected [O, I] = [2, 3]", || {
        call(matrix(2, 4), None, None)
    });
    harness.refuses("`bias` has shape [3]", || call(weight.clone(), Some(vector(3)), None));
    harness
        .refuses("`residual` has shape [5, 3]", || call(weight.clone(), None, Some(matrix(5, 3))));
    harness.refuses("`weight` is F64", || call(weight.clone().cast(FloatDType::F64), None, None));
    if !harness.is_cpu() {
        let elsewhere = Tensor::zeros([2, 3], &common::cpu());
        harness.refuses("`weight` is on", || call(elsewhere, None, None));
        let half = weight.clone().cast(FloatDType::F16);
        harness.refuses("`weight` is F16, expected F32", || call(half, None, None));
    }
}

#[test]
fn linear_agrees_with_the_reference_on_the_cpu() {
    on_cpu(linear_cases);
}

#[test]
fn linear_agrees_with_the_reference_on_gpus() {
    on_gpus(linear_cases);
}

#[test]
fn linear_gelu_agrees_with_the_reference() {
    on_cpu(gelu_cases);
    on_gpus(gelu_cases);
}

#[test]
fn product_agrees_with_the_reference() {
    on_cpu(product_cases);
    on_gpus(product_cases);
}

/// A factor in TF32 is off by up to 2^-11 of itself.
#[test]
fn products_round_to_tf32_where_permitted_only() {
    let Some(gpu) = common::gpu_in(Precision::Tf32) else { return };
    let mut harness = Harness::new("tf32", gpu.clone(), vec![FloatDType::F32]);
    let [a, b] = [harness.draw(70, 130), harness.draw(130, 40)];
    let product = |device: &Device| linear::product(a.put(device), b.put(device));
    let error = |found: Tensor<2>, expected: Tensor<2>| {
        let largest = expected.clone().abs().max().into_scalar::<f32>();
        (found - expected).abs().max().into_scalar::<f32>() / largest
    };
    let expected = || Tensor::<2>::from_data(product(&common::cpu()).into_data(), &gpu);
    let exact = error(product(&gpu), expected());
    let rounded = with_products_in(Precision::Tf32, || error(product(&gpu), expected()));
    println!("f32 {exact:.1e}, tf32 {rounded:.1e}");
    assert!(exact < 2e-6 && (1e-5..1e-3).contains(&rounded), "f32 {exact:e}, tf32 {rounded:e}");
    assert!(error(product(&gpu), expected()) < 2e-6, "f32 is exact again");
}

#[test]
fn linear_takes_views() {
    on_cpu(linear_views);
    on_gpus(linear_views);
}

#[test]
fn linear_refuses_wrong_arguments() {
    everywhere(linear_refusals);
}
