//! Conversations packed into one window train as if each had a window of its own.

use std::ops::Range;

use blankslate::config::{DataConfig, InitScheme, ModelConfig};
use blankslate::data::{Batch, Corpus, IGNORE, Windows};
use blankslate::model::{Decoder, PassOptions, Probe, TokenIds, random_source, read_floats};
use blankslate::objective::GradientOptions;
use blankslate::platform::block_on;
use burn::tensor::{Device, Tensor};

use crate::common;

const WINDOW: usize = 23;

/// A model with weights large enough (fan-in initialization) that attention to other documents would show.
fn sharp(config: &ModelConfig, device: &Device) -> Decoder {
    let mut source = random_source(3);
    let mut sharp = |name: &str, shape: &[usize], init| {
        let values = source(name, shape, init)?;
        let small = shape.len() == 2 && config.init == InitScheme::Gpt2;
        let factor = if small { 5.0 } else { 1.0 };
        Ok(values.into_iter().map(|x| x * factor).collect())
    };
    Decoder::new(config, device, &mut sharp).unwrap()
}

/// Conversations of several lengths, packed: one is longer than a window.
fn packed() -> Batch {
    let conversation = |length: usize| {
        let ids: Vec<u32> = (0..length).map(|i| ((i * i + 5 * i + length) % 23) as u32).collect();
        (ids, (0..length).map(|i| i % 3 != 0).collect::<Vec<bool>>())
    };
    let corpus = Corpus::conversations([9, 6, 5, 40, 12, 8, 3].map(conversation));
    let data = DataConfig { seq_len: WINDOW, ..Default::default() };
    Windows::new(corpus, &data, 3, 2).unwrap().batch(0)
}

/// The row of each document and its range of positions there.
fn documents(batch: &Batch) -> Vec<(usize, Range<usize>)> {
    let begins = batch.documents.as_ref().expect("packed");
    let mut found = Vec::new();
    for (row, begins) in begins.chunks(batch.tokens).enumerate() {
        let starts: Vec<usize> =
            (0..batch.tokens).filter(|place| begins[*place] as usize == *place).collect();
        let ends = starts[1..].iter().copied().chain([batch.tokens]);
        found.extend(starts.iter().zip(ends).map(|(start, end)| (row, *start..end)));
    }
    found
}

/// A batch of one document alone.
fn alone(batch: &Batch, row: usize, places: Range<usize>) -> Batch {
    let range = row * batch.tokens + places.start..row * batch.tokens + places.end;
    Batch::new(batch.inputs[range.clone()].to_vec(), batch.targets[range].to_vec(), 1)
}

/// The loss and all gradients, ordered by name.
fn loss_and_gradients(
    model: &Decoder,
    batch: &Batch,
    scale: f64,
    recompute: bool,
) -> Vec<Vec<f32>> {
    let pass = PassOptions { recompute, ..PassOptions::default() };
    let options = GradientOptions { pass, ..GradientOptions::scaled(scale) };
    let (loss, gradients) = common::next_token(model, batch, &options);
    let read = |tensor| block_on(read_floats(tensor)).unwrap();
    std::iter::once(vec![loss]).chain(gradients.into_values().map(read)).collect()
}

/// The largest difference between two sets of lists, relative to the largest number of each list.
fn difference(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    let lists = a.iter().zip(b).map(|(a, b)| {
        let largest = b.iter().fold(1e-3f32, |most, x| most.max(x.abs()));
        a.iter().zip(b).fold(0f32, |most, (a, b)| most.max((a - b).abs())) / largest
    });
    lists.fold(0.0, f32::max)
}

fn compare(config: &ModelConfig, name: &str, device: &Device) {
    let model = sharp(config, &device.clone().autodiff());
    let batch = packed();
    let scale = 1.0 / batch.counted() as f64;
    let mut expected: Vec<Vec<f32>> = Vec::new();
    for (row, places) in documents(&batch) {
        let own = alone(&batch, row, places);
        if own.counted() == 0 {
            continue;
        }
        let found = loss_and_gradients(&model, &own, scale, false);
        if expected.is_empty() {
            expected = found;
        } else {
            let pairs = expected.iter_mut().flatten().zip(found.into_iter().flatten());
            pairs.for_each(|(sum, value)| *sum += value);
        }
    }
    for recompute in [false, true] {
        let error = difference(&loss_and_gradients(&model, &batch, scale, recompute), &expected);
        assert!(error < 1e-5, "{name}: {error:e}");
    }
    // Without the bounds, attention reaches across documents.
    let open = Batch { documents: None, ..batch };
    assert!(
        difference(&loss_and_gradients(&model, &open, scale, false), &expected) > 1e-2,
        "{name}"
    );
}

#[test]
fn windows_hold_several_documents_and_padding() {
    let batch = packed();
    let documents = documents(&batch);
    assert!(documents.len() > batch.rows + 2, "{documents:?}");
    let empty = |row: usize, places: &Range<usize>| {
        let start = row * batch.tokens;
        batch.targets[start..][places.clone()].iter().all(|target| *target == IGNORE)
    };
    let padding = documents.iter().filter(|(row, places)| empty(*row, places));
    assert!(padding.count() > 0, "{documents:?}");
}

#[test]
fn a_packed_window_trains_like_separate_windows() {
    for (name, config) in common::variants() {
        compare(&config, name, &common::cpu());
    }
}

#[test]
fn a_packed_window_trains_like_separate_windows_on_both_kinds_of_gpu() {
    for (kind, device) in common::gpus() {
        for (name, config) in common::variants() {
            if ["sliding window", "gpt2", "llama"].contains(&name) {
                compare(&config, &format!("{name}, {kind}"), &device);
            }
        }
    }
}

/// Attention weights, `[B, H, T, T]`, of the last block.
#[derive(Default)]
struct Weights(Option<Tensor<4>>);

impl Probe for Weights {
    fn attention(&mut self, _layer: usize, weights: &dyn Fn() -> Tensor<4>) {
        self.0 = Some(weights());
    }
}

#[test]
fn attention_weights_shown_to_a_probe_respect_the_bounds() {
    let batch = packed();
    for (name, config) in common::variants() {
        let model = sharp(&config, &common::cpu());
        let weights = |batch: &Batch| {
            let ids = TokenIds::from_batch(batch, config.vocab_size, &model.device()).unwrap();
            let mut probe = Weights::default();
            model.forward_residual(ids, None, Some(&mut probe)).unwrap();
            probe.0.unwrap()
        };
        let all = weights(&batch);
        let heads = config.num_attention_heads;
        for (row, places) in documents(&batch) {
            let own = weights(&alone(&batch, row, places.clone()));
            let part = |columns: Range<usize>| {
                let part = all.clone().slice([row..row + 1, 0..heads, places.clone(), columns]);
                let count = part.shape().num_elements();
                block_on(read_floats(part.reshape([count]))).unwrap()
            };
            let count = own.shape().num_elements();
            let own = block_on(read_floats(own.reshape([count]))).unwrap();
            assert!(difference(&[part(places.clone())], &[own]) < 1e-5, "{name}");
            assert!(places.start == 0 || part(0..places.start).iter().all(|w| *w == 0.0), "{name}");
        }
    }
}
