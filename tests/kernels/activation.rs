use blankslate::kernels::activation::{self, Kind, activation};
use burn::tensor::Tensor;

use crate::harness::{Harness, everywhere, on_cpu, on_gpus};

fn activation_cases(harness: &mut Harness) {
    let kinds = [Kind::GeluTanh, Kind::GeluErf, Kind::Relu2, Kind::Swiglu];
    for (place, (rows, width)) in [(1, 1), (3, 7), (5, 64), (33, 131)].into_iter().enumerate() {
        for (turn, kind) in kinds.into_iter().enumerate() {
            for factor in harness.choose(&[1.0, 3.0, 40.0], place + turn) {
                let mut input = || {
                    let mut input = harness.draw(rows, width).times(*factor);
                    input.values.iter_mut().for_each(|x| *x = x.clamp(-40.0, 40.0));
                    input
                };
                let mut inputs = vec![input()];
                if kind == Kind::Swiglu {
                    inputs.push(input());
                }
                harness.check(
                    "activation",
                    &format!("{kind:?} {rows} {width} times {factor}"),
                    &inputs,
                    &|x, _| activation(x[0].clone(), x.get(1).cloned(), kind),
                    &|x, _| {
                        activation::reference::activation(x[0].clone(), x.get(1).cloned(), kind)
                    },
                );
            }
        }
    }
}

fn activation_views(harness: &mut Harness) {
    let inputs = [harness.draw(6, 8), harness.draw(6, 8)];
    for kind in [Kind::GeluTanh, Kind::Swiglu] {
        let inputs = if kind == Kind::Swiglu { &inputs[..] } else { &inputs[..1] };
        harness.check_all_views(
            "activation",
            inputs,
            &|x, _| activation(x[0].clone(), x.get(1).cloned(), kind),
            &|x, _| activation::reference::activation(x[0].clone(), x.get(1).cloned(), kind),
        );
    }
}

fn activation_refusals(harness: &mut Harness) {
    let device = harness.device.clone();
    let x = |rows, columns| Tensor::<2>::zeros([rows, columns], &device);
    activation(x(2, 3), Some(x(2, 3)), Kind::Swiglu);
    harness.refuses("activation: Swiglu with a gate: false", || {
        activation(x(2, 3), None, Kind::Swiglu)
    });
    harness.refuses("activation: Relu2 with a gate: true", || {
        activation(x(2, 3), Some(x(2, 3)), Kind::Relu2)
    });
    harness.refuses("`gate` has shape [3, 2], expected [N, F] = [2, 3]", || {
        activation(x(2, 3), Some(x(3, 2)), Kind::Swiglu)
    });
}

#[test]
fn activation_agrees_with_the_reference_on_the_cpu() {
    on_cpu(activation_cases);
}

#[test]
fn activation_agrees_with_the_reference_on_gpus() {
    on_gpus(activation_cases);
}

#[test]
fn activation_takes_views() {
    on_cpu(activation_views);
    on_gpus(activation_views);
}

#[test]
fn activation_refuses_wrong_arguments() {
    everywhere(activation_refusals);
}
