//! Comparison of tokenizers, and the progress of training one.

use blankslate::error::Result;
use blankslate::platform::block_on;
use blankslate::protocol::{Answer, Merge, Query, Stage, Token};

use crate::support::{Page, text};

fn spelled(tokens: &[Token]) -> Vec<&str> {
    tokens.iter().map(|token| token.text.as_str()).collect()
}

#[test]
fn tokenizers_are_compared() {
    let specs = ["char", "byte", "bpe:270", "wordpiece:60", "bpe", "bpe:20"];
    let query = Query::Tokenizers {
        corpus: text(),
        text: "sea shells".into(),
        specs: specs.map(String::from).into(),
    };
    let Ok(Answer::Tokenizers { reports }) = block_on(Page::open().engine.ask(query)) else {
        panic!()
    };
    assert_eq!(reports.iter().map(|report| report.spec.as_str()).collect::<Vec<_>>(), specs);
    let [char, byte, bpe, wordpiece, unsized_bpe, tiny] = &reports[..] else { panic!() };
    assert_eq!((char.vocab_size, byte.vocab_size, bpe.vocab_size), (12, 256, 270));
    assert_eq!((char.bytes_per_token, byte.bytes_per_token), (1.0, 1.0));
    assert!(bpe.bytes_per_token > 2.0 && bpe.train_ms >= 0.0, "{bpe:?}");
    assert_eq!(spelled(&char.tokens).len(), 10);
    assert_eq!(spelled(&bpe.tokens).concat(), "sea shells");
    assert_eq!(spelled(&wordpiece.tokens)[0], "sea");
    assert!(reports[..4].iter().all(|report| report.problem.is_none()));
    assert!(unsized_bpe.problem.as_ref().unwrap().contains("needs a vocabulary size"));
    assert!(tiny.problem.as_ref().unwrap().contains("a vocabulary of 20 is too small"));

    let query =
        Query::Tokenizers { corpus: "abc".into(), text: "z".into(), specs: vec!["char".into()] };
    let Ok(Answer::Tokenizers { reports }) = block_on(Page::open().engine.ask(query)) else {
        panic!()
    };
    assert!(reports[0].problem.as_ref().unwrap().contains("no token for"));
}

fn merges(corpus: &str, text: &str, vocab_size: usize) -> Result<(Vec<Merge>, Vec<Stage>)> {
    let (corpus, text) = (corpus.into(), text.into());
    let query = Query::Merges { corpus, text, vocab_size };
    match block_on(Page::open().engine.ask(query))? {
        Answer::Merges { merges, stages } => Ok((merges, stages)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn merges_are_reported_in_order_with_their_counts() {
    // The end-of-text token takes one id of the vocabulary.
    let (learned, stages) = merges("ab ab ab abc", "abc ab", 257 + 3).unwrap();
    let told: Vec<_> =
        learned.iter().map(|m| (m.left.as_str(), m.right.as_str(), m.count)).collect();
    assert_eq!(told, [("a", "b", 4), (" ", "ab", 3), (" ab", "c", 1)]);
    let told: Vec<_> = stages.iter().map(|stage| (stage.merges, spelled(&stage.tokens))).collect();
    assert_eq!(told[0], (0, vec!["a", "b", "c", " ", "a", "b"]));
    assert_eq!(told[1], (1, vec!["ab", "c", " ", "ab"]));
    assert_eq!(told[2..], [(2, vec!["ab", "c", " ab"]), (3, vec!["ab", "c", " ab"])]);

    assert!(merges("ab", "ab", 9).unwrap_err().to_string().contains("too small"));
    assert!(merges("", "ab", 300).is_err());
}

#[test]
fn a_smaller_vocabulary_is_the_beginning_of_a_larger_one() {
    let sentence = "she shells by the sea";
    let (all, stages) = merges(&text(), sentence, 290).unwrap();
    for stage in &stages {
        let (few, theirs) = merges(&text(), sentence, 257 + stage.merges).unwrap();
        let counts = |merges: &[Merge]| merges.iter().map(|m| m.count).collect::<Vec<_>>();
        assert_eq!(counts(&few), counts(&all[..stage.merges]));
        let last = theirs.last().unwrap();
        assert_eq!(spelled(&last.tokens), spelled(&stage.tokens), "{} merges", stage.merges);
    }
}
