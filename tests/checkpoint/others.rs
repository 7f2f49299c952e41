//! Models as other programs save them: end tokens, padded vocabularies, heads, wrapped names, absent settings, and what is
//! refused by name.

use blankslate::checkpoint::*;
use blankslate::config::{EndTokens, ModelConfig, SampleConfig};
use blankslate::error::Error;
use blankslate::model::{Decoder, TokenIds, random_source, read_floats};
use blankslate::platform::block_on;
use blankslate::sample::Generator;
use blankslate::tokenizer::Tokenizer;
use serde_json::{Value, json};

use crate::common;
use crate::common::others::{
    EMBEDDING, HEAD, edited, files_of, generated, renamed, reshaped, small,
};

fn open(files: &Files) -> Checkpoint {
    unpack(files.clone(), "the test").unwrap()
}

fn refusal(files: &Files) -> String {
    unpack(files.clone(), "the test").unwrap_err().to_string()
}

fn logits(files: &Files) -> Vec<f32> {
    let mut loaded = open(files);
    let v = loaded.config.vocab_size;
    let model = loaded.model(&common::cpu()).unwrap();
    let ids = TokenIds::new(&[5, 1, 4, 1, 3, 2], 1, v, &model.device()).unwrap();
    let logits = model.forward(ids, None, None).unwrap();
    block_on(read_floats(logits.reshape([6 * v]))).unwrap()
}

#[test]
fn every_end_token_of_either_file_ends_a_text() {
    let files = edited(&files_of(&small()), |c| c["eos_token_id"] = json!([7, 9, 99]));
    // Ids outside the vocabulary count as none.
    assert_eq!(open(&files).config.eos_token_id.ids(), [7, 9]);
    let with = |generation: &str| {
        let mut files = files.clone();
        files.insert(GENERATION_CONFIG.into(), generation.into());
        open(&files).config.eos_token_id.ids().to_vec()
    };
    assert_eq!(with(r#"{"eos_token_id": [8, 9, 10]}"#), [8, 9, 10]);
    assert_eq!(with(r#"{"eos_token_id": 3}"#), [3]);
    assert_eq!(with(r#"{"eos_token_id": null}"#), [7, 9]);
    assert_eq!(with("{}"), [7, 9]);

    let tokenizer = Tokenizer::byte(&[]).unwrap();
    let ends: EndTokens = (0..128).collect();
    let config = ModelConfig { vocab_size: 256, eos_token_id: ends, ..small() };
    let model = Decoder::new(&config, &common::cpu(), &mut random_source(1)).unwrap();
    for seed in 0..8 {
        let sampling = SampleConfig { seed, temperature: 2.0, ..SampleConfig::default() };
        let generator = Generator::new(model.clone(), &tokenizer, "a", &sampling).unwrap();
        let (_, ids) = generated(generator).unwrap();
        let (last, rest) = ids[1..].split_last().unwrap();
        assert!(*last < 128 && rest.iter().all(|id| *id >= 128), "{ids:?}");
    }
}

#[test]
fn rows_without_a_token_add_no_text() {
    let tokenizer = Tokenizer::byte(&[]).unwrap();
    let config = ModelConfig { vocab_size: 512, ..small() };
    let model = Decoder::new(&config, &common::cpu(), &mut random_source(1)).unwrap();
    let sampling = SampleConfig {
        temperature: 2.0,
        top_p: 1.0,
        max_new_tokens: 60,
        ..SampleConfig::default()
    };
    let generator = Generator::new(model.clone(), &tokenizer, "a", &sampling).unwrap();
    let (text, ids) = generated(generator).unwrap();
    let known: Vec<u32> = ids[1..].iter().copied().filter(|id| *id < 256).collect();
    assert_eq!(ids.len(), 61);
    assert!(known.len() < 50 && known.len() > 10, "{} of 60", known.len());
    assert_eq!(text, tokenizer.decode(&known).unwrap());
    // A text with such a row can be continued; an id without a row is an error.
    let continued = |ids: Vec<u32>| Generator::from_ids(model.clone(), &tokenizer, ids, &sampling);
    assert!(generated(continued(ids[..20].to_vec()).unwrap()).is_ok());
    assert!(matches!(continued(vec![1, 512]), Err(Error::TokenOutOfRange { id: 512, .. })));
}

#[test]
fn a_tokenizer_with_tokens_without_a_row_opens_with_a_note() {
    let mut files = files_of(&small());
    files.insert(TOKENIZER.into(), Tokenizer::byte(&[]).unwrap().to_json());
    let mut loaded = open(&files);
    assert!(loaded.notes[0].contains("it has 256 ids, but the model's vocabulary has 48"));
    let tokenizer = loaded.take_tokenizer("the test").unwrap();
    let model = loaded.model(&common::cpu()).unwrap();
    let sampling = SampleConfig { max_new_tokens: 3, ..SampleConfig::default() };
    let of = |prompt: &str| {
        let generator = Generator::new(model.clone(), &tokenizer, prompt, &sampling).unwrap();
        generated(generator)
    };
    assert!(of("\x05").is_ok());
    assert!(matches!(of("a"), Err(Error::TokenOutOfRange { id: 97, vocab_size: 48 })));
}

#[test]
fn a_head_in_the_file_counts_before_the_configuration() {
    let own = files_of(&small());
    let expected = logits(&own);
    let tied = |c: &mut Value| c["tie_word_embeddings"] = json!(true);
    let (loaded, files) = (open(&edited(&own, tied)), edited(&own, tied));
    assert!(!loaded.config.tie_word_embeddings);
    assert!(loaded.notes[0].contains("differs from the token embedding"), "{:?}", loaded.notes);
    assert_eq!(logits(&files), expected);

    // The same head, or only one of the two names, is a tied model.
    let both = files_of(&ModelConfig { tie_word_embeddings: true, ..small() });
    let expected = logits(&both);
    let same = reshaped(&both, |tensors| {
        let head = tensors[EMBEDDING].clone();
        tensors.insert(HEAD.into(), head);
    });
    let only_head = reshaped(&both, |tensors| {
        let head = tensors.remove(EMBEDDING).unwrap();
        tensors.insert(HEAD.into(), head);
    });
    for files in [same, only_head] {
        let loaded = open(&files);
        assert!(loaded.config.tie_word_embeddings && loaded.notes.is_empty());
        assert_eq!(logits(&files), expected);
    }
}

#[test]
fn names_of_wrappers_are_removed_with_a_note() {
    let plain = files_of(&small());
    let expected = logits(&plain);
    for (rename, wrapper) in [
        (&(|name: &str| format!("_orig_mod.{name}")) as &dyn Fn(&str) -> String, "torch.compile"),
        (&|name| format!("module.{name}"), "DataParallel"),
        (&|name| format!("module._orig_mod.{name}"), "torch.compile"),
        (&|name| format!("_orig_mod.module.{name}"), "DataParallel"),
        (&|name| name.replace("layers.1.", "layers.1._orig_mod."), "torch.compile"),
        (&|name| name.replace("mlp.", "mlp._checkpoint_wrapped_module."), "checkpoint_wrapper"),
    ] {
        let wrapped = renamed(&plain, rename);
        let notes = open(&wrapped).notes;
        assert!(notes.iter().any(|note| note.contains(wrapper)), "{notes:?}");
        assert_eq!(logits(&wrapped), expected, "{wrapper}");
    }
    let twice = reshaped(&plain, |tensors| {
        let head = tensors[HEAD].clone();
        tensors.insert(format!("_orig_mod.{HEAD}"), head);
    });
    assert!(refusal(&twice).contains("occurs with and without `_orig_mod.`"));
}

#[test]
fn weights_that_are_not_finite_are_refused_by_name() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let broken = reshaped(&files_of(&small()), |tensors| {
            tensors.get_mut("model.layers.1.mlp.up_proj.weight").unwrap().values[7] = value;
        });
        let error = refusal(&broken);
        assert!(error.contains("`model.layers.1.mlp.up_proj.weight` contains"), "{error}");
    }
    // Finite weights can be too large for finite logits.
    let huge = reshaped(&files_of(&ModelConfig { vocab_size: 256, ..small() }), |tensors| {
        tensors.get_mut(HEAD).unwrap().values.fill(f32::MAX);
    });
    let model = open(&huge).model(&common::cpu()).unwrap();
    let tokenizer = Tokenizer::byte(&[]).unwrap();
    let generator = Generator::new(model, &tokenizer, "a", &SampleConfig::default()).unwrap();
    assert!(matches!(generated(generator), Err(Error::NonFiniteLogits)));
}

#[test]
fn absent_settings_take_the_defaults_of_transformers() {
    let files = files_of(&small());
    let config = |edit: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let files = edited(&files, |c| edit(c.as_object_mut().unwrap()));
        from_hf(&files[CONFIG])
    };
    let mistral = |keys: &mut serde_json::Map<String, Value>| {
        keys.insert("model_type".into(), json!("mistral"));
    };
    let window = |value: Option<Value>| {
        config(&|keys| {
            mistral(keys);
            match &value {
                Some(value) => drop(keys.insert("sliding_window".into(), value.clone())),
                None => drop(keys.remove("sliding_window")),
            }
        })
        .unwrap()
        .sliding_window
    };
    assert_eq!(window(None), Some(4096));
    assert_eq!(window(Some(Value::Null)), None);
    assert_eq!(window(Some(json!(8))), Some(8));

    let heads = |type_of: &str, value: Option<Value>| {
        config(&|keys| {
            keys.insert("model_type".into(), json!(type_of));
            keys.insert("num_attention_heads".into(), json!(16));
            match &value {
                Some(value) => drop(keys.insert("num_key_value_heads".into(), value.clone())),
                None => drop(keys.remove("num_key_value_heads")),
            }
        })
        .unwrap()
        .num_key_value_heads
    };
    assert_eq!((heads("llama", None), heads("llama", Some(Value::Null))), (16, 16));
    assert_eq!((heads("mistral", None), heads("mistral", Some(Value::Null))), (8, 16));
    let found = config(&|keys| {
        mistral(keys);
        for key in ["max_position_embeddings", "intermediate_size", "vocab_size"] {
            keys.remove(key);
        }
    });
    let found = found.unwrap();
    let sizes = (found.max_position_embeddings, found.intermediate_size, found.vocab_size);
    assert_eq!(sizes, (131_072, 14_336, 32_000));
    let null = config(&|keys| drop(keys.insert("hidden_size".into(), Value::Null)));
    assert!(null.unwrap_err().to_string().contains("hidden_size is null"));

    // GPT-2 under the names of other architectures.
    let own = br#"{"model_type": "gpt2", "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
        "max_position_embeddings": 64, "vocab_size": 97}"#;
    let found = from_hf(own).unwrap();
    let sizes = [found.hidden_size, found.num_hidden_layers, found.num_attention_heads];
    assert_eq!((sizes, found.max_position_embeddings), ([32, 3, 4], 64));
    let quantized = config(&|keys| {
        let method = json!({ "quant_method": "gptq", "bits": 4 });
        keys.insert("quantization_config".into(), method);
    });
    assert!(quantized.unwrap_err().to_string().contains("the weights are quantized (gptq)"));
}

#[test]
fn what_a_folder_contains_instead_of_a_model_is_named() {
    let adapter = br#"{"peft_type": "LORA", "base_model_name_or_path": "org/base"}"#.to_vec();
    let folder: Files = [("adapter_config.json".to_string(), adapter.clone())].into();
    let error = refusal(&find_checkpoint(folder));
    assert!(error.contains("a LoRA adapter of org/base, not a model"), "{error}");

    let mut files = files_of(&small());
    files.insert("adapter_config.json".into(), adapter);
    assert!(open(&files).notes[0].contains("is not applied"));
    files.remove(WEIGHTS);
    files.insert("pytorch_model.bin".into(), Vec::new());
    let error = refusal(&files);
    assert!(error.contains("its weights are in pytorch_model.bin"), "{error}");
}

#[test]
fn files_that_macos_adds_are_passed_over() {
    let files = files_of(&small());
    let expected = logits(&files);
    let mut folder = Files::new();
    for (name, bytes) in files {
        folder.insert(format!("__MACOSX/model/._{name}"), vec![0, 5, 22, 7]);
        folder.insert(format!("model/._{name}"), vec![0, 5, 22, 7]);
        folder.insert(format!("model/{name}"), bytes);
    }
    folder.insert("__MACOSX/._config.json".into(), Vec::new());
    assert_eq!(logits(&find_checkpoint(folder)), expected);
    let file: Files = [("._x.gguf".to_string(), vec![0, 5, 22, 7])].into();
    assert!(refusal(&file).contains("config.json is missing"));
}

const ZIP: &[u8] = include_bytes!("../golden/zip/model.zip");

#[test]
fn a_deflated_zip_opens_as_its_files_do() {
    let files = Files::from([
        ("config.json".into(), include_bytes!("../golden/rope-linear/config.json").to_vec()),
        (
            "model.safetensors".into(),
            include_bytes!("../golden/rope-linear/model.safetensors").to_vec(),
        ),
    ]);
    assert!(ZIP.len() < pack_zip(&files).unwrap().len());
    assert_eq!(unpack_zip("a.zip", ZIP).unwrap(), files);
    // A damaged entry is named, also if it can be inflated.
    for damage in [&[0x55; 40][..], &[0x55]] {
        let mut damaged = ZIP.to_vec();
        let middle = damaged.len() / 2;
        damaged[middle..middle + damage.len()].copy_from_slice(damage);
        let error = unpack_zip("a.zip", &damaged).unwrap_err().to_string();
        assert!(error.starts_with("a.zip cannot be read: model/"), "{error}");
    }
    let mut stored = pack_zip(&files).unwrap();
    let middle = stored.len() / 2;
    stored[middle] ^= 1;
    let error = unpack_zip("a.zip", &stored).unwrap_err().to_string();
    assert!(error.contains("model.safetensors has another checksum"), "{error}");
}

#[test]
fn a_zip_that_expands_without_measure_is_refused() {
    // 80 MiB of spaces.
    let packed = include_bytes!("../golden/zip/bomb.zip");
    let error = unpack_zip("bomb.zip", packed).unwrap_err().to_string();
    assert!(error.contains("expands to more than 20 times the archive"), "{error}");
}
