use blankslate::kernels::norm::{self, norm};
use burn::tensor::Tensor;

use crate::harness::{Harness, everywhere, on_cpu, on_gpus, row};

fn norm_cases(harness: &mut Harness) {
    let kinds = [(false, true), (false, false), (true, false), (true, true)];
    for (place, width) in [1, 6, 64, 130].into_iter().enumerate() {
        for (turn, (rms, bias)) in kinds.into_iter().enumerate() {
            for rows in harness.choose(&[1, 5, 77], place + turn) {
                // 0.1 is large enough to show. For a single number the gradient depends on little else.
                let epsilons = if width == 1 { &[0.1][..] } else { &[1e-5, 0.1] };
                for eps in harness.choose(epsilons, place / 2 + turn) {
                    let mut inputs = vec![harness.draw(*rows, width), harness.draw(1, width)];
                    if bias {
                        inputs.push(harness.draw(1, width));
                    }
                    let bias = |x: &[Tensor<2>]| bias.then(|| row(&x[2]));
                    harness.check(
                        "norm",
                        &format!("{rows} {width}, rms {rms}, eps {eps}"),
                        &inputs,
                        &|x, _| norm(x[0].clone(), row(&x[1]), bias(x), *eps, rms),
                        &|x, _| norm::reference::norm(x[0].clone(), row(&x[1]), bias(x), *eps, rms),
                    );
                }
            }
        }
    }
}

fn norm_views(harness: &mut Harness) {
    let inputs = [harness.draw(9, 12), harness.draw(1, 12), harness.draw(1, 12)];
    for rms in [false, true] {
        harness.check_all_views(
            "norm",
            &inputs,
            &|x, _| norm(x[0].clone(), row(&x[1]), Some(row(&x[2])), 0.1, rms),
            &|x, _| norm::reference::norm(x[0].clone(), row(&x[1]), Some(row(&x[2])), 0.1, rms),
        );
    }
}

fn norm_refusals(harness: &mut Harness) {
    let device = harness.device.clone();
    let x = Tensor::<2>::zeros([4, 6], &device);
    let vector = |len| Tensor::<1>::zeros([len], &device);
    norm(x.clone(), vector(6), Some(vector(6)), 1e-5, false);
    harness.refuses("norm: `weight` has shape [5], expected [C] = [6]", || {
        norm(x.clone(), vector(5), None, 1e-5, false)
    });
    harness.refuses("norm: `bias` has shape [1]", || {
        norm(x.clone(), vector(6), Some(vector(1)), 1e-5, true)
    });
}

#[test]
fn norm_agrees_with_the_reference_on_the_cpu() {
    on_cpu(norm_cases);
}

#[test]
fn norm_agrees_with_the_reference_on_gpus() {
    on_gpus(norm_cases);
}

#[test]
fn norm_takes_views() {
    on_cpu(norm_views);
    on_gpus(norm_views);
}

#[test]
fn norm_refuses_wrong_arguments() {
    everywhere(norm_refusals);
}
