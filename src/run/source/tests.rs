use super::*;
use crate::tokenizer::{Message, Role};

fn read(name: &str, content: &str) -> Result<Contents> {
    super::read(name, Cow::Owned(content.to_string()), DataFormat::Auto)
}

fn problem(name: &str, content: &str) -> String {
    read(name, content).unwrap_err().to_string()
}

fn said(role: Role, content: &str) -> Message {
    Message { role, content: content.into() }
}

/// Contents of one conversation, with the positions that are not learned.
fn only(contents: &Contents) -> (&[Message], &[usize]) {
    assert_eq!(contents.conversations.len(), 1);
    let Conversation { messages, excluded } = &contents.conversations[0];
    (messages, excluded)
}

const CHAT: &str = r#"{"messages": [{"role": "user", "content": "Legs?"}, {"role": "assistant", "content": "Eight."}]}"#;
const SHAREGPT: &str = r#"{"id": "x1", "conversations": [{"from": "human", "value": "Legs?"}, {"from": "gpt", "value": "Eight."}]}"#;

#[test]
fn plain_text_is_one_document_without_its_byte_order_mark() {
    for text in [
        "she sells",
        "[Enter Hamlet]\nWho's there?\nNay, answer me.",
        "{a}\nb\nc",
        "\"Come,\" he said.\n",
    ] {
        let contents = read("a.txt", text).unwrap();
        assert_eq!(
            (contents.texts.as_slice(), contents.forms.len()),
            ([Cow::Borrowed(text)].as_slice(), 0)
        );
    }
    for marks in ["\u{feff}", "\u{feff}\u{feff}"] {
        assert_eq!(read("a.txt", &format!("{marks}she")).unwrap().texts, ["she"]);
    }
    let borrowed = super::read("a", Cow::Borrowed("\u{feff}she"), DataFormat::Auto).unwrap();
    assert_eq!(borrowed.texts, ["she"]);
    assert!(read("a.txt", "").unwrap().texts.is_empty());
}

#[test]
fn every_known_form_is_read() {
    let eight = [said(Role::User, "Legs?"), said(Role::Assistant, "Eight.")];
    let bare =
        r#"[{"role": "user", "content": "Legs?"}, {"role": "assistant", "content": "Eight."}]"#;
    let parts = r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "Legs?"}]}, {"role": "assistant", "content": "Eight.", "tool_calls": null}]}"#;
    let alpaca = r#"{"instruction": "Legs?", "input": "", "output": "Eight.", "text": "rendered"}"#;
    for content in [CHAT, SHAREGPT, bare, parts, alpaca] {
        // The name does not matter where every line looks like a record.
        for name in ["a.jsonl", "a.JSONL", "a.ndjson", "a.json", "standard input"] {
            for content in
                [content.to_string(), format!("\u{feff}\n{content}\r\n\n"), format!("[{content}]")]
            {
                if content.starts_with("[[") {
                    continue;
                }
                assert_eq!(only(&read(name, &content).unwrap()).0, eight, "{name}: {content}");
            }
        }
    }
    let with_input = r#"{"instruction": "Count.", "input": "a spider", "output": "Eight.", "system": "Be brief."}"#;
    let contents = read("a.jsonl", with_input).unwrap();
    let (messages, _) = only(&contents);
    assert_eq!(
        messages[..2],
        [said(Role::System, "Be brief."), said(Role::User, "Count.\n\na spider")]
    );
}

#[test]
fn a_list_that_is_spread_over_lines_is_read_as_one_a_line() {
    let list: Value = serde_json::from_str(&format!("[{SHAREGPT}, {CHAT}]")).unwrap();
    let spread = serde_json::to_string_pretty(&list).unwrap();
    for name in ["a.json", "a.jsonl", "standard input"] {
        let contents = read(name, &spread).unwrap();
        assert_eq!(contents.conversations.len(), 2);
        assert_eq!(contents.forms, BTreeSet::from(["ShareGPT", "messages"]));
        assert_eq!(contents.unused, BTreeSet::from(["id".to_string()]));
    }
    let cut = &spread[..spread.len() - 4];
    assert!(problem("a.json", cut).contains("not JSON"), "{}", problem("a.json", cut));
}

#[test]
fn the_beginning_decides_the_kind() {
    let pair = r#"{"prompt": "a", "chosen": "b", "rejected": "c"}"#;
    for (content, kind) in [
        ("she sells", DataKind::Text),
        (r#"{"text": "x"}"#, DataKind::Text),
        (CHAT, DataKind::Conversations),
        (pair, DataKind::Preferences),
    ] {
        assert_eq!(kind_of("the text", content).unwrap(), kind, "{content}");
        assert_eq!(kind_of("the text", &format!("{content}\n{{\"te")).unwrap(), kind, "{content}");
    }
    let list: Value = serde_json::from_str(&format!("[{CHAT}, {CHAT}]")).unwrap();
    let spread = serde_json::to_string_pretty(&list).unwrap();
    let kind = kind_of("the text", &spread[..spread.len() - 20]);
    assert_eq!(kind.unwrap(), DataKind::Conversations);
    // What reading passes over does not decide.
    for before in ["\u{feff}", "\u{feff}\u{feff}", "\n", "[]\n"] {
        let content = format!("{before}{CHAT}\n");
        for name in ["a.jsonl", "standard input"] {
            assert_eq!(read(name, &content).unwrap().conversations.len(), 1, "{content:?}");
            assert_eq!(kind_of(name, &content).unwrap(), DataKind::Conversations, "{content:?}");
        }
    }
    let cut = kind_of("the text", &CHAT[..30]).unwrap_err().to_string();
    assert!(cut.contains("line 1") && cut.contains("not JSON"), "{cut}");
}

#[test]
fn messages_of_weight_0_are_read_but_not_learned() {
    let line = r#"{"messages": [{"role": "user", "content": "Legs?"}, {"role": "assistant", "content": "Nine.", "weight": 0}, {"role": "user", "content": "Sure?"}, {"role": "assistant", "content": "Eight.", "weight": 1}], "system": "s"}"#;
    let contents = read("a.jsonl", line).unwrap();
    let (messages, excluded) = only(&contents);
    assert_eq!((messages.len(), excluded), (5, [2].as_slice()));
    let none = line.replace("\"weight\": 1", "\"weight\": 0");
    assert!(problem("a.jsonl", &none).contains("no assistant message to learn"));
    let half = line.replace("\"weight\": 1", "\"weight\": 0.5");
    assert!(problem("a.jsonl", &half).contains("`weight`"));
}

#[test]
fn preference_pairs_are_read_in_every_form() {
    let pair = |line: &str| read("a.jsonl", line).unwrap().pairs.remove(0);
    let expected = PreferencePair {
        prompt: vec![said(Role::User, "Legs?")],
        chosen: vec![said(Role::Assistant, "Eight.")],
        rejected: vec![said(Role::Assistant, "Nine.")],
    };
    let [user, eight, nine] = [("user", "Legs?"), ("assistant", "Eight."), ("assistant", "Nine.")]
        .map(|(role, content)| format!(r#"{{"role": "{role}", "content": "{content}"}}"#));
    for line in [
        r#"{"prompt": "Legs?", "chosen": "Eight.", "rejected": "Nine.", "score_chosen": 3}"#.to_string(),
        format!(r#"{{"prompt": [{user}], "chosen": [{eight}], "rejected": [{nine}]}}"#),
        format!(r#"{{"chosen": [{user}, {eight}], "rejected": [{user}, {nine}]}}"#),
        format!(r#"{{"prompt": "Legs?", "chosen": [{user}, {eight}], "rejected": [{user}, {nine}]}}"#),
        format!(r#"{{"input": {{"messages": [{user}]}}, "preferred_output": [{eight}], "non_preferred_output": [{nine}]}}"#),
        r#"{"instruction": "Legs?", "input": "", "output": "Eight", "chosen": "Eight.", "rejected": "Nine."}"#.to_string(),
    ] {
        assert_eq!(pair(&line), expected, "{line}");
    }
    let other = format!(
        r#"{{"prompt": "Wings?", "chosen": [{user}, {eight}], "rejected": [{user}, {nine}]}}"#
    );
    assert!(problem("a.jsonl", &other).contains("not its prompt"));
}

#[test]
fn prompts_with_completions_are_read_on_request() {
    let line = r#"{"prompt": "Legs?", "completion": "Eight."}"#;
    assert!(problem("a.jsonl", line).contains("`data_format` to prompt-completion"));
    let format = DataFormat::PromptCompletion;
    let contents = super::read("a.jsonl", Cow::Borrowed(line), format).unwrap();
    assert_eq!(only(&contents).0, [said(Role::User, "Legs?"), said(Role::Assistant, "Eight.")]);
    let labelled = r#"{"prompt": "Legs?", "completion": "Eight.", "label": true}"#;
    assert!(problem("a.jsonl", labelled).contains("KTO"));
}

#[test]
fn what_is_not_understood_is_refused_with_its_line() {
    let refused = |line: &str, words: &str| {
        for (name, first) in [("a.jsonl", CHAT), ("standard input", CHAT)] {
            let error = problem(name, &format!("{first}\n\n{line}\n"));
            assert!(error.contains(name) && error.contains("line 3"), "{error}");
            assert!(error.contains(words) && error.contains("`data_format`"), "{error}");
        }
        assert!(problem("a.jsonl", line).contains("line 1"), "{line}");
    };
    refused(r#"{"messages": [{"role": "user", "content": "Legs?"}, {"role": "assist"#, "not JSON");
    refused(&format!("{CHAT},"), "not JSON");
    refused("{'messages': []}", "not JSON");
    refused(r#"{"text": NaN}"#, "not JSON");
    refused(r#"{"text": "\ud83d"}"#, "not JSON");
    refused(r#"{"dialog": []}"#, "none of the known forms has the keys dialog");
    refused(r#""text""#, "neither an object");
    refused(r#"{"messages": [{"role": "tool", "content": "x"}]}"#, "`tool` is not");
    refused(r#"{"messages": [{"role": "user", "content": "x"}]}"#, "no assistant message");
    refused(r#"{"messages": [{"role": "assistant", "content": ""}]}"#, "is empty");
    refused(r#"{"messages": [{"role": "assistant", "content": null}]}"#, "no `content`");
    refused(
        r#"{"messages": [{"role": "assistant", "content": "", "tool_calls": [{"id": "c"}]}]}"#,
        "`tool_calls`",
    );
    refused(&CHAT.replace("]}", r#"], "tools": [{"name": "weather"}]}"#), "`tools`");
    refused(&CHAT.replace("]}", r#"], "text": "x"}"#), "`text`");
    refused(r#"{"prompt": "a", "chosen": "b"}"#, "no `rejected`");
    refused(r#"{"chosen": "b", "rejected": "c"}"#, "no prompt");
    refused(r#"{"prompt": "a", "chosen": "b", "rejected": "b"}"#, "are equal");
    refused(r#"{"prompt": "a", "chosen": [], "rejected": "b"}"#, "neither both strings");
    // Records of several kinds in one file.
    let mixed = problem("a.jsonl", &format!("{CHAT}\n{{\"text\": \"x\"}}"));
    assert!(mixed.contains("line 2") && mixed.contains("another kind"), "{mixed}");
    // A first line that is no record does not turn the rest into text.
    for first in ["# my data", "{\"version\": 2}"] {
        assert!(problem("a.jsonl", &format!("{first}\n{CHAT}\n")).contains("line 1"));
        assert!(
            problem("standard input", &format!("{first}\n{CHAT}\n{CHAT}\n")).contains("line 1")
        );
    }
    assert!(problem("a.jsonl", "\n").contains("is empty"));
}

#[test]
fn the_characters_of_json_are_learned_on_request_only() {
    let contents = super::read("a.json", Cow::Borrowed(CHAT), DataFormat::Text).unwrap();
    assert_eq!(
        (contents.texts.as_slice(), contents.forms.len()),
        ([Cow::Borrowed(CHAT)].as_slice(), 0)
    );
}
