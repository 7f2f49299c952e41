//! Checkpoints: round trips, directories of transformers, exact resumption and rejected files.

use std::sync::{Arc, Mutex};

use blankslate::checkpoint::*;
use blankslate::config::*;
use blankslate::data::{Corpus, Tokens, Windows};
use blankslate::error::Error;
use blankslate::model::{Decoder, TokenIds, random_source, read_floats};
use blankslate::platform::{Operation, Store, block_on};
use blankslate::run::directory::{RunDir, read_checkpoint};
use blankslate::tokenizer::Tokenizer;
use blankslate::train::Trainer;
use serde_json::{Value, json};

use crate::common;

fn golden_files(name: &str) -> Files {
    let golden = common::golden(name);
    [(CONFIG.into(), golden.config), (WEIGHTS.into(), golden.model)].into()
}

fn logits(files: Files) -> Vec<f32> {
    let mut loaded = unpack(files, "the test").unwrap();
    let model = loaded.model(&common::cpu()).unwrap();
    let v = loaded.config.vocab_size;
    let ids = TokenIds::new(&[5, 1, 4, 1, 3, 2], 1, v, &model.device()).unwrap();
    let logits = model.forward(ids, None, None).unwrap();
    block_on(read_floats(logits.reshape([6 * v]))).unwrap()
}

fn message(files: Files) -> String {
    unpack(files, "the test")
        .and_then(|mut loaded| loaded.model(&common::cpu()))
        .unwrap_err()
        .to_string()
}

fn edit_config(files: &mut Files, edit: impl FnOnce(&mut Value)) {
    let mut config: Value = serde_json::from_slice(&files[CONFIG]).unwrap();
    edit(&mut config);
    files.insert(CONFIG.into(), config.to_string().into_bytes());
}

#[test]
fn writing_a_transformers_directory_preserves_its_tensors_bit_for_bit() {
    for name in ["gpt2-tiny", "llama-tiny"] {
        let files = golden_files(name);
        let mut loaded = unpack(files.clone(), name).unwrap();
        let model = loaded.model(&common::cpu()).unwrap();
        let ours = block_on(pack(&model, None, None)).unwrap();
        let theirs = read_safetensors(WEIGHTS, &files[WEIGHTS]).unwrap();
        assert_eq!(read_safetensors(WEIGHTS, &ours[WEIGHTS]).unwrap(), theirs, "{name}");
        // Every key of our config.json that transformers also writes has the same value.
        let ours: Value = serde_json::from_slice(&ours[CONFIG]).unwrap();
        let theirs: Value = serde_json::from_slice(&files[CONFIG]).unwrap();
        let shared = ours.as_object().unwrap().iter().filter(|(key, _)| theirs.get(key).is_some());
        let mut count = 0;
        for (key, value) in shared {
            assert_eq!(*value, theirs[key], "{name}: {key}");
            count += 1;
        }
        assert!(count >= 15, "{name}: only {count} keys in common");
    }
}

#[test]
fn fused_and_separate_projections_are_the_same_model() {
    for (name, other) in [("gpt2-tiny", false), ("llama-tiny", true)] {
        let files = golden_files(name);
        let mut turned = files.clone();
        edit_config(&mut turned, |c| c["blankslate"] = json!({ "fused_qkv": other }));
        let (a, b) = (logits(files.clone()), logits(turned.clone()));
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5), "{name}");
        let mut loaded = unpack(turned, name).unwrap();
        assert_eq!(loaded.config.fused_qkv, other);
        let model = loaded.model(&common::cpu()).unwrap();
        let written = block_on(pack(&model, None, None)).unwrap();
        let theirs = read_safetensors(WEIGHTS, &files[WEIGHTS]).unwrap();
        assert_eq!(read_safetensors(WEIGHTS, &written[WEIGHTS]).unwrap(), theirs, "{name}");
    }
}

#[test]
fn directories_of_other_programs_load() {
    let expected = logits(golden_files("llama-tiny"));
    // Before version 5: rope_theta at the top level, no head_dim, no rope_parameters, several end tokens.
    let mut old = golden_files("llama-tiny");
    edit_config(&mut old, |c| {
        let keys = c.as_object_mut().unwrap();
        for key in
            ["rope_parameters", "head_dim", "attention_bias", "mlp_bias", "dtype", "use_cache"]
        {
            keys.remove(key);
        }
        keys.insert("rope_theta".into(), json!(10000.0));
        keys.insert("eos_token_id".into(), json!([7, 8]));
    });
    assert_eq!(unpack(old.clone(), "old").unwrap().config.eos_token_id.ids(), [7, 8]);
    assert_eq!(logits(old.clone()), expected);
    edit_config(&mut old, |c| c["rope_theta"] = json!(500.0));
    assert_ne!(logits(old), expected);

    // Sharded weights.
    let mut sharded = golden_files("llama-tiny");
    let all = read_safetensors(WEIGHTS, &sharded.remove(WEIGHTS).unwrap()).unwrap();
    let (mut one, mut two) = (HostTensors::new(), HostTensors::new());
    let mut map = serde_json::Map::new();
    for (i, (name, tensor)) in all.into_iter().enumerate() {
        let (file, shard) =
            if i % 2 == 0 { ("a.safetensors", &mut one) } else { ("b.safetensors", &mut two) };
        map.insert(name.clone(), file.into());
        shard.insert(name, tensor);
    }
    sharded.insert("a.safetensors".into(), write_safetensors(&one).unwrap());
    sharded.insert("b.safetensors".into(), write_safetensors(&two).unwrap());
    sharded.insert(WEIGHTS_INDEX.into(), json!({ "weight_map": map }).to_string().into_bytes());
    assert_eq!(logits(sharded.clone()), expected);
    sharded.remove("b.safetensors");
    assert!(message(sharded).contains("b.safetensors is missing from the test"));

    // Names without the language-model head's wrapper, masks among the weights, half precision, a redundant tied head.
    let mut bare = golden_files("gpt2-tiny");
    let tensors = read_safetensors(WEIGHTS, &bare[WEIGHTS]).unwrap();
    let mut renamed: HostTensors = tensors
        .into_iter()
        .map(|(name, tensor)| (name.trim_start_matches("transformer.").to_string(), tensor))
        .collect();
    renamed.insert("lm_head.weight".into(), renamed["wte.weight"].clone());
    let mask = HostTensor { shape: vec![1, 1, 2, 2], values: vec![1.0, 0.0, 1.0, 1.0] };
    renamed.insert("h.0.attn.bias".into(), mask);
    bare.insert(WEIGHTS.into(), write_safetensors(&renamed).unwrap());
    assert_eq!(logits(bare), logits(golden_files("gpt2-tiny")));
}

#[test]
fn an_own_configuration_round_trips() {
    let config = ModelConfig {
        qk_norm: true,
        num_key_value_heads: 1,
        hidden_act: HiddenAct::Relu2,
        position_embedding: PositionEmbedding::Rope,
        final_logit_softcapping: Some(15.0),
        dropout: 0.1,
        init: InitScheme::FanIn,
        ..ModelConfig::gpt2(31).with_context(16).with_hidden_size(24).with_layers(3).with_heads(4)
    };
    assert_eq!(Architecture::of(&config), Architecture::Own);
    let model = Decoder::new(&config, &common::cpu(), &mut random_source(3)).unwrap();
    let files = block_on(pack(&model, None, None)).unwrap();
    let mut loaded = unpack(files.clone(), "own").unwrap();
    assert_eq!(loaded.config, config);
    let again = loaded.model(&common::cpu()).unwrap();
    assert_eq!(block_on(pack(&again, None, None)).unwrap(), files);
}

#[test]
fn llama3_rope_scaling_is_read_and_written_back() {
    let config = json!({
        "model_type": "llama", "hidden_size": 128, "intermediate_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 1, "vocab_size": 4, "max_position_embeddings": 64,
        "rope_theta": 500000.0,
        "rope_scaling": { "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                          "original_max_position_embeddings": 8192, "rope_type": "llama3" },
    });
    let config = from_hf(config.to_string().as_bytes()).unwrap();
    let scaling = config.rope_scaling.unwrap();
    assert_eq!((scaling.rope_type, scaling.factor), (RopeType::Llama3, 8.0));
    let again = from_hf(&to_hf(&config)).unwrap();
    assert_eq!(again, config);
}

#[test]
fn a_sliding_window_is_saved_as_mistral_if_possible() {
    let plain = ModelConfig::llama(4)
        .with_context(8)
        .with_hidden_size(16)
        .with_layers(1)
        .with_heads(2)
        .with_kv_heads(1)
        .with_intermediate_size(24);
    let window = ModelConfig { sliding_window: Some(3), ..plain.clone() };
    let written = |config: &ModelConfig| -> serde_json::Value {
        serde_json::from_slice(&to_hf(config)).unwrap()
    };
    assert_eq!(written(&window)["architectures"], json!(["MistralForCausalLM"]));
    for (config, format) in [
        (window.clone(), Architecture::Llama),
        // In transformers, Mistral has no biases and GPT-2 has no window.
        (ModelConfig { attention_bias: true, ..window.clone() }, Architecture::Own),
        (ModelConfig { mlp_bias: true, ..window.clone() }, Architecture::Own),
        (
            ModelConfig {
                sliding_window: Some(3),
                ..ModelConfig::gpt2(4)
                    .with_context(8)
                    .with_hidden_size(16)
                    .with_layers(1)
                    .with_heads(2)
            },
            Architecture::Own,
        ),
    ] {
        assert_eq!(Architecture::of(&config), format, "{config:?}");
        assert_eq!(from_hf(&to_hf(&config)).unwrap(), config);
    }

    let read = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut value = written(&window);
        edit(&mut value);
        from_hf(value.to_string().as_bytes()).map_err(|error| error.to_string())
    };
    let full = read(&|value| value["sliding_window"] = json!(null)).unwrap();
    assert_eq!(full, plain);
    // What is missing takes Mistral's defaults in transformers.
    let without = |key| read(&|value| drop(value.as_object_mut().unwrap().remove(key)));
    assert_eq!(without("sliding_window").unwrap().sliding_window, Some(4096));
    assert_eq!(without("max_position_embeddings").unwrap().max_position_embeddings, 131_072);
    let error = without("num_key_value_heads").unwrap_err();
    assert!(error.contains("num_key_value_heads") && error.contains('8'), "{error}");
    for (key, value) in [("sliding_window", json!(0)), ("attention_bias", json!(true))] {
        let error = read(&|config| config[key] = value.clone()).unwrap_err();
        assert!(error.contains(key), "{error}");
    }
}

/// Runs ten steps of a small run; `from` resumes a checkpoint.
fn run(from: Option<Files>, steps: u64) -> (Trainer, Files) {
    let text: Vec<u32> = (0..400u32).map(|i| (i * i / 3 + i) % 17).collect();
    let data = DataConfig { seq_len: 8, ..Default::default() };
    let train = TrainConfig {
        steps: 20,
        grad_accum: 2,
        schedule: ScheduleConfig::with_warmup(3),
        ..Default::default()
    };
    let device = common::cpu().autodiff();
    let corpus = Corpus::new(Tokens::from_ids(text));
    let record = CorpusRecord::of(&corpus);
    let windows = Windows::new(corpus, &data, train.batch_size, train.seed).unwrap();
    let mut trainer = match from {
        None => {
            let config = ModelConfig {
                dropout: 0.1,
                ..ModelConfig::gpt2(17)
                    .with_context(8)
                    .with_hidden_size(16)
                    .with_layers(2)
                    .with_heads(2)
            };
            let model = Decoder::new(&config, &device, &mut random_source(5)).unwrap();
            Trainer::new(model, &train, windows).unwrap()
        }
        Some(files) => {
            let mut loaded = unpack(files, "the test").unwrap();
            let model = loaded.model(&device).unwrap();
            let (state, moments) = loaded.training.unwrap();
            assert_eq!((state.step, &state.corpus), (10, &record));
            Trainer::new(model, &state.train, windows).unwrap().resume(state.step, moments).unwrap()
        }
    };
    for _ in 0..steps {
        trainer.step().unwrap();
    }
    let step = trainer.steps_done();
    let state = TrainingState {
        step,
        batches_drawn: 2 * step,
        train,
        data,
        corpus: record,
        ..Default::default()
    };
    let tokenizer = Tokenizer::byte(&[]).unwrap();
    let tokenizer = (tokenizer.vocab_size() <= 17).then_some(&tokenizer);
    let files =
        block_on(pack(&trainer.model(), tokenizer, Some((&state, trainer.optimizer())))).unwrap();
    (trainer, files)
}

#[test]
fn twenty_steps_equal_ten_and_ten_resumed_bit_for_bit() {
    let (_, straight) = run(None, 20);
    let (_, half) = run(None, 10);
    let zipped = unpack_zip("x.zip", &pack_zip(&half).unwrap()).unwrap();
    assert_eq!(zipped, half);
    let (_, resumed) = run(Some(zipped), 10);
    for (name, bytes) in &straight {
        assert!(resumed[name] == *bytes, "{name} differs");
    }
    assert_ne!(straight[WEIGHTS], half[WEIGHTS]);
}

/// Version 1 of the file has no number of tokens seen; version 2 does.
#[test]
fn tokens_seen_are_read_or_derived_from_the_settings() {
    let read = |state: Value| TrainingState::from_json(&serde_json::to_vec(&state).unwrap());
    let older = json!({
        "format_version": 1, "step": 6, "batches_drawn": 12,
        "train": { "grad_accum": 2, "batch_size": 3 }, "data": { "seq_len": 5 },
    });
    assert_eq!(read(older.clone()).unwrap().tokens_seen, 12 * 3 * 5);
    let mut newer = older;
    newer["tokens_seen"] = json!(77);
    assert_eq!(read(newer).unwrap().tokens_seen, 77);
}

#[test]
fn a_run_keeps_the_last_and_the_best_and_ignores_incomplete_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let store = block_on(Store::open(folder.path().to_str().unwrap())).unwrap();
    let directory = RunDir::new(store.clone());
    let (_, files) = run(None, 1);
    block_on(async {
        for (step, val_loss) in
            [(1, Some(2.0)), (2, Some(1.0)), (3, Some(1.5)), (4, None), (5, None)]
        {
            let mut state = TrainingState { step, batches_drawn: step, ..Default::default() };
            state.train.checkpoints.keep_last = 2;
            let mut files = files.clone();
            files.insert(STATE.into(), state.to_json());
            directory.save(&files, &state, val_loss, "").await.unwrap();
        }
        assert_eq!(directory.steps().await.unwrap(), [2, 4, 5]);
        assert_eq!(directory.best().await.unwrap().step, 2);
        // A crash during a save leaves everything but the state, which is written last.
        store.write("checkpoints/step-00000006/model.safetensors", b"half").await.unwrap();
        assert_eq!(directory.steps().await.unwrap(), [2, 4, 5]);
        let loaded = directory.load().await.unwrap();
        assert_eq!(TrainingState::from_json(&loaded[STATE]).unwrap().step, 5);
        assert!(
            read_checkpoint(&store, "checkpoints/step-00000002/")
                .await
                .unwrap()
                .contains_key(STATE)
        );
    });
}

#[test]
fn a_checkpoint_that_is_saved_again_is_complete_at_every_moment() {
    let folder = tempfile::tempdir().unwrap();
    let store = block_on(Store::open(folder.path().to_str().unwrap())).unwrap();
    let changed = Arc::new(Mutex::new(Vec::new()));
    let sink = changed.clone();
    let watched = store.clone().with_probe(move |operation, path| {
        sink.lock().unwrap().push((operation, path.to_path_buf()));
        Ok(())
    });
    let (_, mut files) = run(None, 1);
    let mut state = TrainingState::from_json(&files[STATE]).unwrap();
    block_on(RunDir::new(store.clone()).save(&files, &state, Some(2.0), "")).unwrap();
    // Another best loss, the same weights: only the state is replaced.
    state.best_val_loss = Some(1.0);
    files.insert(STATE.into(), state.to_json());
    block_on(RunDir::new(watched).save(&files, &state, None, "")).unwrap();
    let changed = changed.lock().unwrap();
    assert!(changed.iter().any(|(operation, _)| *operation == Operation::Rename));
    for (operation, path) in changed.iter() {
        assert!(*operation != Operation::Remove, "{path:?} was removed");
    }
    let written = changed.iter().filter(|(operation, _)| *operation == Operation::Rename);
    assert!(written.map(|(_, path)| path).all(|path| path.ends_with(STATE)));
}

#[test]
fn a_path_below_no_directory_is_below_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = block_on(Store::open(folder.path().to_str().unwrap())).unwrap();
    block_on(async {
        store.write("/one/two", b"2").await.unwrap();
        assert_eq!(store.list("/one").await.unwrap(), ["two"]);
        assert_eq!(store.read("one//two").await.unwrap(), b"2");
        store.remove("/one").await.unwrap();
        assert!(store.list("").await.unwrap().is_empty());
    });
    assert!(folder.path().exists());
}

#[test]
fn malformed_checkpoints_are_rejected() {
    let good = golden_files("gpt2-tiny");
    let with = |name: &str, bytes: Vec<u8>| {
        let mut files = good.clone();
        files.insert(name.into(), bytes);
        message(files)
    };
    let weights = &good[WEIGHTS];
    for cut in [0, 7, 100, weights.len() - 1] {
        let said = with(WEIGHTS, weights[..cut].to_vec());
        assert!(
            said.contains("model.safetensors cannot be read") && said.contains("damaged"),
            "{said}"
        );
    }
    let mut hostile = u64::MAX.to_le_bytes().to_vec();
    hostile.extend(b"{}");
    assert!(with(WEIGHTS, hostile).contains("model.safetensors cannot be read"));
    let header = br#"{"a":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,4]}}"#;
    let mut lying = (header.len() as u64).to_le_bytes().to_vec();
    lying.extend(header);
    lying.extend([0; 4]);
    assert!(with(WEIGHTS, lying).contains("model.safetensors cannot be read"));

    assert!(with(CONFIG, b"{".to_vec()).contains("config.json cannot be read"));
    assert!(with(CONFIG, b"[]".to_vec()).contains("it is not an object"));
    assert!(with(CONFIG, b"{}".to_vec()).contains("it has no model_type"));
    assert!(with(CONFIG, br#"{"model_type":"bert"}"#.to_vec()).contains("model_type is `bert`"));
    let config = |edit: &dyn Fn(&mut Value)| {
        let mut files = good.clone();
        edit_config(&mut files, edit);
        message(files)
    };
    assert!(config(&|c| c["n_head"] = json!(5)).contains("a divisor of n_embd 32"));
    assert!(config(&|c| c["n_head"] = json!(0)).contains("n_head"));
    assert!(
        config(&|c| c["n_layer"] = json!("two"))
            .contains(r#"n_layer is "two", not a whole number"#)
    );
    assert!(config(&|c| c["activation_function"] = json!("relu")).contains("gelu_new or gelu"));
    assert!(config(&|c| c["scale_attn_by_inverse_layer_idx"] = json!(true)).contains("not false"));
    let said = config(&|c| c["n_embd"] = json!(64));
    assert!(said.contains("`transformer.wte.weight`") && said.contains("[97, 32]"), "{said}");
    let said = config(&|c| c["n_layer"] = json!(3));
    assert!(said.contains("`transformer.h.2.ln_1.weight` is missing"), "{said}");
    let said = config(&|c| c["n_layer"] = json!(1));
    assert!(said.contains("does not belong to"), "{said}");

    let said = with(TOKENIZER, br#"{"model":"#.to_vec());
    assert!(said.contains("tokenizer.json"), "{said}");
    let big = Tokenizer::byte(&[]).unwrap().to_json();
    let mut larger = good.clone();
    larger.insert(TOKENIZER.into(), big);
    let notes = unpack(larger, "the test").unwrap().notes;
    assert!(notes[0].contains("it has 256 ids, but the model's vocabulary has 97"), "{notes:?}");
    assert!(
        with(STATE, b"{\"stepp\": 1}".to_vec())
            .contains("unknown key `stepp` in the test/training_state.json")
    );
    assert!(with(STATE, b"{\"format_version\": 99}".to_vec()).contains("format version is 99"));
    assert!(with(STATE, b"{\"step\": 3}".to_vec()).contains("do not make 3 steps"));
    assert!(with(STATE, b"{}".to_vec()).contains("optimizer.safetensors is missing"));

    assert!(matches!(unpack_zip("a.zip", b"PK\x03\x04rest"), Err(Error::Malformed { .. })));
    let whole = pack_zip(&good).unwrap();
    assert!(unpack_zip("a.zip", &whole[..whole.len() / 2]).is_err());
}
