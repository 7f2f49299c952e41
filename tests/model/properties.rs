//! Properties of the model: causality, learning, gradient accumulation, checkpointing, dropout and depth.

use blankslate::config::*;
use blankslate::data::{Batch, Corpus, Tokens, Windows};
use blankslate::inspect::measure_layer_scales;
use blankslate::model::{
    CrossEntropy, Decoder, PassOptions, TokenIds, named_gradients, random_source, read_floats,
};
use blankslate::objective::GradientOptions;
use blankslate::platform::block_on;
use blankslate::sample::Generator;
use blankslate::tokenizer::{Kind, Message, Role, Tokenizer, TrainOptions, run_sequentially};
use blankslate::train::Trainer;
use burn::tensor::{Device, Int, Tensor};

use crate::common;
use crate::common::variants;

fn fresh(config: &ModelConfig, device: &Device) -> Decoder {
    Decoder::new(config, device, &mut random_source(1)).unwrap()
}

fn logits(model: &Decoder, ids: &[u32]) -> Vec<f32> {
    let c = model.config();
    let tensor = TokenIds::new(ids, 1, c.vocab_size, &model.device()).unwrap();
    let logits = model.forward(tensor, None, None).unwrap();
    block_on(read_floats(logits.reshape([ids.len() * c.vocab_size]))).unwrap()
}

#[test]
fn attention_is_causal() {
    let device = common::cpu();
    for (name, config) in variants() {
        let model = fresh(&config, &device);
        let (a, b) = (logits(&model, &[1, 2, 3, 4]), logits(&model, &[1, 2, 9, 8]));
        let v = config.vocab_size;
        assert_eq!(a[..2 * v], b[..2 * v], "{name}");
        assert_ne!(a[2 * v..], b[2 * v..], "{name}");
    }
}

#[test]
fn the_parameter_count_equals_the_estimate() {
    let device = common::cpu();
    for (name, config) in variants() {
        use burn::module::Module;
        let counted = fresh(&config, &device).num_params() as u64;
        let estimate = Estimate::new(&config, &TrainConfig::default(), 8);
        assert_eq!(estimate.parameters, counted, "{name}");
    }
}

/// Trains on the periodic sequence 0 1 2 … 10 0 1 2 … and returns the last loss.
fn learn_a_period(device: &Device, config: &ModelConfig, train: &TrainConfig, steps: u64) -> f32 {
    let corpus = Corpus::new(Tokens::from_ids((0..600).map(|i| i % 11).collect()));
    let data = DataConfig { seq_len: 16, ..Default::default() };
    let windows = Windows::new(corpus, &data, train.batch_size, train.seed).unwrap();
    let model = fresh(config, &device.clone().autodiff());
    let mut trainer = Trainer::new(model, train, windows).unwrap();
    let mut last = None;
    for _ in 0..steps {
        last = Some(trainer.step().unwrap());
    }
    block_on(last.unwrap().read("nothing")).unwrap().loss
}

fn quick() -> TrainConfig {
    TrainConfig {
        steps: 120,
        optimizer: OptimizerConfig::with_lr(1e-2),
        schedule: ScheduleConfig { min_lr: 1e-3, warmup_steps: 5, ..Default::default() },
        ..Default::default()
    }
}

#[test]
fn a_periodic_sequence_is_learned_on_the_cpu() {
    for (name, config) in [
        (
            "gpt2",
            ModelConfig::gpt2(11)
                .with_context(16)
                .with_hidden_size(32)
                .with_layers(2)
                .with_heads(2),
        ),
        (
            "llama",
            ModelConfig::llama(11)
                .with_context(16)
                .with_hidden_size(32)
                .with_layers(2)
                .with_heads(4)
                .with_kv_heads(2)
                .with_intermediate_size(64),
        ),
    ] {
        let loss = learn_a_period(&common::cpu(), &config, &quick(), 120);
        assert!(loss < 0.05, "{name}: {loss}");
    }
}

#[test]
fn a_periodic_sequence_is_learned_with_muon() {
    let mut train = quick();
    train.optimizer.kind = OptimizerKind::Muon;
    train.optimizer.muon_lr = 0.02;
    let config =
        ModelConfig::gpt2(11).with_context(16).with_hidden_size(32).with_layers(2).with_heads(2);
    let loss = learn_a_period(&common::cpu(), &config, &train, 120);
    assert!(loss < 0.05, "{loss}");
}

#[test]
fn a_periodic_sequence_is_learned_on_vulkan() {
    let Some(device) = common::vulkan() else { return };
    let config =
        ModelConfig::gpt2(11).with_context(16).with_hidden_size(32).with_layers(2).with_heads(2);
    let loss = learn_a_period(&device, &config, &quick(), 120);
    assert!(loss < 0.05, "{loss}");
}

#[test]
fn accumulated_gradients_equal_those_of_the_large_batch() {
    let device = common::cpu().autodiff();
    let config =
        ModelConfig::gpt2(11).with_context(8).with_hidden_size(16).with_layers(2).with_heads(2);
    let ids: Vec<u32> = (0..64).map(|i| (i * i + 3 * i) % 11).collect();
    // Because of the last document boundary the second half has fewer targets.
    let mut targets: Vec<u32> = ids.iter().map(|id| (id + 1) % 11).collect();
    targets[50..60].fill(blankslate::data::IGNORE);
    let batch = |from: usize, to: usize| {
        Batch::new(ids[from..to].to_vec(), targets[from..to].to_vec(), (to - from) / 8)
    };
    let run = |batches: &[Batch]| {
        let corpus = Corpus::new(Tokens::from_ids(vec![0; 9]));
        let data = DataConfig { seq_len: 8, ..Default::default() };
        let windows = Windows::new(corpus, &data, 1, 0).unwrap();
        let train = TrainConfig {
            optimizer: OptimizerConfig { grad_clip: 0.5, ..Default::default() },
            schedule: ScheduleConfig::with_warmup(0),
            ..Default::default()
        };
        let mut trainer = Trainer::new(fresh(&config, &device), &train, windows).unwrap();
        let reports: Vec<_> = (0..3).map(|_| trainer.step_on(batches).unwrap()).collect();
        let figures = reports.into_iter().map(|r| block_on(r.read("nothing")).unwrap());
        figures.map(|f| (f.loss, f.grad_norm.unwrap())).collect::<Vec<_>>()
    };
    let large = run(&[batch(0, 64)]);
    let small = run(&[batch(0, 16), batch(16, 48), batch(48, 64)]);
    for ((a, x), (b, y)) in large.into_iter().zip(small) {
        assert!((a - b).abs() < 1e-5 && (x - y).abs() < 1e-4 * x, "{a} {b}, {x} {y}");
    }
}

#[test]
fn the_z_loss_is_part_of_training_but_not_of_evaluation() {
    let device = common::cpu().autodiff();
    let config =
        ModelConfig::gpt2(23).with_context(8).with_hidden_size(16).with_layers(2).with_heads(2);
    let corpus = Corpus::new(Tokens::from_ids((0..90).map(|i| i * i % 23).collect()));
    let data = DataConfig { seq_len: 8, ..Default::default() };
    let train = TrainConfig {
        objective: ObjectiveConfig { z_loss: 0.03, ..Default::default() },
        ..Default::default()
    };
    let windows = Windows::new(corpus, &data, train.batch_size, train.seed).unwrap();
    let batch = windows.batch(0);

    // Reference in plain operations on the logits.
    let model = fresh(&config, &device);
    let ids = || TokenIds::new(&batch.inputs, batch.rows, 23, &device).unwrap();
    let logits = model.forward(ids(), None, None).unwrap().reshape([batch.inputs.len(), 23]);
    let log_normalizer = logits.clone().exp().sum_dim(1).log();
    let target =
        logits.gather(1, Tensor::<1, Int>::from_data(&batch.targets[..], &device).unsqueeze_dim(1));
    let cross_entropy = (log_normalizer.clone() - target).mean();
    let loss = cross_entropy.clone() + log_normalizer.square().mean() * 0.03;
    let expected = named_gradients(&model, "", &mut loss.backward());
    let read = |tensor| block_on(read_floats(tensor)).unwrap();

    let residual = model.forward_residual(ids(), None, None).unwrap();
    let targets = model.targets(&batch.targets).unwrap();
    let mean = CrossEntropy::scaled(1.0 / batch.inputs.len() as f64);
    let evaluated = model.cross_entropy(residual, targets, mean);
    close(&read(evaluated.inner()), &read(cross_entropy.inner()), "evaluation");
    let mut trainer = Trainer::new(model, &train, windows).unwrap();
    let gradients = trainer.next_gradients().unwrap();
    assert!(gradients.keys().eq(expected.keys()));
    for (name, gradient) in gradients {
        close(&read(gradient), &read(expected[&name].clone()), &name);
    }
    let reported = block_on(trainer.step().unwrap().read("nothing")).unwrap().loss;
    close(&[reported], &read(loss.inner()), "training loss");
}

/// Asserts differences of at most 1e-5 of the largest value.
fn close(found: &[f32], expected: &[f32], what: &str) {
    let scale = expected.iter().map(|x| x.abs()).fold(0.0, f32::max);
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-5 * scale, "{what}: {a} instead of {b}");
    }
}

#[test]
fn recomputed_activations_give_identical_gradients() {
    let device = common::cpu().autodiff();
    let ids: Vec<u32> = (0..32).map(|i| i * 5 % 23).collect();
    let targets: Vec<u32> = ids.iter().map(|id| (id + 1) % 23).collect();
    let batch = Batch::new(ids, targets, 2);
    for (name, mut config) in variants() {
        config.dropout = 0.1;
        let model = fresh(&config, &device);
        let run = |recompute| {
            let pass = PassOptions { dropout_seed: Some(7), recompute, ..Default::default() };
            let options = GradientOptions { pass, ..GradientOptions::scaled(1.0 / 32.0) };
            let (loss, gradients) = common::next_token(&model, &batch, &options);
            let read = |tensor| block_on(read_floats(tensor)).unwrap();
            let gradients: Vec<_> =
                gradients.into_iter().map(|(name, gradient)| (name, read(gradient))).collect();
            (loss, gradients)
        };
        let (kept, recomputed) = (run(false), run(true));
        assert!(!kept.1.is_empty(), "{name} has gradients");
        assert_eq!(kept, recomputed, "{name}");
    }
}

#[test]
fn dropout_depends_on_its_seed_and_is_off_in_evaluation() {
    let device = common::cpu();
    let config = ModelConfig {
        dropout: 0.3,
        ..ModelConfig::gpt2(11).with_context(16).with_hidden_size(32).with_layers(2).with_heads(2)
    };
    let losses = |seed| learn_a_period(&device, &config, &TrainConfig { seed, ..quick() }, 3);
    assert_eq!(losses(1), losses(1));
    assert_ne!(losses(1), losses(2));
    let model = fresh(&config, &device);
    assert_eq!(logits(&model, &[1, 2, 3]), logits(&model, &[1, 2, 3]));
}

#[test]
fn forty_eight_layers_neither_explode_nor_vanish() {
    let device = common::cpu().autodiff();
    let ids: Vec<u32> = (0..32).map(|i| (7 * i + i * i) % 61).collect();
    let targets = ids.iter().map(|id| (id + 5) % 61).collect();
    let batch = Batch::new(ids, targets, 2);
    let deep = |mut config: ModelConfig, init| {
        config.num_hidden_layers = 48;
        config.init = init;
        block_on(measure_layer_scales(&fresh(&config, &device), &batch)).unwrap()
    };
    for (name, config) in [
        (
            "gpt2",
            ModelConfig::gpt2(61)
                .with_context(16)
                .with_hidden_size(64)
                .with_layers(1)
                .with_heads(4),
        ),
        (
            "llama",
            ModelConfig::llama(61)
                .with_context(16)
                .with_hidden_size(64)
                .with_layers(1)
                .with_heads(4)
                .with_kv_heads(2)
                .with_intermediate_size(172),
        ),
    ] {
        for init in [InitScheme::Gpt2, InitScheme::FanIn] {
            let scales = deep(config.clone(), init);
            assert_eq!(scales.len(), 48);
            let (first, last) = (scales[0], scales[47]);
            println!("{name} {init:?}: {first:?} … {last:?}");
            let growth = last.activation_rms / first.activation_rms;
            assert!((0.5..20.0).contains(&growth), "{name} {init:?}: activations x {growth}");
            let gradients: Vec<f32> = scales.iter().map(|s| s.gradient_rms).collect();
            let (low, high) =
                gradients.iter().fold((f32::MAX, 0f32), |(l, h), g| (l.min(*g), h.max(*g)));
            assert!(low > 0.0 && high / low < 100.0, "{name} {init:?}: gradients {low} to {high}");
        }
    }
}

#[test]
fn prompt_and_output_decode_as_one_text() {
    let options = TrainOptions { kind: Kind::WordPiece, vocab_size: 60, ..Default::default() };
    let text = "she sells sea shells by the sea shore";
    let go_on = |_| std::ops::ControlFlow::Continue(());
    let tokenizer = Tokenizer::train(&options, [text], run_sequentially, go_on).unwrap();
    let model = fresh(
        &ModelConfig::gpt2(tokenizer.vocab_size())
            .with_context(32)
            .with_hidden_size(16)
            .with_layers(1)
            .with_heads(2),
        &common::cpu(),
    );
    for seed in 0..20 {
        let config = SampleConfig { max_new_tokens: 8, seed, ..Default::default() };
        let mut generator = Generator::new(model.clone(), &tokenizer, "the sea", &config).unwrap();
        let mut whole = "the sea".to_string();
        while let Some(piece) = block_on(generator.next()).unwrap() {
            whole.push_str(&piece.text);
        }
        // WordPiece marks continued words, also if the prompt ends inside one.
        assert_eq!(whole, tokenizer.decode(generator.ids()).unwrap(), "seed {seed}");
    }
}

#[test]
fn a_long_chat_message_leaves_less_room_for_the_answer_and_is_never_cut() {
    const CONTEXT: usize = 64;
    let tokenizer = Tokenizer::byte(&[]).unwrap().with_chat_tokens().unwrap();
    let config = ModelConfig::gpt2(tokenizer.vocab_size()).with_context(CONTEXT);
    let config = config.with_hidden_size(16).with_layers(1).with_heads(2);
    let model = fresh(&config, &common::cpu());
    let prompt = |length: usize| {
        let messages = [Message { role: Role::User, content: "a".repeat(length) }];
        let whole = tokenizer.encode_chat_prompt(&messages, usize::MAX).unwrap().ids;
        let config = SampleConfig { max_new_tokens: 200, ..Default::default() };
        let generator = Generator::for_chat(model.clone(), &tokenizer, &messages, &config);
        (whole, generator)
    };
    let around = prompt(0).0.len();
    // More than half of the context, and all of it.
    for length in [CONTEXT / 2 + 10 - around, CONTEXT - around] {
        let (whole, generator) = prompt(length);
        let (mut generator, dropped) = generator.unwrap();
        assert_eq!((generator.ids(), dropped), (&whole[..], 0));
        assert!(block_on(generator.next()).unwrap().is_some());
        assert_eq!(generator.generated_tokens(), 1);
    }
    let error = prompt(CONTEXT - around + 1).1.err().unwrap().to_string();
    assert!(error.contains("65 tokens do not fit the model's context of 64"), "{error}");
}
