use blankslate::kernels::attention::Options;
use blankslate::kernels::dropout::Dropout;
use blankslate::kernels::kv_cache;
use burn::tensor::{Device, FloatDType, Tensor};

use crate::common;
use crate::harness::{Harness, everywhere, floats};
use crate::views::Views;

/// Prompts and single tokens, appended to the same cache.
fn kv_cache_cases(harness: &mut Harness) {
    let shapes: [([usize; 5], &[usize]); 7] = [
        ([1, 1, 1, 4, 7], &[1, 1, 3]),
        ([1, 2, 1, 5, 20], &[3, 1, 2]),
        ([2, 4, 2, 6, 40], &[5, 1, 1, 9, 1]),
        ([3, 6, 1, 8, 150], &[70, 1, 2, 60, 1]),
        ([3, 10, 2, 8, 33], &[31, 1, 1]),
        ([1, 2, 2, 300, 70], &[66, 1]),
        // On the CPU, more queries and keys than one task has.
        if harness.is_cpu() {
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
            if !harness.is_cpu() && (turn + kind) % 3 != 0 {
                continue;
            }
            let empty = |device: &Device| -> Tensor<5> {
                Tensor::zeros([2, batch, kv_heads, capacity, head_dim], device)
            };
            let (mut cache, mut expected) = (empty(&harness.device), empty(&common::cpu()));
            let mut start = 0;
            for tokens in texts {
                let options = Options {
                    batch,
                    tokens: *tokens,
                    heads,
                    kv_heads,
                    head_dim,
                    causal: true,
                    scale: sharpness / (head_dim as f32).sqrt(),
                    soft_cap,
                    window,
                    dropout: None,
                };
                let case = format!("at {start} of {capacity}, {options:?}");
                let new = harness.draw(batch * tokens, (heads + 2 * kv_heads) * head_dim);
                let (qkv, same) = (new.put(&harness.device), new.put(&common::cpu()));
                cache = kv_cache::write(cache, qkv.clone(), start);
                expected = kv_cache::reference::write(expected, same.clone(), start);
                let written = [floats(cache.clone()), floats(expected.clone())];
                harness.compare_bits(&case, &written[..1], &written[1..]);
                let larger = grown(&cache, 2 * capacity + 3);
                let in_larger = kv_cache::attend(qkv.clone(), larger, start, options.clone());
                let out = kv_cache::attend(qkv, cache.clone(), start, options.clone());
                let same_bits = [floats(in_larger), floats(out.clone())];
                harness.compare_bits(&format!("grown, {case}"), &same_bits[..1], &same_bits[1..]);
                let reference = kv_cache::reference::attend(same, expected.clone(), start, options);
                harness.compare("kv_cache", &case, &floats(out), &floats(reference));
                start += tokens;
            }
        }
    }
}

/// The cache with room for `capacity` tokens, as it is after it has grown.
fn grown(cache: &Tensor<5>, capacity: usize) -> Tensor<5> {
    let [two, batch, heads, old, dim] = cache.dims();
    let added = Tensor::zeros([two, batch, heads, capacity - old, dim], &cache.device());
    Tensor::cat(vec![cache.clone(), added], 3)
}

/// Two sequences of two new tokens, after three in a cache with room for seven.
fn small() -> Options {
    Options {
        batch: 2,
        tokens: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 4,
        causal: true,
        scale: 0.5,
        soft_cap: None,
        window: None,
        dropout: None,
    }
}

/// The cache as a view: narrowed from a larger one of NaN, with sequences and heads swapped, or a single sequence
/// expanded.
fn cache_views(harness: &mut Harness, device: &Device) -> [Tensor<5>; 3] {
    let values = harness.draw(2 * 2 * 2 * 7, 4).put(device);
    let cache = values.reshape([2, 2, 2, 7, 4]);
    let larger = Tensor::<5>::full([2, 3, 2, 9, 5], f32::NAN, device);
    let larger = larger.slice_assign([0..2, 1..3, 0..2, 2..9, 0..4], cache.clone());
    [
        larger.slice([0..2, 1..3, 0..2, 2..9, 0..4]),
        cache.clone().swap_dims(1, 2),
        cache.narrow(1, 1, 1).expand([2, 2, 2, 7, 4]),
    ]
}

fn kv_cache_views(harness: &mut Harness) {
    let cpu = common::cpu();
    let (device, rng) = (harness.device.clone(), harness.rng.clone());
    let caches = cache_views(harness, &device);
    harness.rng = rng;
    let expected = cache_views(harness, &cpu);
    for (cache, same_cache) in caches.into_iter().zip(expected) {
        for views in [Views::Contiguous, Views::Transposed, Views::Narrowed, Views::Expanded] {
            let new = harness.draw(4, 32);
            let put = |device: &Device| views.view(views.store(&new).put(device), new.shape);
            let (qkv, same) = (put(&device), put(&cpu));
            let cache = kv_cache::write(cache.clone(), qkv.clone(), 3);
            let expected = kv_cache::reference::write(same_cache.clone(), same.clone(), 3);
            let written = [floats(cache.clone()), floats(expected.clone())];
            harness.compare_bits("written to a view", &written[..1], &written[1..]);
            let out = kv_cache::attend(qkv, cache, 3, small());
            let reference = kv_cache::reference::attend(same, expected, 3, small());
            harness.compare("kv_cache", "views", &floats(out), &floats(reference));
        }
        // The shared original must not change, and is still a view.
        let qkv = harness.draw(4, 32);
        let out = kv_cache::attend(qkv.put(&device), cache.clone(), 3, small());
        let reference = kv_cache::reference::attend(qkv.put(&cpu), same_cache, 3, small());
        harness.compare("kv_cache", "attend to a view", &floats(out), &floats(reference));
    }
}

fn kv_cache_refusals(harness: &mut Harness) {
    let device = harness.device.clone();
    let cache = Tensor::<5>::zeros([2, 2, 2, 7, 4], &device);
    let qkv = |rows, columns| Tensor::<2>::zeros([rows, columns], &device);
    let write = |qkv: Tensor<2>, start| kv_cache::write(cache.clone(), qkv, start);
    let attend =
        |options: Options, start| kv_cache::attend(qkv(4, 32), cache.clone(), start, options);
    write(qkv(4, 32), 5);
    attend(small(), 5);
    harness.refuses("kv_cache::write: 2 tokens after 6 exceed the cache's capacity of 7", || {
        write(qkv(4, 32), 6)
    });
    harness.refuses("2 tokens after", || write(qkv(4, 32), usize::MAX));
    harness.refuses("`qkv` has shape [5, 32]", || write(qkv(5, 32), 0));
    harness.refuses("does not belong to a `cache`", || write(qkv(4, 30), 0));
    harness.refuses("does not belong to a `cache`", || write(qkv(4, 16), 0));
    harness.refuses("3 query heads are not a multiple of 2", || write(qkv(4, 28), 0));
    let half = qkv(4, 32).cast(FloatDType::F16);
    harness.refuses("kv_cache::write:", || write(half, 0));
    harness.refuses("kv_cache::attend: 2 tokens after 6", || attend(small(), 6));
    harness.refuses("`cache` has shape", || attend(Options { batch: 1, tokens: 4, ..small() }, 0));
    harness.refuses("is causal", || attend(Options { causal: false, ..small() }, 0));
    harness.refuses("has no dropout", || {
        attend(
            Options { dropout: Some(Dropout { probability: 0.1, seed: 1 }.into()), ..small() },
            0,
        )
    });
    if !harness.is_cpu() {
        let elsewhere = Tensor::zeros([4, 32], &common::cpu());
        harness.refuses("is on", || write(elsewhere, 0));
    }
}

#[test]
fn kv_cache_agrees_with_the_reference() {
    everywhere(kv_cache_cases);
}

#[test]
fn kv_cache_takes_views() {
    everywhere(kv_cache_views);
}

#[test]
fn kv_cache_refuses_wrong_arguments() {
    everywhere(kv_cache_refusals);
}
