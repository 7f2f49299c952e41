//! Measured training speed of a configuration.

use blankslate::config::{ModelConfig, preset};
use blankslate::platform::block_on;
use blankslate::protocol::{Answer, Command, Query, RunConfig};

use crate::support::{Page, config, losses, text};

fn speed(page: &Page, config: RunConfig) -> Option<f64> {
    match block_on(page.engine.ask(Query::Speed { config: config.into() })) {
        Ok(Answer::Speed { tokens_per_second }) => tokens_per_second,
        other => panic!("{other:?}"),
    }
}

fn of_preset(name: &str) -> RunConfig {
    let preset = preset(name).unwrap();
    RunConfig { model: preset.model, train: preset.train, data: preset.data, ..config() }
}

#[test]
fn models_of_usual_sizes_have_a_measured_speed() {
    let page = Page::open();
    let speeds = ["tiny", "char", "gpt2"].map(|name| speed(&page, of_preset(name)).unwrap());
    assert!(speeds.iter().all(|speed| speed.is_finite() && *speed > 0.0), "{speeds:?}");
}

#[test]
fn a_model_too_large_to_measure_has_no_speed() {
    assert_eq!(speed(&Page::open(), of_preset("llama-7b")), None);
}

#[test]
fn an_invalid_configuration_is_refused() {
    let broken =
        RunConfig { model: ModelConfig { num_key_value_heads: 3, ..config().model }, ..config() };
    let refused = block_on(Page::open().engine.ask(Query::Speed { config: broken.into() }));
    assert!(refused.unwrap_err().to_string().contains("num_key_value_heads"));
}

#[test]
fn measuring_does_not_change_the_current_run() {
    let course = |measured: bool| {
        let page = Page::open();
        page.send(Command::Create { config: config(), text: text() });
        let mut course = losses(&page.send(Command::Train { until: 5 }));
        if measured {
            speed(&page, of_preset("tiny")).unwrap();
        }
        course.extend(losses(&page.send(Command::Train { until: 12 })));
        course
    };
    assert_eq!(course(true), course(false));
}
