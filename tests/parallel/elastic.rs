//! Resuming with another number of ranks.

use blankslate::parallel::Sharding;

use crate::support::{Setup, State, models};

#[test]
fn ten_steps_each_at_four_two_and_one_ranks_are_thirty_alone() {
    for (name, model) in models() {
        for muon in [false, true] {
            let setup = Setup::new(model.clone(), 4);
            let setup = if muon { setup.muon() } else { setup };
            let alone = setup.run(1, 30, None);
            let sharded = setup.clone().sharded(Sharding::Gradients);
            let first = sharded.run(4, 10, None);
            let second = setup.clone().sharded(Sharding::State).run(2, 10, Some(&first));
            let third = setup.run(1, 10, Some(&second));
            let losses = [first.losses, second.losses, third.losses].concat();
            let seen = first.tokens_seen + second.tokens_seen + third.tokens_seen;
            let resumed = State { losses, tokens_seen: seen, ..third };
            alone.require_same(&resumed, &format!("{name}, muon {muon}"));
        }
    }
}
