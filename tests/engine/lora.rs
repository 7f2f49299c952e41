//! Fine-tuning the current model with adapters: its cost, resuming, and using the result.

use blankslate::config::{Estimate, LoraConfig, OptimizerConfig, ScheduleConfig, TrainConfig};
use blankslate::platform::block_on;
use blankslate::protocol::{Answer, Command, Event, Query, RunConfig, RunInfo};

use crate::support::{Page, base, config, losses, restore, text};

fn adapting(name: &str, base: &RunConfig) -> RunConfig {
    let train = TrainConfig {
        steps: 20,
        optimizer: OptimizerConfig::with_lr(1e-2),
        schedule: ScheduleConfig::with_warmup(0),
        eval_every: 10,
        lora: LoraConfig::with_rank(4),
        ..TrainConfig::default()
    };
    RunConfig { name: name.into(), train, sample_every: 0, ..base.clone() }
}

fn tuned(page: &Page, config: &RunConfig) -> RunInfo {
    let tune = Command::FineTune { config: config.clone(), text: text() };
    match page.send(tune).pop() {
        Some(Event::Loaded { info }) => info,
        other => panic!("{other:?}"),
    }
}

#[test]
fn adapters_learn_resume_and_are_merged_for_everything_else() {
    let page = base();
    let RunInfo { config, estimate, .. } = tuned(&page, &adapting("tuned", &config()));
    assert_eq!(estimate, Estimate::of_run(&config.model, &config.train, &config.data));
    assert!(estimate.trained_parameters < estimate.parameters / 3);
    let events = page.send(Command::Train { until: 20 });
    let all = losses(&events);
    assert!(all[19].1 < all[0].1 - 0.1, "{all:?}");
    assert!(events.iter().any(|event| matches!(event, Event::Evaluated { .. })));
    // Inspection sees a model without adapters.
    let tensors = |page: &Page| match block_on(page.engine.ask(Query::Tensors { step: None })) {
        Ok(Answer::Tensors { tensors }) => tensors,
        other => panic!("{other:?}"),
    };
    let merged = tensors(&page);
    assert!(merged.iter().all(|tensor| !tensor.name.contains("lora")));

    // The same run in two halves, restored from storage.
    let other = base();
    tuned(&other, &adapting("tuned", &config));
    other.send(Command::Train { until: 10 });
    other.send(restore("tuned"));
    other.send(Command::Text { text: text() });
    assert_eq!(losses(&other.send(Command::Train { until: 20 })), all[10..]);
    let weights = |page: &Page| -> Vec<_> {
        tensors(page).into_iter().map(|tensor| (tensor.name, tensor.weights)).collect()
    };
    assert_eq!(weights(&other), weights(&page));

    // The same as a download, whose merged weights are then fine-tuned.
    let Some(Event::Archive { bytes, .. }) = page.send(Command::Export { run: None }).pop() else {
        panic!("no archive")
    };
    other.send(Command::Open { name: "again.zip".into(), bytes });
    assert_eq!(weights(&other), weights(&page));
    let mut whole = config.train.clone();
    whole.lora.rank = 0;
    let info = tuned(&other, &RunConfig { name: "whole".into(), train: whole, ..config });
    assert_eq!(info.estimate.trained_parameters, info.estimate.parameters);
    assert_eq!(weights(&other), weights(&page));
}

#[test]
fn fresh_models_get_no_adapters() {
    let page = Page::open();
    let refused =
        page.failure(Command::Create { config: adapting("fresh", &config()), text: text() });
    assert!(refused.contains("LoRA rank") && refused.contains("fine-tune"), "{refused}");
}
