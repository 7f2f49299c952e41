//! Every subcommand except `train`, where it succeeds.

use std::path::Path;
use std::process::Stdio;

use crate::support::{Place, TEXT, command, outcome, run, run_with};

#[test]
fn samples_stream_and_repeat_with_their_seed() {
    let place = Place::with_model();
    let sample = format!("sample --device cpu --max-new-tokens 40 --model {}", place.at("model"));
    let first = run(&format!("{sample} --prompt sea --seed 7")).ok();
    assert!(first.starts_with("sea") && first.ends_with('\n') && first.len() == 44, "{first:?}");
    assert_eq!(run(&format!("{sample} --prompt sea --seed 7")).ok(), first);
    assert_ne!(run(&format!("{sample} --prompt sea --seed 8")).ok(), first);
    let object = &run_with(&format!("{sample} --prompt - --seed 7 --json"), b"sea").json()[0];
    assert_eq!(format!("sea{}\n", object["text"].as_str().unwrap()), first);
    assert_eq!(object["tokens"], 40);
    assert!(object["tokens_per_second"].as_f64().unwrap() > 0.0);
    // A checkpoint of the run is a model as well.
    let checkpoint = place.at("model/checkpoints/step-00000004");
    run(&format!("sample --device cpu --max-new-tokens 1 --model {checkpoint}")).ok();
}

#[test]
fn a_draft_model_does_not_change_the_text() {
    let place = Place::with_model();
    place.train("draft", "--steps 20 --seed 2").ok();
    place.train("other", "--steps 1 --tokenizer byte").ok();
    let sample = format!("sample --device cpu --max-new-tokens 40 --model {}", place.at("model"));
    let draft = |name: &str| format!("{sample} --prompt sea --draft {}", place.at(name));
    let drafted = run(&draft("draft"));
    assert!(
        drafted.stderr.contains("proposed tokens were accepted: 40 tokens in"),
        "{}",
        drafted.stderr
    );
    assert_eq!(drafted.ok(), run(&format!("{sample} --prompt sea")).ok());
    let guesses = &run(&format!("{} --draft-tokens 2 --json", draft("draft"))).json()[0]["guesses"];
    let [right, passes] = ["right", "passes"].map(|key| guesses[key].as_u64().unwrap());
    assert_eq!(right + passes, 40);
    run(&draft("other")).refuses(1, &["--draft", "another tokenizer"]);

    let circles = format!("{sample} --prompt sea --temperature 0");
    let drafted = &run(&format!("{circles} --draft-ngram --json")).json()[0];
    assert_eq!(format!("sea{}\n", drafted["text"].as_str().unwrap()), run(&circles).ok());
    assert!(drafted["guesses"]["passes"].as_u64().unwrap() < 40, "{drafted}");
    run(&format!("{} --draft-ngram", draft("draft"))).refuses(2, &["cannot be used with"]);
    run(&format!("{sample} --draft-tokens 2")).refuses(2, &["--draft"]);
}

#[test]
fn evaluation_repeats_what_training_reported() {
    let place = Place::new();
    let events = place.train("model", "--steps 3 --val-fraction 0.2 --json").json();
    let reported = events.iter().find(|event| event["type"] == "eval").unwrap();
    let (model, data) = (place.at("model"), place.at("text.txt"));
    let eval = format!("eval --device cpu --model {model} --data {data} --json");
    // The saved weights give the same numbers.
    let split = &run(&format!("{eval} --val-fraction 0.2")).json()[0];
    assert_eq!(split["loss"], reported["loss"]);
    assert_eq!(split["tokens"], reported["tokens"]);
    let whole = &run(&eval).json()[0];
    assert_eq!(whole["tokens"].as_u64().unwrap() as usize, TEXT.len() * 40 - 1);
    let (loss, perplexity) =
        (whole["loss"].as_f64().unwrap(), whole["perplexity"].as_f64().unwrap());
    assert!((loss.exp() - perplexity).abs() < 1e-9 * perplexity);
    assert!(run(&eval.replace(" --json", "")).ok().contains("bits per byte"));
}

#[test]
fn logits_have_one_row_per_position() {
    let place = Place::with_model();
    let logits = format!("logits --device cpu --model {} --ids", place.at("model"));
    let object = &run(&format!("{logits} 1,2,3 --json")).json()[0];
    let rows = object["logits"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    // Later tokens do not change earlier logits.
    let shorter = &run(&format!("{logits} 1,2 --json")).json()[0];
    for (row, other) in rows.iter().zip(shorter["logits"].as_array().unwrap()) {
        for (a, b) in row.as_array().unwrap().iter().zip(other.as_array().unwrap()) {
            assert!((a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-5);
        }
    }
    assert_eq!(run(&format!("{logits} 1,2")).ok().lines().count(), 2);
}

#[test]
fn golden_cases_pass_and_a_changed_one_fails() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/golden/gpt2-tiny");
    let check = format!("check --device cpu --golden {}", golden.display());
    assert!(run(&check).ok().contains("all "));
    let report = &run(&format!("{check} --json")).json()[0];
    assert_eq!(report["passed"], true);

    let place = Place::new();
    crate::support::copy_files(&golden, &place.path("changed"));
    let train = String::from_utf8(place.read("changed/train.json")).unwrap();
    let changed = train.replace("\"weight_decay\": 0.", "\"weight_decay\": 7.");
    assert_ne!(train, changed, "the folder names its weight decay otherwise now");
    place.write("changed/train.json", changed);
    run(&format!("check --device cpu --golden {} --json", place.at("changed")))
        .refuses(1, &["comparisons with changed", "worst: step"]);
}

#[test]
fn tokenizers_train_encode_and_decode() {
    let place = Place::new();
    let (out, text) = (place.at("words.json"), place.at("text.txt"));
    for kind in ["bpe --vocab-size 300 --pattern cl100k --special-token <|end|>", "char", "byte"] {
        let train = format!("tokenizer train --json --out {out} {text} --kind {kind}");
        let report = &run(&train).json()[0];
        assert!(report["bytes_per_token"].as_f64().unwrap() >= 1.0, "{report}");
        let encode = format!("tokenizer encode --tokenizer {out}");
        let line = "by the sea\nshe sells\n";
        let ids = run_with(&encode, line.as_bytes()).ok();
        let decode = format!("tokenizer decode --tokenizer {out}");
        assert_eq!(run_with(&decode, ids.as_bytes()).ok(), line);
        let json = run_with(&format!("{encode} --json"), line.as_bytes()).ok();
        assert_eq!(run_with(&decode, json.as_bytes()).ok(), line);
        let text = &run_with(&format!("{decode} --json"), ids.as_bytes()).json()[0];
        assert_eq!(text["text"], line);
    }
    run(&format!(
        "tokenizer train --kind bpe --vocab-size 300 --special-token <|end|> --out {out} {text}"
    ))
    .ok();
    let encode = format!("tokenizer encode --tokenizer {out}");
    assert!(run_with(&encode, b"<|end|>").ok().split_whitespace().count() > 1);
    let one = run_with(&format!("{encode} --allow-special"), b"<|end|>").ok();
    assert_eq!(one.split_whitespace().count(), 1);
}

#[test]
fn information_about_presets_models_and_devices() {
    let object = &run("info --preset gpt2 --json").json()[0];
    assert_eq!(object["parameters"], 124_439_808);
    for key in ["train_flops_per_token", "forward_flops_per_token"] {
        assert!(object[key].as_u64().unwrap() > 100_000_000, "{key}");
    }
    assert!(object["estimate"]["state_bytes"].as_u64().unwrap() > 1_900_000_000);
    assert!(run("info --preset llama-7b").ok().contains("6,738,415,616"));
    let scales = &run("info --preset tiny --scales --json").json()[0]["scales"];
    assert_eq!(scales.as_array().unwrap().len(), 2);
    let place = Place::with_model();
    assert!(run(&format!("info --model {}", place.at("model"))).ok().contains("1 layers, 16 wide"));

    let listed = run("devices --json");
    let devices: serde_json::Value = serde_json::from_str(&listed.ok()).unwrap();
    let names = devices["devices"].as_array().unwrap().iter().map(|device| &device["name"]);
    assert!(names.clone().any(|name| name == "cpu"));
    assert!(names.clone().any(|name| *name == devices["auto"]));
    // Without a session's variables Mesa would complain beside our output.
    let quiet = outcome(command("devices").env_remove("XDG_RUNTIME_DIR").output().unwrap());
    assert_eq!(quiet.stderr, "");
    assert!(quiet.ok().contains("<- auto"));
}

#[test]
fn completions_know_the_subcommands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(run(&format!("completions {shell}")).ok().contains("tokenizer"), "{shell}");
    }
}

#[test]
fn several_texts_are_joined_by_the_end_of_text_token() {
    let place = Place::new();
    place.write("a.txt", TEXT.repeat(20));
    place.write("b.md", TEXT.repeat(20));
    let folder = |name: &str, files: &[&str]| {
        std::fs::create_dir_all(place.path(name)).unwrap();
        for file in files {
            std::fs::copy(place.path(file), place.path(&format!("{name}/{file}"))).unwrap();
        }
    };
    folder("corpus/deep", &["b.md"]);
    folder("corpus", &["a.txt"]);
    let tokens = |data: &str, tokenizer: &str, out: &str| {
        let (out, data) = (place.at(out), place.at(data));
        let small = crate::support::SMALL;
        let more = format!("--steps 1 --val-fraction 0 --json --tokenizer {tokenizer}");
        let events = run(&format!("train {small} --out {out} --data {data} {more}")).json();
        (events[0]["train_tokens"].as_u64().unwrap(), events[0]["model"]["eos_token_id"].clone())
    };
    assert_eq!(
        tokens("corpus", "byte", "bytes"),
        (TEXT.len() as u64 * 40, serde_json::Value::Null)
    );
    let (joined, end) = tokens("corpus", "bpe:270", "both");
    let (one, _) = tokens("a.txt", "bpe:270", "one");
    assert_eq!(joined, 2 * one + 1);
    assert!(end.is_u64());
}

#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    let mut child =
        command("completions bash").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = outcome(child.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}
