//! Fine-tuning on conversations and on text, and chatting with the result.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Outcome, Place, run, run_with};

const TOLD: [(&str, &str); 3] =
    [("sky?", "It is blue."), ("sea?", "Green, they say."), ("snow?", "White as salt.")];

impl Place {
    /// A byte-level model whose context holds short conversations, and conversations to fine-tune it on.
    fn with_conversations() -> Self {
        let place = Self::new();
        place
            .train("base", "--steps 2 --tokenizer byte --hidden-size 48 --layers 2 --seq-len 64")
            .ok();
        let line = |(question, answer): &(&str, &str)| {
            let turn = |role: &str, content: &str| json!({ "role": role, "content": content });
            json!({ "messages": [turn("user", question), turn("assistant", answer)] }).to_string()
        };
        place.write("chat.jsonl", TOLD.iter().map(line).collect::<Vec<_>>().join("\n"));
        place
    }

    fn tune(&self, from: &str, out: &str, data: &str, more: &str) -> Outcome {
        let (from, out, data) = (self.at(from), self.at(out), self.at(data));
        run(&format!("train --device cpu --from {from} --out {out} --data {data} {more}"))
    }

    fn chat(&self, model: &str, more: &str, typed: &str) -> Outcome {
        let model = self.at(model);
        run_with(&format!("chat --device cpu --model {model} {more}"), typed.as_bytes())
    }
}

const MEMORIZE: &str = "--steps 150 --batch-size 8 --lr 0.01 --val-fraction 0 --warmup-steps 5";

#[test]
fn a_model_tuned_on_conversations_gives_the_answers_it_was_trained_on() {
    let place = Place::with_conversations();
    let events = place.tune("base", "run", "chat.jsonl", &format!("{MEMORIZE} --json")).json();
    assert_eq!(events[0]["data"]["kind"], "conversations");
    // Two tokens more than the base model has.
    assert_eq!(events[0]["model"]["vocab_size"], 258);
    let config: Value = serde_json::from_slice(&place.read("run/tokenizer_config.json")).unwrap();
    assert_eq!(config["eos_token"], "<|im_end|>");
    assert!(config["chat_template"].as_str().unwrap().contains("add_generation_prompt"));
    let base: Value = serde_json::from_slice(&place.read("base/tokenizer_config.json")).unwrap();
    assert!(base.get("chat_template").is_none());

    let typed: String = TOLD.iter().map(|(question, _)| format!("{question}\n/reset\n")).collect();
    let answers = place.chat("run", "--temperature 0 --json", &typed).json();
    for ((question, answer), found) in TOLD.iter().zip(&answers) {
        assert_eq!(found["content"], *answer, "{question}");
        assert_eq!((&found["role"], &found["dropped"]), (&json!("assistant"), &json!(0)));
        // The answer and the token that ends it.
        assert_eq!(found["tokens"], answer.len() + 1);
    }
    assert_eq!(answers.len(), TOLD.len());
    let spoken = place.chat("run", "--temperature 0", "sky?\n");
    assert_eq!(spoken.stderr, "");
    assert_eq!(spoken.ok(), "It is blue.\n");
    // The second answer continues from the cache of the first: only the end of that message and the new one are read.
    let turns =
        place.chat("run", "--temperature 0 --json --max-new-tokens 13", "sky?\nsea?\n").json();
    let number = |turn: usize, key: &str| turns[turn][key].as_u64().unwrap();
    assert_eq!(number(0, "reused"), 0);
    let read = number(1, "prompt_tokens") - number(1, "reused");
    assert!(read < number(0, "prompt_tokens") + 4, "{turns:?}");
    // Without /reset the context of 64 tokens fills up; the newest question is still answered.
    let long = place.chat("run", "--temperature 0 --max-new-tokens 20", &"sky?\n".repeat(4));
    assert!(long.stderr.contains("2 oldest messages are left out"), "{}", long.stderr);
    assert_eq!(long.ok().lines().count(), 4);
}

#[test]
fn stopped_fine_tuning_resumes_exactly() {
    let place = Place::with_conversations();
    // Hugging Face's files, with a tokenizer whose vocabulary leaves rows of the embedding free.
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/golden");
    // Read as text, since its lines do not look like JSON.
    let lines = String::from_utf8(place.read("chat.jsonl")).unwrap();
    let text = format!("user assistant system\n{lines}").replace('\n', "\n- ");
    place.write("letters.txt", text);
    for name in ["gpt2-tiny", "llama-tiny"] {
        fs::create_dir(place.path(name)).unwrap();
        for file in ["config.json", "model.safetensors"] {
            fs::copy(golden.join(name).join(file), place.path(&format!("{name}/{file}"))).unwrap();
        }
        let (out, letters) = (place.at(&format!("{name}/tokenizer.json")), place.at("letters.txt"));
        run(&format!("tokenizer train --kind char --vocab-size 97 --out {out} {letters}")).ok();
        for data in ["chat.jsonl", "letters.txt"] {
            let flags = "--steps 6 --dropout 0.1 --seq-len 40 --val-fraction 0";
            let outs = ["straight", "halves"].map(|out| format!("{name}-{data}-{out}"));
            place.tune(name, &outs[0], data, flags).ok();
            place.tune(name, &outs[1], data, &format!("{flags} --stop-at 3")).ok();
            let (out, data) = (place.at(&outs[1]), place.at(data));
            run(&format!("train --resume --device cpu --out {out} --data {data}")).ok();
            for file in ["model.safetensors", "optimizer.safetensors", "config.json"] {
                let [straight, halves] =
                    outs.each_ref().map(|out| place.read(&format!("{out}/{file}")));
                assert!(straight == halves, "{file} of {}", outs[1]);
            }
            let config: Value =
                serde_json::from_slice(&place.read(&format!("{}/config.json", outs[0]))).unwrap();
            assert_eq!(config["vocab_size"], 97);
        }
    }
}

#[test]
fn models_and_settings_that_cannot_be_tuned_or_chatted_with_are_refused() {
    let place = Place::with_conversations();
    place.chat("base", "", "sky?\n").refuses(1, &["no special tokens <|im_start|>", "with --from"]);
    let tune =
        |data: &str, more: &str| place.tune("base", "out", data, &format!("--steps 1 {more}"));
    tune("chat.jsonl", "--hidden-size 32").refuses(2, &["--from", "architecture"]);
    tune("chat.jsonl", "--preset small").refuses(2, &["--preset", "cannot be used with"]);
    tune("chat.jsonl", "--seq-len 65").refuses(2, &["--seq-len", "context of 64"]);
    let mixed = format!("{} {}", place.at("chat.jsonl"), place.at("text.txt"));
    let (base, out) = (place.at("base"), place.at("out"));
    run(&format!("train --device cpu --from {base} --out {out} --data {mixed}"))
        .refuses(2, &["conversations and other text"]);
    place.write(
        "broken.jsonl",
        "{\"messages\": [{\"role\": \"assistant\", \"content\": \"x\"}]}\n{}\n",
    );
    tune("broken.jsonl", "").refuses(1, &["broken.jsonl", "line 2", "messages"]);

    place.tune("base", "run", "chat.jsonl", "--steps 2 --stop-at 1").ok();
    let (out, text) = (place.at("run"), place.at("text.txt"));
    run(&format!("train --resume --device cpu --out {out} --data {text}"))
        .refuses(2, &["--data", "holds no conversations"]);
}

#[test]
fn a_gguf_file_is_a_model_like_any_other() {
    let place = Place::new();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf");
    fs::create_dir(place.path("folder")).unwrap();
    fs::copy(golden.join("llama.gguf"), place.path("folder/llama.gguf")).unwrap();
    let sample = |model: &str| {
        let model = place.at(model);
        let flags = "--max-new-tokens 8 --temperature 0";
        run(&format!("sample --device cpu --model {model} --prompt she {flags}")).ok()
    };
    assert_eq!(sample("folder/llama.gguf"), sample("folder"));
    let (model, text) = (place.at("folder"), place.at("text.txt"));
    let found = run(&format!("eval --json --device cpu --model {model} --data {text}")).json();
    assert!(found[0]["loss"].as_f64().unwrap() > 1.0, "{found:?}");
    let flags = "--steps 20 --lr 0.01 --seq-len 32 --json";
    let events = place.tune("folder/llama.gguf", "run", "text.txt", flags).json();
    let losses: Vec<f64> = events.iter().filter_map(|event| event["loss"].as_f64()).collect();
    assert!(losses[19] < 0.8 * losses[0], "{losses:?}");
    place.write("broken.gguf", &place.read("folder/llama.gguf")[..5000]);
    run(&format!("sample --device cpu --model {}", place.at("broken.gguf")))
        .refuses(1, &["broken.gguf", "more are expected", "download it again"]);
}
