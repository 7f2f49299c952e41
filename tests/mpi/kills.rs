//! Kills during steps and saves: nothing that was saved is lost, and the run stays the one of a single rank.

use std::time::Duration;

use serde_json::Value;

use crate::launch::{Job, program, turn};
use crate::support::Place;

/// Number of kills, unless `BLANKSLATE_KILLS` is another.
const KILLS: usize = 6;
const RUN: &str = "--grad-accum 4 --accumulation tree --batch-size 1 --schedule constant --steps 1000000 --eval-every 0 --save-every 5";

#[test]
fn kills_during_steps_and_saves_lose_nothing() {
    let _turn = turn();
    let place = Place::new();
    // The newest complete checkpoint: the copy of it in the run's folder is missing while it is replaced.
    let saved = || -> Option<u64> {
        let steps = std::fs::read_dir(place.path("run/checkpoints")).ok()?.flatten();
        let step = |folder: std::fs::DirEntry| {
            let state = std::fs::read(folder.path().join("training_state.json")).ok()?;
            serde_json::from_slice::<Value>(&state).unwrap()["step"].as_u64()
        };
        steps
            .filter(|folder| folder.file_name().to_string_lossy().starts_with("step-"))
            .filter_map(step)
            .max()
    };
    let start = place.train_arguments("run", RUN);
    let (out, data) = (place.at("run"), place.at("text.txt"));
    let resume = format!("train --resume --device cpu --out {out} --data {data}");
    let mut last = 0;
    let kills = std::env::var("BLANKSLATE_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    for kill in 0..kills {
        let arguments = if saved().is_some() { &resume } else { &start };
        let ranks = [2, 4, 1][kill % 3];
        let before =
            std::fs::metadata(place.path("run/metrics.jsonl")).map_or(0, |file| file.len());
        let mut job = Job::start(&format!("-n {ranks} {} {arguments}", program()));
        job.wait_until(|| {
            std::fs::metadata(place.path("run/metrics.jsonl")).map_or(0, |file| file.len())
                != before
        });
        std::thread::sleep(Duration::from_millis(13 * (kill as u64 * 7 % 41)));
        job.signal(kill % ranks, "-KILL");
        assert_ne!(job.end(Duration::from_secs(30)).code, Some(0));
        let now = saved().unwrap_or(0);
        assert!(now >= last, "the checkpoint of step {last} is lost");
        last = now;
    }
    let until = format!("--stop-at {}", last + 7);
    crate::launch::run(2, &format!("{resume} {until}")).ok();
    place.train("alone", &format!("{RUN} {until}")).ok();
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let [alone, run] = ["alone", "run"].map(|out| place.read(&format!("{out}/{file}")));
        assert!(alone == run, "{file} differs at step {}", last + 7);
    }
    println!("{kills} kills, {} steps", last + 7);
}
