//! Fine-tuning the current model with adapters: its cost, resuming, and using the result.

use std::fs;
use std::path::Path;

use blankslate::checkpoint::{BASE_WEIGHTS, FROZEN, Files, OPTIMIZER, STATE, WEIGHTS, unpack_zip};
use blankslate::config::{
    DataConfig, Estimate, LoraConfig, OptimizerConfig, ScheduleConfig, TrainConfig,
};
use blankslate::platform::block_on;
use blankslate::protocol::{
    Answer, Command, Event, NamedFile, Query, RunConfig, RunInfo, RunSummary,
};

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
        Some(Event::Loaded { info }) => *info,
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
    let Some(Event::Archive { bytes, .. }) =
        page.send(Command::Export { run: None, history: None }).pop()
    else {
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

/// Paths of the large files of a page's runs, without the optimizer state.
fn weights_in(page: &Page) -> Vec<String> {
    fn walk(folder: &Path, at: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{at}{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                walk(&entry.path(), &format!("{path}/"), found);
            } else if path.ends_with(".safetensors") && !path.contains("optimizer") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(page.folder.path(), "", &mut found);
    found.sort_unstable();
    found
}

fn summary(page: &Page, name: &str) -> RunSummary {
    let Some(Event::Runs { runs }) = page.send(Command::Runs).pop() else { panic!() };
    runs.into_iter().find(|run| run.name == name).expect("it is stored")
}

fn archive(page: &Page, run: Option<&str>) -> Files {
    let command = Command::Export { run: run.map(String::from), history: None };
    let Some(Event::Archive { name, bytes }) = page.send(command).pop() else { panic!() };
    unpack_zip(&name, &bytes).unwrap()
}

/// The weights of a run by file that are not those of its adapters.
fn other_than_adapters(page: &Page, run: &str) -> Vec<String> {
    let all = weights_in(page).into_iter().filter_map(|path| {
        path.strip_prefix(&format!("{run}/"))
            .filter(|path| !path.contains("adapter"))
            .map(String::from)
    });
    all.collect()
}

#[test]
fn the_weights_of_the_base_are_not_stored_again() {
    let page = base();
    tuned(&page, &adapting("tuned", &config()));
    page.send(Command::Train { until: 20 });
    assert_eq!(other_than_adapters(&page, "tuned"), [""; 0]);
    let run = summary(&page, "tuned");
    assert_eq!(run.base.as_deref(), Some("first"));
    assert!(run.kept.len() > 1, "{run:?}");
    // What is stored is complete all the same.
    let whole = archive(&page, None);
    assert!(whole.contains_key(WEIGHTS) && whole.contains_key(BASE_WEIGHTS));
    assert_eq!(archive(&page, Some("tuned")), whole);
    let early = Command::Restore { run: "tuned".into(), step: Some(run.kept[0]), branch: None };
    page.send(early);
    page.send(Command::Text { text: text() });
    let inspect = Query::Tensors { step: Some(20) };
    assert!(block_on(page.engine.ask(inspect)).is_ok());

    // A branch shares the same weights.
    let branch =
        Command::Restore { run: "tuned".into(), step: None, branch: Some("branch".into()) };
    page.send(branch);
    page.send(Command::Text { text: text() });
    page.send(Command::Save);
    assert_eq!(summary(&page, "branch").base.as_deref(), Some("first"));

    // Once the base is deleted, each run has its weights, once.
    page.send(Command::Delete { run: "first".into() });
    for name in ["tuned", "branch"] {
        assert_eq!(other_than_adapters(&page, name), [FROZEN]);
        assert_eq!(summary(&page, name).base, None);
    }
    assert_eq!(archive(&page, Some("tuned")), whole);
}

#[test]
fn training_the_base_further_leaves_its_adapters_as_they_were() {
    let page = base();
    tuned(&page, &adapting("tuned", &config()));
    page.send(Command::Train { until: 10 });
    let before = archive(&page, Some("tuned"));
    page.send(restore("first"));
    page.send(Command::Text { text: text() });
    page.send(Command::Train { until: 12 });
    assert_eq!(summary(&page, "tuned").base, None);
    assert_eq!(archive(&page, Some("tuned")), before);
}

#[test]
fn the_weights_of_a_base_that_is_not_stored_are_stored_once() {
    let page = base();
    let plain = archive(&page, None);
    page.send(Command::Delete { run: "first".into() });
    let files = plain.into_iter().filter(|(name, _)| ![STATE, OPTIMIZER].contains(&name.as_str()));
    let files = files.map(|(name, bytes)| NamedFile { name, bytes });
    page.send(Command::OpenFiles { name: "opened".into(), files: files.collect() });
    // New tokens for messages: the embedding is trained, everything else is as it was.
    let talk = r#"{"messages": [{"role": "user", "content": "sea?"}, {"role": "assistant", "content": "shells"}]}"#;
    let mut chat = adapting("tuned", &config());
    chat.data = DataConfig { seq_len: 48, val_fraction: 0.0, ..DataConfig::default() };
    let talks = format!("{talk}\n").repeat(20);
    page.send(Command::FineTune { config: chat, text: talks.clone() });
    page.send(Command::Train { until: 20 });
    assert_eq!(other_than_adapters(&page, "tuned"), [FROZEN]);
    assert!(summary(&page, "tuned").kept.len() > 1);
    assert_eq!(archive(&page, Some("tuned")), archive(&page, None));

    // A run of an earlier version, whose checkpoints have all weights, opens and continues.
    let whole = archive(&page, Some("tuned"));
    let folder = page.folder.path().join("old/checkpoints/step-00000020");
    fs::create_dir_all(folder.join("adapter")).unwrap();
    whole.iter().for_each(|(name, bytes)| fs::write(folder.join(name), bytes).unwrap());
    page.send(restore("old"));
    page.send(Command::Text { text: talks });
    assert_eq!(archive(&page, None), whole);
}

#[test]
fn fresh_models_get_no_adapters() {
    let page = Page::open();
    let refused =
        page.failure(Command::Create { config: adapting("fresh", &config()), text: text() });
    assert!(refused.contains("LoRA rank") && refused.contains("fine-tune"), "{refused}");
}
