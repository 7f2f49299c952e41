//! Models of other programs on the command line.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Place, run};

fn edit(place: &Place, file: &str, edit: impl FnOnce(&mut Value)) {
    let mut value: Value = fs::read(place.path(file))
        .map_or_else(|_| json!({}), |bytes| serde_json::from_slice(&bytes).unwrap());
    edit(&mut value);
    place.write(file, value.to_string());
}

#[test]
fn fine_tuning_keeps_the_files_that_accompany_a_model() {
    let place = Place::new();
    place.train("base", "--steps 1 --tokenizer byte").ok();
    place.copy("base", "model");
    edit(&place, "model/config.json", |c| {
        c["eos_token_id"] = json!([8, 9]);
        c["pad_token_id"] = json!(7);
    });
    edit(&place, "model/generation_config.json", |c| {
        *c = json!({ "eos_token_id": [9, 10], "temperature": 0.6 });
    });
    edit(&place, "model/tokenizer_config.json", |c| {
        c["chat_template"] = json!("{{ messages }}");
        c["pad_token"] = json!("<pad>");
        c["tokenizer_class"] = json!("SomeTokenizer");
    });
    place.write("model/special_tokens_map.json", r#"{"pad_token": "<pad>"}"#);
    place.write("model/chat_template.jinja", "{{ messages }}");
    let arguments = |from: &str, out: &str, data: &str| {
        format!(
            "train --device cpu --from {} --out {} --data {} --seq-len 16 --batch-size 2 --steps 1 --sample-every 1",
            place.at(from),
            place.at(out),
            place.at(data)
        )
    };
    run(&arguments("model", "tuned", "text.txt")).ok();
    // Fine-tuned once more, nothing has got lost on the way.
    run(&arguments("tuned", "again", "text.txt")).ok();
    for out in ["tuned", "tuned/checkpoints/step-00000001", "again"] {
        let read = |file: &str| -> Value {
            serde_json::from_slice(&place.read(&format!("{out}/{file}"))).unwrap()
        };
        let config = read("config.json");
        assert_eq!(
            (&config["eos_token_id"], &config["pad_token_id"]),
            (&json!([9, 10]), &json!(7))
        );
        let generation = json!({ "eos_token_id": [9, 10], "temperature": 0.6 });
        assert_eq!(read("generation_config.json"), generation);
        let tokenizer = read("tokenizer_config.json");
        assert_eq!(tokenizer["chat_template"], "{{ messages }}");
        assert_eq!(tokenizer["pad_token"], "<pad>");
        assert_eq!(tokenizer["tokenizer_class"], "PreTrainedTokenizerFast");
        assert_eq!(read("special_tokens_map.json"), json!({ "pad_token": "<pad>" }));
        assert_eq!(place.read(&format!("{out}/chat_template.jinja")), b"{{ messages }}");
    }

    // Training on conversations replaces the template and adds the end of a message.
    place.write(
        "chat.jsonl",
        r#"{"messages": [{"role": "user", "content": "she"}, {"role": "assistant", "content": "sells"}]}"#,
    );
    run(&arguments("model", "chat", "chat.jsonl")).ok();
    let read = |file: &str| -> Value {
        serde_json::from_slice(&place.read(&format!("chat/{file}"))).unwrap()
    };
    let ends = read("config.json")["eos_token_id"].clone();
    assert_eq!(ends, json!([257, 9, 10]));
    assert_eq!(read("generation_config.json")["eos_token_id"], ends);
    let tokenizer = read("tokenizer_config.json");
    assert!(tokenizer["chat_template"].as_str().unwrap().contains("<|im_start|>"));
    assert_eq!(
        (&tokenizer["eos_token"], &tokenizer["pad_token"]),
        (&json!("<|im_end|>"), &json!("<pad>"))
    );
    assert!(!place.path("chat/chat_template.jinja").exists());
}

#[test]
fn a_folder_of_another_kind_is_refused_by_name() {
    let place = Place::new();
    place.train("model", "--steps 1 --tokenizer byte").ok();
    fs::create_dir(place.path("adapter")).unwrap();
    place.write("adapter/adapter_config.json", r#"{"base_model_name_or_path": "org/base"}"#);
    place.write("adapter/adapter_model.safetensors", "");
    let sample = |model: &str| run(&format!("sample --device cpu --model {}", place.at(model)));
    sample("adapter").refuses(1, &["adapter_config.json", "LoRA adapter of org/base"]);
    place.copy("model", "torch");
    fs::remove_file(place.path("torch/model.safetensors")).unwrap();
    place.write("torch/pytorch_model.bin", "");
    sample("torch").refuses(1, &["model.safetensors is missing", "pytorch_model.bin"]);
}
