//! Runs on one, two and four ranks leave the same bytes.

use serde_json::Value;

use crate::launch::{ENDLESS, Job, RUN, require_same, run, turn};
use crate::support::Place;

const TREE: &str = "--accumulation tree";

#[test]
fn any_number_of_ranks_and_any_sharding_leave_the_same_bytes() {
    let _turn = turn();
    let place = Place::new();
    for optimizer in ["adamw", "muon"] {
        let settings = format!("{RUN} --optimizer {optimizer}");
        let alone = format!("alone-{optimizer}");
        place.train(&alone, &format!("{settings} {TREE}")).ok();
        for (ranks, zero) in [(2, 0), (4, 0), (2, 1), (4, 2)] {
            let out = format!("{optimizer}-{ranks}-{zero}");
            let more =
                format!("{settings} --parallel dp={ranks} --zero {zero} --compare-weights 7");
            run(ranks, &place.train_arguments(&out, &more)).ok();
            require_same(&place, &alone, &out);
        }
    }
}

#[test]
fn a_mixture_has_the_same_batches_on_any_number_of_ranks() {
    let _turn = turn();
    let place = Place::new();
    place.write("digits.txt", "0123456789 ".repeat(300));
    for order in ["random", "sequential"] {
        // Beside the text, which has the weight 1.
        let data = format!("--data {}:3", place.at("digits.txt"));
        let settings = format!("{RUN} --order {order} --tokenizer byte {data}");
        let alone = format!("alone-{order}");
        place.train(&alone, &format!("{settings} {TREE}")).ok();
        for ranks in [2, 4] {
            let out = format!("{order}-{ranks}");
            run(ranks, &place.train_arguments(&out, &settings)).ok();
            require_same(&place, &alone, &out);
        }
    }
}

#[test]
fn stages_and_replicas_of_stages_leave_the_same_bytes() {
    let _turn = turn();
    let place = Place::new();
    for (optimizer, tied) in [("adamw", true), ("muon", true), ("adamw", false)] {
        let settings =
            format!("{RUN} --optimizer {optimizer} --layers 2 --tie-word-embeddings {tied}");
        let alone = format!("alone-{optimizer}-{tied}");
        place.train(&alone, &format!("{settings} {TREE}")).ok();
        for (ranks, more) in [
            (2, "--parallel pp=2 --pipeline-schedule gpipe"),
            (2, "--parallel dp=1,pp=2"),
            (4, "--parallel dp=2,pp=2 --zero 1 --compare-weights 7"),
        ] {
            let out = format!("{optimizer}-{tied}-{ranks}-{}", more.len());
            let arguments = place.train_arguments(&out, &format!("{settings} {more}"));
            let printed = run(ranks, &arguments).ok();
            assert!(printed.contains(" on this rank: "), "{printed}");
            require_same(&place, &alone, &out);
        }
    }
}

#[test]
fn a_run_continues_on_stages_replicas_and_one_rank() {
    let _turn = turn();
    let place = Place::new();
    let settings = format!("{RUN} --layers 4");
    place.train("alone", &format!("{settings} {TREE}")).ok();
    let first = format!("{settings} --parallel pp=4 --stop-at 10 --json");
    let printed = run(4, &place.train_arguments("moved", &first)).json();
    let start = printed.iter().find(|event| event["type"] == "start").unwrap();
    assert_eq!((&start["dp"], &start["pp"]), (&1.into(), &4.into()), "{start}");
    assert_eq!(start["collective"], "MPI through the host", "{start}");
    let ranks: Vec<_> = printed.iter().filter(|event| event["type"] == "ranks").collect();
    assert!(!ranks.is_empty());
    for event in ranks {
        assert_eq!(event["compute_ms"].as_array().unwrap().len(), 4, "{event}");
        assert!(event["bytes"].as_f64().unwrap() > 1000.0, "{event}");
    }
    let resume = printed.last().unwrap()["resume"].as_str().unwrap().to_string();
    assert!(resume.contains("mpirun -n 4") && resume.contains("--parallel dp=1,pp=4"), "{resume}");
    let resume = |out: &str, more: &str| {
        let (out, data) = (place.at(out), place.at("text.txt"));
        format!("train --resume --device cpu --out {out} --data {data} {more}")
    };
    run(2, &resume("moved", "--zero 1 --stop-at 20")).ok();
    place.resume("moved", "").ok();
    require_same(&place, "alone", "moved");

    place.train("back", &format!("{settings} {TREE} --stop-at 10")).ok();
    run(2, &resume("back", "--parallel pp=2 --stop-at 20")).ok();
    run(4, &resume("back", "--parallel dp=2,pp=2 --zero 2")).ok();
    require_same(&place, "alone", "back");
}

#[test]
fn a_run_continues_on_another_number_of_ranks() {
    let _turn = turn();
    let place = Place::new();
    place.train("alone", &format!("{RUN} {TREE}")).ok();
    run(4, &place.train_arguments("moved", &format!("{RUN} --zero 2 --stop-at 10"))).ok();
    let resume = format!(
        "train --resume --device cpu --out {} --data {}",
        place.at("moved"),
        place.at("text.txt")
    );
    run(2, &format!("{resume} --zero 1 --stop-at 20")).ok();
    place.resume("moved", "").ok();
    require_same(&place, "alone", "moved");
}

#[test]
fn rank_0_alone_prints_and_reports_the_ranks() {
    let _turn = turn();
    let place = Place::new();
    let printed = run(2, &place.train_arguments("run", &format!("{RUN} --json"))).json();
    let of = |kind: &str| -> Vec<&Value> {
        printed.iter().filter(|event| event["type"] == kind).collect()
    };
    assert_eq!((of("start").len(), of("done").len(), of("step").len()), (1, 1, 30));
    let ranks = of("ranks");
    assert!(!ranks.is_empty());
    for event in ranks {
        assert_eq!(event["compute_ms"].as_array().unwrap().len(), 2, "{event}");
        assert!(event["bytes"].as_f64().unwrap() > 1000.0, "{event}");
        assert!(event["exposed_ms"].as_f64().unwrap() >= 0.0, "{event}");
        assert!(event["slowest"].as_u64().unwrap() < 2, "{event}");
    }
}

#[test]
fn a_signal_to_one_rank_saves_and_stops_all() {
    let _turn = turn();
    let place = Place::new();
    let job = Job::endless(&place, "");
    job.signal(1, "-INT");
    let outcome = job.end(std::time::Duration::from_secs(60));
    assert_eq!(outcome.code, Some(130), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("mpirun -n 2 --bind-to none blankslate train --resume"));
    let notice = ": all ranks stop after this step; a second signal ends this one immediately";
    assert!(outcome.stderr.contains(notice), "{}", outcome.stderr);
    let state: Value = serde_json::from_slice(&place.read("run/training_state.json")).unwrap();
    let step = state["step"].as_u64().unwrap();
    assert!(step > 0);
    // The run is continued alone, and is the one of a single rank.
    let until = format!("--stop-at {}", step + 5);
    place.resume("run", &until).ok();
    place.train("alone", &format!("{ENDLESS} {TREE} {until}")).ok();
    assert!(place.read("run/model.safetensors") == place.read("alone/model.safetensors"));
}
