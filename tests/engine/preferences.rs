//! Preference tuning of the current model: its metrics, the report of one pair, and resuming.

use blankslate::config::{
    DataConfig, DataKind, ObjectiveConfig, OptimizerConfig, ScheduleConfig, TrainConfig,
};
use blankslate::platform::block_on;
use blankslate::protocol::{Answer, Command, Event, PairReport, Query, RunConfig, page_message};

use crate::support::{Page, base, config, losses, restore};

const PAIRS: &str = r#"{"prompt": "sea?", "chosen": "shells", "rejected": "no"}
{"prompt": "sky?", "chosen": "birds", "rejected": "what"}
{"prompt": "shore?", "chosen": "she sells", "rejected": "sand"}"#;

fn preferring(name: &str) -> RunConfig {
    let train = TrainConfig {
        steps: 40,
        optimizer: OptimizerConfig::with_lr(1e-3),
        schedule: ScheduleConfig::with_warmup(0),
        eval_every: 20,
        objective: ObjectiveConfig { dpo_beta: 0.2, ..Default::default() },
        ..Default::default()
    };
    let kind = DataKind::Preferences;
    let data = DataConfig { kind, seq_len: 40, val_fraction: 0.34, ..Default::default() };
    RunConfig { name: name.into(), train, data, sample_every: 0, ..config() }
}

fn pair(page: &Page, number: usize) -> Result<PairReport, String> {
    match block_on(page.engine.ask(Query::Pair { number })) {
        Ok(Answer::Pair { pair }) => Ok(pair),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

/// Computes the margin as the page does.
fn margin(PairReport { beta, chosen, rejected, .. }: &PairReport) -> f64 {
    let gain = |log_probability: f32, reference| f64::from(log_probability - reference);
    beta * (gain(chosen.log_probability, chosen.reference)
        - gain(rejected.log_probability, rejected.reference))
}

#[test]
fn the_current_model_learns_to_prefer_chosen_completions() {
    let page = base();
    assert!(pair(&page, 0).unwrap_err().contains("not trained on preference pairs"));
    page.send(Command::FineTune { config: preferring("tuned"), text: PAIRS.into() });
    let before = pair(&page, 1).unwrap();
    assert_eq!((before.pairs, before.beta), (2, 0.2));
    assert_eq!(before.prompt, "<|im_start|>user\nsky?<|im_end|>\n<|im_start|>assistant\n");
    assert_eq!((&*before.chosen.text, before.chosen.tokens), ("birds<|im_end|>", 6));
    assert_eq!((&*before.rejected.text, before.rejected.tokens), ("what<|im_end|>", 5));
    assert!(margin(&before).abs() < 1e-5, "{before:?}");
    assert!(pair(&page, 2).unwrap_err().contains("only 2"));

    let events = page.send(Command::Train { until: 40 });
    let of_steps: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Step { report } => Some(&report.metrics),
            _ => None,
        })
        .collect();
    assert_eq!(of_steps.len(), 40);
    let last = of_steps[39];
    assert!(last["margin"] > 0.3 && last["accuracy"] == 1.0, "{last:?}");
    let evaluated = events.iter().any(
        |event| matches!(event, Event::Evaluated { metrics, .. } if metrics.contains_key("margin")),
    );
    assert!(evaluated);
    let after = pair(&page, 1).unwrap();
    assert!(margin(&after) > 0.3, "{after:?}");
    assert_eq!(after.chosen.reference, before.chosen.reference);

    // The same run in two halves, restored from storage.
    let all = losses(&events);
    let other = base();
    other.send(Command::FineTune { config: preferring("tuned"), text: PAIRS.into() });
    other.send(Command::Train { until: 20 });
    other.send(restore("tuned"));
    let wrong = PAIRS.replace("birds", "stars");
    assert!(
        other
            .failure(Command::Text { text: wrong })
            .contains("is not what this run was trained on")
    );
    other.send(Command::Text { text: PAIRS.into() });
    assert_eq!(losses(&other.send(Command::Train { until: 40 })), all[20..]);
    assert_eq!(pair(&other, 1).unwrap(), after);
}

#[test]
fn preference_pairs_need_a_model_and_a_long_enough_window() {
    let page = base();
    let config = preferring("fresh");
    assert!(
        page.failure(Command::Create { config, text: PAIRS.into() })
            .contains("preference pairs need a trained model")
    );
    let mut config = preferring("words");
    config.data.kind = DataKind::Text;
    let words = "sea shells by the sea shore. ".repeat(9);
    let tune = Command::FineTune { config: config.clone(), text: words.clone() };
    assert!(page.failure(tune).contains("DPO β: the data has no preference pairs"));
    assert!(page_message(&config.validate_fresh().unwrap_err()).contains("DPO β"));
    assert!(page.failure(Command::Create { config, text: words }).contains("DPO β"));
    let long = format!(
        "{PAIRS}\n{{\"prompt\": \"x\", \"chosen\": \"{}\", \"rejected\": \"b\"}}",
        "y".repeat(50)
    );
    let tune = Command::FineTune { config: preferring("tuned"), text: long };
    let Some(Event::Loaded { info }) = page.send(tune).pop() else { panic!() };
    assert!(info.notice.unwrap().contains("left out: 1."));
}
