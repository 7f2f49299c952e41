//! LoRA adapters: comparison with PEFT on PyTorch, frozen weights and checkpoints.

use std::fs;
use std::path::{Path, PathBuf};

use blankslate::check::{TOLERANCE, relative_error};
use blankslate::checkpoint::{
    ADAPTER_CONFIG, ADAPTER_WEIGHTS, BASE_WEIGHTS, CONFIG, HostTensor, HostTensors, TrainingState,
    WEIGHTS, adapt, from_file_layout, from_hf, from_peft, pack, pack_zip, read_float_tensors,
    read_ids, read_params, read_safetensors, tensor_source, to_file_layout, to_peft, unpack,
    unpack_zip, write_safetensors,
};
use blankslate::config::{
    DataConfig, Estimate, LoraConfig, ModelConfig, OptimizerConfig, ScheduleConfig, ScheduleKind,
    TrainConfig,
};
use blankslate::data::Batch;
use blankslate::model::{
    Decoder, NamedGradients, PassOptions, TokenIds, for_each_param, random_source, read_floats,
};
use blankslate::objective::GradientOptions;
use blankslate::optim::Optimizer;
use blankslate::platform::block_on;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde_json::Value;

use crate::common;

fn read(tensor: Tensor<1>) -> Vec<f32> {
    block_on(read_floats(tensor)).unwrap()
}

/// A folder written by `scripts/make_lora_golden.py`.
struct Golden {
    folder: PathBuf,
    config: ModelConfig,
    train: TrainConfig,
    figures: HostTensors,
    targets: Vec<u32>,
}

impl Golden {
    fn open(name: &str, targets: &[&str]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let file = |file: &str| fs::read(folder.join(file)).expect(file);
        let config = from_hf(&file(CONFIG)).unwrap();
        let peft: Value = serde_json::from_slice(&file(ADAPTER_CONFIG)).unwrap();
        let io = file("io.safetensors");
        let figures = read_float_tensors(name, &io).unwrap();
        let train = TrainConfig {
            steps: figures["losses"].values.len() as u64,
            optimizer: OptimizerConfig { lr: 1e-2, weight_decay: 0.0, ..Default::default() },
            schedule: ScheduleConfig {
                min_lr: 1e-2,
                kind: ScheduleKind::Constant,
                warmup_steps: 0,
                ..Default::default()
            },
            lora: LoraConfig {
                rank: peft["r"].as_u64().unwrap() as usize,
                alpha: peft["lora_alpha"].as_f64().unwrap(),
                targets: targets.iter().map(|target| target.to_string()).collect(),
                ..Default::default()
            },
            ..TrainConfig::default()
        };
        let (_, targets) = read_ids(name, &io, "targets").unwrap();
        Self { folder, config, train, figures, targets }
    }

    fn tensors(&self, file: &str) -> HostTensors {
        read_safetensors(file, &fs::read(self.folder.join(file)).expect(file)).unwrap()
    }

    /// Builds the model with PEFT's adapters.
    fn model(&self, train: &TrainConfig, device: &Device) -> Decoder {
        let weights = from_file_layout(&self.config, WEIGHTS, self.tensors(WEIGHTS)).unwrap();
        let source = &mut *tensor_source(weights, WEIGHTS.into());
        let adapters = from_peft(&self.config, self.tensors(ADAPTER_WEIGHTS)).unwrap();
        let adapters = &mut *tensor_source(adapters, ADAPTER_WEIGHTS.into());
        Decoder::new(&self.config, device, source).unwrap().with_adapters(train, adapters).unwrap()
    }

    fn inputs(&self) -> (Vec<usize>, Vec<u32>) {
        let io = fs::read(self.folder.join("io.safetensors")).unwrap();
        read_ids("io", &io, "input_ids").unwrap()
    }

    fn ids(&self, device: &Device) -> TokenIds {
        let (shape, ids) = self.inputs();
        TokenIds::new(&ids, shape[0], self.config.vocab_size, device).unwrap()
    }

    fn logits(&self, model: &Decoder) -> Vec<f32> {
        let logits = model.forward(self.ids(&model.device()), None, None).unwrap();
        let count = logits.shape().num_elements();
        read(logits.without_autodiff().reshape([count]))
    }

    fn error(&self, name: &str, ours: &[f32]) -> f64 {
        let theirs = &self.figures[name].values;
        assert_eq!(ours.len(), theirs.len(), "{name}");
        relative_error(ours, theirs)
    }

    #[track_caller]
    fn close(&self, name: &str, ours: &[f32]) {
        let error = self.error(name, ours);
        println!("{name}: {error:.1e}");
        assert!(error < TOLERANCE, "{name}: {error:e}, {ours:?}");
    }

    /// Compares tensors of the adapters with all golden tensors whose name starts with `prefix`.
    #[track_caller]
    fn close_all(&self, prefix: &str, ours: &HostTensors) {
        let expected = self.figures.keys().filter_map(|name| name.strip_prefix(prefix));
        assert_eq!(expected.clone().count(), ours.len(), "{:?}", ours.keys());
        for name in expected {
            self.close(&format!("{prefix}{name}"), &ours[name].values);
        }
    }

    fn loss_and_gradients(&self, model: &Decoder, recompute: bool) -> (f32, NamedGradients) {
        let (shape, ids) = self.inputs();
        let batch = Batch::new(ids, self.targets.clone(), shape[0]);
        common::next_token(model, &batch, &mean_over(self.targets.len(), recompute))
    }
}

/// Reads gradients in the shapes of their parameters.
fn shaped(model: &Decoder, mut gradients: NamedGradients) -> HostTensors {
    let mut found = HostTensors::new();
    for_each_param(model, &mut |name, shape, _| {
        if let Some(gradient) = gradients.remove(name) {
            let values = read(gradient);
            found.insert(name.into(), HostTensor { shape: shape.to_vec(), values });
        }
    });
    assert!(gradients.is_empty());
    found
}

fn is_pefts(name: &str, targets: &[&str], device: &Device) {
    let golden = Golden::open(name, targets);
    let device = device.clone().autodiff();
    let mut model = golden.model(&golden.train, &device);
    golden.close("logits", &golden.logits(&model));
    golden.close("logits", &golden.logits(&model.valid().merge_adapters()));
    let mut louder = golden.train.clone();
    louder.lora.alpha *= 1.01;
    let off = golden.error("logits", &golden.logits(&golden.model(&louder, &device)));
    assert!(off > 10.0 * TOLERANCE, "a change of alpha by 1 % is not detected: {off:e}");
    for recompute in [false, true] {
        let (loss, gradients) = golden.loss_and_gradients(&model, recompute);
        golden.close("loss", &[loss]);
        golden.close_all("grad.", &to_peft(&golden.config, &shaped(&model, gradients)));
    }

    let mut optimizer = Optimizer::new(&golden.train);
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    for step in 1..=golden.train.steps {
        let (loss, gradients) = golden.loss_and_gradients(&model, false);
        losses.push(loss);
        let norm: Tensor<1>;
        (model, norm) = optimizer.step(model, gradients, step).unwrap();
        norms.extend(read(norm));
    }
    golden.close("losses", &losses);
    golden.close("norms", &norms);
    let trained = block_on(read_params(&model.valid())).unwrap();
    golden.close_all("after.", &to_peft(&golden.config, &trained));
    let merged = block_on(read_params(&model.valid().merge_adapters())).unwrap();
    let mut merged = to_file_layout(&golden.config, &merged);
    // Other weights do not change.
    let before = golden.tensors(WEIGHTS);
    merged.retain(|name, tensor| before.get(name).is_some_and(|before| before != tensor));
    golden.close_all("merged.", &merged);
}

#[test]
fn adapters_equal_pefts() {
    is_pefts("lora-gpt2", &["all"], &common::cpu());
    is_pefts("lora-llama", &["q_proj", "v_proj", "down_proj"], &common::cpu());
}

#[test]
fn adapters_equal_pefts_on_vulkan() {
    if let Some(device) = common::vulkan() {
        is_pefts("lora-gpt2", &["all"], &device);
        is_pefts("lora-llama", &["q_proj", "v_proj", "down_proj"], &device);
    }
}

fn adapting(rank: usize) -> TrainConfig {
    TrainConfig {
        lora: LoraConfig::with_rank(rank),
        schedule: ScheduleConfig::with_warmup(0),
        ..TrainConfig::default()
    }
}

fn data() -> DataConfig {
    DataConfig { seq_len: 12, ..DataConfig::default() }
}

fn fresh(config: &ModelConfig) -> Decoder {
    Decoder::new(config, &common::cpu().autodiff(), &mut random_source(3)).unwrap()
}

/// Two sequences, each token its own target.
fn batch() -> Batch {
    let ids: Vec<u32> = (0..24).map(|n| n * 7 % 23).collect();
    Batch::new(ids.clone(), ids, 2)
}

/// Options for the mean over this many targets.
fn mean_over(targets: usize, recompute: bool) -> GradientOptions {
    let pass = PassOptions { recompute, ..PassOptions::default() };
    GradientOptions { pass, ..GradientOptions::scaled(1.0 / targets as f64) }
}

fn logits(model: &Decoder) -> Vec<f32> {
    let ids = TokenIds::from_batch(&batch(), 23, &model.device()).unwrap();
    let logits = model.forward(ids, None, None).unwrap();
    read(logits.without_autodiff().reshape([24 * 23]))
}

#[test]
fn fresh_adapters_are_neutral_and_initialized_like_pefts() {
    for (name, config) in common::variants() {
        let base = fresh(&config);
        let expected = logits(&base);
        let model = base.with_adapters(&adapting(4), &mut random_source(5)).unwrap();
        assert_eq!(logits(&model), expected, "{name}");
        assert_eq!(logits(&model.valid().merge_adapters()), expected, "{name}");
    }
    // Kaiming uniform initialization with a = sqrt(5): in [-1 / sqrt(in), 1 / sqrt(in)].
    let config =
        ModelConfig::gpt2(23).with_context(24).with_hidden_size(64).with_layers(2).with_heads(4);
    let model = adapt(fresh(&config), &adapting(32)).unwrap();
    let params = block_on(read_params(&model.valid())).unwrap();
    let drawn = &params["layers.1.mlp.up_proj.lora.a"];
    assert_eq!(drawn.shape, [32, 64]);
    let bound = 1.0 / 64f32.sqrt();
    assert!(drawn.values.iter().all(|value| value.abs() <= bound));
    let mean_square = drawn.values.iter().map(|value| value * value).sum::<f32>() / 2048.0;
    assert!((mean_square / (bound * bound / 3.0) - 1.0).abs() < 0.1, "{mean_square}");
    assert!(params["layers.1.mlp.up_proj.lora.b"].values.iter().all(|value| *value == 0.0));
    assert_ne!(drawn.values, params["layers.0.mlp.up_proj.lora.a"].values);
}

/// Makes one AdamW step.
fn step(model: Decoder, train: &TrainConfig) -> (Decoder, Optimizer) {
    let mut optimizer = Optimizer::new(train);
    let (_, gradients) = common::next_token(&model, &batch(), &mean_over(24, false));
    (optimizer.step(model, gradients, 1).unwrap().0, optimizer)
}

#[test]
fn only_adapters_have_gradients_and_optimizer_state() {
    for (name, config) in common::variants() {
        let train = adapting(4);
        let before = block_on(read_params(&fresh(&config).valid())).unwrap();
        let (model, optimizer) = step(adapt_any(fresh(&config), &train), &train);
        let moments: usize = optimizer.state().map(|(_, moment)| moment.dims()[0]).sum();
        let estimate = Estimate::new(&config, &train, 12);
        assert_eq!(moments as u64, 2 * estimate.trained_parameters, "{name}");
        let after = block_on(read_params(&model.valid())).unwrap();
        for (param, tensor) in &before {
            assert!(after[param] == *tensor, "{name}: {param}");
        }
        // B becomes nonzero in the first step, so A has a nonzero gradient in the second.
        let moved = |name: &&String| name.ends_with(".lora.b");
        let moved: Vec<&String> = after.keys().filter(moved).collect();
        assert_eq!(moved.len(), 2 * config.projections().len(), "{name}");
        for param in moved {
            assert!(after[param].values.iter().any(|value| *value != 0.0), "{name}: {param}");
        }
    }
}

/// Like [`adapt`], but also for models that PEFT's format cannot store.
fn adapt_any(model: Decoder, train: &TrainConfig) -> Decoder {
    model.with_adapters(train, &mut random_source(train.seed)).unwrap()
}

#[test]
fn the_embedding_is_trained_if_requested() {
    for tied in [true, false] {
        let config = ModelConfig {
            tie_word_embeddings: tied,
            ..ModelConfig::gpt2(23)
                .with_context(24)
                .with_hidden_size(16)
                .with_layers(2)
                .with_heads(4)
        };
        let mut train = adapting(2);
        train.lora.embeddings = true;
        let before = block_on(read_params(&fresh(&config).valid())).unwrap();
        let model = adapt(fresh(&config), &train).unwrap();
        let gradients = |recompute| {
            let found = common::next_token(&model, &batch(), &mean_over(24, recompute));
            shaped(&model, found.1)
        };
        let all = gradients(false);
        let full: Vec<&String> = all.keys().filter(|name| !name.contains("lora")).collect();
        let tables = ["embed_tokens.weight", "lm_head.weight"];
        assert_eq!(full, tables[..if tied { 1 } else { 2 }]);
        assert_eq!(gradients(true), all);
        let (model, optimizer) = step(model.clone(), &train);
        let moments: usize = optimizer.state().map(|(_, moment)| moment.dims()[0]).sum();
        let estimate = Estimate::new(&config, &train, 12);
        assert_eq!(moments as u64, 2 * estimate.trained_parameters);
        let after = block_on(read_params(&model.valid())).unwrap();
        for (name, tensor) in before {
            assert_eq!(after[&name] != tensor, tables.contains(&name.as_str()), "{name}");
        }
    }
}

#[test]
fn checkpoints_hold_adapters_base_and_merged_weights() {
    let llama = ModelConfig::llama(23)
        .with_context(24)
        .with_hidden_size(16)
        .with_layers(2)
        .with_heads(4)
        .with_kv_heads(2)
        .with_intermediate_size(40);
    let fused = ModelConfig { fused_qkv: true, ..llama.clone() };
    for config in [
        ModelConfig::gpt2(23).with_context(24).with_hidden_size(16).with_layers(2).with_heads(4),
        llama,
        fused,
    ] {
        for lora_embeddings in [false, true] {
            let mut train = adapting(3);
            train.lora.embeddings = lora_embeddings;
            let (model, optimizer) = step(adapt(fresh(&config), &train).unwrap(), &train);
            let state = TrainingState { train: train.clone(), data: data(), ..Default::default() };
            let files = block_on(pack(&model.valid(), None, Some((&state, &optimizer)))).unwrap();
            let files = unpack_zip("a.zip", &pack_zip(&files).unwrap()).unwrap();
            let params = |model: &Decoder| block_on(read_params(&model.valid())).unwrap();
            let mut loaded = unpack(files.clone(), "here").unwrap();
            let again = loaded.model_in_training(&train, &common::cpu().autodiff()).unwrap();
            assert!(params(&again) == params(&model));
            let merged = unpack(files, "here").unwrap().model(&common::cpu()).unwrap();
            assert!(params(&merged) == params(&model.valid().merge_adapters()));
        }
    }
}

#[test]
fn damaged_adapters_are_rejected() {
    let (config, train) = (
        ModelConfig::gpt2(23).with_context(24).with_hidden_size(16).with_layers(2).with_heads(4),
        adapting(3),
    );
    let (model, optimizer) = step(adapt(fresh(&config), &train).unwrap(), &train);
    let state = TrainingState { train: train.clone(), data: data(), ..Default::default() };
    let files = block_on(pack(&model.valid(), None, Some((&state, &optimizer)))).unwrap();
    let refused = |file: &str, change: &dyn Fn(&mut HostTensors)| {
        let mut files = files.clone();
        let mut tensors = read_safetensors(file, &files[file]).unwrap();
        change(&mut tensors);
        files.insert(file.into(), write_safetensors(&tensors).unwrap());
        let loaded = unpack(files, "here");
        let device = common::cpu().autodiff();
        let error = loaded.and_then(|mut loaded| loaded.model_in_training(&train, &device));
        error.unwrap_err().to_string()
    };
    let a = "base_model.model.transformer.h.0.attn.c_attn.lora_A.weight";
    for (file, words, change) in [
        (BASE_WEIGHTS, "qkv_proj.weight", &|all| drop(all.pop_last())),
        (ADAPTER_WEIGHTS, "lora", &|all| drop(all.pop_last())),
        (ADAPTER_WEIGHTS, "not that of a matrix", &|all| all.get_mut(a).unwrap().shape = vec![48]),
        (ADAPTER_WEIGHTS, "[2, 16]", &|all| {
            let tensor = all.get_mut(a).unwrap();
            (tensor.shape[0], tensor.values) = (2, tensor.values[..32].to_vec());
        }),
        (ADAPTER_WEIGHTS, "belongs to no", &|all| {
            let tensor = all.remove(a).unwrap();
            all.insert("x.lora_A.weight".into(), tensor);
        }),
    ] as [(&str, &str, &dyn Fn(&mut HostTensors)); 5]
    {
        let error = refused(file, change);
        assert!(error.contains(file) && error.contains(words), "{error}");
    }
}

#[test]
fn targets_that_a_model_lacks_are_rejected() {
    let targets = |targets: &[&str]| TrainConfig {
        lora: LoraConfig {
            targets: targets.iter().map(|target| target.to_string()).collect(),
            ..adapting(2).lora
        },
        ..adapting(2)
    };
    let gpt2 =
        ModelConfig::gpt2(23).with_context(24).with_hidden_size(16).with_layers(2).with_heads(4);
    let refused = |config: &ModelConfig, train: &TrainConfig| {
        adapt(fresh(config), train).unwrap_err().to_string()
    };
    let error = refused(&gpt2, &targets(&["o_proj", "q_proj"]));
    assert!(error.contains("`q_proj`") && error.contains("qkv_proj, o_proj, up_proj"), "{error}");
    // GPT-2 of transformers has a fused matrix for these projections.
    let apart = ModelConfig { fused_qkv: false, ..gpt2 };
    let error = refused(&apart, &targets(&["v_proj", "up_proj"]));
    assert!(error.contains("one matrix") && error.contains("lora_targets"), "{error}");
    adapt(fresh(&apart), &targets(&["up_proj", "o_proj"])).unwrap();
    let error = targets(&[]).validate().unwrap_err().to_string();
    assert!(error.contains("lora_targets"), "{error}");
}
