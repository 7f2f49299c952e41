//! Training in 16 bits and in TF32: it tracks training in f32, survives overflowing gradients and is rejected on devices
//! without support. Kernel tests compare single kernels in 16 bits.

use blankslate::config::*;
use blankslate::data::{Corpus, Tokens, Windows};
use blankslate::model::{Decoder, random_source, read_floats};
use blankslate::platform::block_on;
use blankslate::train::{StepFigures, Trainer};
use burn::tensor::Device;

use crate::common;

const TEXT: &[u8] = include_bytes!("../../assets/text/shakespeare.txt");

/// English text as bytes.
fn windows(train: &TrainConfig) -> Windows {
    let ids = TEXT[..20_000].iter().map(|byte| u32::from(*byte)).collect();
    let data = DataConfig { seq_len: 24, ..Default::default() };
    let corpus = Corpus::new(Tokens::from_ids(ids));
    Windows::new(corpus, &data, train.batch_size, train.seed).unwrap()
}

fn trainer(device: &Device, model: &ModelConfig, train: &TrainConfig) -> Trainer {
    let source = &mut random_source(1);
    let model = Decoder::new(model, &device.clone().autodiff(), source).unwrap();
    Trainer::new(model, train, windows(train)).unwrap()
}

fn run(trainer: &mut Trainer, steps: usize) -> Vec<StepFigures> {
    let reports: Vec<_> = (0..steps).map(|_| trainer.step().unwrap()).collect();
    reports.into_iter().map(|report| block_on(report.read("nothing")).unwrap()).collect()
}

fn moments(trainer: &Trainer) -> Vec<(String, Vec<f32>)> {
    let state = trainer.optimizer().state();
    state.map(|(name, tensor)| (name, block_on(read_floats(tensor)).unwrap())).collect()
}

fn gpt2() -> ModelConfig {
    ModelConfig {
        dropout: 0.1,
        ..ModelConfig::gpt2(256).with_context(24).with_hidden_size(32).with_layers(2).with_heads(2)
    }
}

fn in_f16() -> TrainConfig {
    TrainConfig {
        precision: Precision::F16,
        grad_accum: 2,
        optimizer: OptimizerConfig::with_lr(1e-3),
        schedule: ScheduleConfig::with_warmup(5),
        ..Default::default()
    }
}

/// Trains in `precision` and in f32. Losses may differ by `tolerance` at most, gradient norms by twice that.
fn follows_f32(precision: Precision, tolerance: f32) {
    let Some(device) = common::gpu_in(precision) else { return };
    let llama = ModelConfig::llama(256)
        .with_context(24)
        .with_hidden_size(32)
        .with_layers(2)
        .with_heads(2)
        .with_kv_heads(1)
        .with_intermediate_size(80);
    for (name, model, recompute) in [("gpt2", gpt2(), false), ("llama", llama, true)] {
        let rounded = TrainConfig { precision, gradient_checkpointing: recompute, ..in_f16() };
        let exact = TrainConfig { precision: Precision::F32, ..rounded.clone() };
        let [rounded, exact] =
            [rounded, exact].map(|train| run(&mut trainer(&device, &model, &train), 60));
        let apart = |(a, b): (&StepFigures, &StepFigures)| (a.loss - b.loss).abs() / b.loss;
        let worst = rounded.iter().zip(&exact).map(apart).fold(0.0, f32::max);
        let last = rounded[59].loss;
        println!("{name} in {precision:?}: losses differ by up to {worst:.1e}, the last is {last}");
        // No difference at all would mean that nothing was rounded.
        assert!(worst > 1e-7 && worst < tolerance, "{name}: {worst}");
        assert!(last < 0.7 * rounded[0].loss, "{name}");
        // Later, rounding differences have grown too large to compare.
        for (a, b) in rounded.iter().zip(&exact).take(20) {
            let (a, b) = (a.grad_norm.unwrap(), b.grad_norm.unwrap());
            assert!((a - b).abs() < 2.0 * tolerance * b, "{name}: gradient norms {a} and {b}");
        }
    }
}

#[test]
fn f16_follows_f32() {
    follows_f32(Precision::F16, 0.01);
}

#[test]
fn bf16_follows_f32() {
    follows_f32(Precision::Bf16, 0.01);
}

#[test]
fn tf32_follows_f32() {
    follows_f32(Precision::Tf32, 0.002);
}

#[test]
fn f16_resumes_bit_for_bit_and_skips_steps_that_overflow() {
    let Some(device) = common::gpu_in(Precision::F16) else { return };
    let fresh = || trainer(&device, &gpt2(), &in_f16());
    let mut whole = fresh();
    let all = run(&mut whole, 8);
    let mut half = fresh();
    run(&mut half, 5);
    let mut state = moments(&half);
    let (name, scale) = state.last_mut().unwrap();
    assert_eq!((name.as_str(), &scale[..]), ("loss_scale", &[4096.0, 5.0][..]));

    let mut weights = std::collections::BTreeMap::new();
    blankslate::model::for_each_param(&half.model(), &mut |name, _, value| {
        weights.insert(name.to_string(), block_on(read_floats(value)).unwrap());
    });
    let again = |state: Vec<(String, Vec<f32>)>| {
        let source = &mut |name: &str, _: &[usize], _| Ok(weights[name].clone());
        let model = Decoder::new(&gpt2(), &device.clone().autodiff(), source).unwrap();
        let trainer = Trainer::new(model, &in_f16(), windows(&in_f16())).unwrap();
        trainer.resume(5, state).unwrap().having_seen(all[4].tokens_seen)
    };
    assert_eq!(run(&mut again(state.clone()), 3), all[5..]);

    // A loss scale that is far too large is halved until the gradients are finite.
    state.last_mut().unwrap().1 = vec![2f32.powi(30), 0.0];
    let mut resumed = again(state);
    let figures = run(&mut resumed, 20);
    let skipped = figures.iter().take_while(|step| step.grad_norm.is_none()).count();
    assert!((5..20).contains(&skipped), "{skipped} skipped");
    assert!(figures[skipped..].iter().all(|step| step.grad_norm.is_some()));
    let kept = moments(&resumed);
    let expected = [2f32.powi(30 - skipped as i32), (20 - skipped) as f32];
    assert_eq!(kept.last().unwrap().1, expected);
    assert!(figures.iter().all(|step| step.loss < 1.05 * all[4].loss), "{figures:?}");
}

#[test]
fn an_unsupported_precision_is_rejected() {
    let cpu = common::cpu();
    for precision in [Precision::F16, Precision::Bf16, Precision::Tf32] {
        let train = TrainConfig { precision, ..Default::default() };
        let device = cpu.clone().autodiff();
        let model = Decoder::new(&gpt2(), &device, &mut random_source(1)).unwrap();
        let error = Trainer::new(model, &train, windows(&train)).unwrap_err().to_string();
        assert!(error.contains("does not compute in") && error.contains("f32"), "{error}");
    }
    let mut muon = in_f16();
    muon.optimizer.kind = OptimizerKind::Muon;
    assert!(muon.validate().unwrap_err().to_string().contains("adamw"));
}
