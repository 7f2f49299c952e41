//! Training with the binary, compared with one rank on the CPU.

use std::process::Command;

use serde_json::Value;

use crate::fake::{log, run, with_fake};
use crate::launch::{program, turn};
use crate::support::Place;

const RUN: &str =
    "--grad-accum 4 --batch-size 2 --layers 2 --steps 4 --eval-every 0 --save-every 0";

/// Largest difference of a loss from the CPU's, relative to it.
const SAME: f64 = 1e-4;

fn losses(place: &Place, out: &str) -> Vec<f64> {
    let metrics = String::from_utf8(place.read(&format!("{out}/metrics.jsonl"))).unwrap();
    let lines = metrics.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["type"] == "step").map(|line| line["loss"].as_f64().unwrap()).collect()
}

/// `mpirun` for two ranks on the GPU.
fn train(place: &Place, out: &str, more: &str) -> Command {
    let more = format!("{RUN} --device cuda --collective nccl --json {more}");
    let arguments = place.train_arguments(out, &more);
    let folder = place.path(&format!("exchange-{out}"));
    std::fs::create_dir(&folder).unwrap();
    with_fake(&format!("-n 2 {} {arguments}", program()), &folder)
}

#[test]
fn replicas_and_stages_have_the_losses_of_one_rank() {
    let _turn = turn();
    let place = Place::new();
    place.train("alone", &format!("{RUN} --accumulation tree")).ok();
    let expected = losses(&place, "alone");
    assert_eq!(expected.len(), 4);
    for (out, more, kinds) in [
        ("replicas", "--parallel dp=2 --zero 2", ["reduce_scatter", "all_gather"]),
        ("stages", "--parallel pp=2", ["send", "receive"]),
    ] {
        let printed = run(train(&place, out, more)).json();
        let start = printed.iter().find(|event| event["type"] == "start").unwrap();
        assert_eq!(start["collective"], "NCCL 2.30.3", "{start}");
        let found = losses(&place, out);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() <= SAME * expected, "{out}: {found} {expected}");
        }
        let log = log(&place.path(&format!("exchange-{out}")));
        for kind in kinds {
            assert!(log.contains(&format!("{kind} rank ")), "no {kind} in {log}");
        }
        let ranks = printed.iter().find(|event| event["type"] == "ranks").unwrap();
        assert!(ranks["bytes"].as_f64().unwrap() > 1000.0, "{ranks}");
    }
}
