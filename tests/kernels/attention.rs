use blankslate::error::Error;
use blankslate::kernels::attention::{
    self, Documents, HeadDivision, Options, WeightDropout, attention,
};
use blankslate::kernels::dropout::Dropout;
use burn::tensor::{Device, FloatDType, Tensor};

use crate::common;
use crate::harness::{Harness, Operation, everywhere, floats, on_cpu, on_gpus};
use crate::views::Array;

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

/// Sharpness of the scores, soft cap, window, dropout, and longest document.
type Kind = (f32, Option<f32>, Option<usize>, Option<WeightDropout>, Option<usize>);

const DROPOUT: Option<WeightDropout> = dropout(None);

/// With more heads on other ranks.
const DIVIDED: Option<WeightDropout> = dropout(Some(HeadDivision { before: 3, all: 11 }));

const fn dropout(division: Option<HeadDivision>) -> Option<WeightDropout> {
    Some(WeightDropout { dropout: Dropout { probability: 0.3, seed: 5 }, division })
}

/// Options alone and together.
const KINDS: [Kind; 11] = [
    (1.0, None, None, None, None),
    (6.0, None, None, None, None),
    (1.0, Some(1.5), None, None, None),
    (1.0, None, Some(4), None, None),
    (1.0, None, Some(40), None, None),
    (1.0, None, None, DROPOUT, None),
    (1.0, Some(1.5), Some(20), DROPOUT, None),
    (1.0, None, None, None, Some(70)),
    (6.0, None, None, None, Some(3)),
    (1.0, Some(1.5), Some(20), DROPOUT, Some(30)),
    (1.0, Some(1.5), Some(20), DIVIDED, Some(30)),
];

/// `B`, `T`, `H`, `K` and `D`.
const SHAPES: [[usize; 5]; 5] =
    [[1, 1, 1, 1, 4], [2, 5, 4, 2, 6], [1, 33, 2, 1, 32], [3, 64, 4, 4, 16], [1, 100, 6, 3, 8]];

/// More than one block of 64 rows, and lengths of heads for which tensor cores have kernels.
const TENSOR_CORE_SHAPES: [[usize; 5]; 4] =
    [[1, 130, 2, 2, 64], [2, 70, 4, 2, 48], [1, 100, 2, 1, 128], [1, 128, 2, 1, 80]];

/// Grouped queries, soft-capping, windows, dropout and documents, alone and together.
fn attention_cases(harness: &mut Harness, causal: bool) {
    for (turn, shape) in SHAPES.into_iter().enumerate() {
        for (kind, options) in KINDS.into_iter().enumerate() {
            // On a GPU, where these kernels take longest to compile, each kind with one of the shapes; not causal, only
            // those kinds that decide which tokens are visible, and the first.
            let sees = options.2.is_some() || options.4.is_some();
            let runs_on_gpu = (turn + kind) % 5 == 0 && (causal || sees || kind == 0);
            if harness.is_cpu() || runs_on_gpu {
                check_case(harness, shape, options, causal, Harness::check);
            }
        }
    }
    if harness.has_tensor_cores() {
        for (kind, options) in KINDS.into_iter().enumerate() {
            let shape = TENSOR_CORE_SHAPES[kind % TENSOR_CORE_SHAPES.len()];
            check_case(harness, shape, options, causal, Harness::check_in_16_bits);
        }
    }
}

fn check_case(
    harness: &mut Harness,
    [batch, tokens, heads, kv_heads, head_dim]: [usize; 5],
    (sharpness, soft_cap, window, dropout, longest): Kind,
    causal: bool,
    check: fn(&mut Harness, &'static str, &str, &[Array], Operation, Operation),
) {
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
    check(
        harness,
        "attention",
        &format!("{options:?}, documents of up to {longest:?}"),
        &inputs,
        &|x, on| attention(x[0].clone(), documents(on), options.clone()),
        &|x, on| attention::reference::attention(x[0].clone(), documents(on), options.clone()),
    );
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

/// Two halves of the heads drop the weights that all of them together drop.
fn divided_heads(harness: &mut Harness) {
    let dropout = Dropout { probability: 0.4, seed: 9 };
    let whole = Options { dropout: Some(dropout.into()), ..options(true) };
    let values = harness.draw(18, 64).values;
    let qkv = Tensor::<1>::from_floats(&*values, &harness.device).reshape([18, 64]);
    let expected = floats(attention(qkv.clone(), None, whole.clone()));
    for part in 0..2 {
        let columns = [(part * 16, 16), (32 + part * 8, 8), (48 + part * 8, 8)];
        let own = columns.map(|(from, count)| qkv.clone().narrow(1, from, count));
        let division = Some(HeadDivision { before: 2 * part, all: 4 });
        let dropout = Some(WeightDropout { dropout, division });
        let options = Options { heads: 2, kv_heads: 1, dropout, ..whole.clone() };
        let found = floats(attention(Tensor::cat(own.into(), 1), None, options));
        for (row, found) in found.chunks(16).enumerate() {
            let expected = &expected[row * 32 + part * 16..][..16];
            let is_same = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5);
            if !is_same {
                harness.failures.push(format!("divided heads: part {part}, row {row}"));
            }
        }
    }
}

/// Exactly the outputs that may see a token depend on its key and value: in a short text, and with heads for which tensor cores
/// have kernels, at the edges of their blocks of 64 tokens.
fn visibility(harness: &mut Harness) {
    let begins = [0, 0, 0, 3, 3, 3, 3, 7, 7];
    let all: Vec<usize> = (0..9).collect();
    for (causal, window) in [(true, None), (false, None), (true, Some(2)), (false, Some(2))] {
        let options = Options { window, ..options(causal) };
        visible(harness, FloatDType::F32, &options, &begins, &all);
    }
    if harness.has_tensor_cores() {
        let begins: Vec<u32> = (0..130).map(|place| if place < 60 { 0 } else { 60 }).collect();
        let edges = [0, 39, 59, 60, 63, 64, 99, 127, 128, 129];
        for (causal, window) in [(true, None), (false, Some(40)), (true, Some(40))] {
            let options = Options { window, tokens: 130, head_dim: 16, ..options(causal) };
            visible(harness, FloatDType::F16, &options, &begins, &edges);
        }
    }
}

/// Changes the key and value of each of the tokens `changed`, one after the other.
fn visible(
    harness: &mut Harness,
    dtype: FloatDType,
    options: &Options,
    begins: &[u32],
    changed: &[usize],
) {
    let Options { batch, tokens, heads, kv_heads, head_dim, causal, window, .. } = *options;
    let sees = |query: usize, key: usize| {
        begins[query] == begins[key]
            && (!causal || key <= query)
            && window.is_none_or(|window| query.abs_diff(key) < window)
    };
    let [width, of_queries] = [(heads + 2 * kv_heads) * head_dim, heads * head_dim];
    let qkv = harness.draw(batch * tokens, width);
    let begins = begins.repeat(batch);
    let run = |values: &[f32]| {
        let qkv = Tensor::<1>::from_floats(values, &harness.device).cast(dtype);
        let documents = Documents::new(&begins, batch, &harness.device).expect("consecutive");
        let qkv = qkv.reshape([batch * tokens, width]);
        floats(attention(qkv, Some(documents), options.clone()))
    };
    let plain = run(&qkv.values);
    for &changed in changed {
        let mut values = qkv.values.clone();
        // The key and value heads of one token of the first sequence.
        values[changed * width + of_queries..(changed + 1) * width].fill(1e3);
        let found = run(&values);
        for query in 0..tokens {
            let rows = query * of_queries..(query + 1) * of_queries;
            let same = found[rows.clone()] == plain[rows];
            if same == sees(query, changed) {
                harness.failures.push(format!("{options:?}: query {query}, key {changed}"));
            }
        }
        let second = tokens * of_queries;
        assert_eq!(found[second..], plain[second..], "the second sequence");
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
    harness.refuses("which has no room for 4 heads", || {
        let dropout = Dropout { probability: 0.1, seed: 1 };
        let division = Some(HeadDivision { before: 1, all: 4 });
        call(Options { dropout: Some(WeightDropout { dropout, division }), ..right.clone() })
    });
    harness.refuses("`dropout` has probability 1", || {
        let dropout = Some(Dropout { probability: 1.0, seed: 1 }.into());
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
fn the_dropout_of_a_head_does_not_depend_on_the_ranks_that_divide_them() {
    everywhere(divided_heads);
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
