//! `blankslate scaling run` and `fit`. The fits themselves are tested in `src/scaling/`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Place, command, run};

/// A grid of four small runs, the last of which takes a while.
fn grid(place: &Place, out: &str) -> String {
    format!(
        "scaling run --preset small --device cpu --seq-len 16 --batch-size 4 --save-every 25 --sizes 6k,12k \
         --tokens 3200,32k --data {} --out {}",
        place.at("text.txt"),
        place.at(out)
    )
}

/// The results of the runs of a grid, by run.
fn points(grid: &Path) -> BTreeMap<String, String> {
    let mut points = BTreeMap::new();
    for entry in fs::read_dir(grid).into_iter().flatten().flatten() {
        if let Ok(point) = fs::read_to_string(entry.path().join("point.json")) {
            points.insert(entry.file_name().to_string_lossy().into(), point);
        }
    }
    points
}

/// A file with the losses of a known law on a grid of seven sizes and six budgets.
fn known_points(place: &Place) -> String {
    let mut csv = String::from("name,Model Size,Training FLOP,loss\n");
    for budget in 0..6 {
        for size in -3..=3 {
            let flops = 1e18 * 4f64.powi(budget);
            let params = 1e8 * 2f64.powi(budget + size);
            let tokens = flops / (6.0 * params);
            let loss = 1.8172 + 482.01 / params.powf(0.3478) + 2085.43 / tokens.powf(0.3658);
            csv += &format!("run,{params},{flops},{loss}\n");
        }
    }
    place.write("points.csv", &csv);
    place.at("points.csv")
}

#[test]
fn a_known_law_is_fitted_printed_and_drawn() {
    let place = Place::new();
    let file = known_points(&place);
    let fit =
        format!("scaling fit {file} --bootstrap 50 --flops 1e21,5.76e23 --out {}", place.at("fit"));
    let text = run(&fit).ok();
    for words in [
        "points       42 from ",
        "Chinchilla   L(N, D) = E + A/N^α + B/D^β",
        "N ∝ C^this",
        "intervals of 95 % from 50 resampled fits",
        "Kaplan       L(C) = (C₀/C)^α",
        "IsoFLOP parabolas",
        "through 6 minima; without noise, the law would give",
        "5.760e23",
    ] {
        assert!(text.contains(words), "`{words}` is not in: {text}");
    }
    let object = run(&format!("{fit} --json")).json().remove(0);
    let law = &object["chinchilla"]["law"];
    for (name, known) in
        [("E", 1.8172), ("A", 482.01), ("B", 2085.43), ("alpha", 0.3478), ("beta", 0.3658)]
    {
        let found = law[name].as_f64().unwrap();
        assert!((found / known - 1.0).abs() < 2e-3, "{name}: {law}");
        let interval = &object["intervals"][name];
        assert!(interval["low"].as_f64().unwrap() <= found * 1.002, "{interval}");
        assert!(interval["high"].as_f64().unwrap() >= found * 0.998, "{interval}");
    }
    let saved: Value = serde_json::from_slice(&place.read("fit/fit.json")).unwrap();
    assert_eq!(saved, object, "the file has what is printed, and the seed makes it repeatable");
    for chart in ["frontier.svg", "isoflop.svg", "optimum.svg"] {
        let svg = String::from_utf8(place.read(&format!("fit/{chart}"))).unwrap();
        assert!(
            svg.starts_with("<svg") && svg.contains("<circle") && svg.contains("<path"),
            "{chart}"
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{chart}");
    }
    let rings = String::from_utf8(place.read("fit/isoflop.svg")).unwrap();
    assert_eq!(rings.matches("<circle").count(), 42 + 6, "every run and every minimum");
}

#[test]
fn few_points_have_the_fits_that_they_allow() {
    let place = Place::new();
    place.write("few.json", r#"[{"params": 1000, "tokens": 1e5, "loss": 3.0}, {"params": 2000, "tokens": 1e5, "loss": 2.9},
        {"params": 4000, "tokens": 1e5, "loss": 2.8}]"#);
    let outcome = run(&format!("scaling fit {}", place.at("few.json")));
    let notes = outcome.stderr.clone();
    let text = outcome.ok();
    assert!(text.contains("L(N) = (N₀/N)^α") && !text.contains("Chinchilla "), "{text}");
    assert!(notes.contains("do not determine the 5 coefficients"), "{notes}");
}

#[test]
fn a_grid_is_trained_once_and_fitted() {
    let place = Place::new();
    let first = run(&format!("{} --json", grid(&place, "grid"))).json();
    assert_eq!((&first[0]["type"], &first[0]["runs"]), (&"grid".into(), &4.into()));
    let ended: Vec<&Value> = first.iter().filter(|event| event["type"] == "point").collect();
    assert_eq!(ended.len(), 4);
    for point in &ended {
        assert_eq!(point["new"], true);
        let number = |key: &str| point[key].as_f64().unwrap();
        assert!((number("flops") / (6.0 * number("params") * number("tokens")) - 1.0).abs() < 1e-9);
        assert!(number("counted_flops") > number("non_embedding_params") * 6.0 * number("tokens"));
        assert!(number("loss") > 0.0 && number("loss") < 4.0, "{point}");
        // Each point is a run that every other command opens.
        let run_of = place.at(&format!("grid/{}", point["run"].as_str().unwrap()));
        let info = run(&format!("info --json --model {run_of}")).json().remove(0);
        assert_eq!(info["parameters"], point["params"]);
        assert!(Path::new(&format!("{run_of}/metrics.jsonl")).exists());
    }
    assert_eq!(first.last().unwrap()["type"], "done");
    let again = run(&format!("{} --json", grid(&place, "grid"))).json();
    let new = again.iter().filter(|event| event["new"] == true).count();
    assert_eq!((&again[0]["done"], new), (&4.into(), 0));
    // More tokens are more runs of the same grid.
    let more = grid(&place, "grid").replace("3200,32k", "3200,6400,32k");
    let more = run(&format!("{more} --json")).json();
    assert_eq!(more.iter().filter(|event| event["new"] == true).count(), 2);
    let fit =
        run(&format!("scaling fit {} --bootstrap 0 --json", place.at("grid"))).json().remove(0);
    assert_eq!(fit["points"].as_array().unwrap().len(), 6);
    run(&format!("{} --lr 0.5", grid(&place, "grid"))).refuses(2, &["--out", "another --lr"]);
    place.write("text.txt", "another text, long enough to train on. ".repeat(60));
    run(&grid(&place, "grid")).refuses(2, &["--out", "holds a grid with another"]);
}

#[test]
fn a_budget_gives_every_size_its_tokens() {
    let place = Place::new();
    let budget = grid(&place, "grid").replace("--tokens 3200,32k", "--flops 2e8");
    let events = run(&format!("{budget} --json")).json();
    let points: Vec<&Value> = events.iter().filter(|event| event["type"] == "point").collect();
    assert_eq!(points.len(), 2);
    for point in &points {
        let flops = point["flops"].as_f64().unwrap();
        assert!((flops / 2e8 - 1.0).abs() < 0.05, "{point}");
    }
    assert!(points[0]["tokens"].as_u64() > points[1]["tokens"].as_u64());
}

/// Kills in the middle of a run and between runs: the results are those of an uninterrupted grid.
#[test]
fn a_killed_grid_continues_where_it_was() {
    let place = Place::new();
    run(&grid(&place, "whole")).ok();
    let whole = points(&place.path("whole"));
    assert_eq!(whole.len(), 4);
    let mut kills = 0;
    for wanted in 1..4 {
        let mut child = command(&grid(&place, "grid"))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        // Until as many runs have ended, and the next one has a checkpoint.
        let is_due = || {
            let folder = place.path("grid");
            let runs = fs::read_dir(&folder).into_iter().flatten().flatten();
            let is_open =
                |run: &Path| run.join("checkpoints").is_dir() && !run.join("point.json").exists();
            points(&folder).len() >= wanted && runs.map(|run| run.path()).any(|run| is_open(&run))
        };
        while !is_due() && child.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < Duration::from_secs(120), "the grid does not advance");
            std::thread::sleep(Duration::from_millis(1));
        }
        kills += i32::from(child.kill().is_ok());
        child.wait().unwrap();
    }
    assert!(kills > 0);
    run(&grid(&place, "grid")).ok();
    assert_eq!(points(&place.path("grid")), whole);
}

#[test]
fn grids_and_fits_that_make_no_sense_are_refused() {
    let place = Place::new();
    let with = |from: &str, to: &str| grid(&place, "grid").replace(from, to);
    for (arguments, words) in [
        (with("--sizes 6k,12k", "--sizes 10"), ["vocabulary", "about 10 parameters"]),
        (with("--sizes 6k,12k", "--sizes x"), ["--sizes", "1.5M"]),
        (with("--sizes 6k,12k", "--sizes 6k,6001"), ["--sizes", "two runs"]),
        (with("--tokens 3200,32k", "--tokens 10"), ["--tokens", "less than a step"]),
        (with("--tokens 3200,32k", "--flops 100"), ["--flops", "less than a step"]),
        (with("--tokens 3200,32k", ""), ["--tokens", "--flops"]),
        (with("--tokens", "--flops 1e9 --tokens"), ["--flops", "cannot be used with"]),
        (with("--sizes", "--layers 3 --sizes"), ["--layers", "leave it out"]),
        (with("--sizes", "--steps 3 --sizes"), ["--steps", "leave it out"]),
        (with("--sizes", "--val-fraction 0 --sizes"), ["--val-fraction", "--val-data"]),
        (
            with(&place.at("text.txt"), "assets/text/conversations.jsonl"),
            ["--data", "trained on text"],
        ),
    ] {
        run(&arguments).refuses(2, &words);
    }
    assert!(points(&place.path("grid")).is_empty() && !place.path("grid").exists());
    place.write("bad.csv", "params,tokens,loss\n1,2,x\n");
    run(&format!("scaling fit {}", place.at("bad.csv"))).refuses(1, &["bad.csv", "line 2", "`x`"]);
    run(&format!("scaling fit {}", place.at("nothing"))).refuses(1, &["nothing"]);
    run(&format!("scaling fit {}", place.at(""))).refuses(1, &["point.json", "scaling run"]);
    let file = known_points(&place);
    run(&format!("scaling fit {file} --drop-highest 42"))
        .refuses(2, &["--drop-highest", "none of 42"]);
}
