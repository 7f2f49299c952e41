use blankslate::kernels::muon::Stack;
use burn::tensor::{Device, Tensor};

use crate::harness::{Harness, everywhere, floats};
use crate::views::narrowed;

/// Twenty matrices of 3 x 5, every other one transposed: more than one launch takes.
fn stack() -> Stack {
    Stack { rows: 3, columns: 5, tall: (0..20).map(|i| i % 2 == 1).collect() }
}

/// Index in the flat matrix of element `i` of the stacked one.
fn index(stack: &Stack, matrix: usize, i: usize) -> usize {
    let (row, column) = (i / stack.columns, i % stack.columns);
    if stack.tall[matrix] { column * stack.rows + row } else { i }
}

/// Matrices and directions as views, compared with loops on the host.
fn muon_cases(harness: &mut Harness) {
    let stack = stack();
    let device = harness.device.clone();
    let matrices: Vec<Vec<f32>> = (0..20).map(|_| harness.draw(1, 15).values).collect();
    let put =
        || -> Vec<Tensor<1>> { matrices.iter().map(|values| narrowed(values, &device)).collect() };
    let stacked = |matrix: usize| (0..15).map(move |i| (matrix, i));
    let expected: Vec<f32> = (0..20)
        .flat_map(stacked)
        .map(|(matrix, i)| matrices[matrix][index(&stack, matrix, i)])
        .collect();
    harness.compare_bits("gather", &[floats(stack.gather(put()))], &[expected]);

    // [N, columns, rows] in memory.
    let directions = harness.draw(20 * 5, 3);
    let turned = directions.put(&device).reshape([20, 5, 3]).swap_dims(1, 2);
    let rates: Vec<f32> = (0..20).map(|i| 0.1 + 0.01 * i as f32).collect();
    let found = stack.descend(put(), turned, 0.9, &rates);
    for (matrix, found) in found.into_iter().enumerate() {
        let mut expected = vec![0.0; 15];
        for i in 0..15 {
            let direction = directions.values[matrix * 15 + i % 5 * 3 + i / 5];
            let at = index(&stack, matrix, i);
            expected[at] = 0.9 * matrices[matrix][at] - rates[matrix] * direction;
        }
        harness.compare("descend", &matrix.to_string(), &floats(found), &expected);
    }
}

fn muon_refusals(harness: &mut Harness) {
    let device = harness.device.clone();
    let matrices = |count: usize, size: usize, device: &Device| -> Vec<Tensor<1>> {
        (0..count).map(|_| Tensor::zeros([size], device)).collect()
    };
    let stack = stack();
    harness.refuses("Stack::gather: 19 `matrices`, expected 20", || {
        stack.gather(matrices(19, 15, &device))
    });
    harness.refuses("`matrices[0]` has shape [14]", || stack.gather(matrices(20, 14, &device)));
    let descend = |directions: [usize; 3], rates: usize| {
        let directions = Tensor::zeros(directions, &device);
        stack.descend(matrices(20, 15, &device), directions, 1.0, &vec![0.1; rates])
    };
    descend([20, 3, 5], 20);
    harness.refuses("`directions` has shape [20, 5, 3]", || descend([20, 5, 3], 20));
    harness.refuses("19 `rates`, expected 20", || descend([20, 3, 5], 19));
}

#[test]
fn muon_agrees_with_loops_on_the_host() {
    everywhere(muon_cases);
}

#[test]
fn muon_refuses_wrong_arguments() {
    everywhere(muon_refusals);
}
