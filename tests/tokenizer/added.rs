//! Added tokens and rare forms of `tokenizer.json`, compared with Hugging Face's `tokenizers` (tests/golden/PROVENANCE.md).

use blankslate::tokenizer::{AllowedSpecial, Tokenizer};
use serde_json::{Value, json};

const CASES: &str = include_str!("../golden/added-tokens/cases.json");

/// Returns the file of a case, whose vocabulary is written once for all cases.
fn file_of(all: &Value, case: &Value) -> Vec<u8> {
    let mut file = case["file"].clone();
    if let Some(name) = case["vocab"].as_str() {
        let mut vocab = all[name].as_object().unwrap().clone();
        for token in case["without"].as_array().into_iter().flatten() {
            vocab.remove(token.as_str().unwrap());
        }
        vocab.extend(case["with"].as_object().cloned().unwrap_or_default());
        file["model"]["vocab"] = vocab.into();
    }
    file.to_string().into_bytes()
}

#[test]
fn added_tokens_and_rare_forms_encode_like_tokenizers() {
    let all: Value = serde_json::from_str(CASES).unwrap();
    let prompts = all["prompts"].as_array().unwrap();
    let mut wrong = Vec::new();
    for case in all["cases"].as_array().unwrap() {
        let name = &case["name"];
        let read =
            Tokenizer::from_json(&file_of(&all, case)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let again = Tokenizer::from_json(&read.to_json()).unwrap();
        for tokenizer in [read, again] {
            for (index, prompt) in prompts.iter().enumerate() {
                let prompt = prompt.as_str().unwrap();
                let expected: Vec<u32> =
                    serde_json::from_value(case["ids"][index].clone()).unwrap();
                let ids = tokenizer.encode_with_special(prompt, &AllowedSpecial::All);
                match ids {
                    Ok(ids) if ids == expected => {}
                    other => wrong.push(format!("{name} {prompt:?}: {other:?}, not {expected:?}")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_vocabulary_and_its_merges_are_byte_level_bpe() {
    let all: Value = serde_json::from_str(CASES).unwrap();
    let mut vocab = all["byte_vocab"].clone();
    vocab["<|endoftext|>"] = json!(258);
    let merges = "#version: 0.2\nh i\n\u{120} hi\n";
    let read = |vocab: &Value, added: Option<&[u8]>| {
        let vocab = vocab.to_string().into_bytes();
        Tokenizer::from_vocab_and_merges(&vocab, merges.as_bytes(), added)
    };
    let tokenizer = read(&vocab, Some(br#"{"<pad>": 259}"#)).unwrap();
    assert_eq!(tokenizer.encode("hi hi").unwrap(), [256, 257]);
    assert_eq!((tokenizer.id_of("<pad>"), tokenizer.end_of_text()), (Some(259), Some(258)));
    assert!(read(&json!({ "h": 0 }), None).is_err());
}

#[test]
fn all_tokens_around_a_text_are_read() {
    let mut file: Value = serde_json::from_slice(&Tokenizer::byte(&[]).unwrap().to_json()).unwrap();
    let template = |before: Value, after: Value| {
        let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
        let special = |name: &Value| json!({ "SpecialToken": { "id": name, "type_id": 0 } });
        let before = before.as_array().unwrap().iter().map(special);
        let after = after.as_array().unwrap().iter().map(special);
        json!({
            "type": "TemplateProcessing",
            "single": before.chain([text]).chain(after).collect::<Vec<Value>>(),
            "pair": [],
            "special_tokens": {
                "a": { "id": "a", "ids": [1, 2], "tokens": ["", ""] },
                "b": { "id": "b", "ids": [3], "tokens": [""] },
            },
        })
    };
    let mut around = |post: Value| {
        file["post_processor"] = post;
        let tokenizer = Tokenizer::from_json(&file.to_string().into_bytes()).unwrap();
        (tokenizer.opening().to_vec(), tokenizer.bos(), tokenizer.eos())
    };
    let found = around(template(json!(["a", "b"]), json!(["a"])));
    assert_eq!(found, (vec![1, 2, 3], Some(1), Some(2)));
    let inner = template(json!(["b"]), json!(["b"]));
    let outer = template(json!(["a"]), json!([]));
    let found = around(json!({ "type": "Sequence", "processors": [inner, outer] }));
    assert_eq!(found, (vec![1, 2, 3], Some(1), Some(3)));
}
