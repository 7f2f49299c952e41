//! Messages between two ranks, and groups of some ranks.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use blankslate::parallel::{Alone, Bounds, Collective, all_reduce};
use blankslate::platform::parallel::threads;
use burn::tensor::Tensor;

use crate::common;
use crate::support::on_ranks;

fn tensor(values: &[f32]) -> Tensor<1> {
    Tensor::from_floats(values, &common::cpu())
}

fn read(tensors: Vec<Tensor<1>>) -> Vec<Vec<f32>> {
    tensors.into_iter().map(|tensor| tensor.into_data().try_into_vec().unwrap()).collect()
}

#[test]
fn it_does_not_matter_which_side_starts_first() {
    let device = common::cpu();
    for sends_first in [[true, true], [true, false], [false, true], [false, false]] {
        let found = on_ranks(2, |ranks| {
            let rank = ranks.rank();
            let other = 1 - rank;
            let own = rank as f32;
            let send =
                || ranks.send("a", other, vec![tensor(&[own, 1.0]), tensor(&[]), tensor(&[own])]);
            let receive = || ranks.receive("b", other, vec![2, 0, 1], &device);
            let (sent, received) = if sends_first[rank] {
                let sent = send();
                (sent, receive())
            } else {
                let received = receive();
                (send(), received)
            };
            assert!(sent.wait().unwrap().is_empty());
            read(received.wait().unwrap())
        });
        assert_eq!(found, [1.0, 0.0].map(|rank| vec![vec![rank, 1.0], vec![], vec![rank]]));
    }
}

#[test]
fn messages_of_two_ranks_stay_in_order_and_wait_for_nothing_else() {
    let device = common::cpu();
    let bounds = || vec![Bounds::even(2, 2)];
    let found = on_ranks(2, |ranks| {
        if ranks.rank() == 0 {
            // A sum that rank 1 takes part in only after it has everything that is sent behind it.
            let sum = ranks.reduce_scatter("the sum", vec![tensor(&[1.0, 2.0])], bounds());
            for number in 0..50 {
                ranks.send("a number", 1, vec![tensor(&[number as f32])]).wait().unwrap();
            }
            read(sum.wait().unwrap())
        } else {
            let asked: Vec<_> =
                (0..50).map(|_| ranks.receive("a number", 0, vec![1], &device)).collect();
            for (number, pending) in asked.into_iter().enumerate() {
                assert_eq!(read(pending.wait().unwrap()), [[number as f32]]);
            }
            let sum = ranks.reduce_scatter("the sum", vec![tensor(&[1.0, 2.0])], bounds());
            read(sum.wait().unwrap())
        }
    });
    assert_eq!(found, [[[2.0]], [[4.0]]]);
}

#[test]
fn groups_have_their_own_numbers_and_messages() {
    let device = common::cpu();
    let sums = on_ranks(6, |ranks| {
        let rank = ranks.rank();
        let even = ranks.split("even and odd", rank % 2).unwrap();
        assert_eq!((even.rank(), even.size()), (rank / 2, 3));
        // Ranks 0 and 2, 4, 1 and 3, 5.
        let pair = even.split("pairs", even.rank() / 2).unwrap();
        assert_eq!((pair.rank(), pair.size()), (even.rank() % 2, [2, 2, 1][even.rank()]));
        let sum = |ranks: &Arc<dyn Collective>| {
            read(all_reduce(ranks, "a sum", vec![tensor(&[rank as f32])]).unwrap())[0][0]
        };
        // One operation in each group at the same time, and two messages to the next rank.
        let next = (even.rank() + 1) % 3;
        let before = (even.rank() + 2) % 3;
        let sent = even.send("to the next", next, vec![tensor(&[rank as f32])]);
        let world_sent = ranks.send("to the next", (rank + 1) % 6, vec![tensor(&[10.0])]);
        let sums = [sum(&pair), sum(&even), sum(&ranks)];
        let from_world = ranks.receive("from before", (rank + 5) % 6, vec![1], &device);
        let from_even = even.receive("from before", before, vec![1], &device);
        assert_eq!(read(from_world.wait().unwrap()), [[10.0]]);
        assert_eq!(read(from_even.wait().unwrap()), [[((rank + 4) % 6) as f32]]);
        sent.wait().and(world_sent.wait()).unwrap();
        sums
    });
    assert_eq!(sums[0], [2.0, 6.0, 15.0]);
    assert_eq!(sums[3], [4.0, 9.0, 15.0]);
    assert_eq!(sums[4], [4.0, 6.0, 15.0]);
}

#[test]
fn a_rank_alone_has_no_partner() {
    let device = common::cpu();
    let error = Alone.receive("a message", 1, vec![1], &device).wait().unwrap_err().to_string();
    assert!(error.starts_with("a message: there is no rank 1"), "{error}");
    assert!(Alone.send("a message", 1, vec![tensor(&[1.0])]).wait().is_err());
    assert_eq!(Alone.split("a group", 7).unwrap().size(), 1);
}

#[test]
fn the_silent_rank_is_named_by_those_that_wait_for_it_and_by_those_that_wait_for_them() {
    let timeout = Duration::from_secs(2);
    let device = common::cpu();
    let group = threads(4, timeout).unwrap();
    let started = Instant::now();
    // Rank 0 waits for rank 1, and ranks 1 and 3 for rank 2, which does nothing.
    let asks = [(0, 1), (1, 2), (3, 2)];
    let errors: Vec<String> = thread::scope(|scope| {
        let ask = |rank: usize, from: usize| {
            let (ranks, device) = (&group[rank], &device);
            let wait =
                move || ranks.receive("step 3: the activations", from, vec![4], device).wait();
            scope.spawn(move || wait().unwrap_err().to_string())
        };
        let asked = asks.map(|(rank, from)| ask(rank, from));
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (error, (_, from)) in errors.into_iter().zip(asks) {
        let operation = format!("step 3: the activations from rank {from}");
        let words = format!("{operation}: no answer from rank 2 within 2 s;");
        assert!(error.starts_with(&words), "{error}");
    }
    assert!(started.elapsed() < timeout * 2, "{:?}", started.elapsed());
}

#[test]
fn a_long_wait_may_take_several_timeouts_and_old_waits_name_nobody() {
    let timeout = Duration::from_secs(1);
    let errors = thread::scope(|scope| {
        let body = |ranks: Arc<dyn Collective>| {
            if ranks.rank() == 0 {
                thread::sleep(timeout * 5 / 2);
            }
            ranks.wait_long("rank 0 saves").unwrap();
            if ranks.rank() == 2 {
                // Ranks 0 and 1 tell each other that they wait for it.
                thread::sleep(timeout * 7 / 10);
            }
            ranks.exchange("the first", vec![1]).unwrap();
            match ranks.rank() {
                1 => String::new(),
                _ => ranks.exchange("the second", vec![1]).unwrap_err().to_string(),
            }
        };
        let group = threads(3, timeout).unwrap();
        let threads: Vec<_> =
            group.into_iter().map(|ranks| scope.spawn(move || body(ranks))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    for error in [&errors[0], &errors[2]] {
        assert!(error.starts_with("the second: no answer from rank 1 within 1 s;"), "{error}");
    }
}

#[test]
fn ranks_of_a_group_are_named_by_their_numbers_among_all() {
    let group = threads(4, Duration::from_secs(1)).unwrap();
    let errors: Vec<String> = thread::scope(|scope| {
        let body = |ranks: Arc<dyn Collective>| {
            let odd = ranks.split("even and odd", ranks.rank() % 2).unwrap();
            match ranks.rank() {
                1 => odd.exchange("a question", vec![1]).unwrap_err().to_string(),
                _ => String::new(),
            }
        };
        let threads: Vec<_> =
            group.into_iter().map(|ranks| scope.spawn(move || body(ranks))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(
        errors[1].starts_with("a question: no answer from rank 3 within 1 s;"),
        "{}",
        errors[1]
    );
}
