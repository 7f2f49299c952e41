//! Recognizing runs, resuming them, and refusals.

use std::fs;

use serde_json::Value;

use crate::support::{Place, copy_all, copy_files, run};

#[test]
fn a_run_is_what_has_a_complete_checkpoint() {
    let place = Place::new();
    // Leftovers of a crash in the first save.
    let step = place.path("run/checkpoints/step-00000002");
    fs::create_dir_all(&step).unwrap();
    for file in ["checkpoints/step-00000002/config.json", "metrics.jsonl", ".best.json.7.tmp"] {
        place.write(&format!("run/{file}"), "{}");
    }
    let missing = ["training_state.json is missing", "start without --resume"];
    place.resume("run", "").refuses(1, &missing);
    place.train("run", "--steps 4").ok();
    assert!(!step.exists() && !place.path("run/.best.json.7.tmp").exists());
    place.train("run", "--steps 4").refuses(2, &["already holds a run", "--resume"]);
    place.resume("run", "--steps 5").ok();

    // A model is no run, and is not overwritten by one.
    place.copy("run", "model");
    fs::remove_file(place.path("model/training_state.json")).unwrap();
    place.resume("model", "").refuses(1, &["training_state.json is missing", "--from"]);
    place.train("model", "--steps 4").refuses(2, &["holds a model", "--from"]);
    // A single checkpoint is a run.
    copy_files(&place.path("run/checkpoints/step-00000005"), &place.path("single"));
    place.train("single", "--steps 4").refuses(2, &["already holds a run"]);
    place.resume("single", "--steps 6").ok();
    let arguments = format!("train --device cpu --data {}", place.at("text.txt"));
    let empty = crate::support::command(&arguments).args(["--out", ""]).output().unwrap();
    crate::support::outcome(empty).refuses(2, &["--out"]);
}

#[test]
fn adapters_resume_from_the_top_of_a_run_a_checkpoint_and_a_zip() {
    let place = Place::with_model();
    let tune = |out: &str, more: &str| {
        run(&format!(
            "train --device cpu --warmup-steps 0 --batch-size 4 --lora-rank 4 --steps 8 --from {} --out {} --data {} {more}",
            place.at("model"),
            place.at(out),
            place.at("text.txt")
        ))
        .ok();
    };
    tune("straight", "");
    tune("half", "--stop-at 4");
    copy_all(&place.path("half"), &place.path("top"));
    fs::remove_dir_all(place.path("top/checkpoints")).unwrap();
    copy_all(&place.path("half/checkpoints/step-00000004"), &place.path("single"));
    let mut files = blankslate::checkpoint::Files::new();
    for name in blankslate::run::directory::FILES {
        if let Ok(bytes) = fs::read(place.path(&format!("half/{name}"))) {
            files.insert(name.into(), bytes);
        }
    }
    let zip = blankslate::checkpoint::pack_zip(&files).unwrap();
    for (name, bytes) in blankslate::checkpoint::unpack_zip("half.zip", &zip).unwrap() {
        let path = place.path(&format!("unpacked/{name}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    for out in ["top", "single", "unpacked"] {
        place.resume(out, "").ok();
        for file in ["model", "base", "optimizer", "adapter/adapter_model"] {
            let file = format!("{file}.safetensors");
            let [straight, other] =
                ["straight", out].map(|run| place.read(&format!("{run}/{file}")));
            assert!(straight == other, "{file} of {out}");
        }
    }
}

/// Removes settings from the training state of a checkpoint.
fn forget(place: &Place, checkpoint: &str, keys: &[&str]) {
    let file = format!("{checkpoint}/training_state.json");
    let mut state: Value = serde_json::from_slice(&place.read(&file)).unwrap();
    for key in keys {
        assert!(state["train"].as_object_mut().unwrap().remove(*key).is_some(), "{key}");
    }
    place.write(&file, state.to_string());
}

#[test]
fn another_optimizer_is_refused_by_name() {
    let place = Place::with_model();
    place.train("muon", "--steps 4 --optimizer muon").ok();
    place.resume("model", "--steps 9 --optimizer muon").refuses(2, &["--optimizer", "cannot be"]);
    place.resume("muon", "--steps 9 --optimizer adamw").refuses(2, &["--optimizer", "cannot be"]);
    place.resume("muon", "--steps 5 --optimizer muon --muon-lr 0.01").ok();
    // A state that does not say which optimizer it belongs to, or that there are adapters.
    forget(&place, "muon/checkpoints/step-00000005", &["optimizer"]);
    let words = ["the optimizer state cannot be read", "training_state.json", "optimizer"];
    place.resume("muon", "--steps 9").refuses(1, &words);
    let (model, data, out) = (place.at("model"), place.at("text.txt"), place.at("tuned"));
    let tune = format!("train --device cpu --from {model} --out {out} --data {data} --lora-rank 2");
    run(&format!("{tune} --steps 2 --batch-size 2")).ok();
    forget(&place, "tuned/checkpoints/step-00000002", &["lora_rank"]);
    let words = ["the optimizer state cannot be read", "training_state.json", "lora_rank"];
    place.resume("tuned", "--steps 9").refuses(1, &words);
    // Settings that older versions did not have take their defaults.
    forget(&place, "model/checkpoints/step-00000004", &["keep_spread", "lora_rank", "precision"]);
    place.resume("model", "--steps 5").ok();
    // A state that was cut off or belongs to another model.
    fs::copy(
        place.path("muon/checkpoints/step-00000005/optimizer.safetensors"),
        place.path("model/checkpoints/step-00000005/optimizer.safetensors"),
    )
    .unwrap();
    place.resume("model", "--steps 9").refuses(1, &["the optimizer state cannot be read"]);
}

#[test]
fn flags_without_effect_on_a_resumed_run_are_refused_by_name() {
    let place = Place::with_model();
    place.write("settings.json", "{}");
    let config = format!("--config {}", place.at("settings.json"));
    let from = format!("--from {}", place.at("model"));
    for flag in ["--tokenizer byte", "--pattern gpt2", "--preset tiny", &config, &from] {
        let name = flag.split(' ').next().unwrap();
        place.resume("model", &format!("--steps 9 {flag}")).refuses(2, &["--resume", name]);
    }
}

#[test]
fn a_damaged_newest_checkpoint_is_named_and_the_older_one_offered() {
    let place = Place::new();
    place.train("run", "--steps 4 --save-every 2").ok();
    let newest = "run/checkpoints/step-00000004";
    for file in ["config.json", "model.safetensors", "optimizer.safetensors", "training_state.json"]
    {
        let path = format!("{newest}/{file}");
        let whole = place.read(&path);
        place.write(&path, &whole[..whole.len() / 2]);
        let named = format!("{path} cannot be read");
        place.resume("run", "--steps 6").refuses(1, &[&named, "delete", "step 2"]);
        place.write(&path, whole);
    }
    fs::remove_file(place.path(&format!("{newest}/optimizer.safetensors"))).unwrap();
    let missing = "optimizer.safetensors is missing from";
    place.resume("run", "--steps 6").refuses(1, &[missing, newest, "delete", "step 2"]);
    fs::write(place.path("run/model.safetensors"), "cut").unwrap();
    let sample = format!("sample --device cpu --max-new-tokens 1 --model {}", place.at("run"));
    let older = "run/checkpoints/step-00000002";
    run(&sample).refuses(1, &["run/model.safetensors cannot be read", older]);
    fs::remove_dir_all(place.path(newest)).unwrap();
    place.resume("run", "").ok();
    run(&sample).ok();
}

#[test]
fn runs_below_the_data_are_not_learnt_from() {
    let place = Place::new();
    fs::create_dir_all(place.path("data/texts")).unwrap();
    fs::copy(place.path("text.txt"), place.path("data/texts/a.txt")).unwrap();
    fs::copy(place.path("text.txt"), place.path("data/b.txt")).unwrap();
    let train = |out: &str, more: &str| {
        let (out, data) = (place.at(out), place.at("data"));
        run(&format!("train {} --json --out {out} --data {data} {more}", crate::support::SMALL))
    };
    let tokens = |outcome: crate::support::Outcome| outcome.json()[0]["train_tokens"].clone();
    let expected = tokens(train("outside", "--steps 2"));
    assert_eq!(tokens(train("data/run", "--steps 2")), expected);
    assert_eq!(tokens(train("data/deep/second", "--steps 2")), expected);
    // The folder itself can be the run's directory.
    assert_eq!(tokens(train("data", "--steps 2")), expected);
    // A run that failed before its first save, and one without the files at its top.
    fs::create_dir_all(place.path("data/failed")).unwrap();
    place.write("data/failed/metrics.jsonl", r#"{"type":"step","step":1}"#);
    for file in fs::read_dir(place.path("data/run")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            fs::remove_file(path).unwrap();
        }
    }
    let third = train("third", "--steps 2");
    for run in ["data/run", "data/deep/second", "data/failed"] {
        assert!(third.stderr.contains(&place.at(run)), "{run}: {}", third.stderr);
    }
    assert!(third.stderr.contains("left out of the data"), "{}", third.stderr);
    assert_eq!(tokens(third), expected);
    for out in ["data/deep/second", "data"] {
        let resume = format!("train --resume --device cpu --out {}", place.at(out));
        run(&format!("{resume} --data {} --steps 3", place.at("data"))).ok();
    }
}
