//! Runs that ranks refuse, and ranks that do not answer.

use std::time::{Duration, Instant};

use blankslate::config::Accumulation;
use blankslate::parallel::{Bounds, Schedule};
use blankslate::platform::parallel::threads;
use burn::tensor::Tensor;

use crate::common;
use crate::support::{Setup, models, on_ranks};

fn error(setup: &Setup, ranks: usize) -> String {
    let mut errors =
        on_ranks(ranks, |group| setup.try_trainer(group, None).unwrap_err().to_string());
    errors.remove(0)
}

#[test]
fn micro_batches_that_cannot_be_divided_and_chains_are_refused() {
    let [(_, model), _] = models();
    let found = error(&Setup::new(model.clone(), 4), 3);
    assert!(
        found.starts_with("grad_accum: the 4 batches") && found.contains("such as 6"),
        "{found}"
    );
    let mut chain = Setup::new(model, 4);
    chain.train.accumulation = Accumulation::Chain;
    let found = error(&chain, 2);
    assert!(found.starts_with("accumulation: 2 replicas") && found.contains("tree"), "{found}");
}

#[test]
fn pipelines_without_layers_for_every_stage_and_with_adapters_are_refused() {
    let [(_, model), _] = models();
    let schedule = Schedule::default();
    let found = error(&Setup::new(model.clone(), 4).pipeline(3, schedule), 3);
    assert!(
        found.starts_with("parallel: 3 stages need as many layers, and the model has 2")
            && found.contains("pp=2"),
        "{found}"
    );
    let found = error(&Setup::new(model.clone(), 3).pipeline(2, schedule), 4);
    assert!(
        found.starts_with("grad_accum: the 3 batches") && found.contains("such as 4"),
        "{found}"
    );
    let mut adapters = Setup::new(model, 4).pipeline(2, schedule);
    adapters.train.lora.rank = 4;
    let found = error(&adapters, 2);
    assert!(found.starts_with("lora_rank: a pipeline") && found.contains("dp alone"), "{found}");
}

#[test]
fn ranks_of_other_layouts_are_refused() {
    let [(_, model), _] = models();
    let setup = Setup::new(model, 4);
    let errors = on_ranks(2, |group| {
        let mine = setup.clone().pipeline(group.rank() + 1, Schedule::default());
        mine.try_trainer(group, None).unwrap_err().to_string()
    });
    for error in errors {
        assert!(error.starts_with("parallel: rank 1 has dp=1,pp=2"), "{error}");
        assert!(error.contains("but rank 0 has dp=2"), "{error}");
    }
}

#[test]
fn a_rank_that_does_not_answer_is_named_in_time() {
    let timeout = Duration::from_secs(1);
    let group = threads(3, timeout).unwrap();
    let started = Instant::now();
    // Rank 1 does not take part.
    let errors: Vec<[String; 8]> = std::thread::scope(|scope| {
        let ask = |rank: usize| {
            let ranks = &group[rank];
            scope.spawn(move || {
                // Each rank waits for its part of the sum.
                let one = Tensor::<1>::from_data([1.0, 2.0, 3.0], &common::cpu());
                let bounds = vec![Bounds::even(3, 3)];
                let first = "step 7: the gradients";
                // Those that wait behind the first fail with it, and not one timeout after the other.
                let all = [first, "b", "c", "d", "e", "f", "g", "h"]
                    .map(|label| ranks.reduce_scatter(label, vec![one.clone()], bounds.clone()));
                all.map(|pending| pending.wait().unwrap_err().to_string())
            })
        };
        [ask(0), ask(2)].map(|thread| thread.join().unwrap()).into()
    });
    for error in errors.into_iter().flatten() {
        assert!(error.starts_with("step 7: the gradients: no answer from rank 1"), "{error}");
    }
    assert!(started.elapsed() < timeout * 4, "{:?}", started.elapsed());
}
