//! Preference tuning: metrics, exact resuming, and refusals.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Outcome, Place, run};

const TOLD: [(&str, &str, &str); 4] = [
    ("sky?", "It is blue.", "Grey."),
    ("sea?", "Green, they say.", "No idea."),
    ("snow?", "White as salt.", "Cold."),
    ("tree?", "Tall and old.", "Wood."),
];

impl Place {
    /// A model fine-tuned on conversations, and preference pairs for it.
    fn with_pairs() -> Self {
        let place = Self::new();
        place
            .train("base", "--steps 2 --tokenizer byte --hidden-size 48 --layers 2 --seq-len 64")
            .ok();
        let turn = |role: &str, content: &str| json!({ "role": role, "content": content });
        let lines = |line: &dyn Fn((&str, &str, &str)) -> Value| {
            TOLD.map(|told| line(told).to_string()).join("\n")
        };
        let chat = lines(
            &|(question, answer, _)| json!({ "messages": [turn("user", question), turn("assistant", answer)] }),
        );
        let pairs = lines(
            &|(prompt, chosen, rejected)| json!({ "prompt": prompt, "chosen": chosen, "rejected": rejected }),
        );
        place.write("chat.jsonl", chat);
        place.write("pairs.jsonl", pairs);
        place.prefer("base", "chat", "chat.jsonl", "--steps 20 --val-fraction 0").ok();
        place
    }

    fn prefer(&self, from: &str, out: &str, data: &str, more: &str) -> Outcome {
        let (from, out, data) = (self.at(from), self.at(out), self.at(data));
        let flags = "--device cpu --lr 0.001 --warmup-steps 0";
        run(&format!("train {flags} --from {from} --out {out} --data {data} {more}"))
    }

    fn go_on(&self, out: &str, data: &str, more: &str) -> Outcome {
        let (out, data) = (self.at(out), self.at(data));
        run(&format!("train --resume --device cpu --out {out} --data {data} {more}"))
    }
}

#[test]
fn preference_tuning_raises_chosen_answers_above_rejected_ones() {
    let place = Place::with_pairs();
    let flags = "--steps 60 --val-fraction 0.25 --eval-every 30 --dpo-beta 0.2";
    let events = place.prefer("chat", "tuned", "pairs.jsonl", &format!("{flags} --json")).json();
    assert_eq!(events[0]["data"]["kind"], "preferences");
    assert_eq!((&events[0]["train"]["dpo_beta"], &events[0]["left_out"]), (&json!(0.2), &json!(0)));
    // Two sequences for each of four pairs.
    assert_eq!(events[0]["tokens_per_step"], 2 * 4 * 64);
    let steps: Vec<&Value> = events.iter().filter(|event| event["type"] == "step").collect();
    let figure = |step: usize, name: &str| steps[step][name].as_f64().unwrap();
    assert!((figure(0, "loss") - 2f64.ln()).abs() < 1e-5 && figure(0, "margin").abs() < 1e-5);
    assert!(figure(59, "margin") > 0.5 && figure(59, "accuracy") == 1.0, "{}", steps[59]);
    let evaluations: Vec<&Value> = events.iter().filter(|event| event["type"] == "eval").collect();
    assert_eq!(evaluations.len(), 2);
    assert!(evaluations[1]["margin"].is_f64() && evaluations[1]["accuracy"].is_f64());
    let metrics = String::from_utf8(place.read("tuned/metrics.jsonl")).unwrap();
    assert!(metrics.lines().next().unwrap().contains("\"accuracy\""), "{metrics}");
    let text = place.prefer("chat", "words", "pairs.jsonl", "--steps 1").ok();
    assert!(text.contains(", margin ") && text.contains(" accuracy "), "{text}");
    assert!(text.contains("from 4 preference pairs"), "{text}");
}

#[test]
fn stopped_preference_tuning_resumes_exactly() {
    let place = Place::with_pairs();
    let flags = "--steps 6 --val-fraction 0.25 --batch-size 2 --grad-accum 2";
    place.prefer("chat", "straight", "pairs.jsonl", flags).ok();
    place.prefer("chat", "halves", "pairs.jsonl", &format!("{flags} --stop-at 3")).ok();
    // The base model is no longer needed.
    fs::remove_dir_all(place.path("chat")).unwrap();
    place.go_on("halves", "pairs.jsonl", "").ok();
    for file in ["model.safetensors", "optimizer.safetensors", "training_state.json"] {
        let [straight, halves] =
            ["straight", "halves"].map(|out| place.read(&format!("{out}/{file}")));
        assert!(straight == halves, "{file}");
    }
    let losses = |out: &str| -> Vec<Value> {
        let metrics = String::from_utf8(place.read(&format!("{out}/metrics.jsonl"))).unwrap();
        let lines = metrics.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let steps = lines.filter(|line| line["type"] == "step");
        steps.map(|line| json!([line["step"], line["loss"], line["margin"]])).collect()
    };
    assert_eq!(losses("straight"), losses("halves"));
}

#[test]
fn malformed_pairs_and_conflicting_settings_are_refused() {
    let place = Place::with_pairs();
    let prefer =
        |data: &str, more: &str| place.prefer("chat", "out", data, &format!("--steps 1 {more}"));
    let (fresh, pairs) = (place.at("fresh"), place.at("pairs.jsonl"));
    run(&format!("train --device cpu --steps 1 --out {fresh} --data {pairs}"))
        .refuses(2, &["preference pairs", "--from"]);
    prefer("pairs.jsonl", "--dpo-beta 0").refuses(2, &["--dpo-beta", "above 0", "0.1"]);
    prefer("pairs.jsonl", "--z-loss 0.1").refuses(1, &["--z-loss", "preference pairs"]);
    prefer("pairs.jsonl", "--dropout 0.1").refuses(2, &["dropout", "leave it out"]);
    prefer("pairs.jsonl", "--seq-len 30").refuses(1, &["--seq-len", "30", "use at least"]);
    place
        .write("broken.jsonl", "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n{}\n");
    prefer("broken.jsonl", "").refuses(1, &["broken.jsonl", "line 2", "chosen", "\"rejected\": "]);
    // Settings of preference pairs are refused for other data, whatever their value.
    for flags in ["--dpo-beta 0.2", "--dpo-beta 0.1"] {
        prefer("chat.jsonl", flags)
            .refuses(2, &["--dpo-beta", "no preference pairs", "leave it out"]);
        place.train("text", flags).refuses(2, &["--dpo-beta", "no preference pairs"]);
    }
    place.write("settings.json", r#"{"train": {"dpo_beta": 0.2}}"#);
    let settings = format!("--config {}", place.at("settings.json"));
    prefer("chat.jsonl", &settings).refuses(2, &["--dpo-beta", "no preference pairs"]);
    place.go_on("chat", "chat.jsonl", "--steps 21 --dpo-beta 0.2").refuses(2, &["--dpo-beta"]);
    let (chat, out) = (place.at("chat"), place.at("out"));
    let both = format!("{} {}", place.at("chat.jsonl"), place.at("pairs.jsonl"));
    run(&format!("train --device cpu --from {chat} --out {out} --data {both}"))
        .refuses(2, &["conversations and preference pairs"]);
    run(&format!("eval --device cpu --model {chat} --data {}", place.at("pairs.jsonl")))
        .refuses(2, &["--data", "preference pairs"]);

    place.prefer("chat", "run", "pairs.jsonl", "--steps 2 --stop-at 1 --val-fraction 0").ok();
    place.go_on("run", "chat.jsonl", "").refuses(2, &["--data", "no preference pairs", "chosen"]);
    let pairs = String::from_utf8(place.read("pairs.jsonl")).unwrap();
    place.write("other.jsonl", pairs.replace("blue", "red"));
    place.go_on("run", "other.jsonl", "").refuses(2, &["--data", "is not what this run"]);
    // Some of them fit into a window of 38 tokens.
    let events =
        place.prefer("chat", "short", "pairs.jsonl", "--steps 1 --seq-len 38 --json").json();
    let left_out = events[0]["left_out"].as_u64().unwrap();
    assert_eq!(left_out, 2);
}
