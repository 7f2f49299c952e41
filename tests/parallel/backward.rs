//! The backward pass block by block, during which gradients are exchanged.

use blankslate::data::Batch;
use blankslate::model::{Decoder, NamedGradients, Part, PassOptions, random_source, read_floats};
use blankslate::objective::{GradientOptions, MicroBatch, NextToken, differentiate};
use blankslate::platform::block_on;

use crate::common;

fn batch() -> Batch {
    let ids: Vec<u32> = (0..32).map(|i| i * 5 % 23).collect();
    let targets: Vec<u32> = ids.iter().map(|id| (id + 1) % 23).collect();
    Batch::new(ids, targets, 2)
}

/// All gradients, sorted by name, as bits.
fn bits(parts: Vec<NamedGradients>) -> Vec<(String, Vec<u32>)> {
    let mut all: Vec<_> = parts.into_iter().flatten().collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    let bits =
        |tensor| block_on(read_floats(tensor)).unwrap().iter().map(|x| x.to_bits()).collect();
    all.into_iter().map(|(name, gradient)| (name, bits(gradient))).collect()
}

#[test]
fn parts_of_a_model_one_after_the_other_give_its_gradients() {
    let device = common::cpu().autodiff();
    let batch = &batch();
    let objective = &NextToken::default();
    for (name, mut config) in common::variants() {
        config.dropout = 0.1;
        let whole = Decoder::new(&config, &device, &mut random_source(5)).unwrap();
        let parts = Part::divide(&config, 2).unwrap();
        let [first, last] = [0, 1].map(|stage: usize| whole.clone().reduced_to(&parts[stage]));
        for recompute in [false, true] {
            let pass = PassOptions { dropout_seed: Some(7), recompute, ..Default::default() };
            let options = &GradientOptions { pass, ..GradientOptions::scaled(1.0 / 32.0) };
            let mut expected = Vec::new();
            let ready = &mut |found| expected.push(found);
            differentiate(objective, &whole, batch, options, ready).unwrap();

            let mut found = Vec::new();
            let ready = &mut |gradients| found.push(gradients);
            let of = |model| MicroBatch { objective, model, batch, options };
            let of_first = of(&first).forward(&parts[0], None).unwrap();
            let of_last = of(&last).forward(&parts[1], Some(of_first.residual())).unwrap();
            let (_, upstream) = of(&last).backward_from_loss(of_last, ready).unwrap();
            let upstream = upstream.expect("another part comes before the last");
            assert_eq!(upstream.table.is_some(), config.tie_word_embeddings, "{name}");
            assert!(first.differentiate_part(of_first, upstream, ready).unwrap().is_none());
            assert!(bits(found) == bits(expected), "{name}, recompute {recompute}");
        }
    }
}

#[test]
fn gradients_block_by_block_are_the_same_bits_and_arrive_from_the_last_block_to_the_first() {
    let device = common::cpu().autodiff();
    let batch = batch();
    for (name, mut config) in common::variants() {
        config.dropout = 0.1;
        let model = Decoder::new(&config, &device, &mut random_source(5)).unwrap();
        let run = |by_block, recompute| {
            let pass =
                PassOptions { dropout_seed: Some(7), recompute, by_block, ..Default::default() };
            let options = GradientOptions { pass, ..GradientOptions::scaled(1.0 / 32.0) };
            let mut parts: Vec<NamedGradients> = Vec::new();
            differentiate(&NextToken::default(), &model, &batch, &options, &mut |found| {
                parts.push(found);
            })
            .unwrap();
            parts
        };
        let whole = run(false, false);
        assert_eq!(whole.len(), 1);
        let by_block = run(true, false);
        let order: Vec<_> =
            by_block.iter().map(|part| part.keys().next().unwrap().clone()).collect();
        assert_eq!(order.len(), config.num_hidden_layers + 2, "{name}: {order:?}");
        assert!(
            order[1].starts_with("layers.1.") && order[2].starts_with("layers.0."),
            "{order:?}"
        );
        assert!(by_block[3].contains_key("embed_tokens.weight"), "{name}: the table is last");
        let expected = bits(whole);
        assert!(!expected.is_empty());
        assert_eq!(bits(by_block), expected, "{name}");
        assert_eq!(bits(run(true, true)), expected, "{name}, recomputed");
    }
}
