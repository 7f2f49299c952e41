use blankslate::kernels::rotary::{self, Heads};
use burn::tensor::{Device, Tensor};

use crate::harness::{Harness, everywhere, on_cpu, on_gpus};
use crate::views::{Array, Views};

fn rotary_cases(harness: &mut Harness) {
    let shapes = [(4, 2, 6, 5), (3, 1, 8, 33), (2, 2, 2, 1), (6, 3, 64, 20)];
    for (query, kv, dim, tokens) in shapes {
        let heads = Heads { query, kv, dim };
        let rows = 2 * tokens;
        let angles = harness.draw(tokens, dim / 2);
        let [cos, sin] = [f32::cos, f32::sin].map(|f| {
            let values = angles.values.iter().map(|x| f(*x)).collect();
            Array { values, ..angles.clone() }
        });
        let table = |device: &Device| (cos.put(device), sin.put(device));
        for (turned, untracked) in [(true, 3), (false, 3), (true, 0), (true, 1), (true, 2)] {
            let mut inputs = [query, kv, kv].map(|count| harness.draw(rows, count * dim));
            for (place, input) in inputs.iter_mut().enumerate() {
                input.tracked = place != untracked;
            }
            let table = |device: &Device| turned.then(|| table(device));
            let copies = |x: &[Tensor<2>]| (x[0].clone(), x[1].clone(), x[2].clone());
            harness.check(
                "rotary::pack",
                &format!("{heads:?} {tokens}, turned {turned}, untracked {untracked}"),
                &inputs,
                &|x, device| {
                    let (q, k, v) = copies(x);
                    rotary::pack(q, k, v, table(device), heads)
                },
                &|x, device| {
                    let (q, k, v) = copies(x);
                    rotary::reference::pack(q, k, v, table(device), heads)
                },
            );
        }
        let packed = [harness.draw(rows, (query + 2 * kv) * dim)];
        harness.check(
            "rotary::rotate",
            &format!("{heads:?} {tokens}"),
            &packed,
            &|x, device| rotary::rotate(x[0].clone(), table(device), heads),
            &|x, device| {
                let part = |from, count| x[0].clone().narrow(1, from * dim, count * dim);
                let (q, k, v) = (part(0, query), part(query, kv), part(query + kv, kv));
                rotary::reference::pack(q, k, v, Some(table(device)), heads)
            },
        );
    }
    // Odd heads are packed, but not rotated.
    let heads = Heads { query: 2, kv: 1, dim: 5 };
    let inputs = [2, 1, 1].map(|count| harness.draw(7, count * 5));
    harness.check(
        "rotary::pack",
        "odd heads",
        &inputs,
        &|x, _| rotary::pack(x[0].clone(), x[1].clone(), x[2].clone(), None, heads),
        &|x, _| rotary::reference::pack(x[0].clone(), x[1].clone(), x[2].clone(), None, heads),
    );
}

fn rotary_views(harness: &mut Harness) {
    let heads = Heads { query: 4, kv: 2, dim: 8 };
    let angles = harness.draw(5, 4);
    // The table is a view as well.
    let table = |device: &Device| {
        let angles = Views::Narrowed.store(&angles).put(device);
        let angles = Views::Narrowed.view(angles, [5, 4]);
        (angles.clone(), angles)
    };
    let inputs = [harness.draw(10, 32), harness.draw(10, 16), harness.draw(10, 16)];
    harness.check_all_views(
        "rotary::pack",
        &inputs,
        &|x, on| rotary::pack(x[0].clone(), x[1].clone(), x[2].clone(), Some(table(on)), heads),
        &|x, on| {
            let table = Some(table(on));
            rotary::reference::pack(x[0].clone(), x[1].clone(), x[2].clone(), table, heads)
        },
    );
    let packed = [harness.draw(10, 64)];
    harness.check_all_views(
        "rotary::rotate",
        &packed,
        &|x, on| rotary::rotate(x[0].clone(), table(on), heads),
        &|x, on| {
            let part = |from: usize, count: usize| x[0].clone().narrow(1, from * 8, count * 8);
            let (q, k, v) = (part(0, 4), part(4, 2), part(6, 2));
            rotary::reference::pack(q, k, v, Some(table(on)), heads)
        },
    );
}

fn rotary_refusals(harness: &mut Harness) {
    let device = harness.device.clone();
    let matrix = |rows, columns| Tensor::<2>::zeros([rows, columns], &device);
    let table = |rows, columns| Some((matrix(rows, columns), matrix(rows, columns)));
    let heads = Heads { query: 2, kv: 1, dim: 4 };
    let pack = |k: Tensor<2>, table, heads| {
        rotary::pack(
            matrix(6, heads_width(heads)),
            k,
            matrix(6, heads.kv * heads.dim),
            table,
            heads,
        )
    };
    pack(matrix(6, 4), table(3, 2), heads);
    harness.refuses("rotary::pack: `k` has shape [6, 8], expected [N, K D] = [6, 4]", || {
        pack(matrix(6, 8), None, heads)
    });
    harness.refuses("`cos` has shape [3, 4], expected [T, D / 2] = [3, 2]", || {
        pack(matrix(6, 4), table(3, 4), heads)
    });
    harness.refuses("6 rows are not a multiple of the table's 4 positions", || {
        pack(matrix(6, 4), table(4, 2), heads)
    });
    harness.refuses("cannot be rotated", || {
        let odd = Heads { dim: 5, ..heads };
        pack(matrix(6, 5), table(3, 2), odd)
    });
    harness.refuses("rotary::rotate: `qkv` has shape [6, 15]", || {
        rotary::rotate(matrix(6, 15), (matrix(3, 2), matrix(3, 2)), heads)
    });
}

fn heads_width(heads: Heads) -> usize {
    heads.query * heads.dim
}

#[test]
fn rotary_agrees_with_the_reference_on_the_cpu() {
    on_cpu(rotary_cases);
}

#[test]
fn rotary_agrees_with_the_reference_on_gpus() {
    on_gpus(rotary_cases);
}

#[test]
fn rotary_takes_views() {
    on_cpu(rotary_views);
    on_gpus(rotary_views);
}

#[test]
fn rotary_refuses_wrong_arguments() {
    everywhere(rotary_refusals);
}
