use blankslate::error::Error;
use blankslate::kernels::embedding::{self, Ids, embedding};
use burn::tensor::{Device, Tensor};

use crate::common;
use crate::harness::{Harness, everywhere, floats, on_cpu, on_gpus, values_and_gradients};
use crate::views::Views;

fn embedding_cases(harness: &mut Harness) {
    for (vocab, width, count) in [(1, 1, 1), (11, 7, 50), (130, 64, 300), (300, 130, 77)] {
        for most in [vocab, vocab.min(2)] {
            let table = [harness.draw(vocab, width)];
            let ids: Vec<u32> = (0..count).map(|i| (i * i * 31 + i) % most as u32).collect();
            let kernel = |x: &[Tensor<2>], device: &Device| {
                embedding(x[0].clone(), Ids::new(&ids, vocab, device).expect("inside the table"))
            };
            harness.check(
                "embedding",
                &format!("{vocab} {width}, {count} of {most}"),
                &table,
                &kernel,
                &|x, device| {
                    embedding::reference::embedding(
                        x[0].clone(),
                        Ids::new(&ids, vocab, device).expect("inside the table"),
                    )
                },
            );
            let run = || {
                let (device, dtype) = (&harness.device, harness.dtype);
                values_and_gradients(&kernel, &table, device, dtype, Views::Contiguous)
            };
            let (first, second) = (run(), run());
            harness.compare_bits("embedding", &first, &second);
        }
    }
}

/// Some rows of a table of eleven, as one of several ranks has them.
fn embedding_of_some_rows(harness: &mut Harness) {
    let all: Vec<u32> = (0..40).map(|i| (i * i * 31 + i) % 11).collect();
    let ids = |on: &Device| Ids::new(&all, 11, on).expect("inside the table");
    let whole = harness.draw(11, 8);
    for range in [0..11, 0..4, 3..8, 9..11] {
        let own = |on: &Device| ids(on).within(range.clone());
        let part = [harness.draw(range.len(), 8)];
        harness.check(
            "embedding",
            &format!("rows {range:?}"),
            &part,
            &|x, on| embedding(x[0].clone(), own(on)),
            &|x, on| embedding::reference::embedding(x[0].clone(), own(on)),
        );
        let device = harness.device.clone();
        let table = Tensor::<1>::from_floats(&*whole.values, &device).reshape([11, 8]);
        let expected = floats(embedding(table.clone(), ids(&device)));
        // A longer table than those rows: a row beyond them is not one of them.
        let table = table.slice([range.start..11, 0..8]);
        let found = floats(embedding(table, own(&device)));
        for (i, id) in all.iter().enumerate() {
            let row = i * 8..(i + 1) * 8;
            let zeros = [0.0; 8];
            let expected: &[f32] =
                if range.contains(&(*id as usize)) { &expected[row.clone()] } else { &zeros };
            if found[row] != *expected {
                harness.failures.push(format!("rows {range:?} of a table: id {id}"));
            }
        }
    }
    let device = harness.device.clone();
    harness.refuses("within: `range` is 2..2: it is empty", || ids(&device).within(2..2));
}

fn embedding_views(harness: &mut Harness) {
    let table = [harness.draw(9, 8)];
    let ids = |device: &Device| Ids::new(&[8, 0, 3, 3, 8], 9, device).expect("inside the table");
    harness.check_all_views(
        "embedding",
        &table,
        &|x, on| embedding(x[0].clone(), ids(on)),
        &|x, on| embedding::reference::embedding(x[0].clone(), ids(on)),
    );
}

fn embedding_refusals(harness: &mut Harness) {
    let device = harness.device.clone();
    let table = |rows| Tensor::<2>::zeros([rows, 4], &device);
    let ids = |rows, device: &Device| Ids::new(&[1, 0], rows, device).expect("inside the table");
    // The table may be longer than the vocabulary that the ids were checked for.
    embedding(table(3), ids(2, &device));
    harness.refuses("embedding: `table` has 3 rows, expected at least the 4", || {
        embedding(table(3), ids(4, &device))
    });
    let error = Ids::new(&[0, 7], 7, &device).expect_err("outside the table");
    assert!(matches!(error, Error::TokenOutOfRange { id: 7, vocab_size: 7 }), "{error}");
    // Negative as an i32.
    assert!(Ids::new(&[u32::MAX], 7, &device).is_err());
    if !harness.is_cpu() {
        harness.refuses("`ids` is on", || embedding(table(3), ids(2, &common::cpu())));
    }
}

#[test]
fn embedding_agrees_with_the_reference_on_the_cpu() {
    on_cpu(embedding_cases);
}

#[test]
fn embedding_agrees_with_the_reference_on_gpus() {
    on_gpus(embedding_cases);
}

#[test]
fn embedding_takes_views() {
    on_cpu(embedding_views);
    on_gpus(embedding_views);
}

#[test]
fn embedding_refuses_wrong_arguments() {
    everywhere(embedding_refusals);
}

#[test]
fn embedding_of_some_rows_of_a_table() {
    everywhere(embedding_of_some_rows);
}
