//! Divides the runs of a grid among ranks.

use std::fs;

use crate::launch::{run, turn};
use crate::support::{self, Place};

#[test]
fn ranks_divide_a_grid_and_its_results_are_those_of_one() {
    let _turn = turn();
    let place = Place::new();
    let grid = |out: &str| {
        format!(
            "scaling run --json --preset small --device cpu --seq-len 16 --batch-size 4 --sizes 6k,12k \
             --tokens 1600,3200 --data {} --out {}",
            place.at("text.txt"),
            place.at(out)
        )
    };
    let events = run(2, &grid("two")).json();
    let here: u64 = events.iter().filter_map(|event| event["here"].as_u64()).sum();
    let started = events.iter().filter(|event| event["type"] == "grid");
    assert_eq!((started.clone().count(), here), (2, 4), "each rank has a part");
    assert!(started.clone().all(|event| event["here"] != 4));
    let names: Vec<String> = events
        .iter()
        .filter(|event| event["type"] == "point")
        .map(|event| event["run"].as_str().unwrap().to_string())
        .collect();
    assert_eq!(names.len(), 4);
    support::run(&grid("one")).ok();
    for name in names {
        let of = |out: &str| fs::read(place.path(&format!("{out}/{name}/point.json"))).unwrap();
        assert_eq!(of("two"), of("one"), "{name}");
    }
}
