//! Creating, training, closing, restoring, downloading and opening a run, and what is refused.

use blankslate::config::{DataKind, SampleConfig};
use blankslate::platform::{DeviceInfo, block_on, open_device};
use blankslate::protocol::{Command, Event, FormSettings, RunConfig, page_message};
use blankslate::run::GivenSettings;

use crate::support::{Page, config, generate, losses, restore, text};

#[test]
fn a_run_is_created_trained_closed_and_restored_exactly() {
    let page = Page::open();
    let loaded = page.send(Command::Create { config: config(), text: text() });
    let Some(Event::Loaded { info }) = loaded.last() else { panic!("{loaded:?}") };
    assert!(info.trainable && info.step == 0 && info.config.model.vocab_size > 5);

    let events = page.send(Command::Train { until: 12 });
    let all = losses(&events);
    assert_eq!(all.iter().map(|(step, _)| *step).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    assert!(all[11].1 < all[0].1, "{all:?}");
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    assert_eq!(count(|e| matches!(e, Event::Evaluated { .. })), 3); // after 5, 10, and at the end
    assert_eq!(count(|e| matches!(e, Event::LiveSample { .. })), 4); // also before the first step
    assert_eq!(count(|e| matches!(e, Event::Saved { .. })), 4);
    assert!(matches!(events.last(), Some(Event::Training { running: false, step: 12 })));

    // The same run in two halves, with a new engine in between.
    let other = Page::open();
    other.send(Command::Create { config: config(), text: text() });
    other.send(Command::Train { until: 6 });
    let restored = other.send(restore("first"));
    let Some(Event::Loaded { info }) = restored.last() else { panic!("{restored:?}") };
    assert!(!info.trainable && info.step == 6 && info.config.name == "first");
    assert!(other.failure(Command::Train { until: 7 }).contains("the text to train on is empty"));
    other.send(Command::Text { text: text() });
    let rest = losses(&other.send(Command::Train { until: 12 }));
    assert_eq!(rest, all[6..]);
}

#[test]
fn a_download_is_opened_and_samples_the_same() {
    let page = Page::open();
    page.send(Command::Create { config: config(), text: text() });
    page.send(Command::Train { until: 3 });
    let sample = |page: &Page| -> String {
        let config = SampleConfig { max_new_tokens: 20, ..Default::default() };
        let events = page.send(generate(1, "she", config));
        assert!(matches!(events.last(), Some(Event::Text { done: true, .. })));
        let pieces = events.iter().filter_map(|event| match event {
            Event::Text { text, .. } => Some(text.as_str()),
            _ => None,
        });
        pieces.collect()
    };
    let first = sample(&page);
    assert_eq!(first.chars().count(), 20);
    let Some(Event::Archive { name, bytes }) =
        page.send(Command::Export { run: None, history: None }).pop()
    else {
        panic!()
    };
    assert_eq!(name, "first-step-3.zip");
    let stored = page.send(Command::Export { run: Some("first".into()), history: None }).pop();
    let Some(Event::Archive { name: same, bytes: stored }) = stored else { panic!() };
    assert_eq!((same, stored), (name.clone(), bytes.clone()));
    let none = Command::Export { run: Some("none".into()), history: None };
    assert!(page.failure(none).contains("`none` has no checkpoint"));
    let other = Page::open();
    other.send(Command::Open { name, bytes });
    assert_eq!(sample(&other), first);
    let notice = |text: String| {
        let events = other.send(Command::Text { text });
        let Some(Event::Loaded { info }) = events.last() else { panic!("{events:?}") };
        info.notice.clone()
    };
    assert_eq!(notice(text()), None);
    assert!(notice(text() + "she").unwrap().contains("not the text"));
}

#[test]
fn failures_are_reported_in_one_line() {
    let page = Page::open();
    assert!(
        page.failure(Command::Export { run: None, history: None })
            .contains("train or open one first")
    );
    assert!(page.failure(Command::Profile { steps: 3 }).contains("no training is in progress"));
    let empty = Command::Create { config: config(), text: String::new() };
    assert!(page.failure(empty).contains("the text is empty"));
    let short = Command::Create { config: config(), text: "abc".into() };
    assert!(page.failure(short).contains("but needs at least 17"));
    let traversal = restore("../elsewhere");
    assert!(page.failure(traversal).contains("cannot be the name of a run"));
    assert!(page.failure(restore("none")).contains("config.json is missing"));
    let open = Command::Open { name: "x.zip".into(), bytes: b"no zip".to_vec() };
    assert!(page.failure(open).contains("x.zip cannot be read"));
    assert!(
        page.failure(Command::Init { device: "toaster".into() }).contains("the device is unknown")
    );

    page.send(Command::Create { config: config(), text: text() });
    let long = generate(1, "she sells sea shells", SampleConfig::default());
    let events = page.try_send(long);
    assert!(matches!(events.first(), Some(Event::Text { done: true, .. })));
    assert!(format!("{events:?}").contains("20 tokens do not fit the model's context of 16"));

    let mut diverging = config();
    diverging.train.optimizer.lr = 1e30;
    diverging.train.optimizer.grad_clip = 0.0;
    diverging.train.schedule.warmup_steps = 0;
    page.send(Command::Create { config: diverging, text: text() });
    let events = page.try_send(Command::Train { until: 12 });
    assert!(format!("{events:?}").contains("the loss became"), "{events:?}");
    assert!(events.iter().any(|event| matches!(event, Event::Training { running: false, .. })));
}

#[test]
fn settings_are_validated_before_a_run_starts() {
    config().validate_fresh().unwrap();
    let with = |change: fn(&mut RunConfig)| {
        let mut config = config();
        change(&mut config);
        page_message(&config.validate_fresh().unwrap_err())
    };
    assert!(with(|c| c.tokenizer = "bpe".into()).contains("needs a vocabulary size"));
    assert!(with(|c| c.data.seq_len = 17).contains("model's context of 16"));
    assert!(with(|c| c.model.num_key_value_heads = 3).contains("Key-value heads"));
    assert!(with(|c| c.train.batch_size = 0).contains("Batch size"));
    assert!(with(|c| c.name = "a/b".into()).contains("cannot be the name of a run"));
    assert!(
        with(|c| c.model.num_hidden_layers = 0).starts_with("Layers must be at least 1, not 0")
    );
}

#[test]
fn what_memory_cannot_hold_is_refused_before_it_is_allocated() {
    let page = Page::open();
    let mut large = config();
    large.train.batch_size = 1_000_000_000;
    let refused = |message: String| {
        assert!(message.contains("needs about"), "{message}");
        assert!(message.contains("lower Batch size, Sequence length"), "{message}");
    };
    refused(page.failure(Command::Create { config: large.clone(), text: text() }));

    page.send(Command::Create { config: config(), text: text() });
    let tuned = RunConfig { name: "tuned".into(), ..large.clone() };
    refused(page.failure(Command::FineTune { config: tuned, text: text() }));
    let batch_size = Some(1_000_000_000);
    refused(page.failure(Command::Adjust { lr: None, batch_size, steps: None }));
    // The run before is still there.
    assert_eq!(losses(&page.send(Command::Train { until: 2 })).len(), 2);

    // The form refuses it as well, with the device that the page knows.
    let device = block_on(open_device("cpu")).unwrap().1;
    let form = |config: &RunConfig, device: Option<&DeviceInfo>| {
        let given = GivenSettings::default();
        FormSettings::new(config, &given, "", DataKind::Text, 27, device).unwrap()
    };
    refused(form(&large, Some(&device)).problem.unwrap());
    assert_eq!(form(&large, None).problem, None);
    assert_eq!(form(&config(), Some(&device)).problem, None);
    let estimate = form(&large, Some(&device)).estimate;
    assert!(estimate.activation_bytes > 1 << 40, "{estimate:?}");
}
