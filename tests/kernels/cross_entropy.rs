use blankslate::error::Error;
use blankslate::kernels::cross_entropy::{self, Options, Targets, head_loss, head_losses};
use burn::tensor::{Device, Tensor};

use crate::common;
use crate::harness::{Harness, everywhere, on_cpu, on_gpus};

const IGNORE: u32 = u32::MAX;

/// Compares one shape of rows, channels and vocabulary. Every `ignore_every`-th target is ignored.
fn head_loss_case(
    harness: &mut Harness,
    [rows, width, vocab]: [usize; 3],
    ignore_every: usize,
    options: Options,
    tracked: [bool; 2],
) {
    let mut inputs = [harness.draw(rows, width), harness.draw(vocab, width)];
    for (input, tracked) in inputs.iter_mut().zip(tracked) {
        input.tracked = tracked;
    }
    let targets: Vec<u32> = (0..rows)
        .map(|i| if (i + 1) % ignore_every == 0 { IGNORE } else { (i * 7919 % vocab) as u32 })
        .collect();
    let targets = |device: &Device| {
        Targets::new(&targets, IGNORE, vocab, device).expect("inside the vocabulary")
    };
    let one = |loss: Tensor<1>| loss.reshape([1, 1]);
    harness.check(
        "head_loss",
        &format!(
            "{rows} {width} {vocab}, ignore every {ignore_every}, {options:?}, tracked {tracked:?}"
        ),
        &inputs,
        &|x, device| one(head_loss(x[0].clone(), x[1].clone(), targets(device), options)),
        &|x, device| {
            let rows = cross_entropy::reference::head_losses(
                x[0].clone(),
                x[1].clone(),
                targets(device),
                options,
            );
            one(rows.sum())
        },
    );
    // The harness weights each row differently.
    let column = |losses: Tensor<1>| losses.reshape([rows, 1]);
    harness.check(
        "head_losses",
        &format!(
            "{rows} {width} {vocab}, ignore every {ignore_every}, {options:?}, tracked {tracked:?}"
        ),
        &inputs,
        &|x, device| column(head_losses(x[0].clone(), x[1].clone(), targets(device), options)),
        &|x, device| {
            column(cross_entropy::reference::head_losses(
                x[0].clone(),
                x[1].clone(),
                targets(device),
                options,
            ))
        },
    );
}

fn head_loss_cases(harness: &mut Harness) {
    let kinds = [(0.0, None), (0.1, None), (0.0, Some(1.5)), (0.1, Some(1.5))];
    let shapes = [[1, 3, 1], [7, 6, 13], [33, 64, 130], [65, 16, 1000]];
    for (place, shape) in shapes.into_iter().enumerate() {
        for (turn, (z_loss, soft_cap)) in kinds.into_iter().enumerate() {
            // On a GPU, each kind with one of the shapes: their matrix products take long to compile.
            if !harness.is_cpu() && turn != place {
                continue;
            }
            for ignore_every in harness.choose(&[usize::MAX, 3, 1], turn + 1) {
                let options = Options { scale: 1.0 / shape[0] as f32, z_loss, soft_cap };
                head_loss_case(harness, shape, *ignore_every, options, [true; 2]);
            }
        }
    }
    let options = Options { scale: 0.1, z_loss: 0.1, soft_cap: None };
    head_loss_case(harness, [7, 6, 13], 3, options, [true, false]);
    head_loss_case(harness, [7, 6, 13], 3, options, [false, true]);
}

fn head_loss_views(harness: &mut Harness) {
    let inputs = [harness.draw(6, 8), harness.draw(12, 8)];
    let targets = |device: &Device| {
        Targets::new(&[0, 11, IGNORE, 3, 3, 5], IGNORE, 12, device).expect("inside")
    };
    let options = Options { scale: 0.3, z_loss: 0.1, soft_cap: Some(1.5) };
    harness.check_all_views(
        "head_loss",
        &inputs,
        &|x, on| head_loss(x[0].clone(), x[1].clone(), targets(on), options).reshape([1, 1]),
        &|x, on| {
            let (x, weight) = (x[0].clone(), x[1].clone());
            let rows = cross_entropy::reference::head_losses(x, weight, targets(on), options);
            rows.sum().reshape([1, 1])
        },
    );
    harness.check_all_views(
        "head_losses",
        &inputs,
        &|x, on| head_losses(x[0].clone(), x[1].clone(), targets(on), options).reshape([6, 1]),
        &|x, on| {
            let (x, weight) = (x[0].clone(), x[1].clone());
            let rows = cross_entropy::reference::head_losses(x, weight, targets(on), options);
            rows.reshape([6, 1])
        },
    );
}

fn head_loss_refusals(harness: &mut Harness) {
    let device = harness.device.clone();
    let matrix = |rows, columns| Tensor::<2>::zeros([rows, columns], &device);
    let targets = |count: usize, vocab| {
        Targets::new(&vec![0; count], IGNORE, vocab, &device).expect("inside the vocabulary")
    };
    let options = Options { scale: 1.0, z_loss: 0.0, soft_cap: None };
    head_loss(matrix(3, 4), matrix(5, 4), targets(3, 5), options);
    harness.refuses("head_loss: `weight` has shape [5, 3], expected [V, C] = [5, 4]", || {
        head_loss(matrix(3, 4), matrix(5, 3), targets(3, 5), options)
    });
    harness.refuses("head_losses: `targets` has shape [2], expected [N] = [3]", || {
        head_losses(matrix(3, 4), matrix(5, 4), targets(2, 5), options)
    });
    harness.refuses("`weight` has 5 rows, expected the 6", || {
        head_loss(matrix(3, 4), matrix(5, 4), targets(3, 6), options)
    });
    let error = Targets::new(&[0, 5], IGNORE, 5, &device).expect_err("outside");
    assert!(matches!(error, Error::TokenOutOfRange { id: 5, vocab_size: 5 }), "{error}");
    if !harness.is_cpu() {
        let elsewhere = Targets::new(&[0; 3], IGNORE, 5, &common::cpu()).expect("inside");
        harness.refuses("`targets` is on", || {
            head_loss(matrix(3, 4), matrix(5, 4), elsewhere, options)
        });
    }
}

/// Enough logits that the rows are computed in three chunks.
#[test]
fn head_loss_in_chunks_on_the_cpu() {
    on_cpu(|harness| {
        let options = Options { scale: 1e-3, z_loss: 0.01, soft_cap: None };
        for tracked in [[true; 2], [true, false], [false, true]] {
            head_loss_case(harness, [1200, 8, 30_011], 3, options, tracked);
        }
    });
}

#[test]
fn head_loss_agrees_with_the_reference_on_the_cpu() {
    on_cpu(head_loss_cases);
}

#[test]
fn head_loss_agrees_with_the_reference_on_gpus() {
    on_gpus(head_loss_cases);
}

#[test]
fn head_loss_takes_views() {
    on_cpu(head_loss_views);
    on_gpus(head_loss_views);
}

#[test]
fn head_loss_refuses_wrong_arguments() {
    everywhere(head_loss_refusals);
}
