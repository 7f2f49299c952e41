//! Pipelines: the layers of a model on several ranks.

use blankslate::config::{ModelConfig, OptimizerKind};
use blankslate::model::{Part, for_each_param, trained_shapes};
use blankslate::parallel::{Schedule, Sharding};
use blankslate::platform::block_on;

use crate::support::{Setup, State, conversations, loss, models, on_ranks, pairs};

const STEPS: u64 = 20;
const SCHEDULES: [Schedule; 2] = Schedule::ALL;

fn with_layers(model: ModelConfig, layers: usize) -> ModelConfig {
    model.with_layers(layers)
}

#[test]
fn two_stages_are_the_same_bits_as_one_rank() {
    for (name, model) in models() {
        for setup in [Setup::new(model.clone(), 4), Setup::new(model, 4).muon()] {
            let kind = setup.train.optimizer.kind;
            let alone = setup.run(1, STEPS, None);
            assert!(alone.losses[19][0] < alone.losses[0][0], "{name} learns");
            let limit = setup.train.optimizer.grad_clip as f32;
            assert!(alone.losses.iter().any(|[_, norm]| *norm > limit), "nothing is clipped");
            for schedule in SCHEDULES {
                let found = setup.clone().pipeline(2, schedule).run(2, STEPS, None);
                alone.require_same(&found, &format!("{name}, {kind:?}, {schedule:?}"));
            }
        }
    }
}

#[test]
fn two_replicas_of_two_stages_are_the_same_bits_whatever_they_divide() {
    for (name, model) in models() {
        for setup in [Setup::new(model.clone(), 4), Setup::new(model, 4).muon()] {
            let alone = setup.run(1, STEPS, None);
            for (schedule, sharding) in [
                (Schedule::Gpipe, Sharding::None),
                (Schedule::OneForwardOneBackward, Sharding::None),
                (Schedule::OneForwardOneBackward, Sharding::State),
                (Schedule::OneForwardOneBackward, Sharding::Gradients),
            ] {
                let setup = setup.clone().pipeline(2, schedule).sharded(sharding);
                let found = setup.run(4, STEPS, None);
                alone.require_same(&found, &format!("{name}, {schedule:?}, {sharding:?}"));
            }
        }
    }
}

#[test]
fn stages_with_different_numbers_of_layers_are_the_same_bits() {
    for (name, model) in models() {
        let model = with_layers(model, 5);
        let parts = Part::divide(&model, 4).unwrap();
        let layers: Vec<usize> = parts.iter().map(|part| part.layers.len()).collect();
        assert!(layers.iter().any(|count| *count != layers[0]), "{layers:?}");
        let setup = Setup::new(model, 4);
        let alone = setup.run(1, STEPS, None);
        for (stages, schedule) in [(4, SCHEDULES[0]), (4, SCHEDULES[1]), (3, SCHEDULES[1])] {
            let found = setup.clone().pipeline(stages, schedule).run(stages, STEPS, None);
            alone.require_same(&found, &format!("{name}, {stages} stages, {schedule:?}"));
        }
    }
}

#[test]
fn recomputation_and_uneven_counts_are_the_same_bits() {
    let [(_, model), _] = models();
    let mut setup = Setup { corpus: conversations(), ..Setup::new(model, 4) };
    let alone = setup.run(1, 5, None);
    setup.train.gradient_checkpointing = true;
    let found = setup.pipeline(2, Schedule::default()).run(4, 5, None);
    alone.require_same(&found, "conversations, recomputed");
}

#[test]
fn preference_pairs_are_the_same_bits() {
    let [(_, model), _] = models();
    let setup = Setup { corpus: pairs(), ..Setup::new(model, 4) };
    let alone = setup.run(1, 5, None);
    let found = setup.pipeline(2, Schedule::default()).run(4, 5, None);
    alone.require_same(&found, "preference pairs");
}

#[test]
fn the_names_of_the_metrics_travel_once() {
    let [(_, model), _] = models();
    let setup = Setup { corpus: pairs(), ..Setup::new(model, 2) };
    let setup = setup.pipeline(2, Schedule::default());
    let operations = on_ranks(2, |ranks| {
        let mut trainer = setup.trainer(ranks.clone(), None);
        [0; 3].map(|_| {
            let before = ranks.traffic().operations;
            loss(&mut trainer);
            ranks.traffic().operations - before
        })
    });
    for [first, second, third] in operations {
        // An exchange is one operation for the lengths and one for the bytes.
        assert_eq!([first, third], [second + 2, second]);
    }
}

#[test]
fn the_whole_model_is_gathered_once_a_step() {
    let [(_, model), _] = models();
    let setup = Setup::new(model, 2);
    for setup in [setup.clone().pipeline(2, Schedule::default()), setup.divided(2)] {
        let operations = on_ranks(2, |ranks| {
            let mut trainer = setup.trainer(ranks.clone(), None);
            [0; 2].map(|_| {
                loss(&mut trainer);
                [0; 2].map(|_| {
                    let before = ranks.traffic().operations;
                    assert_eq!(trainer.whole_model().unwrap().is_some(), ranks.rank() == 0);
                    ranks.traffic().operations - before
                })
            })
        });
        for [[first, again], next] in operations {
            assert!(first > 0 && again == 0, "{first}, {again}");
            assert_eq!(next, [first, 0]);
        }
    }
}

#[test]
fn one_forward_one_backward_keeps_as_many_micro_batches_as_stages_follow() {
    let [(_, model), _] = models();
    let kept = |stages: usize, schedule| {
        let setup = Setup::new(with_layers(model.clone(), 4), 8).pipeline(stages, schedule);
        on_ranks(stages, |ranks| {
            let mut trainer = setup.trainer(ranks, None);
            let report = trainer.step().unwrap();
            let most_kept = report.most_kept;
            block_on(report.read("nothing")).unwrap();
            most_kept
        })
    };
    assert_eq!(kept(4, Schedule::OneForwardOneBackward), [4, 3, 2, 1]);
    assert_eq!(kept(2, Schedule::OneForwardOneBackward), [2, 1]);
    assert_eq!(kept(4, Schedule::Gpipe), [8, 8, 8, 8]);
    assert_eq!(kept(1, Schedule::Gpipe), [1]);
}

#[test]
fn a_stage_holds_the_weights_and_the_state_of_its_own_layers() {
    for (name, model) in models() {
        for kind in [OptimizerKind::Adamw, OptimizerKind::Muon] {
            let mut setup = Setup::new(with_layers(model.clone(), 4), 4);
            setup.train.optimizer.kind = kind;
            let numbers = |ranks: usize| {
                let setup = setup.clone().pipeline(ranks, Schedule::default());
                let held = on_ranks(ranks, |ranks| {
                    let mut trainer = setup.trainer(ranks, None);
                    loss(&mut trainer);
                    let mut weights = 0;
                    for_each_param(&trainer.in_training(), &mut |_, _, value| {
                        weights += value.dims()[0];
                    });
                    let state = trainer.optimizer().state();
                    let state: usize = state.map(|(_, value)| value.dims()[0]).sum();
                    let gradients = trainer.next_gradients().unwrap();
                    let gradients: usize = gradients.values().map(|value| value.dims()[0]).sum();
                    [weights, state, gradients]
                });
                println!("{name}, {kind:?}: {held:?}");
                held
            };
            let alone = numbers(1)[0];
            let stages = numbers(2);
            let table = model.vocab_size * model.hidden_size;
            let twice = if model.tie_word_embeddings { table } else { 0 };
            let total = |i: usize| stages.iter().map(|held| held[i]).sum::<usize>();
            assert_eq!(total(0), alone[0] + twice, "{name}: weights");
            assert_eq!(total(1), alone[1], "{name}: state");
            assert_eq!(total(2), alone[2], "{name}: gradients");
            for held in stages {
                assert!(held.iter().zip(alone).all(|(own, all)| *own < all * 2 / 3), "{held:?}");
            }
        }
    }
}

#[test]
fn the_model_of_a_stage_trains_what_it_names() {
    let [(_, model), _] = models();
    let parts = Part::divide(&model, 2).unwrap();
    let setup = Setup::new(model, 2).pipeline(2, Schedule::default());
    let trained = on_ranks(2, |ranks| {
        let trainer = setup.trainer(ranks.clone(), None);
        let names: Vec<String> = trainer.next_gradients().unwrap().into_keys().collect();
        (ranks.rank(), names)
    });
    let device = crate::common::cpu().autodiff();
    let whole = blankslate::model::Decoder::new(
        &setup.model,
        &device,
        &mut blankslate::model::random_source(1),
    );
    let all = trained_shapes(&whole.unwrap());
    for (rank, names) in trained {
        let own: Vec<&String> = all.keys().filter(|name| parts[rank].trains(name)).collect();
        assert_eq!(names.iter().collect::<Vec<_>>(), own);
    }
}

#[test]
fn ten_steps_each_at_two_stages_two_replicas_and_one_rank_are_thirty_alone() {
    for (name, model) in models() {
        for muon in [false, true] {
            let setup = Setup::new(model.clone(), 4);
            let setup = if muon { setup.muon() } else { setup };
            let alone = setup.run(1, 30, None);
            let pipeline = setup.clone().pipeline(2, Schedule::default());
            let first = pipeline.run(2, 10, None);
            let second = setup.clone().sharded(Sharding::State).run(2, 10, Some(&first));
            let third = setup.run(1, 10, Some(&second));
            let losses = [first.losses, second.losses, third.losses].concat();
            let seen = first.tokens_seen + second.tokens_seen + third.tokens_seen;
            let resumed = State { losses, tokens_seen: seen, ..third };
            alone.require_same(&resumed, &format!("{name}, muon {muon}"));
            // And back to a pipeline, with other sharding.
            let fourth = setup.run(1, 10, Some(&resumed));
            let sharded = pipeline.sharded(Sharding::Gradients);
            let divided = sharded.run(4, 10, Some(&resumed));
            fourth.require_same(&divided, &format!("{name}, muon {muon}, four ranks"));
        }
    }
}
