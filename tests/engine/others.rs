//! Models of other programs in the page: they open, write and are refused as in the library.

use blankslate::checkpoint::*;
use blankslate::config::{ModelConfig, SampleConfig};
use blankslate::protocol::{Command, Event, NamedFile};
use blankslate::sample::Generator;
use blankslate::tokenizer::Tokenizer;
use serde_json::json;

use crate::common;
use crate::common::others::{
    EMBEDDING, HEAD, edited, files_of, generated, renamed, reshaped, small,
};
use crate::support::{Page, generate};

fn sampling() -> SampleConfig {
    SampleConfig { seed: 4, temperature: 1.5, max_new_tokens: 40, ..SampleConfig::default() }
}

/// A small model whose tokenizer has a token for each of the first 256 rows.
fn model(rows: usize) -> Files {
    let mut files = files_of(&ModelConfig { vocab_size: rows, ..small() });
    files.insert(TOKENIZER.into(), Tokenizer::byte(&[]).unwrap().to_json());
    files
}

fn open(files: &Files) -> Command {
    let files = files.iter();
    let files = files
        .map(|(name, bytes)| NamedFile { name: format!("model/{name}"), bytes: bytes.clone() });
    Command::OpenFiles { name: "opened".into(), files: files.collect() }
}

/// The text that the page writes after `a`.
fn in_page(page: &Page, files: &Files) -> String {
    page.send(open(files));
    let events = page.send(generate(1, "a", sampling()));
    let pieces = events.iter().filter_map(|event| match event {
        Event::Text { text, .. } => Some(text.as_str()),
        _ => None,
    });
    pieces.collect()
}

/// The text that the library writes after `a`.
fn in_library(files: &Files) -> String {
    let mut loaded = unpack(files.clone(), "opened").unwrap();
    let tokenizer = loaded.take_tokenizer("opened").unwrap();
    let model = loaded.model(&common::cpu()).unwrap();
    generated(Generator::new(model, &tokenizer, "a", &sampling()).unwrap()).unwrap().0
}

#[test]
fn models_of_other_programs_write_as_in_the_library() {
    let page = Page::open();
    let plain = model(256);
    let text = in_library(&plain);
    let ends = edited(&plain, |c| c["eos_token_id"] = json!((0..128).collect::<Vec<u32>>()));
    let mut ends_elsewhere = plain.clone();
    let list = json!({ "eos_token_id": (0..128).collect::<Vec<u32>>() });
    ends_elsewhere.insert(GENERATION_CONFIG.into(), list.to_string().into_bytes());
    let tied = |c: &mut serde_json::Value| c["tie_word_embeddings"] = json!(true);
    // Each with whether the model is the same as the plain one.
    for (what, files, same) in [
        ("as we save it", plain.clone(), true),
        ("a list of end tokens", ends, false),
        ("end tokens in generation_config.json", ends_elsewhere, false),
        ("rows without a token", model(512), false),
        ("a tied model with a head of its own", edited(&plain, tied), true),
        ("torch.compile", renamed(&plain, |name| format!("_orig_mod.{name}")), true),
        ("DataParallel", renamed(&plain, |name| format!("module.{name}")), true),
    ] {
        let expected = in_library(&files);
        assert_eq!(expected == text, same, "{what}");
        assert_eq!(in_page(&page, &files), expected, "{what}");
    }
}

#[test]
fn the_page_refuses_what_the_library_refuses() {
    let page = Page::open();
    let plain = model(256);
    let nan = reshaped(&plain, |tensors| {
        tensors.get_mut(EMBEDDING).unwrap().values[7] = f32::NAN;
    });
    let twice = reshaped(&plain, |tensors| {
        let head = tensors[HEAD].clone();
        tensors.insert(format!("_orig_mod.{HEAD}"), head);
    });
    let mut pickled = plain.clone();
    pickled.remove(WEIGHTS);
    pickled.insert("pytorch_model.bin".into(), Vec::new());
    let adapter = br#"{"peft_type": "LORA", "base_model_name_or_path": "org/base"}"#.to_vec();
    let adapter: Files = [("adapter_config.json".to_string(), adapter)].into();
    for (files, words) in [
        (nan, "`model.embed_tokens.weight` contains"),
        (twice, "occurs with and without `_orig_mod.`"),
        (pickled, "its weights are in pytorch_model.bin"),
        (adapter, "a LoRA adapter of org/base, not a model"),
    ] {
        let message = page.failure(open(&files));
        assert!(message.contains(words), "{message}");
        assert_eq!(message, unpack(files, "opened").unwrap_err().to_string());
    }
}
