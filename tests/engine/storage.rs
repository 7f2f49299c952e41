//! Runs in storage: their list, checkpoints, branches, and files that are opened.

use std::fs;

use blankslate::checkpoint::{OPTIMIZER, STATE, TOKENIZER, unpack_zip};
use blankslate::config::{
    CheckpointConfig, DataConfig, Estimate, Precision, SampleConfig, TrainConfig,
};
use blankslate::protocol::{
    Command, Curve, Event, HISTORY, History, LiveSample, NamedFile, RunConfig, RunInfo, RunSummary,
};

use crate::support::{Page, config, generate, losses, restore, text};

/// A run of 12 steps, saved every other step.
fn page() -> (Page, Vec<(u64, f64)>) {
    let page = Page::open();
    let checkpoints =
        CheckpointConfig { save_every: 2, keep_spread: 3, ..CheckpointConfig::default() };
    let train = TrainConfig { checkpoints, eval_every: 0, ..config().train };
    page.send(Command::Create { config: RunConfig { train, ..config() }, text: text() });
    let all = losses(&page.send(Command::Train { until: 12 }));
    (page, all)
}

fn runs(page: &Page) -> Vec<RunSummary> {
    match page.send(Command::Runs).pop() {
        Some(Event::Runs { runs }) => runs,
        other => panic!("{other:?}"),
    }
}

fn kept(page: &Page, name: &str) -> Vec<u64> {
    runs(page).into_iter().find(|run| run.name == name).expect("it was saved").kept
}

fn loaded(events: &[Event]) -> RunInfo {
    match events.last() {
        Some(Event::Loaded { info }) => (**info).clone(),
        other => panic!("{other:?}"),
    }
}

fn branch(step: u64, name: &str) -> Command {
    Command::Restore { run: "first".into(), step: Some(step), branch: Some(name.into()) }
}

#[test]
fn a_list_of_runs_describes_them() {
    let (page, _) = page();
    let all = runs(&page);
    let [run] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((run.name.as_str(), run.step), ("first", 12));
    assert_eq!(run.kept, [0, 4, 8, 10, 12]);
    assert!(run.best_val_loss.is_some() && run.saved_at > 1e12);
    let found = run.config.as_ref().unwrap();
    assert_eq!((found.train.checkpoints.keep_spread, found.tokenizer.as_str()), (3, "char"));
    assert_eq!(run.parameters, Estimate::new(&found.model, &found.train, 1).parameters);
    // Weights and two moments of five checkpoints, and little else.
    let least = 5 * 12 * run.parameters;
    assert!((least..2 * least).contains(&run.bytes), "{} {}", run.bytes, run.parameters);

    let newest = page.folder.path().join("first/checkpoints/step-00000012");
    fs::write(newest.join("config.json"), b"{").unwrap();
    fs::create_dir_all(page.folder.path().join("unfinished/checkpoints/step-00000001")).unwrap();
    let all = runs(&page);
    assert_eq!(all.len(), 2);
    assert!(all.iter().all(|run| run.config.is_none() && run.parameters == 0), "{all:?}");
    assert_eq!((all[0].step, all[1].kept.len(), all[1].bytes), (12, 0, 0));
    page.send(Command::Delete { run: "unfinished".into() });
    assert_eq!(runs(&page).len(), 1);
}

#[test]
fn a_branch_does_not_change_the_run_it_came_from() {
    let (page, all) = page();
    let info = loaded(&page.send(branch(4, "second")));
    assert_eq!((info.config.name.as_str(), info.step), ("second", 4));
    page.send(Command::Text { text: text() });
    assert_eq!(losses(&page.send(Command::Train { until: 12 })), all[4..]);
    assert_eq!(kept(&page, "first"), [0, 4, 8, 10, 12]);
    assert_eq!(kept(&page, "second"), [6, 8, 10, 12]);

    assert!(page.failure(branch(4, "second")).contains("already a run named `second`"));
    assert!(page.failure(branch(4, "a/b")).contains("cannot be the name of a run"));
    let gone = page.failure(branch(6, "third"));
    assert!(gone.contains("no checkpoint of step 6 is kept; choose one of: 0, 4, 8, 10, 12"));
}

#[test]
fn a_damaged_newest_checkpoint_does_not_hide_the_older_ones() {
    let (page, all) = page();
    let newest = page.folder.path().join("first/checkpoints/step-00000012/model.safetensors");
    fs::write(newest, b"cut").unwrap();
    let said = page.failure(restore("first"));
    assert!(said.contains("first/model.safetensors cannot be read"), "{said}");
    assert!(said.contains("branch from its checkpoint of step 10"), "{said}");
    page.send(branch(10, "second"));
    page.send(Command::Text { text: text() });
    assert_eq!(losses(&page.send(Command::Train { until: 12 })), all[10..]);
}

#[test]
fn a_changed_setting_replaces_the_later_checkpoints() {
    let (page, _) = page();
    page.send(Command::Restore { run: "first".into(), step: Some(4), branch: None });
    page.send(Command::Text { text: text() });
    // Nothing has changed yet.
    page.send(Command::Save);
    assert_eq!(kept(&page, "first"), [0, 4, 8, 10, 12]);
    page.send(Command::Adjust { lr: Some(1e-3), batch_size: None, steps: None });
    page.send(Command::Train { until: 8 });
    let [run] = runs(&page).try_into().unwrap();
    assert_eq!((run.kept, run.best_val_loss), (vec![0, 4, 6, 8], None));
    assert_eq!(loaded(&page.send(restore("first"))).step, 8);
}

#[test]
fn an_unsupported_precision_becomes_f32_with_a_notice() {
    let (page, all) = page();
    let file = page.folder.path().join("first/checkpoints/step-00000004").join(STATE);
    let state = std::fs::read_to_string(&file).unwrap();
    let (from, to) = (r#""precision": "f32""#, r#""precision": "bf16""#);
    assert!(state.contains(from));
    std::fs::write(&file, state.replace(from, to)).unwrap();
    let fourth = Command::Restore { run: "first".into(), step: Some(4), branch: None };
    let info = loaded(&page.send(fourth));
    assert_eq!(info.config.train.precision, Precision::F32);
    assert!(info.notice.unwrap().contains("training continues in f32"));
    page.send(Command::Text { text: text() });
    assert_eq!(losses(&page.send(Command::Train { until: 12 })), all[4..]);
}

#[test]
fn files_open_like_their_zip() {
    let (page, _) = page();
    let Some(Event::Archive { bytes, .. }) =
        page.send(Command::Export { run: None, history: None }).pop()
    else {
        panic!()
    };
    let files = unpack_zip("x.zip", &bytes).unwrap();
    let open = |wanted: &dyn Fn(&str) -> bool| {
        let inside = files.iter().filter(|(name, _)| wanted(name));
        let inside = inside
            .map(|(name, bytes)| NamedFile { name: format!("a/{name}"), bytes: bytes.clone() });
        let elsewhere = NamedFile { name: "a/b/config.json".into(), bytes: b"{".to_vec() };
        Command::OpenFiles { name: "opened".into(), files: inside.chain([elsewhere]).collect() }
    };
    let info = loaded(&page.send(open(&|_| true)));
    assert_eq!((info.config.name.as_str(), info.step, info.trainable), ("opened", 12, false));
    let info = loaded(&page.send(open(&|name| ![STATE, OPTIMIZER].contains(&name))));
    assert_eq!(info.step, 0);
    let headless = page.failure(open(&|name| name != TOKENIZER));
    assert!(headless.contains("tokenizer.json is missing from opened"), "{headless}");
    let nothing = Command::OpenFiles { name: "opened".into(), files: Vec::new() };
    assert!(page.failure(nothing).contains("config.json is missing from opened"));
}

#[test]
fn curves_and_samples_travel_in_a_download() {
    let (page, _) = page();
    let curve = Curve {
        steps: vec![1, 12],
        train: vec![Some(3.0), Some(2.0)],
        val: vec![None, Some(2.5)],
        norm: vec![None, Some(1.0)],
        lr: vec![Some(1e-3); 2],
        ..Curve::default()
    };
    let samples = vec![LiveSample { step: 0, text: "abc".into() }];
    let history = History { curve, samples };
    let export = Command::Export { run: Some("first".into()), history: Some(history.clone()) };
    let Some(Event::Archive { bytes, .. }) = page.send(export).pop() else { panic!() };
    let events = page.send(Command::Open { name: "again.zip".into(), bytes: bytes.clone() });
    let [.., Event::Loaded { info }, Event::History { history: found }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((info.step, &info.notice, found), (12, &None, &history));

    // Curves that cannot be read do not keep the model from opening.
    let mut files = unpack_zip("again.zip", &bytes).unwrap();
    files.insert(HISTORY.into(), b"{\"curve\": 1}".to_vec());
    let files = files.into_iter().map(|(name, bytes)| NamedFile { name, bytes });
    let open = Command::OpenFiles { name: "opened".into(), files: files.collect() };
    let notice = loaded(&page.send(open)).notice.unwrap();
    assert!(notice.starts_with("history.json cannot be read: it has 1 where"), "{notice}");
}

#[test]
fn a_gguf_file_is_opened_sampled_from_and_tuned() {
    let page = Page::open();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/gguf/llama.gguf");
    let file = NamedFile { name: "a/llama.gguf".into(), bytes: std::fs::read(path).unwrap() };
    let open = Command::OpenFiles { name: "llama".into(), files: vec![file] };
    let info = loaded(&page.send(open));
    assert_eq!((info.config.name.as_str(), info.config.model.vocab_size), ("llama", 270));
    page.send(generate(1, "she", SampleConfig { max_new_tokens: 3, ..Default::default() }));
    let data = DataConfig { seq_len: 16, ..Default::default() };
    let tuned = RunConfig { name: "tuned".into(), data, ..config() };
    let info = loaded(&page.send(Command::FineTune { config: tuned, text: text() }));
    assert!(info.trainable && info.config.model.num_hidden_layers == 3, "{info:?}");
    let losses = losses(&page.send(Command::Train { until: 12 }));
    assert!(losses[11].1 < losses[0].1, "{losses:?}");
}

#[test]
fn the_current_run_can_be_deleted() {
    let (page, _) = page();
    let events = page.send(Command::Delete { run: "first".into() });
    assert!(
        matches!(&events[..], [Event::Gone, Event::Runs { runs }] if runs.is_empty()),
        "{events:?}"
    );
    assert!(page.failure(Command::Save).contains("train or open one first"));

    page.send(Command::Create { config: config(), text: text() });
    page.react(|event| match event {
        Event::Step { report } if report.step == 3 => Some(Command::Delete { run: "first".into() }),
        _ => None,
    });
    let events = page.try_send(Command::Train { until: 6 });
    let refused = |event: &Event| matches!(event, Event::Failed { message } if message.contains("training is in progress"));
    assert!(events.iter().any(refused), "{events:?}");
    assert!(matches!(events.last(), Some(Event::Training { running: false, step: 6 })));
}
