//! Ranks that divide each layer leave the checkpoint of one rank, within rounding.

use std::ops::Range;

use serde_json::Value;

use crate::launch::{RUN, run, turn};
use crate::support::Place;

/// Largest difference of two numbers, as a share of the largest number of their tensor. Rounding grows in the steps of a run.
const CLOSE: f32 = 5e-3;
const TREE: &str = "--accumulation tree";
/// The learning rate is small, so that rounding does not grow within the run.
const STEPS: &str = "--lr 0.001 --layers 2";

/// Returns the header of a safetensors file, which has the names and shapes of all tensors, and their numbers.
fn tensors(place: &Place, path: &str) -> (Value, Vec<f32>) {
    let bytes = place.read(path);
    let (len, rest) = bytes.split_first_chunk::<8>().unwrap();
    let (header, numbers) = rest.split_at(u64::from_le_bytes(*len) as usize);
    let numbers = numbers.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    (serde_json::from_slice(header).unwrap(), numbers.collect())
}

/// Names of the tensors, and where their numbers are.
fn places(header: &Value) -> impl Iterator<Item = (&String, Range<usize>)> {
    let tensors = header.as_object().unwrap().iter().filter(|(name, _)| *name != "__metadata__");
    tensors.map(|(name, tensor)| {
        let [begin, end] = [0, 1].map(|i| tensor["data_offsets"][i].as_u64().unwrap() as usize / 4);
        (name, begin..end)
    })
}

/// Losses of all steps and evaluations.
fn losses(place: &Place, out: &str) -> Vec<f64> {
    let text = String::from_utf8(place.read(&format!("{out}/metrics.jsonl"))).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter_map(|event| event["loss"].as_f64().or(event["val_loss"].as_f64())).collect()
}

#[track_caller]
fn require_close(place: &Place, a: &str, b: &str) {
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let [(a_header, a), (b_header, b)] =
            [a, b].map(|out| tensors(place, &format!("{out}/{file}")));
        assert_eq!(a_header, b_header, "names and shapes in {file}");
        for (name, range) in places(&a_header) {
            let [a, b] = [&a, &b].map(|numbers| &numbers[range.clone()]);
            let largest = b.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
            let difference = a.iter().zip(b).fold(0.0, |most: f32, (a, b)| most.max((a - b).abs()));
            assert!(difference <= CLOSE * largest, "{file}: `{name}`: {difference} of {largest}");
        }
    }
    assert!(place.read(&format!("{a}/config.json")) == place.read(&format!("{b}/config.json")));
    let (a, b) = (losses(place, a), losses(place, b));
    assert!(a.len() > 30 && a.len() == b.len(), "{} and {}", a.len(), b.len());
    for (a, b) in a.iter().zip(&b) {
        assert!((a / b - 1.0).abs() < 1e-4, "{a} and {b}");
    }
}

#[test]
fn divided_layers_leave_the_checkpoint_of_whole_ones() {
    let _turn = turn();
    let place = Place::new();
    for tied in [true, false] {
        let settings = format!("{RUN} {STEPS} --tie-word-embeddings {tied}");
        let alone = format!("alone-{tied}");
        place.train(&alone, &format!("{settings} {TREE}")).ok();
        for (ranks, more) in [(2, "tp=2"), (4, "dp=2,tp=2 --zero 1"), (4, "pp=2,tp=2")] {
            let out = format!("{tied}-{ranks}-{}", more.len());
            let arguments = format!("{settings} {TREE} --parallel {more} --compare-weights 7");
            run(ranks, &place.train_arguments(&out, &arguments)).ok();
            require_close(&place, &alone, &out);
        }
    }
}

#[test]
fn a_run_continues_on_whole_layers_and_is_divided_again() {
    let _turn = turn();
    let place = Place::new();
    let settings = format!("{RUN} {STEPS} {TREE}");
    place.train("alone", &settings).ok();
    let first = format!("{settings} --parallel tp=2 --stop-at 10 --json");
    let printed = run(2, &place.train_arguments("moved", &first)).json();
    let start = printed.iter().find(|event| event["type"] == "start").unwrap();
    assert_eq!((&start["dp"], &start["tp"]), (&1.into(), &2.into()), "{start}");
    let resume = printed.last().unwrap()["resume"].as_str().unwrap().to_string();
    assert!(resume.contains("mpirun -n 2") && resume.contains("--parallel dp=1,tp=2"), "{resume}");
    place.resume("moved", "--stop-at 20").ok();
    let resume = format!(
        "train --resume --device cpu --out {} --data {}",
        place.at("moved"),
        place.at("text.txt")
    );
    run(4, &format!("{resume} --parallel dp=2,tp=2 --zero 2")).ok();
    require_close(&place, "alone", "moved");
}

#[test]
fn layers_that_ranks_cannot_divide_are_refused() {
    let _turn = turn();
    let place = Place::new();
    for (more, words) in [
        ("--heads 1 --parallel tp=2", ["--parallel", "1 key-value heads"]),
        ("--optimizer muon --parallel tp=2", ["--optimizer", "muon needs whole matrices"]),
        ("--parallel tp=4", ["--parallel", "groups of 4"]),
    ] {
        let found = run(2, &place.train_arguments("run", &format!("{RUN} {more}")));
        assert!(found.code.is_some_and(|code| code != 0), "{more}: {}", found.stderr);
        for word in words {
            assert!(found.stderr.contains(word), "`{word}` is not in: {}", found.stderr);
        }
        assert!(!place.path("run/training_state.json").exists());
    }
}
