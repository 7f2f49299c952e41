//! Tensor parallelism: each layer on several ranks. Sums are made in another order than on one rank, so figures agree within
//! rounding; runs that divide their layers in the same way have the same bits.

use std::collections::BTreeMap;
use std::time::Duration;

use blankslate::config::{ModelConfig, OptimizerKind, PositionEmbedding, Precision};
use blankslate::model::{Decoder, TokenIds, for_each_param, random_source, read_floats};
use blankslate::parallel::{Schedule, Sharding};
use blankslate::platform::block_on;
use blankslate::platform::parallel::threads;

use crate::common;
use crate::support::{Setup, State, conversations, loss, models, on_ranks, pairs};

/// The models of [`models`] with tied and with separate tables, and one with normalized queries and keys, a soft cap and a window.
fn variants() -> Vec<(String, ModelConfig)> {
    let mut all = Vec::new();
    for (name, model) in models() {
        for tied in [true, false] {
            let model = ModelConfig { tie_word_embeddings: tied, ..model.clone() };
            all.push((format!("{name}, tied {tied}"), model));
        }
    }
    let [_, (_, llama)] = models();
    let capped = ModelConfig {
        qk_norm: true,
        attn_logit_softcapping: Some(5.0),
        final_logit_softcapping: Some(3.0),
        sliding_window: Some(5),
        ..llama
    };
    all.push(("llama, normalized and capped".into(), capped));
    all
}

/// Returns the largest difference, as a share of the largest value of `b`.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let largest = b.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
    let most = a.iter().zip(b).fold(0.0, |most: f32, (a, b)| most.max((a - b).abs()));
    assert!(most.is_finite());
    if largest == 0.0 { most } else { most / largest }
}

/// Asserts that two runs have the same names and sizes, and values within `tolerance` of the largest of each tensor.
#[track_caller]
fn require_close(found: &State, expected: &State, tolerance: f32, what: &str) {
    let weights = |state: &State| -> BTreeMap<String, Vec<f32>> {
        state.weights.iter().map(|(name, x)| (name.clone(), x.values.clone())).collect()
    };
    let moments =
        |state: &State| -> BTreeMap<String, Vec<f32>> { state.optimizer.iter().cloned().collect() };
    for (found, expected) in
        [(weights(found), weights(expected)), (moments(found), moments(expected))]
    {
        assert!(found.keys().eq(expected.keys()), "names of {what}");
        for (name, values) in found {
            let difference = difference(&values, &expected[&name]);
            assert!(difference < tolerance, "{what}: `{name}` differs by {difference}");
        }
    }
}

#[track_caller]
fn require_close_losses(found: &State, expected: &State, tolerance: f32, what: &str) {
    for (step, (a, b)) in found.losses.iter().zip(&expected.losses).enumerate() {
        for (a, b) in a.iter().zip(b) {
            assert!((a / b - 1.0).abs() < tolerance, "{what}: {a} and {b} in step {step}");
        }
    }
}

#[test]
fn logits_of_divided_layers_agree_with_those_of_whole_ones() {
    for (name, model) in variants() {
        // A vocabulary that ranks cannot divide evenly.
        let ids: Vec<u32> = (0..2 * 16).map(|i| (i * 7 + 3) % 23).collect();
        let logits = |model: &Decoder| {
            let ids = TokenIds::new(&ids, 2, 23, &model.device()).unwrap();
            let logits = model.forward(ids, None, None).unwrap();
            assert_eq!(logits.dims(), [2, 16, 23]);
            block_on(read_floats(logits.reshape([2 * 16 * 23]))).unwrap()
        };
        let build = || Decoder::new(&model, &common::cpu(), &mut random_source(5)).unwrap();
        let whole = logits(&build());
        let divided = on_ranks(2, |ranks| logits(&build().divided(ranks).unwrap()));
        assert_eq!(divided[0], divided[1], "{name}: both ranks have all logits");
        for (a, b) in divided[0].iter().zip(&whole) {
            assert!((a - b).abs() < 1e-5, "{name}: {a} and {b}");
        }
    }
}

/// The first moments after one step are the clipped gradients, scaled. `eps` is large, since AdamW otherwise divides gradients that
/// are nothing but rounding by themselves.
#[test]
fn losses_and_gradients_of_divided_layers_agree_with_those_of_whole_ones() {
    for (name, model) in variants() {
        for (case, corpus) in [("text", None), ("conversations", Some(conversations()))] {
            let mut setup = Setup::new(model.clone(), 2);
            setup.train.objective.z_loss = 1e-2;
            setup.train.optimizer.eps = 1e-3;
            setup.corpus = corpus.unwrap_or(setup.corpus);
            let alone = setup.run(1, 1, None);
            let mut divided = setup.divided(2);
            for recompute in [false, true] {
                divided.train.gradient_checkpointing = recompute;
                let what = format!("{name}, {case}, recomputed {recompute}");
                let found = divided.run(2, 1, None);
                require_close_losses(&found, &alone, 1e-5, &what);
                require_close(&found, &alone, 1e-4, &what);
            }
        }
    }
}

#[test]
fn a_run_on_divided_layers_learns_as_a_run_on_whole_ones() {
    for (name, model) in variants() {
        let setup = Setup::new(model, 4);
        let alone = setup.run(1, 20, None);
        let found = setup.clone().divided(2).run(2, 20, None);
        assert!(found.losses[19][0] < found.losses[0][0], "{name} learns");
        require_close_losses(&found, &alone, 1e-3, &name);
        let limit = setup.train.optimizer.grad_clip as f32;
        assert!(found.losses.iter().any(|[_, norm]| *norm > limit), "nothing is clipped");
    }
}

/// Replicas, stages and sharding do not change the bits of tensor parallelism.
#[test]
fn replicas_stages_and_sharding_of_divided_layers_are_the_same_bits() {
    for (name, model) in models() {
        let model = ModelConfig { qk_norm: name == "llama", ..model };
        let setup = Setup::new(model, 4).divided(2);
        let one = setup.run(2, 10, None);
        for (stages, ranks, sharding) in [
            (1, 4, Sharding::None),
            (1, 4, Sharding::State),
            (1, 4, Sharding::Gradients),
            (2, 4, Sharding::None),
            (2, 8, Sharding::Gradients),
        ] {
            let setup = setup.clone().pipeline(stages, Schedule::default()).sharded(sharding);
            let found = setup.run(ranks, 10, None);
            one.require_same(
                &found,
                &format!("{name}, {stages} stages, {ranks} ranks, {sharding:?}"),
            );
        }
    }
}

/// One head on each rank, and ranks that others precede and follow.
#[test]
fn four_ranks_divide_a_layer() {
    let [(_, gpt2), _] = models();
    for tied in [true, false] {
        let model = ModelConfig { tie_word_embeddings: tied, ..gpt2.clone().with_heads(4) };
        let mut setup = Setup::new(model, 2);
        setup.train.optimizer.eps = 1e-3;
        let alone = setup.run(1, 1, None);
        let found = setup.divided(4).run(4, 1, None);
        let what = format!("tied {tied}");
        require_close_losses(&found, &alone, 1e-5, &what);
        require_close(&found, &alone, 1e-4, &what);
    }
}

/// An overflow on one rank skips the step on all of them, since the gradients' norm is that of all.
#[test]
fn divided_layers_agree_in_f16() {
    let Some(device) = common::gpu_in(Precision::F16) else { return };
    let [(_, gpt2), _] = models();
    let mut setup = Setup::new(gpt2, 2);
    (setup.device, setup.train.precision) = (device, Precision::F16);
    let alone = setup.run(1, 10, None);
    let found = setup.divided(2).run(2, 10, None);
    require_close_losses(&found, &alone, 2e-2, "f16");
}

#[test]
fn a_run_continues_on_whole_layers_and_back() {
    for (name, model) in models() {
        let whole = Setup::new(model, 4);
        let divided = whole.clone().divided(2);
        let expected = whole.run(1, 9, None);
        let first = divided.run(2, 3, None);
        let second = whole.run(1, 3, Some(&first));
        let third = divided.clone().sharded(Sharding::State).run(4, 3, Some(&second));
        let losses = [&first, &second, &third].map(|state| state.losses.clone()).concat();
        let all = State { losses, ..third };
        assert_eq!((all.step, expected.step), (9, 9));
        require_close_losses(&all, &expected, 1e-3, name);
        // Divided in the same way all along, it is exact.
        let exact = divided.run(2, 9, None);
        let continued = divided.run(2, 6, Some(&first));
        let losses = [&first, &continued].map(|state| state.losses.clone()).concat();
        // The resumed run counts its own tokens only.
        let tokens_seen = exact.tokens_seen;
        exact.require_same(&State { losses, tokens_seen, ..continued }, name);
    }
}

#[test]
fn a_rank_holds_half_of_each_layer() {
    for (name, model) in variants() {
        let held = |setup: &Setup, ranks: usize| {
            on_ranks(ranks, |ranks| {
                let mut trainer = setup.trainer(ranks, None);
                loss(&mut trainer);
                let (mut matrices, mut vectors) = (0, 0);
                for_each_param(&trainer.in_training(), &mut |_, shape, value| {
                    let numbers = if shape.len() == 2 { &mut matrices } else { &mut vectors };
                    *numbers += value.dims()[0];
                });
                let state: usize =
                    trainer.optimizer().state().map(|(_, value)| value.dims()[0]).sum();
                assert_eq!(state, 2 * (matrices + vectors), "{name}");
                [matrices, vectors]
            })
        };
        let setup = Setup::new(model.clone(), 2);
        let alone = held(&setup, 1)[0];
        let divided = held(&setup.divided(2), 2);
        let positions = match model.position_embedding {
            PositionEmbedding::Learned => 16 * model.hidden_size,
            _ => 0,
        };
        let matrices = divided[0][0] + divided[1][0];
        assert_eq!(matrices, alone[0] + positions, "{name}: positions are on both ranks");
        // Half, and at most a token more: there are 23.
        let half = (alone[0] + positions) / 2 + 2 * model.hidden_size;
        for [matrices, vectors] in divided {
            assert!(matrices <= half, "{name}: {matrices} of {}", alone[0]);
            // The biases of projections into the layers are divided.
            assert_eq!(vectors < alone[1], model.attention_bias || model.mlp_bias, "{name}");
        }
    }
}

#[test]
fn layers_that_cannot_be_divided_are_refused() {
    let refused = |setup: Setup, ranks: usize, words: &[&str]| {
        for error in
            on_ranks(ranks, |group| setup.try_trainer(group, None).unwrap_err().to_string())
        {
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    };
    let [(_, gpt2), (_, llama)] = models();
    let words = ["parallel: 4 ranks cannot divide", "2 key-value heads", "use tp=2"];
    refused(Setup::new(gpt2.clone(), 4).divided(4), 4, &words);
    refused(Setup::new(llama, 4).divided(4), 4, &words);
    let mut muon = Setup::new(gpt2.clone(), 4).divided(2);
    muon.train.optimizer.kind = OptimizerKind::Muon;
    refused(muon, 2, &["optimizer: muon needs whole matrices", "adamw"]);
    let mut adapters = Setup::new(gpt2, 4).divided(2);
    adapters.train.lora.rank = 4;
    refused(adapters, 2, &["lora_rank: ranks that divide layers", "dp alone"]);
    let [(_, gpt2), _] = models();
    let pairs = Setup { corpus: pairs(), ..Setup::new(gpt2, 4).divided(2) };
    refused(pairs, 2, &["parallel: ranks that divide layers", "preference pairs", "dp and pp"]);
}

/// A rank that fails in the backward pass is noticed by the others, and no step is made.
#[test]
fn a_rank_that_leaves_in_the_middle_of_a_step_is_noticed() {
    let [(_, model), _] = models();
    let setup = Setup::new(model, 2).divided(2);
    let group = threads(2, Duration::from_secs(2)).unwrap();
    let errors: Vec<Option<String>> = std::thread::scope(|scope| {
        let setup = &setup;
        let ranks: Vec<_> = group
            .into_iter()
            .enumerate()
            .map(|(rank, ranks)| {
                scope.spawn(move || {
                    let mut trainer = setup.trainer(ranks, None);
                    loss(&mut trainer);
                    if rank == 1 {
                        return None;
                    }
                    let before = trainer.steps_done();
                    let error = trainer.step().unwrap_err().to_string();
                    assert_eq!(trainer.steps_done(), before);
                    Some(error)
                })
            })
            .collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    });
    let error = errors[0].as_ref().unwrap();
    assert!(error.contains("no answer from rank 1"), "{error}");
}
