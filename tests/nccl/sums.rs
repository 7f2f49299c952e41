//! Results through NCCL equal those through the host.

use std::time::Duration;

use blankslate::parallel::{Bounds, Collective, all_reduce};
use blankslate::platform::{block_on, open_device};
use burn::tensor::{DType, Device, FloatDType, Tensor, TensorData};

use crate::fake::{log, role, run, through_nccl, with_fake};
use crate::launch::turn;
use crate::support::Place;

/// Timeout of a rank.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Numbers of a tensor on a rank: eighths, whose sums are exact in any order.
fn numbers(rank: usize, tensor: usize, len: usize) -> Vec<f32> {
    (0..len).map(|i| ((rank * 31 + tensor * 17 + i * 7) % 101) as f32 / 8.0 - 5.0).collect()
}

fn tensor(numbers: &[f32], dtype: FloatDType, device: &Device) -> Tensor<1> {
    let data = TensorData::new(numbers.to_vec(), [numbers.len()]);
    Tensor::<1>::from_data(data, (device, DType::F32)).cast(dtype)
}

fn read(tensors: Vec<Tensor<1>>) -> Vec<Vec<f32>> {
    let read = |tensor: Tensor<1>| match tensor.dims() {
        [0] => Vec::new(),
        _ => tensor.cast(FloatDType::F32).into_data().try_to_vec().unwrap(),
    };
    tensors.into_iter().map(read).collect()
}

/// Ways to cut tensors: evenly, a bucket of several, one owner for each, and one that leaves ranks without any.
fn cuts(ranks: usize) -> Vec<Vec<Bounds>> {
    vec![
        vec![Bounds::even(12 * ranks, ranks)],
        vec![Bounds::even(100, ranks), Bounds::even(7, ranks), Bounds::even(0, ranks)],
        vec![Bounds::blocks(1000, 64, 1, ranks), Bounds::blocks(65, 64, 2, ranks)],
        vec![Bounds::whole(64, ranks - 1, ranks), Bounds::whole(3, 0, ranks)],
        vec![Bounds::whole(10, 1, ranks)],
    ]
}

fn gpu() -> Device {
    block_on(open_device("cuda")).unwrap().0
}

/// Adds up and gathers on a device: this rank's parts, and the whole sums.
fn sums(ranks: &dyn Collective, cut: &[Bounds], device: &Device) -> [Vec<Vec<f32>>; 2] {
    let own = |(i, bounds): (usize, &Bounds)| numbers(ranks.rank(), i, bounds.len());
    let given: Vec<Vec<f32>> = cut.iter().enumerate().map(own).collect();
    // The inputs are computed just before and read again afterwards: NCCL must not begin too early, nor change its inputs.
    let doubled: Vec<Tensor<1>> =
        given.iter().map(|numbers| tensor(numbers, FloatDType::F32, device) * 2.0).collect();
    let parts = ranks.reduce_scatter("the sums", doubled.clone(), cut.to_vec()).wait().unwrap();
    let expected: Vec<Vec<f32>> =
        given.iter().map(|numbers| numbers.iter().map(|x| x * 2.0).collect()).collect();
    assert_eq!(read(doubled), expected, "what was added up is changed");
    let whole = ranks.all_gather("the whole sums", parts.clone(), cut.to_vec()).wait().unwrap();
    [read(parts), read(whole)]
}

/// The part of a rank in [`sums_and_transfers_are_those_of_the_host`].
#[test]
fn rank_compares() {
    let Some(ranks) = through_nccl(TIMEOUT) else { return };
    let (rank, size, gpu, cpu) = (ranks.rank(), ranks.size(), gpu(), Device::flex());
    for cut in cuts(size) {
        assert_eq!(sums(&*ranks, &cut, &gpu), sums(&*ranks, &cut, &cpu), "{cut:?}");
    }
    let before = ranks.traffic();
    let ones = all_reduce(&ranks, "the ones", vec![Tensor::ones([8], (&gpu, DType::F32))]).unwrap();
    assert_eq!(read(ones), [vec![size as f32; 8]]);
    let after = ranks.traffic();
    assert_eq!((after.operations - before.operations, after.bytes > before.bytes), (2, true));
    for dtype in [FloatDType::F16, FloatDType::BF16] {
        let bounds = Bounds::even(5 * size + 1, size);
        let own = numbers(rank, 0, bounds.of(rank).len());
        let given = vec![tensor(&own, dtype, &gpu)];
        let whole = ranks.all_gather("16 bits", given, vec![bounds.clone()]).wait().unwrap();
        let found = read(whole).remove(0);
        // Eighths below 8 are exact in 16 bits.
        assert_eq!(found[bounds.of(rank)], own, "{dtype:?}");
        assert!(found.iter().all(|x| (-5.0..8.0).contains(x)), "{found:?}");
    }
    cross(&*ranks, &gpu);
    // Rank 2 is alone in its group.
    let group = ranks.split("two and the rest", rank / 2).unwrap();
    let sum = all_reduce(&group, "the group", vec![tensor(&[rank as f32], FloatDType::F32, &gpu)]);
    let members = (0..size).filter(|other| other / 2 == rank / 2);
    assert_eq!(read(sum.unwrap()), [[members.sum::<usize>() as f32]]);
    ranks.leave().unwrap();
}

/// Two ranks send to each other in orders that would deadlock with a single lane. Others do nothing.
fn cross(ranks: &dyn Collective, device: &Device) {
    let (rank, size) = (ranks.rank(), ranks.size());
    let send = |to: usize, what: usize| {
        let tensors = vec![
            tensor(&numbers(rank, what, 33), FloatDType::F32, device),
            tensor(&numbers(rank, what + 1, 2), FloatDType::F32, device),
        ];
        ranks.send(&format!("message {what}"), to, tensors)
    };
    let receive = |from: usize, what: usize| {
        let found = ranks.receive(&format!("message {what}"), from, vec![33, 0, 2], device);
        (from, what, found)
    };
    let require = |(from, what, pending): (usize, usize, blankslate::parallel::Pending)| {
        let expected = [numbers(from, what, 33), Vec::new(), numbers(from, what + 1, 2)];
        assert_eq!(read(pending.wait().unwrap()), expected, "message {what}");
    };
    match rank {
        0 => {
            let sent = [send(1, 10), send(1, 20)];
            require(receive(1, 30));
            sent.into_iter().for_each(|sent| assert!(sent.wait().unwrap().is_empty()));
            require(receive(size - 1, 40));
        }
        1 => {
            require(receive(0, 10));
            let sent = send(0, 30);
            require(receive(0, 20));
            sent.wait().unwrap();
        }
        _ => {}
    }
    if rank == size - 1 {
        send(0, 40).wait().unwrap();
    }
}

#[test]
fn sums_and_transfers_are_those_of_the_host() {
    let _turn = turn();
    for ranks in [2, 3] {
        let place = Place::new();
        let folder = place.path("exchange");
        std::fs::create_dir(&folder).unwrap();
        run(with_fake(&role(ranks, "sums::rank_compares"), &folder)).ok();
        let log = log(&folder);
        let kinds = ["reduce_scatter", "reduce", "all_gather", "broadcast", "send", "receive"];
        for kind in kinds {
            let line = format!("{kind} rank ");
            assert!(log.lines().any(|found| found.starts_with(&line)), "no {kind} in {log}");
        }
        // f16 and bf16 are sent without conversion.
        assert!(log.contains(" type 6\n") && log.contains(" type 9\n"), "{log}");
    }
}
