//! Training, resuming, and interrupting.

use std::fs;

use serde_json::Value;

use crate::support::{Place, copy_files, run};

fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn twenty_steps_lower_the_loss_and_leave_a_transformers_directory() {
    let place = Place::new();
    let events = place.train("run", "--steps 20 --eval-every 10 --sample-every 20 --json").json();
    assert_eq!(events[0]["type"], "start");
    assert_eq!(events[0]["device"]["name"], "cpu");
    let steps = of_type(&events, "step");
    assert_eq!(steps.len(), 20);
    let loss = |index: usize| steps[index]["loss"].as_f64().unwrap();
    assert!(loss(19) < 0.8 * loss(0), "{} to {}", loss(0), loss(19));
    for key in ["step", "steps", "grad_norm", "lr", "tokens", "tokens_per_second"] {
        assert!(steps[3][key].is_number(), "{key}");
    }
    assert_eq!(steps[19]["tokens"], 20 * 4 * 16);
    let evals = of_type(&events, "eval");
    assert_eq!(evals.len(), 2);
    // One byte per character: nats to bits.
    let bits = evals[1]["loss"].as_f64().unwrap() / std::f64::consts::LN_2;
    assert!((evals[1]["bits_per_byte"].as_f64().unwrap() - bits).abs() < 1e-9);
    assert_eq!(of_type(&events, "sample").len(), 1);
    assert_eq!(of_type(&events, "saved")[0]["step"], 20);
    assert_eq!(events.last().unwrap()["type"], "done");

    for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        let top = place.read(&format!("run/{file}"));
        assert_eq!(top, place.read(&format!("run/checkpoints/step-00000020/{file}")));
    }
    let metrics = lines(&place.read("run/metrics.jsonl"));
    assert_eq!(of_type(&metrics, "step"), steps);
    assert_eq!(of_type(&metrics, "eval"), evals);
}

#[test]
fn a_profile_shows_where_the_time_goes_and_changes_nothing() {
    let place = Place::new();
    let plain = place.train("plain", "--steps 20 --json").json();
    let events = place.train("profiled", "--steps 20 --json --profile=5").json();
    let losses = |events: &[Value]| -> Vec<Value> {
        of_type(events, "step").iter().map(|step| step["loss"].clone()).collect()
    };
    assert_eq!(losses(&plain), losses(&events));
    let [profile] = of_type(&events, "profile")[..] else { panic!("{events:?}") };
    let profile = &profile["profile"];
    assert_eq!(profile["steps"], 5);
    let kernels = profile["kernels"].as_array().unwrap();
    let calls = |name: &str| kernels.iter().find(|k| k["kernel"] == name).unwrap()["calls"].clone();
    assert_eq!(calls("AdamW"), 5);
    let spent: f64 = kernels.iter().map(|kernel| kernel["ms"].as_f64().unwrap()).sum();
    assert!(spent > 0.0 && spent <= profile["ms"].as_f64().unwrap(), "{profile}");
    let cut = place.train("cut", "--steps 20 --json --profile=5 --eval-every 12").json();
    assert_eq!(of_type(&cut, "profile")[0]["profile"]["steps"], 2);
    assert_eq!(of_type(&cut, "eval").len(), 2, "none is skipped");
    let words = place.train("words", "--steps 12 --profile=2").ok();
    assert!(words.contains("profile of 2 steps") && words.contains("linear"), "{words}");
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one_byte_for_byte() {
    let place = Place::new();
    let dropout = "--steps 20 --dropout 0.1 --save-every 5";
    place.train("straight", dropout).ok();
    place.train("halves", &format!("{dropout} --stop-at 10")).ok();
    copy_files(&place.path("halves/checkpoints/step-00000010"), &place.path("flat"));
    // Lines of steps that no checkpoint holds are dropped.
    let mut metrics = place.read("halves/metrics.jsonl");
    metrics.extend(b"{\"type\":\"step\",\"step\":11,\"loss\":0.0}\n{\"type\":\"st");
    place.write("halves/metrics.jsonl", metrics);

    let events = place.resume("halves", "--json").json();
    assert_eq!(events[0]["resumed"], true);
    // A single checkpoint, such as an unpacked download from the page.
    place.resume("flat", "").ok();
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let straight = place.read(&format!("straight/checkpoints/step-00000020/{file}"));
        for other in ["halves", "flat"] {
            let bytes = place.read(&format!("{other}/checkpoints/step-00000020/{file}"));
            assert!(bytes == straight, "{file} of {other} differs");
        }
    }
    let losses = |run: &str| -> Vec<(u64, f64)> {
        let metrics = lines(&place.read(&format!("{run}/metrics.jsonl")));
        let steps = of_type(&metrics, "step");
        steps.iter().map(|s| (s["step"].as_u64().unwrap(), s["loss"].as_f64().unwrap())).collect()
    };
    assert_eq!(losses("straight"), losses("halves"));
    // The top of a run is exactly its newest checkpoint: no old state beside new weights.
    for file in ["model.safetensors", "optimizer.safetensors", "training_state.json"] {
        let newest = place.read(&format!("flat/checkpoints/step-00000020/{file}"));
        assert!(place.read(&format!("flat/{file}")) == newest, "{file}");
    }

    // A finished run has nothing left to do; flags override saved settings.
    place.resume("halves", "").ok();
    let events = place.resume("halves", "--steps 22 --lr 0.001 --schedule constant --json").json();
    assert_eq!(of_type(&events, "step")[1]["lr"], 0.001);
}

#[test]
fn shards_train_like_the_text_they_were_made_from() {
    let place = Place::new();
    let (tokenizer, text) = (place.at("tokenizer.json"), place.at("text.txt"));
    run(&format!("tokenizer train --kind bpe --vocab-size 280 --out {tokenizer} {text}")).ok();
    let encode = format!("tokenizer encode --json --tokenizer {tokenizer}");
    let encoded = crate::support::run_with(&encode, &place.read("text.txt")).json();
    let ids: Vec<u32> = serde_json::from_value(encoded[0]["ids"].clone()).unwrap();

    let narrow: Vec<u8> = ids.iter().flat_map(|id| (*id as u16).to_le_bytes()).collect();
    let wide: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let mut header = [20_240_520, 1, ids.len() as u32].map(u32::to_le_bytes).concat();
    header.resize(1024, 0);
    place.write("nano.bin", &narrow);
    place.write("wide.u32", wide);
    place.write("llmc.bin", [header, narrow].concat());

    let tokenizer = format!("--steps 3 --tokenizer {tokenizer}");
    place.train("from-text", &tokenizer).ok();
    let expected = place.read("from-text/model.safetensors");
    for shard in ["nano.bin", "wide.u32", "llmc.bin"] {
        let data = place.at(shard);
        let out = place.at(&format!("from-{shard}"));
        run(&format!("train {} --out {out} --data {data} {tokenizer}", crate::support::SMALL)).ok();
        assert!(place.read(&format!("from-{shard}/model.safetensors")) == expected, "{shard}");
    }

    // A folder of shards: the one called "val" validates.
    fs::create_dir(place.path("folder")).unwrap();
    fs::copy(place.path("nano.bin"), place.path("folder/train.bin")).unwrap();
    fs::copy(place.path("nano.bin"), place.path("folder/val.bin")).unwrap();
    let (out, data) = (place.at("from-folder"), place.at("folder"));
    let small = crate::support::SMALL;
    let events = run(&format!("train {small} --out {out} --data {data} {tokenizer} --json")).json();
    assert_eq!(events[0]["train_tokens"], ids.len());
    assert_eq!(events[0]["val_tokens"], ids.len());
    let small = format!("train {small} --out {} --data {data}", place.at("untrained"));
    run(&small).refuses(2, &["--tokenizer", "holds tokens", "tokenizer.json"]);
}

#[test]
fn a_synthetic_dataset_is_generated_by_name_and_its_run_resumes() {
    let place = Place::new();
    let train =
        format!("train {} --data example:sums --out {}", crate::support::SMALL, place.at("run"));
    let events = run(&format!("{train} --steps 20 --stop-at 10 --json")).json();
    // Digits, a plus, an equals sign and the end of a line.
    assert_eq!(events[0]["model"]["vocab_size"], 13);
    let events =
        run(&format!("train --resume --data example:sums --out {} --json", place.at("run"))).json();
    assert_eq!(of_type(&events, "step").len(), 10);
}

#[test]
fn a_settings_file_overrides_the_preset_and_flags_override_the_file() {
    let place = Place::new();
    place.write(
        "settings.json",
        r#"{"model": {"hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1},
            "train": {"steps": 3, "batch_size": 2, "lr": 0.02}, "tokenizer": "byte"}"#,
    );
    let (config, out, data) = (place.at("settings.json"), place.at("run"), place.at("text.txt"));
    let arguments = format!("train --preset small --config {config} --steps 2 --device cpu --json");
    let events = run(&format!("{arguments} --out {out} --data {data}")).json();
    let start = &events[0];
    assert_eq!(start["model"]["vocab_size"], 256);
    assert_eq!(start["model"]["head_dim"], 8);
    assert_eq!(start["model"]["intermediate_size"], 32);
    assert_eq!(start["data"]["seq_len"], 64);
    assert_eq!(start["train"]["batch_size"], 2);
    assert_eq!(start["train"]["min_lr"], 0.002);
    assert_eq!(of_type(&events, "step").len(), 2);
}

#[test]
fn a_diverging_run_keeps_its_last_good_checkpoint() {
    let place = Place::new();
    place.train("run", "--steps 20 --stop-at 10").ok();
    let model = place.read("run/model.safetensors");
    place.resume("run", "--lr 1e30 --grad-clip 0").refuses(
        1,
        &["the loss became", "at step 1", "checkpoint of step 10", "still good", "--grad-clip"],
    );
    assert!(place.read("run/model.safetensors") == model);
    run(&format!("sample --model {} --device cpu --max-new-tokens 3", place.at("run"))).ok();
    let out = place.at("hopeless");
    let fresh = place.train("hopeless", "--lr 1e38 --steps 9 --save-every 1 --grad-clip 0");
    fresh.refuses(1, &["the loss became"]);
    let weights = fs::read(format!("{out}/model.safetensors"));
    assert!(weights.is_err(), "weights that are not finite were saved");
}
