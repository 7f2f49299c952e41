//! Several tabs: engines that share their storage. One of them at a time may write a run.

use blankslate::protocol::{Command, Event};

use crate::support::{Page, config, losses, restore, text};

const ELSEWHERE: &str = "is open in another tab";

fn create() -> Command {
    Command::Create { config: config(), text: text() }
}

fn branch(name: &str) -> Command {
    Command::Restore { run: "first".into(), step: None, branch: Some(name.into()) }
}

fn delete() -> Command {
    Command::Delete { run: "first".into() }
}

fn name_of(events: &[Event]) -> &str {
    match events.last() {
        Some(Event::Loaded { info }) => &info.config.name,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_run_that_is_open_in_a_tab_is_refused_in_another() {
    let (first, second) = {
        let page = Page::open();
        let other = page.beside();
        (page, other)
    };
    first.send(create());
    // It is not stored yet.
    assert!(second.failure(create()).contains(ELSEWHERE));
    first.send(Command::Train { until: 6 });
    for command in [create(), restore("first"), delete()] {
        assert!(second.failure(command).contains(ELSEWHERE));
    }
    // A branch only reads the run, and is then the second tab's.
    assert_eq!(name_of(&second.send(branch("second"))), "second");
    assert!(first.failure(branch("second")).contains(ELSEWHERE));
    // The first tab notices nothing.
    let rest = losses(&first.send(Command::Train { until: 12 }));
    assert_eq!(
        rest.iter().map(|(step, _)| *step).collect::<Vec<_>>(),
        (7..=12).collect::<Vec<_>>()
    );
    second.send(Command::Text { text: text() });
    second.send(Command::Save);
}

#[test]
fn a_run_is_released_by_a_tab_that_closes_opens_another_or_deletes_it() {
    let first = Page::open();
    let second = first.beside();
    first.send(create());
    first.send(Command::Train { until: 6 });
    first.send(branch("second"));
    second.send(restore("first"));
    assert!(first.failure(restore("first")).contains(ELSEWHERE));
    second.send(delete());
    first.send(create());
    let third = first.beside();
    drop(first);
    third.send(create());
}

#[test]
fn a_refused_command_keeps_no_name() {
    let (first, second) = {
        let page = Page::open();
        let other = page.beside();
        (page, other)
    };
    first.failure(Command::Create { config: config(), text: String::new() });
    second.send(create());
}

#[test]
fn a_file_opened_in_two_tabs_gets_two_names() {
    let first = Page::open();
    let second = first.beside();
    first.send(create());
    let Some(Event::Archive { bytes, .. }) =
        first.send(Command::Export { run: None, history: None }).pop()
    else {
        panic!()
    };
    let open = || Command::Open { name: "model.zip".into(), bytes: bytes.clone() };
    assert_eq!(name_of(&first.send(open())), "model");
    assert_eq!(name_of(&second.send(open())), "model-2");
}

#[test]
fn the_first_save_of_a_run_replaces_no_other() {
    let page = Page::open();
    page.send(create());
    // As a tab of a browser without locks would.
    let other = Page::open();
    other.send(create());
    other.send(Command::Train { until: 6 });
    let (from, to) = (other.folder.path().join("first"), page.folder.path().join("first"));
    std::fs::rename(from, to).unwrap();
    let events = page.try_send(Command::Train { until: 6 });
    assert!(format!("{events:?}").contains("another tab has saved a run named `first`"));
    page.send(Command::Export { run: None, history: None });
}
