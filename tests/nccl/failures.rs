//! Errors name a rank that fails or does not answer, and the operation.

use std::thread;
use std::time::{Duration, Instant};

use blankslate::parallel::all_reduce;
use blankslate::platform::{block_on, open_device};
use burn::tensor::{DType, Device, Tensor};

use crate::fake::{log, role, run, through_nccl, with_fake};
use crate::launch::turn;
use crate::support::Place;

/// Timeout of a rank.
const TIMEOUT: Duration = Duration::from_secs(8);

fn numbers() -> (Tensor<1>, Device) {
    let device = block_on(open_device("cuda")).unwrap().0;
    (Tensor::ones([6], (&device, DType::F32)), device)
}

/// The part of a rank in [`a_lost_connection_is_named`]. The first sum has two operations; the third loses its connection.
#[test]
fn rank_loses_its_connection() {
    let Some(ranks) = through_nccl(Duration::from_secs(60)) else { return };
    let (ones, _) = numbers();
    all_reduce(&ranks, "the first sum", vec![ones.clone()]).unwrap();
    let lost = all_reduce(&ranks, "the second sum", vec![ones.clone()]);
    if ranks.rank() == 1 {
        let later = all_reduce(&ranks, "the third sum", vec![ones]).unwrap_err().to_string();
        assert!(later.starts_with("the second sum: "), "{later}");
        panic!("{}", lost.unwrap_err());
    }
    // It is ended with rank 1.
    thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_lost_connection_is_named() {
    let _turn = turn();
    let place = Place::new();
    let mut command = with_fake(&role(2, "failures::rank_loses_its_connection"), &place.path(""));
    command.env("FAKE_NCCL_FAIL", "1:3");
    let started = Instant::now();
    let found = run(command);
    assert!(found.code.is_some_and(|code| code != 0), "{}", found.stderr);
    let words = "the second sum: NCCL reports: remote process exited or there was a network error \
                 (the fake lost its connection)";
    assert!(found.stderr.contains(words), "{}", found.stderr);
    assert!(log(&place.path("")).contains("abort rank 1 of 2"), "{}", log(&place.path("")));
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

/// The part of a rank in [`a_rank_that_does_not_come_is_named`].
#[test]
fn rank_waits_for_a_sum() {
    let Some(ranks) = through_nccl(TIMEOUT) else { return };
    let (ones, _) = numbers();
    // The ranks may start at different times.
    ranks.wait_long("the start").unwrap();
    if ranks.rank() == 1 {
        thread::sleep(Duration::from_secs(120));
    }
    all_reduce(&ranks, "the sum", vec![ones]).unwrap();
}

/// The same for a transfer.
#[test]
fn rank_waits_for_a_message() {
    let Some(ranks) = through_nccl(TIMEOUT) else { return };
    let (ones, device) = numbers();
    ranks.wait_long("the start").unwrap();
    match ranks.rank() {
        0 => drop(ranks.receive("the gradient", 1, vec![6], &device).wait().unwrap()),
        _ => thread::sleep(Duration::from_secs(120)),
    }
    drop(ones);
}

#[test]
fn a_rank_that_does_not_come_is_named() {
    let _turn = turn();
    for (test, operation) in [
        ("failures::rank_waits_for_a_sum", "the sum"),
        ("failures::rank_waits_for_a_message", "the gradient from rank 1"),
    ] {
        let place = Place::new();
        let found = run(with_fake(&role(2, test), &place.path("")));
        assert!(found.code.is_some_and(|code| code != 0), "{}", found.stderr);
        assert!(found.stderr.contains(operation), "{}", found.stderr);
        let words = format!("no answer from rank 1 within {} s", TIMEOUT.as_secs());
        assert!(found.stderr.contains(&words), "{}", found.stderr);
    }
}
