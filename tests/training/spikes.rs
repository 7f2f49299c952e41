//! Loss spikes: planted noise is detected, and skipped or rolled back, with the right batches.

use std::cell::RefCell;
use std::collections::BTreeMap;

use blankslate::checkpoint::{Files, OPTIMIZER, WEIGHTS, pack, read_safetensors};
use blankslate::config::{
    CheckpointConfig, DataConfig, DataOrder, LongRunConfig, ModelConfig, OnSpike, OptimizerConfig,
    ScheduleConfig, ScheduleKind, TrainConfig, preset,
};
use blankslate::platform::{Store, block_on};
use blankslate::run::data::Examples;
use blankslate::run::directory::RunDir;
use blankslate::run::{Run, RunConfig, Spike, SpikeAction, TrainEvent, train_unattended};
use blankslate::tokenizer::{Tokenizer, run_sequentially};

use crate::common;

const WINDOW: usize = 16;
/// Steps of an epoch: of each two windows, one batch.
const EPOCH: u64 = 100;
const STEPS: u64 = 5 * EPOCH / 2;

/// A text that repeats, with a window of noise in the middle.
fn text() -> String {
    let mut text = "abcdefghijklmnop".repeat(2 * EPOCH as usize + 1).into_bytes();
    // The first letter stays, which is the last target of the window before.
    for (i, place) in text[37 * WINDOW + 1..38 * WINDOW].iter_mut().enumerate() {
        *place = b'0' + (i * i * 7 % 40) as u8;
    }
    String::from_utf8(text).unwrap()
}

fn run(seed: u64, save_every: u64, long_run: LongRunConfig) -> Run {
    let train = TrainConfig {
        steps: STEPS,
        batch_size: 2,
        eval_every: 0,
        seed,
        optimizer: OptimizerConfig::with_lr(0.005),
        schedule: ScheduleConfig {
            kind: ScheduleKind::Constant,
            warmup_steps: 0,
            ..Default::default()
        },
        checkpoints: CheckpointConfig { save_every, keep_last: 1000, keep_spread: 0 },
        ..TrainConfig::default()
    };
    let config = RunConfig {
        tokenizer: "byte".into(),
        model: ModelConfig::gpt2(256)
            .with_context(WINDOW)
            .with_hidden_size(16)
            .with_layers(1)
            .with_heads(2),
        train,
        data: DataConfig {
            seq_len: WINDOW,
            order: DataOrder::Sequential,
            val_fraction: 0.0,
            ..DataConfig::default()
        },
        ..RunConfig::from_preset("run", preset("tiny").unwrap())
    };
    let mut run = Run::fresh(config, Tokenizer::byte(&[]).unwrap(), &common::cpu()).unwrap();
    run.set_long_run(long_run).unwrap();
    let data =
        run.encode(&Examples::of_text("a text", &text()).unwrap(), run_sequentially).unwrap();
    block_on(run.begin(data)).unwrap();
    run
}

fn is_noise(run: &mut Run, batch: u64) -> bool {
    let batch = run.trainer().unwrap().source().nth_batch(batch, 2);
    batch.inputs.iter().any(|token| *token < u32::from(b'a'))
}

/// A seed whose first noise comes when the model has learnt the text, and the epoch's batches of noise.
fn seed() -> u64 {
    let suits = |seed: &u64| {
        let mut run = run(*seed, 0, LongRunConfig::default());
        let noise: Vec<u64> = (0..EPOCH).filter(|batch| is_noise(&mut run, *batch)).collect();
        noise.iter().all(|batch| (70..95).contains(batch))
    };
    (0..1000).find(suits).expect("one of them suits")
}

fn settings(on_spike: OnSpike) -> LongRunConfig {
    LongRunConfig { on_spike, spike_window: 16, ..LongRunConfig::default() }
}

/// Trains in a folder; returns the spikes and the last step whose figures were reported.
fn train(run: Run, folder: &str) -> (Run, Vec<Spike>, Vec<u64>) {
    let directory = RunDir::new(block_on(Store::open(folder)).unwrap());
    let (spikes, steps) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let report = |event: &TrainEvent| match event {
        TrainEvent::Spike(spike) => spikes.borrow_mut().push(*spike),
        TrainEvent::Step { figures, .. } => steps.borrow_mut().push(figures.step),
        _ => {}
    };
    let (run, trained) = block_on(train_unattended(run, directory, report)).unwrap();
    assert_eq!(trained.step, STEPS);
    (run, spikes.into_inner(), steps.into_inner())
}

fn saved(folder: &str, step: u64) -> Files {
    block_on(RunDir::new(block_on(Store::open(folder)).unwrap()).load_step(step)).unwrap()
}

fn weights_of(run: &mut Run) -> BTreeMap<String, Vec<u32>> {
    let files = block_on(pack(&run.trainer().unwrap().in_training(), None, None)).unwrap();
    let weights = read_safetensors(WEIGHTS, &files[WEIGHTS]).unwrap().into_iter();
    weights
        .map(|(name, tensor)| (name, tensor.values.iter().map(|v| v.to_bits()).collect()))
        .collect()
}

#[test]
fn noise_is_reported() {
    let seed = seed();
    let mut first = run(seed, 0, settings(OnSpike::Warn));
    let noise: Vec<u64> =
        (0..STEPS).filter(|batch| is_noise(&mut first, *batch)).map(|batch| batch + 1).collect();
    assert!(noise.len() >= 2);
    let folder = tempfile::tempdir().unwrap();
    let (mut warned, spikes, steps) = train(first, folder.path().to_str().unwrap());
    // Training on it disturbs the steps that follow, so only the first spike is certain.
    assert_eq!(spikes[0].step, noise[0]);
    assert!(spikes.iter().all(|spike| spike.action == SpikeAction::Reported));
    assert_eq!(steps, (1..=STEPS).collect::<Vec<_>>());
    // Detection alone changes nothing.
    let off = LongRunConfig { spike_threshold: 0.0, ..settings(OnSpike::Warn) };
    let other = tempfile::tempdir().unwrap();
    let (mut off, spikes, _) = train(run(seed, 0, off), other.path().to_str().unwrap());
    assert!(spikes.is_empty() && weights_of(&mut off) == weights_of(&mut warned));
}

#[test]
fn skipped_noise_changes_neither_weights_nor_optimizer() {
    let mut first = run(seed(), 1, settings(OnSpike::Skip));
    let noise: Vec<u64> =
        (0..STEPS).filter(|batch| is_noise(&mut first, *batch)).map(|batch| batch + 1).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let (run, spikes, steps) = train(first, path);
    assert_eq!(spikes.iter().map(|spike| spike.step).collect::<Vec<_>>(), noise);
    assert!(spikes.iter().all(|spike| spike.action == SpikeAction::Skipped));
    assert_eq!(run.long_run().skipped, noise);
    assert_eq!(steps, (1..=STEPS).filter(|step| !noise.contains(step)).collect::<Vec<_>>());
    for step in 2..=STEPS {
        let [before, after] = [step - 1, step].map(|step| saved(path, step));
        for file in [WEIGHTS, OPTIMIZER] {
            assert_eq!(before[file] == after[file], noise.contains(&step), "{file} at step {step}");
        }
    }
}

#[test]
fn a_rollback_passes_over_the_batches_since_the_checkpoint() {
    const SAVE_EVERY: u64 = 10;
    let seed = seed();
    let mut reference =
        run(seed, 0, LongRunConfig { spike_threshold: 0.0, ..LongRunConfig::default() });
    // The course of the run, by the rule: the batches whose steps remain, and the spikes.
    let (mut applied, mut passed_over, mut expected) = (Vec::new(), 0, Vec::new());
    while (applied.len() as u64) < STEPS {
        let done = applied.len() as u64;
        if is_noise(&mut reference, done + passed_over) {
            let to = done / SAVE_EVERY * SAVE_EVERY;
            expected.push((done + 1, SpikeAction::RolledBack { to }));
            passed_over += done + 1 - to;
            applied.truncate(to as usize);
        } else {
            applied.push(done + passed_over);
        }
    }
    assert!(expected.len() >= 2, "{expected:?}");
    for batch in applied {
        let trainer = reference.trainer().unwrap();
        let batch = trainer.source().nth_batch(batch, 2);
        trainer.step_on(&[batch]).unwrap();
    }

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let (mut found, spikes, _) = train(run(seed, SAVE_EVERY, settings(OnSpike::Rollback)), path);
    let spikes: Vec<_> = spikes.iter().map(|spike| (spike.step, spike.action)).collect();
    assert_eq!(spikes, expected);
    assert_eq!(found.long_run().passed_over, passed_over);
    assert!(weights_of(&mut found) == weights_of(&mut reference));
    let state: serde_json::Value =
        serde_json::from_slice(&saved(path, STEPS)["training_state.json"]).unwrap();
    assert_eq!(state["long_run"]["passed_over"], passed_over);
    assert_eq!(state["batches_drawn"], STEPS + passed_over);
}
