//! ZeRO: what each rank holds, and that nothing else changes.

use blankslate::config::ModelConfig;
use blankslate::kernels::adamw::norm_block;
use blankslate::parallel::Sharding;

use crate::common;
use crate::support::{Setup, State, loss, models, on_ranks};

/// A model whose embedding is cut into parts inside: it has several blocks of the norm's sums.
fn wide() -> ModelConfig {
    let [(_, model), _] = models();
    ModelConfig { vocab_size: 4100, ..model }.with_hidden_size(64)
}

#[test]
fn sharded_state_and_gradients_are_the_same_bits() {
    let [(_, gpt2), (_, llama)] = models();
    let setups =
        [Setup::new(gpt2.clone(), 4), Setup::new(gpt2, 4).muon(), Setup::new(llama, 4).muon()];
    for setup in setups {
        let alone = setup.run(1, 20, None);
        for ranks in [2, 4] {
            for sharding in [Sharding::State, Sharding::Gradients] {
                let found = setup.clone().sharded(sharding).run(ranks, 20, None);
                alone.require_same(&found, &format!("{sharding:?}, {ranks} ranks"));
            }
        }
    }
}

#[test]
fn a_tensor_that_is_cut_inside_is_the_same_bits() {
    let setup = Setup::new(wide(), 4);
    let alone = setup.run(1, 4, None);
    for sharding in [Sharding::State, Sharding::Gradients] {
        let found = setup.clone().sharded(sharding).run(4, 4, None);
        alone.require_same(&found, &format!("{sharding:?}"));
    }
}

#[test]
fn each_rank_holds_its_share_of_the_state() {
    let ranks = 4;
    for muon in [false, true] {
        let setup = Setup::new(wide(), 4).sharded(Sharding::Gradients);
        let setup = if muon { setup.muon() } else { setup };
        let held = on_ranks(ranks, |group| {
            let mut trainer = setup.trainer(group, None);
            loss(&mut trainer);
            let own: usize = trainer.optimizer().state().map(|(_, moment)| moment.dims()[0]).sum();
            let whole = State::of(&trainer, Vec::new()).optimizer;
            (own, whole)
        });
        let whole = &held[0].1;
        let total: usize = whole.iter().map(|(_, values)| values.len()).sum();
        assert_eq!(held.iter().map(|(own, _)| own).sum::<usize>(), total, "nothing is held twice");
        let lens = whole.iter().map(|(name, values)| (name, values.len()));
        // Muon's momentum, which has no second moment, is that of whole matrices.
        let is_matrix = |name: &str| {
            let second = format!("{}.second", name.trim_end_matches(".first"));
            name.ends_with(".first") && !whole.iter().any(|(other, _)| *other == second)
        };
        let matrices: Vec<usize> =
            lens.clone().filter(|(name, _)| is_matrix(name)).map(|(_, len)| len).collect();
        assert_eq!(matrices.is_empty(), !muon);
        let blocks: usize =
            lens.filter(|(name, _)| !is_matrix(name)).map(|(_, len)| norm_block(len)).sum();
        let most = total / ranks + blocks + matrices.iter().max().unwrap_or(&0);
        for (own, _) in &held {
            assert!(*own <= most, "{own} of {total}, with {muon}");
        }
        let least = held.iter().map(|(own, _)| own).min().unwrap();
        assert!(*least >= total / ranks / 2, "{least} of {total}");
    }
}

/// On a GPU, sums of one rank and of two may differ in their last bits.
#[test]
fn ranks_on_a_gpu_agree_with_one() {
    let Some(device) = common::vulkan() else { return };
    let [(_, gpt2), _] = models();
    let setup = Setup { device, ..Setup::new(gpt2, 4).muon() };
    let alone = setup.run(1, 4, None);
    for sharding in [Sharding::None, Sharding::State, Sharding::Gradients] {
        let found = setup.clone().sharded(sharding).run(2, 4, None);
        let pairs = alone.losses.as_flattened().iter().zip(found.losses.as_flattened());
        for (a, b) in pairs {
            assert!((a - b).abs() <= 1e-5 * a, "{sharding:?}: {a} and {b}");
        }
        for (name, weights) in &alone.weights {
            let largest = weights.values.iter().fold(1e-3, |most: f32, x| most.max(x.abs()));
            for (a, b) in weights.values.iter().zip(&found.weights[name].values) {
                assert!((a - b).abs() <= 1e-4 * largest, "{sharding:?}: {name}: {a} and {b}");
            }
        }
    }
}
