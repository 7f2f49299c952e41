use blankslate::error::Error;
use blankslate::kernels::attention::{self, Documents, Options, attention};
use blankslate::kernels::dropout::Dropout;
use burn::tensor::{Device, Tensor};

use crate::common;
use crate::harness::{Harness, everywhere, floats, on_cpu, on_gpus};

/// Returns the positions at which documents of one to `longest` tokens begin, for each token of each sequence.
fn document_begins(batch: usize, tokens: usize, longest: usize) -> Vec<u32> {
    let mut all = Vec::new();
    for sequence in 0..batch {
        let mut begin = 0;
        for place in 0..tokens {
            if place - begin > (place * 7 + sequence * 3) % longest {
                begin = place;
            }
            all.push(begin as u32);
        }
    }
    all
}

fn documents(begins: &Option<Vec<u32>>, batch: usize, device: &Device) -> Option<Documents> {
    begins.as_ref().map(|begins| Documents::new(begins, batch, device).expect("consecutive tokens"))
}

fn causal_cases(harness: &mut Harness) {
    attention_cases(harness, true);
}

fn bidirectional_cases(harness: &mut Harness) {
    attention_cases(harness, false);
}

/// Grouped queries, soft-capping, windows, dropout and documents, alone and together.
fn attention_cases(harness: &mut Harness, causal: bool) {
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
            // On a GPU, where these kernels take longest to compile, each kind with one of the shapes; not causal, only
            // those kinds that decide which tokens are visible, and the first.
            let sees = window.is_some() || longest.is_some();
            let runs_on_gpu = (turn + kind) % 5 == 0 && (causal || sees || kind == 0);
            if !harness.is_cpu() && !runs_on_gpu {
                continue;
            }
            let begins = longest.map(|longest| document_begins(batch, tokens, longest));
            let documents = |on: &Device| documents(&begins, batch, on);
            let options = attention::Options {
                batch,
                tokens,
                heads,
                kv_heads,
                head_dim,
                causal,
                scale: sharpness / (head_dim as f32).sqrt(),
                soft_cap,
                window,
                dropout,
            };
            let inputs = [harness.draw(batch * tokens, (heads + 2 * kv_heads) * head_dim)];
            harness.check(
                "attention",
                &format!("{options:?}, documents of up to {longest:?}"),
                &inputs,
                &|x, on| attention(x[0].clone(), documents(on), options.clone()),
                &|x, on| {
                    attention::reference::attention(x[0].clone(), documents(on), options.clone())
                },
            );
        }
    }
}

fn options(causal: bool) -> Options {
    Options {
        batch: 2,
        tokens: 9,
        heads: 4,
        kv_heads: 2,
        head_dim: 8,
        causal,
        scale: 0.5,
        soft_cap: None,
        window: None,
        dropout: None,
    }
}

fn attention_views(harness: &mut Harness) {
    for causal in [true, false] {
        let options = options(causal);
        let inputs = [harness.draw(18, 64)];
        let begins = Some(document_begins(2, 9, 5));
        harness.check_all_views(
            "attention",
            &inputs,
            &|x, on| attention(x[0].clone(), documents(&begins, 2, on), options.clone()),
            &|x, on| {
                let documents = documents(&begins, 2, on);
                attention::reference::attention(x[0].clone(), documents, options.clone())
            },
        );
    }
}

/// Changes the keys and values of one token after another: exactly the outputs that may see it change.
fn visibility(harness: &mut Harness) {
    let begins = [0, 0, 0, 3, 3, 3, 3, 7, 7].repeat(2);
    let same_document = |a: usize, b: usize| begins[a] == begins[b];
    for (causal, window) in [(true, None), (false, None), (true, Some(2)), (false, Some(2))] {
        let options = Options { window, ..options(causal) };
        let sees = |query: usize, key: usize| {
            same_document(query, key)
                && (!causal || key <= query)
                && window.is_none_or(|window| query.abs_diff(key) < window)
        };
        let qkv = harness.draw(18, 64);
        let run = |values: &[f32]| {
            let qkv = Tensor::<1>::from_floats(values, &harness.device).reshape([18, 64]);
            let documents = Documents::new(&begins, 2, &harness.device).expect("consecutive");
            floats(attention(qkv, Some(documents), options.clone()))
        };
        let plain = run(&qkv.values);
        for changed in 0..9 {
            let mut values = qkv.values.clone();
            // The key and value heads of one token of the first sequence.
            values[changed * 64 + 32..(changed + 1) * 64].fill(1e3);
            let found = run(&values);
            for query in 0..9 {
                let rows = query * 32..(query + 1) * 32;
                let same = found[rows.clone()] == plain[rows];
                if same == sees(query, changed) {
                    harness.failures.push(format!(
                        "causal {causal}, window {window:?}: query {query}, key {changed}"
                    ));
                }
            }
            assert_eq!(found[9 * 32..], plain[9 * 32..], "the second sequence");
        }
    }
}

fn attention_refusals(harness: &mut Harness) {
    let device = harness.device.clone();
    let qkv = Tensor::<2>::zeros([18, 64], &device);
    let call = |options: Options| attention(qkv.clone(), None, options);
    let right = options(true);
    call(right.clone());
    harness.refuses(
        "attention: `qkv` has shape [18, 64], expected [B T, (H + 2 K) D] = [16, 64]",
        || call(Options { tokens: 8, ..right.clone() }),
    );
    harness.refuses("4 query heads are not a multiple of 3", || {
        call(Options { kv_heads: 3, ..right.clone() })
    });
    harness.refuses("none may be 0", || call(Options { kv_heads: 0, ..right.clone() }));
    harness.refuses("`window` is 0", || call(Options { window: Some(0), ..right.clone() }));
    harness.refuses("`soft_cap` is Some(0.0)", || {
        call(Options { soft_cap: Some(0.0), ..right.clone() })
    });
    harness.refuses("`dropout` has probability 1", || {
        let dropout = Some(Dropout { probability: 1.0, seed: 1 });
        call(Options { dropout, ..right.clone() })
    });
    let documents = |begins: &[u32], batch, device: &Device| {
        Documents::new(begins, batch, device).expect("consecutive tokens")
    };
    harness.refuses("`documents` has [B, T] = [3, 6], expected [2, 9]", || {
        attention(qkv.clone(), Some(documents(&[0; 18], 3, &device)), right.clone())
    });
    if !harness.is_cpu() {
        harness.refuses("`documents` is on", || {
            let elsewhere = documents(&[0; 18], 2, &common::cpu());
            attention(qkv.clone(), Some(elsewhere), right.clone())
        });
    }
}

#[test]
fn attention_refuses_malformed_documents() {
    let device = common::cpu();
    let wrong: [(&[u32], usize); 6] = [
        (&[0, 0, 3, 3], 1),    // begins after the token
        (&[1, 1, 1, 1], 1),    // the first token begins in the middle
        (&[0, 1, 0, 0], 1),    // interleaved
        (&[0, 0, 2, 0, 0], 1), // returns to an earlier document
        (&[0, 0, 0], 2),       // sequences of different length
        (&[], 0),
    ];
    for (begins, batch) in wrong {
        let error = Documents::new(begins, batch, &device).expect_err("malformed");
        assert!(matches!(error, Error::Malformed { .. }), "{begins:?}: {error}");
    }
    assert!(Documents::new(&[0, 0, 2, 3, 0, 1, 1, 1], 2, &device).is_ok());
}

#[test]
fn causal_attention_agrees_with_the_reference_on_the_cpu() {
    on_cpu(causal_cases);
}

#[test]
fn causal_attention_agrees_with_the_reference_on_gpus() {
    on_gpus(causal_cases);
}

#[test]
fn bidirectional_attention_agrees_with_the_reference_on_the_cpu() {
    on_cpu(bidirectional_cases);
}

#[test]
fn bidirectional_attention_agrees_with_the_reference_on_gpus() {
    on_gpus(bidirectional_cases);
}

#[test]
fn attention_depends_on_the_visible_tokens_only() {
    everywhere(visibility);
}

#[test]
fn attention_takes_views() {
    on_cpu(attention_views);
    on_gpus(attention_views);
}

#[test]
fn attention_refuses_wrong_arguments() {
    everywhere(attention_refusals);
}
