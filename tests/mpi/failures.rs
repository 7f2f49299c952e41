//! A rank that fails ends the job, in time and with a name.

use std::time::{Duration, Instant};

use blankslate::parallel::sum_counts;
use blankslate::platform::parallel::join;

use crate::launch::{Job, RUN, mpirun, program, turn};
use crate::support::{Outcome, Place, outcome};

const TIMEOUT: u64 = 5;

/// Time in which a job must end after a failure.
fn limit() -> Duration {
    Duration::from_secs(TIMEOUT + 10)
}

fn endless(place: &Place) -> Job {
    Job::endless(place, &format!("--collective-timeout {TIMEOUT}"))
}

#[track_caller]
fn require_failed(found: Outcome, words: &[&str]) {
    assert!(found.code.is_some_and(|code| code != 0), "{:?}: {}", found.code, found.stderr);
    let printed = format!("{}{}", found.stdout, found.stderr);
    for word in words {
        assert!(printed.contains(word), "`{word}` is not in: {printed}");
    }
}

#[test]
fn a_stopped_rank_is_named_by_the_others() {
    let _turn = turn();
    let place = Place::new();
    let job = endless(&place);
    job.signal(1, "-STOP");
    require_failed(job.end(limit()), &["rank 0 on", "no answer from rank 1 within 5 s"]);
}

#[test]
fn a_stopped_or_killed_stage_is_named() {
    let _turn = turn();
    for (signal, words) in [
        ("-STOP", &["rank 0 on", "no answer from rank 1 within 5 s"][..]),
        ("-KILL", &["process rank 1"]),
    ] {
        let place = Place::new();
        let more = format!("--collective-timeout {TIMEOUT} --layers 2 --parallel pp=2");
        let job = Job::endless(&place, &more);
        job.signal(1, signal);
        require_failed(job.end(limit()), words);
    }
}

#[test]
fn aborted_and_killed_ranks_end_the_job() {
    let _turn = turn();
    for signal in ["-ABRT", "-KILL"] {
        let place = Place::new();
        let job = endless(&place);
        job.signal(1, signal);
        require_failed(job.end(limit()), &["process rank 1"]);
    }
}

#[test]
fn an_error_on_one_rank_ends_the_job() {
    let _turn = turn();
    let place = Place::new();
    let same = place.train_arguments("run", &format!("{RUN} --collective-timeout {TIMEOUT}"));
    let other = same.replace("--device cpu", "--device nowhere");
    let program = program();
    let job = Job::start(&format!("-n 1 {program} {same} : -n 1 {program} {other}"));
    let words = ["rank 1 on", "device nowhere: the device is unknown"];
    require_failed(job.end(limit() + Duration::from_secs(20)), &words);
}

/// The part of a rank in [`a_panic_on_one_rank_ends_the_job`]. A rank alone does not panic.
#[test]
fn rank_1_panics() {
    let ranks = join(None, Duration::from_secs(60)).unwrap().through_hosts();
    let size = ranks.size() as u64;
    assert_eq!(sum_counts(&*ranks, "the first", [1]).unwrap(), [size]);
    assert_ne!(ranks.rank(), 1, "rank 1 panics");
    // Waits for a rank that does not come.
    assert_eq!(sum_counts(&*ranks, "the second", [1]).unwrap(), [size]);
}

#[test]
fn a_panic_on_one_rank_ends_the_job() {
    let _turn = turn();
    let own = std::env::current_exe().unwrap();
    let role = "--exact failures::rank_1_panics --nocapture";
    let started = Instant::now();
    let found = outcome(mpirun(&format!("-n 2 {} {role}", own.display())).output().unwrap());
    require_failed(found, &["rank 1 panics", ",1]"]);
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}
