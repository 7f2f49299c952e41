//! Fine-tuning with adapters: output, checkpoints, refusals, and exact resuming.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Outcome, Place, run};

const ADAPTERS: &str = "--lora-rank 4 --lora-alpha 8";

impl Place {
    fn adapt(&self, out: &str, data: &str, more: &str) -> Outcome {
        let (from, out, data) = (self.at("model"), self.at(out), self.at(data));
        let flags = "--device cpu --warmup-steps 0 --batch-size 4";
        run(&format!("train {flags} --from {from} --out {out} --data {data} {more}"))
    }
}

#[test]
fn a_run_with_adapters_reports_what_it_trains_and_starts_from_the_base_model() {
    let place = Place::with_model();
    let events = place.adapt("out", "text.txt", &format!("--steps 20 {ADAPTERS} --json")).json();
    let (estimate, train) = (&events[0]["estimate"], &events[0]["train"]);
    // Rank 4 beside projections of 16 to 48, 16, 64 and 64 to 16.
    assert_eq!(estimate["trained_parameters"], 4 * (16 + 48 + 16 + 16 + 16 + 64 + 64 + 16));
    assert_eq!(train["lora_targets"], json!(["all"]));
    // Ten times the learning rate of fine-tuning all weights.
    assert_eq!((&train["lr"], &train["min_lr"]), (&json!(1e-3), &json!(1e-4)));
    let full = place.adapt("full", "text.txt", "--steps 1 --json").json();
    assert_eq!(full[0]["train"]["lr"], 1e-4);
    let loss = |events: &[Value]| {
        events.iter().find(|event| event["type"] == "step").map(|step| step["loss"].clone())
    };
    assert_eq!(loss(&events), loss(&full));
    let bytes = |of: &Value| of["state_bytes"].as_u64().unwrap();
    let (parameters, full) = (estimate["parameters"].as_u64().unwrap(), &full[0]["estimate"]);
    assert_eq!(full["trained_parameters"], parameters);
    assert_eq!(bytes(full), 16 * parameters);
    assert_eq!(bytes(estimate), 4 * parameters + 16 * 1024);
    let text = place.adapt("words", "text.txt", &format!("--steps 1 {ADAPTERS} --lr 0.01")).ok();
    assert!(text.contains("1,024 parameters: adapters of rank 4\n"), "{text}");
}

#[test]
fn a_stopped_run_with_adapters_resumes_exactly() {
    let place = Place::with_model();
    let flags = format!("--steps 20 --dropout 0.1 --grad-accum 2 --val-fraction 0.2 {ADAPTERS}");
    place.adapt("straight", "text.txt", &flags).ok();
    place.adapt("halves", "text.txt", &format!("{flags} --stop-at 10")).ok();
    // The base model is no longer needed.
    fs::remove_dir_all(place.path("model")).unwrap();
    place.resume("halves", "").ok();
    for file in [
        "model.safetensors",
        "base.safetensors",
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "optimizer.safetensors",
        "training_state.json",
    ] {
        let [straight, halves] =
            ["straight", "halves"].map(|out| place.read(&format!("{out}/{file}")));
        assert!(straight == halves, "{file}");
    }
    let size = |file: &str| place.read(file).len();
    assert!(size("halves/optimizer.safetensors") < size("halves/model.safetensors"));
    // Other commands see a model without adapters.
    let halves = place.at("halves");
    run(&format!("sample --device cpu --model {halves} --prompt she --max-new-tokens 3")).ok();
    let text = place.at("text.txt");
    let more = place.at("more");
    run(&format!("train --device cpu --from {halves} --out {more} --data {text} --steps 1")).ok();
    place.resume("halves", "--lora-rank 8").refuses(2, &["--lora-rank", "cannot be changed"]);
    fs::remove_file(place.path("halves/base.safetensors")).unwrap();
    fs::remove_dir_all(place.path("halves/checkpoints")).unwrap();
    place.resume("halves", "--steps 30").refuses(1, &["base.safetensors"]);
}

#[test]
fn new_tokens_are_trained_in_full() {
    let place = Place::new();
    place.train("model", "--steps 2 --tokenizer byte --seq-len 64").ok();
    let turn = |role: &str, content: &str| json!({ "role": role, "content": content });
    let chat = json!({ "messages": [turn("user", "she"), turn("assistant", "sells")] });
    place.write("chat.jsonl", format!("{chat}\n").repeat(4));
    let pair = json!({ "prompt": "she", "chosen": "sells", "rejected": "sea" });
    place.write("pairs.jsonl", format!("{pair}\n").repeat(4));
    let flags = format!("--steps 2 --val-fraction 0 {ADAPTERS}");
    let events = place.adapt("chat", "chat.jsonl", &format!("{flags} --json")).json();
    assert_eq!(events[0]["train"]["lora_embeddings"], true);
    let config = String::from_utf8(place.read("chat/adapter/adapter_config.json")).unwrap();
    assert!(config.contains("\"transformer.wte\""), "{config}");
    // A model with chat tokens already has them.
    let (from, out, pairs) = (place.at("chat"), place.at("tuned"), place.at("pairs.jsonl"));
    let tuned =
        format!("train --device cpu --from {from} --out {out} --data {pairs} {flags} --json");
    let events = run(&tuned).json();
    assert_eq!(events[0]["train"]["lora_embeddings"], false);
    let first = events.iter().find(|event| event["type"] == "step").unwrap();
    assert!(first["margin"].as_f64().unwrap().abs() < 1e-6, "{first}");
    let config = String::from_utf8(place.read("tuned/adapter/adapter_config.json")).unwrap();
    assert!(config.contains("\"modules_to_save\": null"), "{config}");
    assert!(config.contains(&format!("\"base_model_name_or_path\": {from:?}")), "{config}");
}

#[test]
fn invalid_adapter_settings_are_refused() {
    let place = Place::with_model();
    let adapt = |more: &str| place.adapt("out", "text.txt", &format!("--steps 1 {more}"));
    adapt("--lora-rank 4 --lora-targets c_attn").refuses(2, &["`c_attn`", "qkv_proj", "all"]);
    adapt("--lora-rank 4 --lora-alpha 0").refuses(2, &["--lora-alpha", "above 0"]);
    adapt("--lora-rank 4 --optimizer muon").refuses(2, &["--lora-rank", "adamw"]);
    place.train("fresh", "--steps 1 --lora-rank 4").refuses(2, &["--lora-rank", "--from"]);
}
