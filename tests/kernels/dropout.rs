use blankslate::kernels::dropout::{self, Dropout, dropout};
use burn::tensor::Tensor;

use crate::harness::{Harness, everywhere, floats, on_cpu, on_gpus};

fn dropout_cases(harness: &mut Harness) {
    for (place, (rows, width)) in [(1, 1), (5, 7), (33, 64), (77, 131)].into_iter().enumerate() {
        for (turn, residual) in [false, true].into_iter().enumerate() {
            for probability in harness.choose(&[0.0, 0.1, 0.6], place + 2 * turn) {
                let options = Dropout { probability: *probability, seed: (rows + width) as u32 };
                let mut inputs = vec![harness.draw(rows, width)];
                if residual {
                    inputs.push(harness.draw(rows, width));
                }
                harness.check(
                    "dropout",
                    &format!("{rows} {width}, residual {residual}, {options:?}"),
                    &inputs,
                    &|x, _| dropout(x[0].clone(), x.get(1).cloned(), options),
                    &|x, _| {
                        let y = dropout::reference::dropout(x[0].clone(), options);
                        if residual { y + x[1].clone() } else { y }
                    },
                );
            }
        }
    }
    for (seed, probability) in [(0, 0.1), (1, 0.3), (u32::MAX, 0.7)] {
        let ones = Tensor::ones([100, 101], &harness.device);
        let y = floats(dropout(ones, None, Dropout { probability, seed }));
        let zeros = y.iter().filter(|x| **x == 0.0).count() as f32 / y.len() as f32;
        // Four standard deviations or more.
        if (zeros - probability).abs() > 0.02 {
            harness.failures.push(format!("dropout: {zeros} zeros for {probability}"));
        }
    }
}

fn dropout_views(harness: &mut Harness) {
    let inputs = [harness.draw(6, 8), harness.draw(6, 8)];
    let options = Dropout { probability: 0.4, seed: 3 };
    harness.check_all_views(
        "dropout",
        &inputs,
        &|x, _| dropout(x[0].clone(), Some(x[1].clone()), options),
        &|x, _| dropout::reference::dropout(x[0].clone(), options) + x[1].clone(),
    );
}

fn dropout_refusals(harness: &mut Harness) {
    let device = harness.device.clone();
    let x = |rows, columns| Tensor::<2>::zeros([rows, columns], &device);
    let call = |residual, probability| dropout(x(2, 3), residual, Dropout { probability, seed: 1 });
    call(Some(x(2, 3)), 0.0);
    harness.refuses("dropout: `residual` has shape [3, 2], expected [N, C] = [2, 3]", || {
        call(Some(x(3, 2)), 0.1)
    });
    for probability in [1.0, -0.1, f32::NAN] {
        harness.refuses("`probability` is", || call(None, probability));
    }
}

#[test]
fn dropout_agrees_with_the_reference_on_the_cpu() {
    on_cpu(dropout_cases);
}

#[test]
fn dropout_agrees_with_the_reference_on_gpus() {
    on_gpus(dropout_cases);
}

#[test]
fn dropout_takes_views() {
    on_cpu(dropout_views);
    on_gpus(dropout_views);
}

#[test]
fn dropout_refuses_wrong_arguments() {
    everywhere(dropout_refusals);
}
