//! Ranks that do not belong together are refused before the first step.

use blankslate::platform::memory_of_rank;
use blankslate::platform::parallel::{launched, local_ranks};

use crate::launch::{RUN, mpirun, program, run, turn};
use crate::support::{Outcome, Place, TEXT, command, outcome};

/// Runs two ranks with different arguments.
fn two(first: &str, second: &str) -> Outcome {
    let program = program();
    outcome(mpirun(&format!("-n 1 {program} {first} : -n 1 {program} {second}")).output().unwrap())
}

#[track_caller]
fn require_refused(place: &Place, found: Outcome, words: &[&str]) {
    assert!(found.code.is_some_and(|code| code != 0), "{}", found.stderr);
    for word in words {
        assert!(found.stderr.contains(word), "`{word}` is not in: {}", found.stderr);
    }
    assert!(!place.path("run/training_state.json").exists());
    assert!(!place.path("run/checkpoints").exists());
    let steps =
        String::from_utf8(std::fs::read(place.path("run/metrics.jsonl")).unwrap_or_default());
    assert_eq!(steps.unwrap(), "", "a step was made");
}

#[test]
fn other_flags_seeds_and_data_are_refused() {
    let _turn = turn();
    let place = Place::new();
    let same = place.train_arguments("run", RUN);
    for (flag, value) in [("--lr", "0.02"), ("--seed", "7"), ("--zero", "1"), ("--stop-at", "5")] {
        let found = two(&same, &format!("{same} {flag} {value}"));
        require_refused(&place, found, &[flag, "rank 1 has", "but rank 0 has"]);
    }
    place.write("other.txt", TEXT.replace("sea", "tea").repeat(40));
    // One that has the same characters and so the same tokenizer.
    place.write("moved.txt", format!("{}{}", &TEXT[1..].repeat(40), "s".repeat(40)));
    for other in ["other.txt", "moved.txt"] {
        let data = same.replace(&place.at("text.txt"), &place.at(other));
        let found = two(&same, &data);
        require_refused(&place, found, &["rank 1 has", "but rank 0 has"]);
    }
}

#[test]
fn a_way_that_cannot_be_used_is_refused() {
    let _turn = turn();
    let place = Place::new();
    let same = place.train_arguments("run", RUN);
    let found = two(&same, &format!("{same} --collective mpi"));
    require_refused(&place, found, &["--collective", "rank 1 has mpi, but rank 0 has auto"]);
    let found = run(2, &format!("{same} --collective nccl"));
    let words =
        ["--collective", "NCCL cannot be used", "the device of rank 0, cpu, is no NVIDIA GPU"];
    require_refused(&place, found, &words);
}

#[test]
fn another_number_of_ranks_is_refused() {
    let _turn = turn();
    let place = Place::new();
    let found = run(2, &place.train_arguments("run", &format!("{RUN} --parallel dp=4")));
    require_refused(&place, found, &["--parallel", "4 ranks are needed", "started 2"]);
    let found = run(2, &place.train_arguments("run", "--grad-accum 3 --steps 4"));
    require_refused(&place, found, &["--grad-accum", "cannot be divided among 2 replicas"]);
    let found =
        run(2, &place.train_arguments("run", "--grad-accum 2 --accumulation chain --steps 4"));
    require_refused(&place, found, &["--accumulation", "chain"]);
    let found = run(2, &place.train_arguments("run", &format!("{RUN} --parallel dp=2,pp=2")));
    require_refused(&place, found, &["--parallel", "4 ranks are needed", "started 2"]);
    let found = run(3, &place.train_arguments("run", &format!("{RUN} --parallel pp=2")));
    require_refused(&place, found, &["--parallel", "3 ranks", "2 stages", "mpirun -n 4"]);
    let data = format!("--data {}", place.at("text.txt"));
    let piped = place.train_arguments("run", RUN).replace(&data, "--data -");
    require_refused(&place, run(2, &piped), &["--data", "first of several ranks", "use a file"]);
    let few = format!("{RUN} --layers 1 --parallel pp=2");
    let found = run(2, &place.train_arguments("run", &few));
    require_refused(&place, found, &["--parallel", "2 stages", "the model has 1", "pp=1"]);
    let alone = command(&place.train_arguments("run", &format!("{RUN} --parallel dp=2"))).output();
    outcome(alone.unwrap()).refuses(2, &["--parallel", "mpirun -n 2"]);
}

/// The part of a rank in [`ranks_share_the_memory_of_their_machine`].
#[test]
fn a_rank_alone_has_all_memory() {
    let ranks = launched().unwrap_or(1);
    assert_eq!(local_ranks(), ranks);
    assert_eq!(memory_of_rank(1), 1);
    assert_eq!(memory_of_rank(u64::MAX) == u64::MAX, ranks == 1);
}

#[test]
fn ranks_share_the_memory_of_their_machine() {
    let _turn = turn();
    let own = std::env::current_exe().unwrap();
    let role = "--exact refused::a_rank_alone_has_all_memory --nocapture";
    outcome(mpirun(&format!("-n 2 {} {role}", own.display())).output().unwrap()).ok();
}
