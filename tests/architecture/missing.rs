//! No test passes silently without what it needs: the rule of `tests/common/missing.rs`, and that nothing skips
//! tests in another way.

#[path = "../common/missing.rs"]
mod rule;

use rule::{Need, OPTIONAL, accept};

use super::files;

#[test]
fn only_what_is_listed_may_be_missing_in_ci() {
    for need in
        [Need::Vulkan, Need::F16, Need::Bf16, Need::Mount, Need::Namespaces, Need::TensorBoard]
    {
        assert!(accept(need, &"the reason", false, true).unwrap().contains("the reason"));
        assert!(accept(need, &"the reason", true, true).is_err(), "{need:?}");
        let in_ci = accept(need, &"the reason", true, false);
        assert_eq!(in_ci.is_ok(), OPTIONAL.contains(&need), "{need:?}");
        if let Err(message) = in_ci {
            // What is wrong, and what to do.
            assert!(message.contains("CI=true") && message.contains("the reason"), "{message}");
            assert!(["install ", "run as "].iter().any(|verb| message.contains(verb)), "{message}");
        }
    }
}

#[test]
fn tests_are_skipped_in_one_place_only() {
    let mut wrong = Vec::new();
    for (path, text) in files("tests", &["rs", "mjs"]) {
        if !path.ends_with("architecture/missing.rs") {
            wrong.extend(silent_skips(&text).map(|line| format!("{}: {line}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "use `missing` or `skipWithout`: {wrong:#?}");
    for line in
        ["#[ignore]", "t.skip('no adapter')", "{ skip: !binary, timeout: 9 }", "test.todo('x')"]
    {
        assert_eq!(silent_skips(line).count(), 1, "{line}");
    }
    assert_eq!(silent_skips("t.skip(skipWithout('no adapter')); values.iter().skip(1)").count(), 0);
}

/// Lines that skip a test without saying so to `missing` or to `skipWithout`.
fn silent_skips(text: &str) -> impl Iterator<Item = &str> {
    let is_unguarded = |line: &str, word: &str| {
        line.split(word).skip(1).any(|condition| !condition.starts_with("skipWithout("))
    };
    text.lines().filter(move |line| {
        ["#[ignore", ".todo("].iter().any(|word| line.contains(word))
            || ["t.skip(", "skip: "].iter().any(|word| is_unguarded(line, word))
    })
}
