//! Unattended runs: `--auto-resume`, early stopping, moving averages, and background saves.

use std::fs;

use blankslate::checkpoint::read_safetensors;
use serde_json::Value;

use crate::support::{Outcome, Place, copy_all, run};

fn auto(place: &Place, out: &str, more: &str) -> Outcome {
    place.train(out, &format!("--auto-resume {more}"))
}

fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

fn steps(events: &[Value]) -> Vec<u64> {
    of_type(events, "step").iter().map(|event| event["step"].as_u64().unwrap()).collect()
}

#[test]
fn auto_resume_starts_and_then_continues_with_the_same_command() {
    let place = Place::new();
    place.write("settings.json", r#"{"train": {"lr": 0.03, "grad_clip": 0.5}}"#);
    let command = format!("--steps 8 --save-every 2 --config {}", place.at("settings.json"));
    let started = auto(&place, "run", &format!("{command} --json --stop-at 3")).json();
    assert_eq!((&started[0]["resumed"], steps(&started)), (&false.into(), vec![1, 2, 3]));
    let continued = auto(&place, "run", &format!("{command} --json"));
    assert!(
        continued.stderr.contains("--preset would only apply to its start"),
        "{}",
        continued.stderr
    );
    let continued = continued.json();
    assert_eq!((&continued[0]["resumed"], steps(&continued)), (&true.into(), vec![4, 5, 6, 7, 8]));
    // The run is complete, so a chain of jobs ends.
    assert!(steps(&auto(&place, "run", &format!("{command} --json")).json()).is_empty());

    place.train("straight", &command).ok();
    for file in ["model.safetensors", "optimizer.safetensors", "training_state.json"] {
        assert!(
            place.read(&format!("run/{file}")) == place.read(&format!("straight/{file}")),
            "{file}"
        );
    }
    place.resume("run", "--auto-resume").refuses(2, &["--auto-resume", "--resume"]);
    // Another architecture is as wrong as with --resume.
    auto(&place, "run", "--steps 9 --layers 2").refuses(2, &["--resume", "cannot be changed"]);
}

#[test]
fn auto_resume_names_a_damaged_checkpoint_and_takes_an_older_one() {
    let place = Place::new();
    place.train("run", "--steps 4 --save-every 2 --schedule constant").ok();
    let newest = "run/checkpoints/step-00000004";
    for file in ["config.json", "model.safetensors", "optimizer.safetensors", "training_state.json"]
    {
        copy_all(&place.path("run"), &place.path(file));
        let path = format!("{file}/checkpoints/step-00000004/{file}");
        let whole = place.read(&path);
        // The files at the top are links to the same content.
        fs::remove_file(place.path(&path)).unwrap();
        place.write(&path, &whole[..whole.len() / 2]);
        let resumed = auto(&place, file, "--steps 5 --save-every 2 --schedule constant --json");
        let named = format!("{file} cannot be read");
        let said = ["step 4 is damaged", named.as_str(), "older checkpoint of step 2"];
        for words in said {
            assert!(resumed.stderr.contains(words), "`{words}` is not in: {}", resumed.stderr);
        }
        assert_eq!(steps(&resumed.json()), [3, 4, 5]);
        assert!(
            auto(&place, file, "--steps 6").stderr.lines().all(|line| !line.contains("damaged"))
        );
    }
    place.train("straight", "--steps 5 --save-every 2 --schedule constant").ok();
    let bytes =
        |run: &str| place.read(&format!("{run}/checkpoints/step-00000005/model.safetensors"));
    assert!(bytes("config.json") == bytes("straight"));

    // A file of a newer version is not damaged, and is not replaced.
    let state = format!("{newest}/training_state.json");
    let text = String::from_utf8(place.read(&state)).unwrap();
    fs::remove_file(place.path(&state)).unwrap();
    place.write(&state, text.replace("\"format_version\": 6", "\"format_version\": 99"));
    auto(&place, "run", "--steps 6").refuses(1, &["format version is 99", "update it"]);
    // All of them.
    for step in ["step-00000002", "step-00000004"] {
        fs::write(place.path(&format!("run/checkpoints/{step}/training_state.json")), "{").unwrap();
    }
    let refused = auto(&place, "run", "--steps 6");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.lines().last().unwrap().contains("step-00000004"), "{}", refused.stderr);
}

#[test]
fn training_ends_early_and_stays_ended_until_it_gets_more_patience() {
    let place = Place::new();
    // Nothing improves without a learning rate: the first evaluation and three more.
    let flags = "--steps 100 --lr 0 --eval-every 2 --early-stopping-patience 3 --json";
    let events = place.train("run", flags).json();
    assert_eq!(steps(&events).last(), Some(&8));
    let stopped = of_type(&events, "stopped_early");
    assert_eq!((&stopped[0]["step"], &stopped[0]["evaluations"]), (&8.into(), &3.into()));
    let done = events.last().unwrap();
    assert_eq!(
        (&done["type"], &done["stopped_early"], &done["resume"]),
        (&"done".into(), &true.into(), &Value::Null)
    );
    assert!(place.path("run/checkpoints/step-00000008/training_state.json").exists());
    assert!(steps(&place.resume("run", "--json").json()).is_empty());
    let more = place.resume("run", "--json --early-stopping-patience 5").json();
    assert_eq!(steps(&more), [9, 10, 11, 12]);

    // Interrupted between evaluations, it counts on.
    place.train("halves", &format!("{flags} --stop-at 5")).json();
    assert_eq!(steps(&place.resume("halves", "--json").json()).last(), Some(&8));
}

#[test]
fn the_average_of_the_weights_is_saved_evaluated_sampled_and_resumed() {
    let place = Place::new();
    let flags = "--steps 12 --ema-decay 0.8 --eval-every 6 --save-every 6";
    place.train("run", flags).ok();
    place.train("halves", &format!("{flags} --stop-at 7")).ok();
    place.resume("halves", "").ok();
    let average = place.read("run/ema.safetensors");
    assert!(average == place.read("halves/ema.safetensors"));
    assert!(place.read("run/model.safetensors") == place.read("halves/model.safetensors"));
    let tensors = |bytes: &[u8]| read_safetensors("a file", bytes).unwrap();
    let (average, weights) = (tensors(&average), tensors(&place.read("run/model.safetensors")));
    assert!(average.keys().eq(weights.keys()) && average != weights);

    let (model, data) = (place.at("run"), place.at("text.txt"));
    let evaluate = |more: &str| {
        let found = run(&format!(
            "eval --json --device cpu --model {model} --val-fraction 0.1 --data {data} {more}"
        ));
        found.json()[0]["loss"].as_f64().unwrap()
    };
    let last_loss = |out: &str| {
        let metrics = String::from_utf8(place.read(&format!("{out}/metrics.jsonl"))).unwrap();
        let mut lines = metrics.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.rfind(|event| event["type"] == "eval").unwrap()["loss"].as_f64().unwrap()
    };
    assert!((last_loss("run") - evaluate("")).abs() < 1e-5);
    place.train("averaged", &format!("{flags} --eval-ema")).ok();
    assert!((last_loss("averaged") - evaluate("--ema")).abs() < 1e-5);
    assert!(evaluate("") != evaluate("--ema"));
    run(&format!("sample --device cpu --max-new-tokens 4 --ema --model {model}")).ok();

    // Without the setting, no old average is kept with new weights.
    place.resume("run", "--steps 14 --ema-decay 0").ok();
    assert!(!place.path("run/ema.safetensors").exists());
    let sample = format!("sample --device cpu --ema --model {model}");
    run(&sample).refuses(1, &["ema.safetensors is missing", "--ema-decay"]);
    place.train("other", "--steps 2 --eval-ema").refuses(2, &["--eval-ema", "--ema-decay"]);
    place.train("other", "--steps 2 --ema-decay 1").refuses(2, &["--ema-decay", "below 1"]);
    let tune =
        format!("train --device cpu --from {model} --out {} --data {data}", place.at("tuned"));
    run(&format!("{tune} --lora-rank 2 --ema-decay 0.9"))
        .refuses(2, &["--ema-decay", "--lora-rank"]);
}

#[test]
fn saves_in_the_background_have_the_bytes_of_others() {
    let place = Place::new();
    let flags = "--steps 12 --save-every 3 --keep-last 9 --eval-every 4";
    place.train("behind", flags).ok();
    place.train("before", &format!("{flags} --background-saves false")).ok();
    let mut compared = 0;
    for step in [
        "",
        "checkpoints/step-00000003/",
        "checkpoints/step-00000009/",
        "checkpoints/step-00000012/",
    ] {
        for file in blankslate::run::directory::FILES {
            let [behind, before] = ["behind", "before"]
                .map(|run| fs::read(place.path(&format!("{run}/{step}{file}"))).ok());
            if file == "training_state.json" {
                let state = |bytes: Option<Vec<u8>>| {
                    let mut state: Value = serde_json::from_slice(&bytes.unwrap()).unwrap();
                    state["long_run"].take();
                    state
                };
                assert_eq!(state(behind), state(before), "{step}");
            } else {
                assert!(behind == before, "{step}{file}");
                compared += usize::from(before.is_some());
            }
        }
    }
    assert!(compared >= 4 * 5, "{compared}");
    assert!(place.read("behind/best.json") == place.read("before/best.json"));
}

#[test]
fn a_spike_is_reported_by_default_and_settings_of_it_are_saved() {
    let place = Place::new();
    // After a while on the text, a tenth of the batches is noise.
    let noise: String =
        (0..400u32).map(|i| char::from(33 + (i * i * 7 + i * 13) as u8 % 14)).collect();
    place.write("noisy.txt", format!("{}{noise}", crate::support::TEXT.repeat(50)));
    let train = |out: &str, more: &str| {
        run(&format!(
            "train {} --json --order sequential --val-fraction 0 --steps 120 --spike-window 16 --out {} --data {} {more}",
            crate::support::SMALL,
            place.at(out),
            place.at("noisy.txt")
        ))
    };
    let warned = train("warned", "");
    let stderr = warned.stderr.clone();
    let events = warned.json();
    let spikes = of_type(&events, "spike");
    assert!(!spikes.is_empty());
    assert!(spikes.iter().all(|spike| spike["action"] == "reported" && spike["to"].is_null()));
    assert_eq!(stderr.matches("spike: loss").count(), spikes.len(), "{stderr}");
    assert_eq!(steps(&events).len(), 120);
    assert!(of_type(&train("off", "--spike-threshold 0").json(), "spike").is_empty());

    let skipped = train("skipped", "--on-spike skip").json();
    let spikes = of_type(&skipped, "spike");
    assert!(!spikes.is_empty() && spikes.iter().all(|spike| spike["action"] == "skipped"));
    assert_eq!(steps(&skipped).len(), 120 - spikes.len());
    let state: Value = serde_json::from_slice(&place.read("skipped/training_state.json")).unwrap();
    assert_eq!(state["long_run"]["config"]["on_spike"], "skip");
    assert_eq!(state["long_run"]["skipped"].as_array().unwrap().len(), spikes.len());
    assert_eq!((&state["format_version"], &state["step"]), (&6.into(), &120.into()));

    // An interruption changes nothing, also after skipped steps.
    for at in [40, 77] {
        let out = format!("halves-{at}");
        train(&out, &format!("--on-spike skip --stop-at {at}")).json();
        let resume = format!(
            "train --resume --device cpu --out {} --data {}",
            place.at(&out),
            place.at("noisy.txt")
        );
        run(&resume).ok();
        for file in ["model.safetensors", "optimizer.safetensors", "training_state.json"] {
            let [halves, whole] =
                [out.as_str(), "skipped"].map(|run| place.read(&format!("{run}/{file}")));
            assert!(halves == whole, "{file} of {out}");
        }
    }
}

#[test]
fn a_run_card_describes_the_run() {
    let place = Place::new();
    let logs = place.at("logs");
    place.train("run", &format!("--steps 12 --eval-every 4 --stop-at 8 --log-to {logs}")).ok();
    let card = || String::from_utf8(place.read("run/RUN.md")).unwrap();
    let first = card();
    for words in [
        "Steps | 8 of 12: stopped at --stop-at",
        "## Loss",
        "o` validation loss",
        "Fingerprint of the training tokens",
        "\"hidden_size\": 16",
        "| Device | cpu",
        "blankslate train --preset small",
        "--stop-at 8",
        "blankslate train --resume --out",
        "tensorboard --logdir",
    ] {
        assert!(first.contains(words), "`{words}` is not in:\n{first}");
    }
    let state: Value = serde_json::from_slice(&place.read("run/training_state.json")).unwrap();
    assert!(first.contains(state["corpus"]["fingerprint"].as_str().unwrap()));
    place.resume("run", "").ok();
    assert!(card().contains("12 of 12: complete"), "{}", card());
    // The curve starts at the first step.
    assert!(card().contains("step 1 ") && card().contains("step 12\n"), "{}", card());

    // `train` accepts the configuration, and reproduces the run.
    let json = first.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let mut settings: Value = serde_json::from_str(json).unwrap();
    settings["model"].as_object_mut().unwrap().retain(|key, _| key != "vocab_size");
    place.write("settings.json", settings.to_string());
    let arguments = format!(
        "train --device cpu --config {} --out {} --data {}",
        place.at("settings.json"),
        place.at("again"),
        place.at("text.txt")
    );
    run(&arguments).ok();
    assert!(place.read("again/model.safetensors") == place.read("run/model.safetensors"));
}
