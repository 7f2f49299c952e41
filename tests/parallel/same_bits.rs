//! Data parallelism: one, two and four ranks.

use blankslate::config::{Accumulation, LoraConfig, Precision};
use blankslate::parallel::Sharding;

use crate::common;
use crate::support::{Setup, conversations, models, pairs};

const STEPS: u64 = 20;

#[test]
fn four_micro_batches_on_one_two_and_four_ranks_are_the_same_bits() {
    for (name, model) in models() {
        for setup in [Setup::new(model.clone(), 4), Setup::new(model, 4).muon()] {
            let alone = setup.run(1, STEPS, None);
            assert!(alone.losses[19][0] < alone.losses[0][0], "{name} learns");
            for ranks in [2, 4] {
                let found = setup.run(ranks, STEPS, None);
                let kind = setup.train.optimizer.kind;
                alone.require_same(&found, &format!("{name}, {kind:?}, {ranks} ranks"));
            }
        }
    }
}

#[test]
fn three_ranks_are_as_one_up_to_rounding() {
    for (name, model) in models() {
        // Three micro-batches on each of two ranks are no subtree of six.
        for (grad_accum, ranks) in [(6, 3), (6, 2)] {
            let setup = Setup::new(model.clone(), grad_accum);
            let [alone, found] = [1, ranks].map(|ranks| setup.run(ranks, STEPS, None));
            for (a, b) in alone.losses.iter().zip(&found.losses) {
                assert!((a[0] - b[0]).abs() < 1e-5, "{name}, {ranks} ranks: {a:?} {b:?}");
            }
        }
    }
}

#[test]
fn conversations_with_uneven_counts_are_the_same_bits() {
    let [(_, model), _] = models();
    let setup = Setup { corpus: conversations(), ..Setup::new(model, 4) };
    let source = setup.trainer(std::sync::Arc::new(blankslate::parallel::Alone), None);
    let counts: Vec<usize> =
        (0..4).map(|n| source.source().nth_batch(n, setup.train.batch_size).counted()).collect();
    assert!(counts.iter().any(|count| *count != counts[0]), "{counts:?} are even");
    let alone = setup.run(1, STEPS, None);
    for ranks in [2, 4] {
        alone.require_same(&setup.run(ranks, STEPS, None), &format!("{ranks} ranks"));
    }
}

#[test]
fn a_tree_and_a_chain_differ_only_in_rounding() {
    let [(_, model), _] = models();
    let tree = Setup::new(model, 8);
    let mut chain = tree.clone();
    chain.train.accumulation = Accumulation::Chain;
    let [tree, chain] = [tree, chain].map(|setup| setup.run(1, STEPS, None));
    assert!(tree.losses != chain.losses, "the order is without effect");
    for (a, b) in tree.losses.iter().zip(&chain.losses) {
        assert!((a[0] - b[0]).abs() < 1e-5, "{a:?} {b:?}");
    }
}

#[test]
fn recomputed_activations_are_the_same_bits_on_two_ranks() {
    let [_, (_, model)] = models();
    let kept = Setup::new(model, 4);
    let mut recomputed = kept.clone();
    recomputed.train.gradient_checkpointing = true;
    kept.run(1, 5, None).require_same(&recomputed.run(2, 5, None), "recomputed activations");
}

#[test]
fn adapters_are_the_same_bits_whatever_the_ranks_divide() {
    for (name, model) in models() {
        for embeddings in [false, true] {
            let mut setup = Setup::new(model.clone(), 4);
            setup.train.lora = LoraConfig { embeddings, ..LoraConfig::with_rank(2) };
            let alone = setup.run(1, STEPS, None);
            assert!(alone.losses[19][0] < alone.losses[0][0], "{name} learns");
            assert!(alone.optimizer.iter().any(|(of, _)| of.contains("lora")), "{name}");
            for sharding in [Sharding::None, Sharding::State, Sharding::Gradients] {
                let found = setup.clone().sharded(sharding).run(2, STEPS, None);
                alone.require_same(&found, &format!("{name}, {sharding:?}, tables {embeddings}"));
            }
        }
    }
}

#[test]
fn preference_pairs_are_the_same_bits_whatever_the_ranks_divide() {
    for (name, model) in models() {
        let setup = Setup { corpus: pairs(), ..Setup::new(model, 4) };
        let alone = setup.run(1, STEPS, None);
        for sharding in [Sharding::None, Sharding::State, Sharding::Gradients] {
            for ranks in [2, 4] {
                let found = setup.clone().sharded(sharding).run(ranks, STEPS, None);
                alone.require_same(&found, &format!("{name}, {sharding:?}, {ranks} ranks"));
            }
        }
    }
}

/// The loss scale, too, is the same on all ranks: an overflow on one of them skips the step on all. Sums of a GPU differ in their
/// last bits.
#[test]
fn two_ranks_in_f16_agree_with_one() {
    let Some(device) = common::gpu_in(Precision::F16) else { return };
    let [(_, model), _] = models();
    let mut setup = Setup { device, ..Setup::new(model, 4) };
    setup.train.precision = Precision::F16;
    let alone = setup.run(1, 5, None);
    for sharding in [Sharding::None, Sharding::State, Sharding::Gradients] {
        let found = setup.clone().sharded(sharding).run(2, 5, None);
        for (a, b) in alone.losses.iter().zip(&found.losses) {
            assert!((a[0] - b[0]).abs() < 2e-3 * a[0], "{sharding:?}: {a:?} {b:?}");
        }
        let scale = |state: &crate::support::State| {
            let mut scales = state.optimizer.iter().filter(|(name, _)| name == "loss_scale");
            scales.next().unwrap().1.clone()
        };
        assert_eq!(scale(&alone), scale(&found), "{sharding:?}");
    }
}
