//! Data files: text and JSON records.

use std::sync::OnceLock;

use blankslate::config::DataConfig;
use blankslate::data::Windows;
use blankslate::error::{Error, Result};
use blankslate::run::data::Examples;
use blankslate::run::source::{DataFormat, kind_of};
use blankslate::tokenizer::{Tokenizer, run_sequentially};

use super::{Target, choice, memory_limit};

pub const TARGET: Target = Target { name: "data", seeds, check, memory_limit };

const NAMES: [&str; 4] = ["a.jsonl", "a.txt", "a.json", "standard input"];
/// Tokens of a window, and of a prompt.
const WINDOW: usize = 64;

fn seeds() -> Vec<Vec<u8>> {
    let messages = r#"{"messages": [{"role": "user", "content": "the cat"}, {"role": "assistant", "content": "sat", "weight": 1}], "id": 3}"#;
    let share = r#"{"system": "s", "conversations": [{"from": "human", "value": "the cat"}, {"from": "gpt", "value": "sat"}]}"#;
    let alpaca = r#"{"instruction": "the", "input": "cat", "output": "sat"}"#;
    let pair = r#"{"prompt": "the cat", "chosen": "sat", "rejected": "fled"}"#;
    let openai = r#"{"input": {"messages": [{"role": "user", "content": "a"}]}, "preferred_output": [{"role": "assistant", "content": "b"}], "non_preferred_output": [{"role": "assistant", "content": "c"}]}"#;
    let parts = r#"[{"role": "user", "content": [{"type": "text", "text": "a"}]}, {"role": "assistant", "content": "b"}]"#;
    let completion = r#"{"prompt": "the cat", "completion": "sat"}"#;
    let lines = [
        ("\0", format!("{messages}\n{share}\n")),
        ("\0", format!("{alpaca}\n\n{alpaca}")),
        ("\0", pair.into()),
        ("\0", openai.into()),
        ("\0", parts.into()),
        ("\u{2}", format!("[\n  {share},\n  {messages}\n]")),
        ("\u{3}", "{\"text\": \"the cat\"}\n{\"text\": \"sat\"}".into()),
        ("\u{1}", "\u{feff}the cat\r\nsat".into()),
        ("\u{4}", format!("{{\"text\": {messages:?}}}")),
        ("\u{8}", completion.into()),
    ];
    lines.map(|(choice, text)| format!("{choice}{text}").into_bytes()).into()
}

fn check(input: &[u8]) -> Result<()> {
    let (choice, file) = choice(input);
    let name = NAMES[usize::from(choice & 3)];
    let format = match choice >> 2 & 3 {
        0 => DataFormat::Auto,
        1 => DataFormat::Text,
        _ => DataFormat::PromptCompletion,
    };
    let text = std::str::from_utf8(file)
        .map_err(|error| Error::NotUtf8 { what: name.into(), offset: error.valid_up_to() })?;
    let mut examples = Examples::default();
    examples.add(name, text.to_string(), format)?;
    let kind = examples.kind(name)?;
    assert!(!examples.summary().is_empty());
    if format == DataFormat::Auto {
        assert_eq!(kind_of(name, text).expect("the beginning of readable data is readable"), kind);
    }
    if format != DataFormat::Text {
        let again = Examples::of_text(name, &examples.to_text()).expect("written data is readable");
        assert_eq!(again.conversations, examples.conversations);
        assert_eq!(again.pairs, examples.pairs);
        let texts = |all: &Examples| -> Vec<String> {
            all.documents.iter().map(|one| one.text.to_string()).collect()
        };
        assert_eq!(texts(&again), texts(&examples));
    }
    let tokenizer = tokenizer();
    for conversation in &examples.conversations {
        // A prompt that is too long is not an error of the file.
        if let Ok(prompt) = tokenizer.encode_chat_prompt(&conversation.messages, WINDOW) {
            // What is never dropped may be longer: a system message, and the last one.
            let few = conversation.messages.len() <= prompt.dropped + 2;
            assert!(few || prompt.ids.len() <= WINDOW);
        }
    }
    let corpus = examples.corpus(tokenizer, WINDOW, run_sequentially)?;
    // Bytes are tokens; each message has a few more.
    assert!(corpus.len() <= 32 * file.len());
    // Too few tokens for a window are not an error of the file.
    drop(Windows::new(corpus, &DataConfig::default(), 2, 1).map(|windows| windows.batch(3)));
    Ok(())
}

fn tokenizer() -> &'static Tokenizer {
    static BYTES: OnceLock<Tokenizer> = OnceLock::new();
    BYTES.get_or_init(|| {
        let bytes = Tokenizer::byte(&[]).expect("bytes are distinct");
        bytes.with_chat_tokens().expect("bytes are no chat tokens")
    })
}
