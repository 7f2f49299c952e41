//! Every kernel against its reference in burn's own operations, and AdamW against its formula: values
//! and all gradients, at ragged sizes. The references run on the CPU device.

mod common;

use std::collections::BTreeMap;
use std::time::Instant;

use blankslate::kernels::activation::{self, Kind, activation};
use blankslate::kernels::adamw::{CALM, Moments, Step};
use blankslate::kernels::attention::{self, attention};
use blankslate::kernels::cross_entropy::{self, head_loss, head_losses};
use blankslate::kernels::dropout::{self, Dropout, dropout};
use blankslate::kernels::embedding::{self, Ids, embedding};
use blankslate::kernels::kv_cache;
use blankslate::kernels::linear::{self, linear};
use blankslate::kernels::norm::{self, norm};
use blankslate::kernels::prefer_serial;
use blankslate::kernels::rotary::{self, Heads};
use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

/// The largest difference allowed, as a part of the largest value expected: in f32, and in f16, whose numbers
/// are rounded by up to 5e-4 of themselves whenever a kernel writes them.
const TOLERANCE: f32 = 2e-5;
const TOLERANCE_F16: f32 = 4e-3;

/// Expected values below this count as this large: where all of them are zero but for rounding.
const SMALLEST: f32 = 1e-2;

/// A matrix on the host.
#[derive(Clone)]
struct Array {
    shape: [usize; 2],
    values: Vec<f32>,
    /// Whether its gradient is computed.
    tracked: bool,
}

impl Array {
    fn times(mut self, factor: f32) -> Self {
        self.values.iter_mut().for_each(|x| *x *= factor);
        self
    }

    fn put(&self, device: &Device) -> Tensor<2> {
        Tensor::from_data(TensorData::new(self.values.clone(), self.shape), device)
    }

    /// As numbers of another type, for differentiation.
    fn put_as(&self, dtype: FloatDType, device: &Device) -> Tensor<2> {
        Tensor::from_inner(self.put(&device.clone().inner()).cast(dtype))
    }

    fn transpose(&self) -> Self {
        let [rows, columns] = self.shape;
        let place = |i: usize| i % rows * columns + i / rows;
        let values = (0..rows * columns).map(|i| self.values[place(i)]).collect();
        Self { shape: [columns, rows], values, ..*self }
    }
}

/// What is tested: from inputs to an output.
type Operation<'a> = &'a dyn Fn(&[Tensor<2>], &Device) -> Tensor<2>;

/// How a kernel meets the tensors around it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Around {
    Plain,
    /// Inputs and the output's gradient are views of transposed tensors.
    Transposed,
    /// The output's gradient is a single number, expanded.
    Summed,
}

/// A device under test, and what came out.
struct Bench {
    name: &'static str,
    device: Device,
    /// Of the tensors that kernels are given.
    dtype: FloatDType,
    rng: ChaCha8Rng,
    cases: usize,
    worst: BTreeMap<&'static str, (f32, String)>,
    failures: Vec<String>,
}

impl Bench {
    fn new(name: &'static str, device: Device) -> Self {
        Self {
            name,
            device,
            dtype: FloatDType::F32,
            rng: ChaCha8Rng::seed_from_u64(1),
            cases: 0,
            worst: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    /// Random numbers around zero, such as the type has.
    fn draw(&mut self, rows: usize, columns: usize) -> Array {
        let values = StandardNormal.sample_iter(&mut self.rng).take(rows * columns);
        let round = |x: f32| match self.dtype {
            FloatDType::F16 => half::f16::from_f32(x).to_f32(),
            _ => x,
        };
        Array { shape: [rows, columns], values: values.map(round).collect(), tracked: true }
    }

    /// Compares output and gradients of a kernel and its reference.
    fn check(
        &mut self,
        operation: &'static str,
        case: &str,
        inputs: &[Array],
        kernel: Operation,
        reference: Operation,
    ) {
        let around = [Around::Plain, Around::Transposed, Around::Summed][self.cases % 3];
        self.cases += 1;
        let plain = if around == Around::Transposed { Around::Plain } else { around };
        let exact = FloatDType::F32;
        let expected = values_and_gradients(reference, inputs, &common::cpu(), exact, plain);
        let found = values_and_gradients(kernel, inputs, &self.device, self.dtype, around);
        for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let what = match place {
                0 => "output".to_string(),
                _ => format!("gradient {}", place - 1),
            };
            self.compare(operation, &format!("{case} {around:?} {what}"), found, expected);
        }
    }

    fn compare(&mut self, operation: &'static str, case: &str, found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len(), "{operation} {case}");
        let largest = expected.iter().map(|x| x.abs()).fold(SMALLEST, f32::max);
        let pairs = found.iter().zip(expected);
        // Not f32::max, which passes over NaN.
        let difference = pairs
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, |most: f32, x| if most.is_nan() || x <= most { most } else { x });
        let error = difference / largest;
        let worst = self.worst.entry(operation).or_default();
        if error.is_nan() || error > worst.0 {
            *worst = (error, case.to_string());
        }
        let tolerance = if self.dtype == FloatDType::F16 { TOLERANCE_F16 } else { TOLERANCE };
        if error.is_nan() || error > tolerance {
            self.failures.push(format!("{operation} {case}: {error:e} of {largest}"));
        }
    }

    fn same_bits(&mut self, what: &str, found: &[Vec<f32>], expected: &[Vec<f32>]) {
        let bits = |lists: &[Vec<f32>]| -> Vec<u32> {
            lists.iter().flatten().map(|x| x.to_bits()).collect()
        };
        if bits(found) != bits(expected) {
            self.failures.push(format!("{what}: other bits"));
        }
    }

    /// Prints the largest errors; returns the failures.
    fn report(self) -> Vec<String> {
        for (operation, (error, case)) in &self.worst {
            println!("{}: {operation}: {error:.1e} at {case}", self.name);
        }
        self.failures.into_iter().map(|failure| format!("{}: {failure}", self.name)).collect()
    }
}

/// The output, then the gradients of the tracked inputs.
fn values_and_gradients(
    operation: Operation,
    inputs: &[Array],
    device: &Device,
    dtype: FloatDType,
    around: Around,
) -> Vec<Vec<f32>> {
    let device = device.clone().autodiff();
    let transposed = around == Around::Transposed;
    let leaves: Vec<Tensor<2>> = inputs
        .iter()
        .map(|input| {
            let input_now = if transposed { &input.transpose() } else { input };
            let leaf = input_now.put_as(dtype, &device);
            if input.tracked { leaf.require_grad() } else { leaf }
        })
        .collect();
    let turn = |x: Tensor<2>| if transposed { x.transpose() } else { x };
    let arguments: Vec<_> = leaves.iter().cloned().map(turn).collect();
    let y = operation(&arguments, &device);
    let mut weights = Bench::new("weights", device.clone());
    weights.dtype = FloatDType::F16;
    let weights = weights.draw(y.dims()[0], y.dims()[1]).put_as(y.dtype().into(), &device);
    let weighted = match around {
        Around::Summed => y.clone(),
        _ => turn(y.clone()) * turn(weights),
    };
    let gradients = weighted.sum().backward();
    let mut all = vec![floats(y.inner())];
    for (leaf, input) in leaves.into_iter().zip(inputs) {
        if input.tracked {
            all.push(floats(turn(leaf.grad(&gradients).expect("tracked"))));
        }
    }
    all
}

fn floats<const N: usize>(tensor: Tensor<N>) -> Vec<f32> {
    tensor.cast(FloatDType::F32).into_data().try_into_vec().expect("f32")
}

/// The only row of `x`.
fn row(x: &Tensor<2>) -> Tensor<1> {
    x.clone().reshape([x.dims()[1]])
}

fn linear_cases(bench: &mut Bench) {
    const SIZES: [usize; 6] = [1, 3, 7, 65, 128, 130];
    const PARTS: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];
    let every = |n| SIZES.iter().flat_map(move |i| SIZES.map(|o| [n, *i, o]));
    let shapes: Vec<_> = SIZES.into_iter().flat_map(every).collect();
    if bench.name == "cpu" {
        for shape in shapes {
            for (bias, residual) in PARTS {
                linear_case(bench, shape, bias, residual, 0);
            }
        }
        // Only some of the inputs have gradients.
        for untracked in 1..15 {
            linear_case(bench, [7, 65, 12], true, true, untracked);
        }
        return;
    }
    // A software GPU takes seconds to compile the kernels of a shape: there, every size once in every place.
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
        linear_case(bench, shape, bias, residual, 0);
    }
    // With frozen weight and bias nothing of the input is kept.
    for untracked in [1, 2, 4, 6, 8] {
        linear_case(bench, [65, 130, 130], true, true, untracked);
    }
}

/// Inputs whose bits are set in `untracked` have no gradients.
fn linear_case(
    bench: &mut Bench,
    [n, i, o]: [usize; 3],
    bias: bool,
    residual: bool,
    untracked: usize,
) {
    let mut inputs = vec![bench.draw(n, i), bench.draw(o, i)];
    if bias {
        inputs.push(bench.draw(1, o));
    }
    if residual {
        inputs.push(bench.draw(n, o));
    }
    for (place, input) in inputs.iter_mut().enumerate() {
        input.tracked = untracked >> place & 1 == 0;
    }
    let unpack = |x: &[Tensor<2>]| {
        let bias = bias.then(|| row(&x[2]));
        (x[0].clone(), x[1].clone(), bias, residual.then(|| x[x.len() - 1].clone()))
    };
    bench.check(
        "linear",
        &format!("{n} {i} {o}, bias {bias}, residual {residual}, untracked {untracked:b}"),
        &inputs,
        &|x, _| {
            let (x, weight, bias, residual) = unpack(x);
            linear(x, weight, bias, residual)
        },
        &|x, _| {
            let (x, weight, bias, residual) = unpack(x);
            linear::reference(x, weight, bias, residual)
        },
    );
}

fn norm_cases(bench: &mut Bench) {
    for rows in [1, 5, 77] {
        for width in [1, 6, 64, 130] {
            for (rms, bias) in [(false, true), (false, false), (true, false), (true, true)] {
                // One that shows. Of a single number, little but it is left in the gradient.
                for eps in if width == 1 { &[0.1][..] } else { &[1e-5, 0.1] } {
                    let mut inputs = vec![bench.draw(rows, width), bench.draw(1, width)];
                    if bias {
                        inputs.push(bench.draw(1, width));
                    }
                    let bias = |x: &[Tensor<2>]| bias.then(|| row(&x[2]));
                    bench.check(
                        "norm",
                        &format!("{rows} {width}, rms {rms}, eps {eps}"),
                        &inputs,
                        &|x, _| norm(x[0].clone(), row(&x[1]), bias(x), *eps, rms),
                        &|x, _| norm::reference(x[0].clone(), row(&x[1]), bias(x), *eps, rms),
                    );
                }
            }
        }
    }
}

/// Documents of one to `longest` tokens in each sequence: where that of each token begins.
fn document_begins(batch: usize, tokens: usize, longest: usize) -> Vec<i32> {
    let mut all = Vec::new();
    for sequence in 0..batch {
        let mut begin = 0;
        for place in 0..tokens {
            if place - begin > (place * 7 + sequence * 3) % longest {
                begin = place;
            }
            all.push(begin as i32);
        }
    }
    all
}

fn attention_cases(bench: &mut Bench) {
    let shapes =
        [(1, 1, 1, 1, 4), (2, 5, 4, 2, 6), (1, 33, 2, 1, 32), (3, 64, 4, 4, 16), (1, 100, 6, 3, 8)];
    let dropout = Some(Dropout { probability: 0.3, seed: 5 });
    for (turn, (batch, tokens, heads, kv_heads, head_dim)) in shapes.into_iter().enumerate() {
        let kinds = [
            (1.0, None, None, None, None),
            (6.0, None, None, None, None),
            (1.0, Some(1.5), None, None, None),
            (1.0, None, Some(4), None, None),
            (1.0, None, Some(40), None, None),
            (1.0, None, None, dropout, None),
            (1.0, Some(1.5), Some(20), dropout, None),
            (1.0, None, None, None, Some(70)),
            (6.0, None, None, None, Some(3)),
            (1.0, Some(1.5), Some(20), dropout, Some(30)),
        ];
        for (kind, (sharpness, soft_cap, window, dropout, longest)) in kinds.into_iter().enumerate()
        {
            // A software GPU takes seconds to compile the kernels of a shape.
            if bench.name != "cpu" && longest.is_some() && (turn + kind) % 3 != 0 {
                continue;
            }
            let begins = longest.map(|longest| document_begins(batch, tokens, longest));
            let documents = |on: &Device| -> Option<Tensor<1, Int>> {
                let begins = begins.clone()?;
                Some(Tensor::from_data(TensorData::new(begins, [batch * tokens]), on))
            };
            let options = attention::Options {
                batch,
                tokens,
                heads,
                kv_heads,
                head_dim,
                scale: sharpness / (head_dim as f32).sqrt(),
                soft_cap,
                window,
                dropout,
            };
            let inputs = [bench.draw(batch * tokens, (heads + 2 * kv_heads) * head_dim)];
            bench.check(
                "attention",
                &format!("{options:?}, documents of up to {longest:?}"),
                &inputs,
                &|x, on| attention(x[0].clone(), documents(on), options.clone()),
                &|x, on| attention::reference(x[0].clone(), documents(on), options.clone()),
            );
        }
    }
}

/// Texts of several tokens and single ones, one after the other into the same cache.
fn kv_cache_cases(bench: &mut Bench) {
    let shapes: [([usize; 5], &[usize]); 7] = [
        ([1, 1, 1, 4, 7], &[1, 1, 3]),
        ([1, 2, 1, 5, 20], &[3, 1, 2]),
        ([2, 4, 2, 6, 40], &[5, 1, 1, 9, 1]),
        ([3, 6, 1, 8, 150], &[70, 1, 2, 60, 1]),
        ([3, 10, 2, 8, 33], &[31, 1, 1]),
        ([1, 2, 2, 300, 70], &[66, 1]),
        // On the CPU, more queries and keys than a task takes.
        if bench.name == "cpu" {
            ([2, 4, 4, 16, 1300], &[1, 1100, 1, 5, 100])
        } else {
            ([2, 4, 4, 16, 300], &[1, 200, 1, 5, 30])
        },
    ];
    let kinds = [
        (1.0, None, None),
        (6.0, None, None),
        (1.0, Some(1.5), None),
        (1.0, None, Some(1)),
        (1.0, None, Some(4)),
        (3.0, Some(1.5), Some(600)),
    ];
    for (turn, ([batch, heads, kv_heads, head_dim, capacity], texts)) in
        shapes.into_iter().enumerate()
    {
        for (kind, (sharpness, soft_cap, window)) in kinds.into_iter().enumerate() {
            // A software GPU takes a second to compile the kernels of a shape.
            if bench.name != "cpu" && (turn + kind) % 3 != 0 {
                continue;
            }
            let empty = |device: &Device| -> Tensor<5> {
                Tensor::zeros([2, batch, kv_heads, capacity, head_dim], device)
            };
            let (mut cache, mut expected) = (empty(&bench.device), empty(&common::cpu()));
            let mut start = 0;
            for tokens in texts {
                let options = attention::Options {
                    batch,
                    tokens: *tokens,
                    heads,
                    kv_heads,
                    head_dim,
                    scale: sharpness / (head_dim as f32).sqrt(),
                    soft_cap,
                    window,
                    dropout: None,
                };
                let case = format!("at {start} of {capacity}, {options:?}");
                let new = bench.draw(batch * tokens, (heads + 2 * kv_heads) * head_dim);
                let (qkv, same) = (new.put(&bench.device), new.put(&common::cpu()));
                cache = kv_cache::write(cache, qkv.clone(), start);
                expected = kv_cache::write_reference(expected, same.clone(), start);
                let written = [floats(cache.clone()), floats(expected.clone())];
                bench.same_bits(&case, &written[..1], &written[1..]);
                let out = kv_cache::attend(qkv, cache.clone(), start, options.clone());
                let reference = kv_cache::attend_reference(same, expected.clone(), start, options);
                bench.compare("kv_cache", &case, &floats(out), &floats(reference));
                start += tokens;
            }
        }
    }
}

fn activation_cases(bench: &mut Bench) {
    for (rows, width) in [(1, 1), (3, 7), (5, 64), (33, 131)] {
        for kind in [Kind::GeluTanh, Kind::GeluErf, Kind::Relu2, Kind::Swiglu] {
            for factor in [1.0, 3.0, 40.0] {
                let mut input = || {
                    let mut input = bench.draw(rows, width).times(factor);
                    input.values.iter_mut().for_each(|x| *x = x.clamp(-40.0, 40.0));
                    input
                };
                let mut inputs = vec![input()];
                if kind == Kind::Swiglu {
                    inputs.push(input());
                }
                bench.check(
                    "activation",
                    &format!("{kind:?} {rows} {width} times {factor}"),
                    &inputs,
                    &|x, _| activation(x[0].clone(), x.get(1).cloned(), kind),
                    &|x, _| activation::reference(x[0].clone(), x.get(1).cloned(), kind),
                );
            }
        }
    }
}

/// Rows, features and vocabulary; every `skip`-th target does not count.
fn head_loss_case(
    bench: &mut Bench,
    [rows, width, vocab]: [usize; 3],
    skip: usize,
    options: cross_entropy::Options,
    tracked: [bool; 2],
) {
    let mut inputs = [bench.draw(rows, width), bench.draw(vocab, width)];
    for (input, tracked) in inputs.iter_mut().zip(tracked) {
        input.tracked = tracked;
    }
    let targets: Vec<i32> = (0..rows)
        .map(|i| if (i + 1) % skip == 0 { -1 } else { (i * 7919 % vocab) as i32 })
        .collect();
    let targets = |device: &Device| -> Tensor<1, Int> {
        Tensor::from_data(TensorData::new(targets.clone(), [rows]), device)
    };
    let one = |loss: Tensor<1>| loss.reshape([1, 1]);
    bench.check(
        "head_loss",
        &format!("{rows} {width} {vocab}, skip {skip}, {options:?}, tracked {tracked:?}"),
        &inputs,
        &|x, device| one(head_loss(x[0].clone(), x[1].clone(), targets(device), options)),
        &|x, device| {
            let rows =
                cross_entropy::reference(x[0].clone(), x[1].clone(), targets(device), options);
            one(rows.sum())
        },
    );
    // The check weights each row differently.
    let column = |losses: Tensor<1>| losses.reshape([rows, 1]);
    bench.check(
        "head_losses",
        &format!("{rows} {width} {vocab}, skip {skip}, {options:?}, tracked {tracked:?}"),
        &inputs,
        &|x, device| column(head_losses(x[0].clone(), x[1].clone(), targets(device), options)),
        &|x, device| {
            column(cross_entropy::reference(x[0].clone(), x[1].clone(), targets(device), options))
        },
    );
}

fn head_loss_cases(bench: &mut Bench) {
    for shape in [[1, 3, 1], [7, 6, 13], [33, 64, 130], [65, 16, 1000]] {
        for (z_loss, soft_cap) in [(0.0, None), (0.1, None), (0.0, Some(1.5)), (0.1, Some(1.5))] {
            for skip in [usize::MAX, 3, 1] {
                let options =
                    cross_entropy::Options { scale: 1.0 / shape[0] as f32, z_loss, soft_cap };
                head_loss_case(bench, shape, skip, options, [true; 2]);
            }
        }
    }
    let options = cross_entropy::Options { scale: 0.1, z_loss: 0.1, soft_cap: None };
    head_loss_case(bench, [7, 6, 13], 3, options, [true, false]);
    head_loss_case(bench, [7, 6, 13], 3, options, [false, true]);
}

fn embedding_cases(bench: &mut Bench) {
    for (vocab, width, count) in [(1, 1, 1), (11, 7, 50), (130, 64, 300), (300, 130, 77)] {
        for most in [vocab, vocab.min(2)] {
            let table = [bench.draw(vocab, width)];
            let ids: Vec<u32> = (0..count).map(|i| (i * i * 31 + i) % most as u32).collect();
            let kernel =
                |x: &[Tensor<2>], device: &Device| embedding(x[0].clone(), Ids::new(&ids, device));
            bench.check(
                "embedding",
                &format!("{vocab} {width}, {count} of {most}"),
                &table,
                &kernel,
                &|x, device| embedding::reference(x[0].clone(), Ids::new(&ids, device)),
            );
            let run = || {
                let (device, dtype) = (&bench.device, bench.dtype);
                values_and_gradients(&kernel, &table, device, dtype, Around::Plain)
            };
            let (first, second) = (run(), run());
            bench.same_bits("embedding", &first, &second);
        }
    }
}

fn rotary_cases(bench: &mut Bench) {
    let shapes = [(4, 2, 6, 5), (3, 1, 8, 33), (2, 2, 2, 1), (6, 3, 64, 20)];
    for (query, kv, dim, tokens) in shapes {
        let heads = Heads { query, kv, dim };
        let rows = 2 * tokens;
        let angles = bench.draw(tokens, dim / 2);
        let [cos, sin] = [f32::cos, f32::sin].map(|f| {
            let values = angles.values.iter().map(|x| f(*x)).collect();
            Array { values, ..angles.clone() }
        });
        let table = |device: &Device| (cos.put(device), sin.put(device));
        for (turned, untracked) in [(true, 3), (false, 3), (true, 0), (true, 1), (true, 2)] {
            let mut inputs = [query, kv, kv].map(|count| bench.draw(rows, count * dim));
            for (place, input) in inputs.iter_mut().enumerate() {
                input.tracked = place != untracked;
            }
            let table = |device: &Device| turned.then(|| table(device));
            let copies = |x: &[Tensor<2>]| (x[0].clone(), x[1].clone(), x[2].clone());
            bench.check(
                "rotary::pack",
                &format!("{heads:?} {tokens}, turned {turned}, untracked {untracked}"),
                &inputs,
                &|x, device| {
                    let (q, k, v) = copies(x);
                    rotary::pack(q, k, v, table(device), heads)
                },
                &|x, device| {
                    let (q, k, v) = copies(x);
                    rotary::reference(q, k, v, table(device), heads)
                },
            );
        }
        let packed = [bench.draw(rows, (query + 2 * kv) * dim)];
        bench.check(
            "rotary::rotate",
            &format!("{heads:?} {tokens}"),
            &packed,
            &|x, device| rotary::rotate(x[0].clone(), table(device), heads),
            &|x, device| {
                let part = |from, count| x[0].clone().narrow(1, from * dim, count * dim);
                let (q, k, v) = (part(0, query), part(query, kv), part(query + kv, kv));
                rotary::reference(q, k, v, Some(table(device)), heads)
            },
        );
    }
    // Heads that cannot be halved are packed all the same.
    let heads = Heads { query: 2, kv: 1, dim: 5 };
    let inputs = [2, 1, 1].map(|count| bench.draw(7, count * 5));
    bench.check(
        "rotary::pack",
        "odd heads",
        &inputs,
        &|x, _| rotary::pack(x[0].clone(), x[1].clone(), x[2].clone(), None, heads),
        &|x, _| rotary::reference(x[0].clone(), x[1].clone(), x[2].clone(), None, heads),
    );
}

fn dropout_cases(bench: &mut Bench) {
    for (rows, width) in [(1, 1), (5, 7), (33, 64), (77, 131)] {
        for residual in [false, true] {
            for probability in [0.0, 0.1, 0.6] {
                let options = Dropout { probability, seed: (rows + width) as u32 };
                let mut inputs = vec![bench.draw(rows, width)];
                if residual {
                    inputs.push(bench.draw(rows, width));
                }
                bench.check(
                    "dropout",
                    &format!("{rows} {width}, residual {residual}, {options:?}"),
                    &inputs,
                    &|x, _| dropout(x[0].clone(), x.get(1).cloned(), options),
                    &|x, _| {
                        let y = dropout::reference(x[0].clone(), options);
                        if residual { y + x[1].clone() } else { y }
                    },
                );
            }
        }
    }
    for (seed, probability) in [(0, 0.1), (1, 0.3), (u32::MAX, 0.7)] {
        let ones = Tensor::ones([100, 101], &bench.device);
        let y = floats(dropout(ones, None, Dropout { probability, seed }));
        let zeros = y.iter().filter(|x| **x == 0.0).count() as f32 / y.len() as f32;
        // Four standard deviations or more.
        if (zeros - probability).abs() > 0.02 {
            bench.failures.push(format!("dropout: {zeros} zeros for {probability}"));
        }
    }
}

fn adamw_cases(bench: &mut Bench) {
    let many: Vec<usize> = [1, 3, 64, 1000, 5].repeat(8);
    for sizes in [&[1, 3, 64, 1000][..], &[64, 1000, 4], &[1000], &many[..]] {
        let first = adamw_case(bench, sizes);
        let second = adamw_case(bench, sizes);
        bench.same_bits("adamw", &first, &second);
    }
}

/// What the optimizer is told at step `t`, and how long gradients may be.
fn schedule(t: i32) -> (Step, Option<f32>) {
    let (beta1, beta2) = (0.9f32, 0.99f32);
    let step = Step {
        lr: 0.05,
        beta1,
        beta2,
        eps: 1e-3,
        weight_decay: 0.1,
        correction1: (1.0 - f64::from(beta1).powi(t)) as f32,
        correction2: (1.0 - f64::from(beta2).powi(t)) as f32,
    };
    (step, [Some(1.0), None, Some(1e6)][t as usize % 3])
}

/// Ten steps; parameters and moments after them.
fn adamw_case(bench: &mut Bench, sizes: &[usize]) -> Vec<Vec<f32>> {
    bench.rng = ChaCha8Rng::seed_from_u64(sizes.len() as u64);
    let device = bench.device.clone();
    let put = |values: &Vec<f32>| {
        Tensor::<1>::from_data(TensorData::new(values.clone(), [values.len()]), &device)
    };
    let start: Vec<Vec<f32>> = sizes.iter().map(|size| bench.draw(1, *size).values).collect();
    let decays: Vec<bool> = (0..sizes.len()).map(|i| i % 2 == 0).collect();
    let mut params: Vec<_> = start.iter().map(put).collect();
    let mut moments = Moments::zeros(sizes, &device);
    let mut host = HostAdamw::new(&start);

    for t in 1..=10 {
        let values: Vec<Vec<f32>> = sizes.iter().map(|size| bench.draw(1, *size).values).collect();
        let gradients: Vec<_> = values.iter().map(put).collect();
        let (step, max_norm) = schedule(t);
        let norm = floats(moments.clip(&gradients, max_norm));
        let expected = host.step(&values, &decays, step, max_norm);
        bench.compare("adamw", &format!("{sizes:?}, norm {t}"), &norm, &[expected as f32]);
        params = if t == 5 {
            let kept = (params.clone(), moments.clone());
            let before = everything(&kept.0, &kept.1);
            let params = moments.update(params, gradients, &decays, step);
            bench.same_bits("a clone before an update", &everything(&kept.0, &kept.1), &before);
            params
        } else {
            moments.update(params, gradients, &decays, step)
        };
    }

    let found = everything(&params, &moments);
    for (place, (found, expected)) in found.iter().zip(host.everything()).enumerate() {
        bench.compare("adamw", &format!("{sizes:?}, {place}"), found, &expected);
    }
    let mut copy = Moments::zeros(sizes, &device);
    (0..sizes.len()).for_each(|i| copy.set(i, moments.get(i)));
    bench.same_bits("moments that were set", &everything(&params, &copy), &found);

    // Both go on alike, and a clone keeps how much it was told to clip.
    let gradients: Vec<_> = start.iter().map(put).collect();
    let (step, _) = schedule(11);
    moments.clip(&gradients, Some(0.5));
    copy.clip(&gradients, Some(0.5));
    let mut clone = moments.clone();
    moments.clip(&gradients, None);
    let [clone, copy] = [&mut clone, &mut copy].map(|moments| {
        let params = moments.update(params.clone(), gradients.clone(), &decays, step);
        everything(&params, moments)
    });
    bench.same_bits("moments that went on", &clone, &copy);
    bench.same_bits("parameters that were cloned", &everything(&params, &moments), &found);
    found
}

/// AdamW on scaled gradients against AdamW on the same ones unscaled; then gradients that overflow, and a scale
/// that has fitted for long.
fn loss_scale_cases(bench: &mut Bench) {
    let sizes = [3, 64, 1000];
    let device = bench.device.clone();
    let put = |values: &[f32]| {
        Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), &device)
    };
    let start: Vec<_> = sizes.iter().map(|size| bench.draw(1, *size).values).collect();
    let params = || start.iter().map(|values| put(values)).collect::<Vec<_>>();
    let (mut plain, mut scaled) = (params(), params());
    let (mut moments, mut scaled_moments) =
        (Moments::zeros(&sizes, &device), Moments::zeros(&sizes, &device));
    assert!(moments.loss_scale().is_none());
    scaled_moments.set_loss_scale(put(&[1024.0, (CALM - 4) as f32]));
    let scale_now = |moments: &Moments| floats(moments.loss_scale().expect("it was set"));

    for (t, overflows) in (1..).zip([false, false, true, false, false]) {
        let values: Vec<_> = sizes.iter().map(|size| bench.draw(1, *size).values).collect();
        let (step, max_norm) = schedule(t);
        let scale = scale_now(&scaled_moments)[0];
        let times = |factor: f32| {
            let times = |values: &Vec<f32>| values.iter().map(|x| x * factor).collect::<Vec<_>>();
            values.iter().map(times).collect::<Vec<_>>()
        };
        if overflows {
            for lost in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                let before = everything(&scaled, &scaled_moments);
                let scale = scale_now(&scaled_moments)[0];
                let mut gradients = times(scale);
                gradients[1][5] = lost;
                let gradients: Vec<_> = gradients.iter().map(|values| put(values)).collect();
                let norm = floats(scaled_moments.clip(&gradients, max_norm));
                scaled = scaled_moments.update(scaled, gradients, &[true; 3], step);
                if norm[0].is_finite() || scale_now(&scaled_moments) != [scale / 2.0, 0.0] {
                    bench.failures.push(format!("loss scale: {lost} was not seen"));
                }
                let after = everything(&scaled, &scaled_moments);
                bench.same_bits("a step that was skipped", &after, &before);
            }
            scaled_moments.set_loss_scale(put(&[128.0, (CALM - 1) as f32]));
            continue;
        }
        let [gradients, large] = [1.0, scale]
            .map(|factor| times(factor).iter().map(|values| put(values)).collect::<Vec<_>>());
        let norm = floats(moments.clip(&gradients, max_norm));
        let scaled_norm = floats(scaled_moments.clip(&large, max_norm));
        bench.compare("loss scale", &format!("norm {t}"), &scaled_norm, &norm);
        plain = moments.update(plain, gradients, &[true; 3], step);
        scaled = scaled_moments.update(scaled, large, &[true; 3], step);
    }
    // One step after it was due to grow, and one more.
    let expected = [256.0, 1.0];
    if scale_now(&scaled_moments) != expected {
        bench.failures.push(format!("loss scale: {:?}", scale_now(&scaled_moments)));
    }
    let found = everything(&scaled, &scaled_moments);
    for (found, expected) in found.iter().zip(everything(&plain, &moments)) {
        bench.compare("loss scale", "after all", found, &expected);
    }
}

/// Parameters, then each one's moments.
fn everything(params: &[Tensor<1>], moments: &Moments) -> Vec<Vec<f32>> {
    let params_read = params.iter().cloned().map(floats);
    let moments = (0..params.len()).flat_map(|i| moments.get(i)).map(floats);
    params_read.chain(moments).collect()
}

/// AdamW as PyTorch has it, with `clip_grad_norm_`.
struct HostAdamw {
    params: Vec<Vec<f64>>,
    moments: Vec<[Vec<f64>; 2]>,
}

impl HostAdamw {
    fn new(params: &[Vec<f32>]) -> Self {
        let wide = |values: &Vec<f32>| values.iter().map(|x| f64::from(*x)).collect();
        let zeros = |values: &Vec<f32>| [vec![0.0; values.len()], vec![0.0; values.len()]];
        Self {
            params: params.iter().map(wide).collect(),
            moments: params.iter().map(zeros).collect(),
        }
    }

    /// Returns the norm of the gradients.
    fn step(
        &mut self,
        gradients: &[Vec<f32>],
        decays: &[bool],
        step: Step,
        max_norm: Option<f32>,
    ) -> f64 {
        let squares = gradients.iter().flatten().map(|g| f64::from(*g).powi(2));
        let norm = squares.sum::<f64>().sqrt();
        let clip = max_norm.map_or(1.0, |most| (f64::from(most) / (norm + 1e-6)).min(1.0));
        let [lr, beta1, beta2] = [step.lr, step.beta1, step.beta2].map(f64::from);
        for (i, params) in self.params.iter_mut().enumerate() {
            let [first, second] = &mut self.moments[i];
            for (j, w) in params.iter_mut().enumerate() {
                let g = f64::from(gradients[i][j]) * clip;
                if decays[i] {
                    *w *= 1.0 - lr * f64::from(step.weight_decay);
                }
                first[j] = beta1 * first[j] + (1.0 - beta1) * g;
                second[j] = beta2 * second[j] + (1.0 - beta2) * g * g;
                let root = second[j].sqrt() / f64::from(step.correction2).sqrt();
                let rate = lr / f64::from(step.correction1);
                *w -= rate * first[j] / (root + f64::from(step.eps));
            }
        }
        norm
    }

    /// In the order of [`everything`].
    fn everything(&self) -> Vec<Vec<f32>> {
        let lists = self.params.iter().chain(self.moments.iter().flatten());
        lists.map(|list| list.iter().map(|x| *x as f32).collect()).collect()
    }
}

fn on_cpu(cases: fn(&mut Bench)) {
    let mut bench = Bench::new("cpu", common::cpu());
    cases(&mut bench);
    all_is_well(&bench.report());
}

fn all_is_well(failures: &[String]) {
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn linear_on_the_cpu() {
    on_cpu(linear_cases);
}

#[test]
fn norm_on_the_cpu() {
    on_cpu(norm_cases);
}

#[test]
fn attention_on_the_cpu() {
    on_cpu(attention_cases);
}

#[test]
fn kv_cache_on_the_cpu() {
    on_cpu(kv_cache_cases);
}

#[test]
fn activation_on_the_cpu() {
    on_cpu(activation_cases);
}

#[test]
fn head_loss_on_the_cpu() {
    on_cpu(head_loss_cases);
}

/// So many logits that the rows are worked on in three chunks.
#[test]
fn head_loss_in_chunks_on_the_cpu() {
    on_cpu(|bench| {
        let options = cross_entropy::Options { scale: 1e-3, z_loss: 0.01, soft_cap: None };
        for tracked in [[true; 2], [true, false], [false, true]] {
            head_loss_case(bench, [1200, 8, 30_011], 3, options, tracked);
        }
    });
}

#[test]
fn embedding_on_the_cpu() {
    on_cpu(embedding_cases);
}

#[test]
fn rotary_on_the_cpu() {
    on_cpu(rotary_cases);
}

#[test]
fn dropout_on_the_cpu() {
    on_cpu(dropout_cases);
}

#[test]
fn adamw_on_the_cpu() {
    on_cpu(adamw_cases);
}

#[test]
fn loss_scale_on_the_cpu() {
    on_cpu(loss_scale_cases);
}

/// One test: how the kernels work is chosen for the whole process.
#[test]
fn all_on_vulkan() {
    let Some(device) = common::vulkan() else { return };
    let in_any_type: [fn(&mut Bench); 9] = [
        linear_cases,
        norm_cases,
        attention_cases,
        kv_cache_cases,
        activation_cases,
        head_loss_cases,
        embedding_cases,
        rotary_cases,
        dropout_cases,
    ];
    let mut failures: Vec<String> = Vec::new();
    for (serial, names) in [
        (true, ["vulkan, serial", "vulkan, serial, f16"]),
        (false, ["vulkan, parallel", "vulkan, parallel, f16"]),
    ] {
        prefer_serial(serial);
        for (dtype, name) in [FloatDType::F32, FloatDType::F16].into_iter().zip(names) {
            if !device.supports_dtype(dtype) {
                eprintln!("SKIPPED: {name}: the driver does not compute in it");
                continue;
            }
            let moments = [adamw_cases, loss_scale_cases].map(|cases| cases as fn(&mut Bench));
            let moments = moments.into_iter().filter(|_| dtype == FloatDType::F32);
            for cases in in_any_type.into_iter().chain(moments) {
                let start = Instant::now();
                let mut bench = Bench::new(name, device.clone());
                bench.dtype = dtype;
                cases(&mut bench);
                failures.extend(bench.report());
                println!("{:.1} s", start.elapsed().as_secs_f32());
            }
        }
    }
    all_is_well(&failures);
}
