//! Training on prepared data and on mixtures.

use serde_json::{Value, json};

use crate::data_support::{manifest, place_with_tokenizer, prepared};
use crate::support::{Place, SMALL, run};

/// A `train` command without data.
fn train(place: &Place, out: &str, more: &str) -> String {
    format!("train {SMALL} --out {} --eval-every 4 --steps 8 {more}", place.at(out))
}

/// The last evaluation in the metrics of a run.
fn last_evaluation(place: &Place, out: &str) -> Value {
    let text = String::from_utf8(place.read(&format!("{out}/metrics.jsonl"))).unwrap();
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.rfind(|event| event["type"] == "eval").unwrap()
}

#[test]
fn prepared_data_brings_its_tokenizer_and_its_validation_split() {
    let place = place_with_tokenizer();
    for layout in ["blankslate", "llm.c", "nanogpt"] {
        prepared(&place, layout, 0..400, &format!("--layout {layout} --val-fraction 0.2")).ok();
        let data = format!("--data {} --json", place.at(layout));
        let events = run(&train(&place, &format!("run-{layout}"), &data)).json();
        let manifest = manifest(&place, layout);
        assert_eq!(events[0]["train_tokens"], manifest["train"]["tokens"]);
        assert_eq!(events[0]["val_tokens"], manifest["val"]["tokens"]);
        assert_eq!(events[0]["model"]["vocab_size"], manifest["tokenizer"]["vocab_size"]);
        assert_eq!(
            place.read(&format!("run-{layout}/tokenizer.json")),
            place.read(&format!("{layout}/tokenizer.json"))
        );
        assert!(last_evaluation(&place, &format!("run-{layout}")).get("sources").is_none());
    }
    // The same documents in two layouts are the same batches but for the place of the end-of-text tokens.
    let [a, b] =
        ["blankslate", "nanogpt"].map(|name| place.read(&format!("run-{name}/model.safetensors")));
    assert!(a == b);
}

#[test]
fn data_of_another_tokenizer_and_damaged_data_are_refused() {
    let place = place_with_tokenizer();
    prepared(&place, "data", 0..200, "").ok();
    let data = format!("--data {}", place.at("data"));
    let other = place.at("other.json");
    let tokenizer = "tokenizer train --vocab-size 262 --special-token <|endoftext|> --out";
    run(&format!("{tokenizer} {other} {}", place.at("text.txt"))).ok();
    run(&train(&place, "run", &format!("{data} --tokenizer {other}")))
        .refuses(1, &["was prepared with another tokenizer", "tokenizer.json"]);
    let shard = "data/train-000000.bin";
    let mut bytes = place.read(shard);
    bytes[3000] ^= 1;
    place.write(shard, &bytes);
    run(&train(&place, "run", &data)).refuses(1, &["train-000000.bin", "SHA-256"]);
    place.write(shard, &bytes[..2000]);
    run(&train(&place, "run", &data)).refuses(1, &["train-000000.bin", "2000 bytes"]);
}

#[test]
fn a_mixture_reports_each_source_and_resumes_exactly() {
    let place = place_with_tokenizer();
    prepared(&place, "many", 0..400, "--val-fraction 0.2").ok();
    prepared(&place, "few", 1000..1100, "--val-fraction 0.2").ok();
    for order in ["random", "sequential"] {
        let data = format!("--data {}:3 {} --order {order}", place.at("many"), place.at("few"));
        let (whole, parts) = (format!("whole-{order}"), format!("parts-{order}"));
        let events = run(&train(&place, &whole, &format!("{data} --json"))).json();
        let tokens = |name: &str| manifest(&place, name)["train"]["tokens"].as_u64().unwrap();
        assert_eq!(events[0]["train_tokens"], tokens("many") + tokens("few"));
        let evaluation = last_evaluation(&place, &whole);
        let losses = evaluation["sources"].as_object().unwrap();
        let loss = |name: &str| losses[&place.at(name)].as_f64().unwrap();
        let (low, high) = (loss("many").min(loss("few")), loss("many").max(loss("few")));
        let all = evaluation["loss"].as_f64().unwrap();
        assert!(losses.len() == 2 && low < all && all < high, "{evaluation}");

        let text = run(&train(&place, &parts, &format!("{data} --stop-at 3"))).ok();
        assert!(text.contains("75.0 %") && text.contains("25.0 %"), "{text}");
        let resume = format!("train --resume --device cpu --out {} {data}", place.at(&parts));
        run(&resume).ok();
        for file in ["model.safetensors", "optimizer.safetensors"] {
            let [a, b] = [&whole, &parts].map(|out| place.read(&format!("{out}/{file}")));
            assert!(a == b, "{file} differs after a resume in {order} order");
        }
    }
    // Other weights are other data.
    let other = format!("--data {}:2 {} --order random", place.at("many"), place.at("few"));
    let parts = train(&place, "third", &format!("{} --stop-at 3", other.replace(":2", ":3")));
    run(&parts).ok();
    run(&format!("train --resume --device cpu --out {} {other}", place.at("third")))
        .refuses(2, &["not what this run was trained on"]);
}

#[test]
fn a_mixture_of_texts_is_split_by_source() {
    let place = Place::new();
    place.write("digits.txt", "0123456789 ".repeat(300));
    let data = format!("--data {}:1 {}:2", place.at("text.txt"), place.at("digits.txt"));
    run(&train(&place, "run", &format!("{data} --tokenizer char"))).ok();
    let evaluation = last_evaluation(&place, "run");
    assert_eq!(evaluation["sources"].as_object().unwrap().len(), 2, "{evaluation}");
    let refuses = |data: &str, words: &[&str]| {
        run(&train(&place, "no", &format!("--tokenizer byte {data}"))).refuses(2, words);
    };
    let text = place.at("text.txt");
    refuses(&format!("--data {text}:0 {text}:1"), &["--data", "must be positive"]);
    refuses(&format!("--data {text}:1 {text}:2"), &["is named twice"]);
    place.write("chat.jsonl", r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#);
    refuses(
        &format!("--data {text}:1 {}:2", place.at("chat.jsonl")),
        &["chat.jsonl holds no text"],
    );
}

/// 10^10 tokens of 16 bits are 20 GB, in a sparse file.
#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_million_tokens_are_addressed_without_being_loaded() {
    use std::os::unix::fs::FileExt as _;

    const SHARDS: u64 = 5;
    const TOKENS: u64 = 2_000_000_000;
    let place = place_with_tokenizer();
    prepared(&place, "data", 0..100, "--val-fraction 0").ok();
    let mut manifest = manifest(&place, "data");
    let mut shard = manifest["train"]["shards"][0].clone();
    let mut header = place.read("data/train-000000.bin");
    header.truncate(1024);
    header[8..12].copy_from_slice(&(TOKENS as u32).to_le_bytes());
    let mut shards = Vec::new();
    for index in 0..SHARDS {
        let name = format!("train-{index:06}.bin");
        let file = std::fs::File::create(place.path(&format!("data/{name}"))).unwrap();
        file.set_len(1024 + 2 * TOKENS).unwrap();
        file.write_all_at(&header, 0).unwrap();
        shard["file"] = json!(name);
        shard["tokens"] = json!(TOKENS);
        shard["bytes"] = json!(1024 + 2 * TOKENS);
        shards.push(shard.clone());
    }
    manifest["train"]["shards"] = json!(shards);
    manifest["train"]["tokens"] = json!(SHARDS * TOKENS);
    place.write("data/manifest.json", manifest.to_string());
    for order in ["random", "sequential"] {
        let more = format!("--val-fraction 0 --order {order} --json --data {}", place.at("data"));
        let ended = run(&train(&place, order, &more));
        assert!(ended.stderr.contains("--verify-data compares checksums"), "{}", ended.stderr);
        let events = ended.json();
        assert_eq!(events[0]["train_tokens"], SHARDS * TOKENS);
        assert_eq!(events.last().unwrap()["step"], 8);
    }
    std::fs::remove_dir_all(place.path("data")).unwrap();
}
