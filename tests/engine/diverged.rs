//! A run whose loss is no longer finite: it ends, says so everywhere, and names a checkpoint that can still be used.

use blankslate::config::SampleConfig;
use blankslate::platform::block_on;
use blankslate::protocol::{Command, Event, Query, RunConfig};

use crate::support::{Page, config, generate, losses, text};

const SINCE: &str = "its loss is not a finite number since step";

/// A run that is saved every other step and diverges once its learning rate is raised.
fn fragile() -> Command {
    let mut config = RunConfig { sample_every: 0, ..config() };
    config.train.eval_every = 0;
    config.train.optimizer.grad_clip = 0.0;
    config.train.checkpoints.save_every = 2;
    config.train.schedule.warmup_steps = 0;
    Command::Create { config, text: text() }
}

/// Trains with an absurd learning rate and returns the step that ended the run and the good checkpoint.
fn diverge(page: &Page) -> (u64, Option<u64>) {
    page.send(Command::Adjust { lr: Some(1e30), batch_size: None, steps: None });
    let events = page.try_send(Command::Train { until: 12 });
    let Some(Event::Failed { message }) = events.last() else { panic!("{events:?}") };
    assert!(message.contains("the loss became"), "{message}");
    let end = events.iter().find_map(|event| match event {
        Event::Diverged { step, good } => Some((*step, *good)),
        _ => None,
    });
    let (step, good) = end.expect("a `diverged` event");
    assert!(message.contains("still good") == good.is_some(), "{message} {good:?}");
    (step, good)
}

#[test]
fn everything_that_needs_the_model_is_refused() {
    let page = Page::open();
    page.send(fragile());
    let (_, good) = diverge(&page);
    // A run is saved before its first step.
    assert_eq!(good, Some(0));
    let save =
        [Command::Save, Command::Export { run: None, history: None }, Command::Train { until: 12 }];
    for command in save {
        assert!(page.failure(command).contains(SINCE));
    }
    let events = page.try_send(generate(1, "she", SampleConfig::default()));
    assert!(format!("{events:?}").contains(SINCE), "{events:?}");
    let text = || "she sells".to_string();
    let queries = [
        Query::Inspect { text: text(), step: None, ablate: vec![], top: 3 },
        Query::Cut { text: text(), step: None, config: SampleConfig::default(), top: 3 },
        Query::Activations { text: text(), step: None },
        Query::Cached { text: text(), step: None },
        Query::Embeddings { step: None, limit: 5, find: String::new() },
    ];
    for query in queries {
        let error = block_on(page.engine.ask(query)).unwrap_err().to_string();
        assert!(error.contains(SINCE), "{error}");
    }
}

#[test]
fn training_continues_from_the_good_checkpoint() {
    let page = Page::open();
    page.send(fragile());
    page.send(Command::Train { until: 6 });
    let (step, good) = diverge(&page);
    assert!(step > 7 && good == Some(6), "{step} {good:?}");
    page.send(Command::Restore { run: "first".into(), step: good, branch: None });
    page.send(Command::Text { text: text() });
    assert_eq!(losses(&page.send(Command::Train { until: 12 })).len(), 6);
}

#[test]
fn a_checkpoint_whose_weights_diverge_is_not_called_good() {
    let page = Page::open();
    page.send(fragile());
    page.send(Command::Train { until: 6 });
    // One more step breaks the weights; if they are still finite, they are saved.
    page.send(Command::Adjust { lr: Some(1e30), batch_size: None, steps: None });
    page.try_send(Command::Train { until: 7 });
    let events = page.try_send(Command::Train { until: 12 });
    let Some(Event::Failed { message }) = events.last() else { panic!("{events:?}") };
    assert!(!message.contains("checkpoint of step 7 in first is still good"), "{message}");
    let good = events.iter().find_map(|event| match event {
        Event::Diverged { good, .. } => *good,
        _ => None,
    });
    assert_eq!(good, Some(6), "{events:?}");
}
