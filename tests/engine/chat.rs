//! Fine-tuning the current model, and chatting with the result.

use blankslate::config::{
    DataConfig, DataKind, ModelConfig, OptimizerConfig, SampleConfig, ScheduleConfig, TrainConfig,
};
use blankslate::protocol::{Command, Event, RunConfig, RunInfo};
use blankslate::tokenizer::{Message, Role};

use crate::support::{Page, base, config, losses, restore};

const CHAT: &str = r#"{"messages": [{"role": "user", "content": "sea?"}, {"role": "assistant", "content": "shells"}]}
{"messages": [{"role": "user", "content": "sky?"}, {"role": "assistant", "content": "birds"}]}"#;

fn tuned(kind: DataKind) -> RunConfig {
    let train = TrainConfig {
        steps: 120,
        optimizer: OptimizerConfig::with_lr(1e-2),
        batch_size: 8,
        schedule: ScheduleConfig::with_warmup(5),
        ..Default::default()
    };
    let data = DataConfig { kind, seq_len: 40, val_fraction: 0.0, ..Default::default() };
    RunConfig { name: "tuned".into(), train, data, sample_every: 0, ..config() }
}

fn loaded(events: &[Event]) -> RunInfo {
    match events.last() {
        Some(Event::Loaded { info }) => (**info).clone(),
        other => panic!("{other:?}"),
    }
}

fn said(role: Role, content: &str) -> Message {
    Message { role, content: content.into() }
}

/// Generates the assistant's next message.
fn next_turn(messages: Vec<Message>, config: SampleConfig) -> Command {
    let (prompt, messages) = (String::new(), Some(messages));
    Command::Generate { id: 1, prompt, ids: None, messages, config, alternatives: 0, draft: None }
}

/// Returns the answer, and the number of messages that were left out.
fn answer(page: &Page, messages: Vec<Message>, max_new_tokens: usize) -> (String, usize) {
    let config = SampleConfig { temperature: 0.0, max_new_tokens, ..Default::default() };
    let command = next_turn(messages, config);
    let mut found = (String::new(), 0);
    for event in page.send(command) {
        if let Event::Text { text, dropped, .. } = event {
            found.0 += &text;
            found.1 += dropped;
        }
    }
    found
}

#[test]
fn the_current_model_learns_to_answer() {
    let page = base();
    let config = tuned(DataKind::Conversations);
    let info = loaded(&page.send(Command::FineTune { config: config.clone(), text: CHAT.into() }));
    assert!(info.trainable && info.has_chat_template && info.step == 0, "{info:?}");
    assert_eq!((info.config.tokenizer.as_str(), info.config.model.vocab_size), ("byte", 258));
    assert_eq!(info.config.model.hidden_size, 32);
    let all = losses(&page.send(Command::Train { until: 120 }));
    assert_eq!(answer(&page, vec![said(Role::User, "sea?")], 12), ("shells".into(), 0));
    assert_eq!(answer(&page, vec![said(Role::User, "sky?")], 12), ("birds".into(), 0));
    let long =
        [said(Role::User, "sea?"), said(Role::Assistant, "shells"), said(Role::User, "sky?")];
    assert_eq!(answer(&page, long.into(), 12).1, 2);
    // The name is taken now.
    let again = Command::FineTune { config, text: CHAT.into() };
    assert!(page.failure(again).contains("already a run named"));

    let Some(Event::Runs { runs }) = page.send(Command::Runs).pop() else { panic!() };
    let turns: Vec<(&str, bool)> =
        runs.iter().map(|run| (run.name.as_str(), run.has_chat_template)).collect();
    assert!(turns.contains(&("first", false)) && turns.contains(&("tuned", true)), "{turns:?}");

    // The same run in two halves.
    let other = base();
    other.send(Command::FineTune { config: tuned(DataKind::Conversations), text: CHAT.into() });
    other.send(Command::Train { until: 60 });
    assert!(loaded(&other.send(restore("tuned"))).has_chat_template);
    other.send(Command::Text { text: CHAT.into() });
    assert_eq!(losses(&other.send(Command::Train { until: 120 })), all[60..]);
}

#[test]
fn the_current_model_is_fine_tuned_on_another_text() {
    let page = base();
    let config = tuned(DataKind::Text);
    let text = "sea birds fly by the shore. ".repeat(20);
    let info = loaded(&page.send(Command::FineTune { config, text }));
    assert!(!info.has_chat_template && info.config.model.vocab_size == 256);
    let all = losses(&page.send(Command::Train { until: 30 }));
    assert!(all[29].1 < all[0].1, "{all:?}");
    assert!(
        page.failure(Command::FineTune {
            config: RunConfig { name: "other".into(), ..tuned(DataKind::Conversations) },
            text: "no JSON".into(),
        })
        .contains("the text holds no conversations")
    );
    let generate = next_turn(vec![said(Role::User, "x")], SampleConfig::default());
    assert!(page.failure(generate).contains("fine-tune the model on conversations first"));
}

#[test]
fn a_fresh_model_learns_from_conversations_too() {
    let page = Page::open();
    let config = RunConfig {
        tokenizer: "char".into(),
        model: ModelConfig::gpt2(1)
            .with_context(48)
            .with_hidden_size(32)
            .with_layers(1)
            .with_heads(2),
        ..tuned(DataKind::Conversations)
    };
    let info = loaded(&page.send(Command::Create { config, text: CHAT.into() }));
    assert!(info.has_chat_template && info.train_tokens > 40, "{info:?}");
    page.send(Command::Train { until: 120 });
    assert_eq!(answer(&page, vec![said(Role::User, "sea?")], 12).0, "shells");
}
