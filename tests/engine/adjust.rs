//! Settings that change during training.

use blankslate::protocol::{Command, Event, RunConfig};

use crate::support::{Page, config, losses, restore, text};

fn adjust(lr: Option<f64>, batch_size: Option<usize>, steps: Option<u64>) -> Command {
    Command::Adjust { lr, batch_size, steps }
}

fn page() -> Page {
    let page = Page::open();
    page.send(Command::Create { config: config(), text: text() });
    page
}

fn adjusted(events: &[Event]) -> &RunConfig {
    let found = events.iter().find_map(|event| match event {
        Event::Adjusted { config, .. } => Some(config),
        _ => None,
    });
    found.expect("settings were changed")
}

#[test]
fn a_bad_value_changes_nothing() {
    let page = page();
    assert!(page.failure(adjust(Some(-1.0), Some(9), None)).contains("Learning rate must be"));
    assert!(page.failure(adjust(Some(f64::NAN), None, None)).contains("not NaN"));
    assert!(
        page.failure(adjust(None, Some(0), Some(99)))
            .contains("Batch size must be at least 1, not 0")
    );
    assert_eq!(adjusted(&page.send(adjust(None, None, None))).train, config().train);

    let rates = |lr| {
        let events = page.send(adjust(Some(lr), None, None));
        let train = &adjusted(&events).train;
        (train.optimizer.lr, train.schedule.min_lr)
    };
    assert_eq!(rates(2e-3), (2e-3, 1e-4));
    assert_eq!(rates(2e-5), (2e-5, 2e-5));
    assert!(Page::open().failure(adjust(None, None, None)).contains("train or open one first"));
}

#[test]
fn training_continues_with_changed_settings_and_saves_them() {
    let halting = page();
    let mut expected = losses(&halting.send(Command::Train { until: 5 }));
    halting.send(adjust(Some(5e-3), Some(7), Some(18)));
    expected.extend(losses(&halting.send(Command::Train { until: 18 })));

    let going = page();
    going.react(|event| match event {
        Event::Step { report } if report.step == 5 => Some(adjust(Some(5e-3), Some(7), Some(18))),
        _ => None,
    });
    let events = going.send(Command::Train { until: 12 });
    assert_eq!(losses(&events), expected);
    assert!(matches!(events.last(), Some(Event::Training { running: false, step: 18 })));
    let Some(Event::Step { report }) =
        events.iter().rev().find(|event| matches!(event, Event::Step { .. }))
    else {
        panic!("{events:?}")
    };
    // Still warming up: 18 of 21 steps.
    assert_eq!((report.steps, report.lr), (18, 5e-3 * (18.0 / 21.0)));
    // The batch size changed during training, so the step alone does not determine how much was read.
    let RunConfig { train, data, .. } = config();
    let seen = ((5 * train.batch_size + 13 * 7) * train.grad_accum * data.seq_len) as u64;
    assert_eq!(report.tokens, seen);

    let events = going.send(restore("first"));
    let Some(Event::Loaded { info }) = events.last() else { panic!("{events:?}") };
    let train = &info.config.train;
    let adjusted = (train.optimizer.lr, train.batch_size, train.steps);
    assert_eq!((adjusted, info.step), ((5e-3, 7, 18), 18));
    let events = going.send(Command::Runs);
    let Some(Event::Runs { runs }) = events.last() else { panic!("{events:?}") };
    assert_eq!(runs[0].tokens_seen, seen);
    going.send(Command::Text { text: text() });
    let events = going.send(Command::Train { until: 19 });
    let next = events.iter().find_map(|event| match event {
        Event::Step { report } => Some(report.tokens),
        _ => None,
    });
    assert_eq!(next, Some(seen + (7 * train.grad_accum * data.seq_len) as u64));
}

#[test]
fn fewer_steps_end_training_early() {
    let page = page();
    page.react(|event| match event {
        Event::Step { report } if report.step == 5 => Some(adjust(None, None, Some(3))),
        _ => None,
    });
    let events = page.send(Command::Train { until: 12 });
    assert!(matches!(events.last(), Some(Event::Training { running: false, step: 5 })));
    assert!(events.iter().any(|event| matches!(event, Event::Saved { step: 5, .. })));
}
