//! Tokenizers: training against a slow reference, files, streaming, special tokens and invalid input.

use blankslate::error::Error;
use blankslate::tokenizer::{
    AllowedSpecial, Kind, Pattern, Tokenizer, TrainOptions, TrainStage, run_sequentially,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::common::tokenizers::{TEXT, options, random, train, trained};

#[test]
fn text_and_file_round_trip() {
    for tokenizer in trained() {
        let ids = tokenizer.encode(TEXT).unwrap();
        assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
        if tokenizer.kind() != Kind::WordPiece {
            assert_eq!(tokenizer.decode(&ids).unwrap(), TEXT);
        }
        let file = tokenizer.to_json();
        let again = Tokenizer::from_json(&file).unwrap();
        assert_eq!(again.to_json(), file);
        assert_eq!(again.kind(), tokenizer.kind());
        assert_eq!(again.pattern(), tokenizer.pattern());
        assert_eq!(again.vocab_size(), tokenizer.vocab_size());
        assert_eq!(again.encode(TEXT).unwrap(), ids);
        assert!(again.special_tokens().eq(tokenizer.special_tokens()));
        for id in 0..tokenizer.vocab_size() as u32 {
            assert_eq!(again.token_bytes(id), tokenizer.token_bytes(id));
        }
    }
}

#[test]
fn wordpiece_decodes_to_normalized_text() {
    let tokenizer = train(&options(Kind::WordPiece, 200), "Naïve cats! Cats sat, cats sit.");
    let ids = tokenizer.encode("cats,  SAT naïve!").unwrap();
    assert_eq!(tokenizer.decode(&ids).unwrap(), "cats, sat naive!");
    let unknown = tokenizer.id_of("[UNK]").unwrap();
    assert_eq!(tokenizer.encode("cats 中").unwrap().last(), Some(&unknown));
}

#[test]
fn streaming_equals_decoding_at_once_without_partial_characters() {
    let mut state = 7;
    for tokenizer in trained() {
        let mut sequences = vec![tokenizer.encode(TEXT).unwrap()];
        // Random ids, so that the bytes include invalid UTF-8.
        for _ in 0..300 {
            let length = random(&mut state) % 40;
            let id = |_| (random(&mut state) % tokenizer.vocab_size()) as u32;
            sequences.push((0..length).map(id).collect());
        }
        let mut decoder = tokenizer.stream_decoder();
        for ids in sequences {
            let mut text = String::new();
            for (index, &id) in ids.iter().enumerate() {
                text += &decoder.push(id).unwrap();
                let whole = tokenizer.decode_bytes(&ids[..=index]).unwrap();
                let valid = match std::str::from_utf8(&whole) {
                    Ok(whole) => whole.len(),
                    Err(error) if error.error_len().is_none() => error.valid_up_to(),
                    Err(_) => continue,
                };
                assert_eq!(text.as_bytes(), &whole[..valid], "nothing is held back needlessly");
            }
            text += &decoder.finish();
            assert_eq!(text, tokenizer.decode(&ids).unwrap());
        }
    }
}

#[test]
fn an_id_outside_the_vocabulary_is_an_error() {
    for tokenizer in trained() {
        let id = tokenizer.vocab_size() as u32;
        let error = tokenizer.decode(&[0, id]).unwrap_err();
        assert!(matches!(error, Error::TokenOutOfRange { id: found, .. } if found == id as u64));
        let mut decoder = tokenizer.stream_decoder();
        assert!(decoder.push(u32::MAX).is_err());
        assert_eq!(decoder.push(0).unwrap() + &decoder.finish(), tokenizer.decode(&[0]).unwrap());
    }
}

#[test]
fn special_tokens_are_encoded_only_where_allowed() {
    let text = "the <|end|><|end|>of cat";
    for tokenizer in trained() {
        // Without an unknown token, characters that are not in the training text would be errors.
        let Ok(plain) = tokenizer.encode(text) else {
            assert_eq!(tokenizer.kind(), Kind::Char);
            continue;
        };
        let end = tokenizer.id_of("<|end|>").unwrap();
        let longer = tokenizer.id_of("<|end|>of").unwrap();
        let specials = |ids: &[u32]| -> Vec<u32> {
            ids.iter().copied().filter(|id| [end, longer].contains(id)).collect()
        };
        assert!(tokenizer.is_special(end) && !tokenizer.is_special(tokenizer.id_of("t").unwrap()));
        assert_eq!(specials(&plain), [0u32; 0], "{tokenizer:?}");
        let encode = |allowed| tokenizer.encode_with_special(text, &allowed).unwrap();
        assert_eq!(encode(AllowedSpecial::None), plain);
        // The longer of two tokens at the same position wins.
        assert_eq!(specials(&encode(AllowedSpecial::All)), [end, longer]);
        assert_eq!(specials(&encode(AllowedSpecial::Only(&["<|end|>"]))), [end, end]);
        assert_eq!(specials(&encode(AllowedSpecial::Only(&["<|end|>of"]))), [longer]);
        let unknown = AllowedSpecial::Only(&["<|edn|>"]);
        let error = tokenizer.encode_with_special(text, &unknown).unwrap_err().to_string();
        assert!(error.contains("<|edn|>") && error.contains("<|end|>of"), "{error}");
    }
}

#[test]
fn training_never_creates_a_special_token_from_ordinary_text() {
    for kind in [Kind::Bpe, Kind::WordPiece] {
        let text = "hello hello hello shell";
        let with = TrainOptions { special_tokens: vec!["hello".into()], ..options(kind, 400) };
        let tokenizer = train(&with, text);
        let special = tokenizer.id_of("hello").unwrap();
        assert!(!tokenizer.encode(text).unwrap().contains(&special), "{kind:?}");
        let without = TrainOptions { special_tokens: vec![], ..with };
        let tokenizer = train(&without, text);
        assert_eq!(tokenizer.encode("hello").unwrap(), [tokenizer.id_of("hello").unwrap()]);
    }
}

/// Reference BPE training that recounts all pairs for every merge. Words are lists of token texts; ids are indices into
/// `vocab`.
fn slow_training(
    words: &BTreeMap<Vec<String>, u64>,
    vocab: &mut Vec<String>,
    limit: usize,
    prefix: &str,
) -> Vec<(String, String)> {
    let mut words: Vec<(Vec<String>, u64)> = words.clone().into_iter().collect();
    let mut merges = Vec::new();
    while vocab.len() < limit {
        let id = |token: &String| vocab.iter().position(|other| other == token).unwrap();
        let mut counts: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        for (word, count) in &words {
            for pair in word.windows(2) {
                *counts.entry((id(&pair[0]), id(&pair[1]))).or_default() += count;
            }
        }
        let best = counts.iter().max_by_key(|(pair, count)| (**count, std::cmp::Reverse(**pair)));
        let Some((&(left, right), _)) = best else { break };
        let (left, right) = (vocab[left].clone(), vocab[right].clone());
        let joined = format!(
            "{left}{}",
            right.strip_prefix(prefix).expect("only a first piece has no prefix")
        );
        for (word, _) in &mut words {
            let mut at = 0;
            while at + 1 < word.len() {
                if word[at] == left && word[at + 1] == right {
                    word.splice(at..at + 2, [joined.clone()]);
                }
                at += 1;
            }
        }
        if !vocab.contains(&joined) {
            vocab.push(joined);
        }
        merges.push((left, right));
    }
    merges
}

fn file_of(tokenizer: &Tokenizer) -> Value {
    serde_json::from_slice(&tokenizer.to_json()).unwrap()
}

#[test]
fn bpe_training_equals_its_definition() {
    // Runs of one letter produce the same token in two ways, the hardest case for incremental counts.
    let text = "aaaaaaa aaaaa aaa abab ababa bbaabb baaab aaab baaaaab the then these thesis \
        hathe athens ------- ---- --- a-- banana bananas"
        .repeat(2);
    let tokenizer =
        train(&TrainOptions { special_tokens: vec![], ..options(Kind::Bpe, 310) }, &text);
    let file = file_of(&tokenizer);
    let by_id = |(token, id): (&String, &Value)| (id.as_u64().unwrap(), token.clone());
    let vocab: BTreeMap<u64, String> =
        file["model"]["vocab"].as_object().unwrap().iter().map(by_id).collect();
    let found: Vec<String> = vocab.into_values().collect();

    let mut expected = found[..256].to_vec();
    let mut words: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    for piece in Pattern::Gpt2.split(&text) {
        let letters = piece.chars().map(|c| if c == ' ' { "Ġ".into() } else { c.to_string() });
        *words.entry(letters.collect()).or_default() += 1;
    }
    let merges = slow_training(&words, &mut expected, 310, "");
    assert_eq!(found, expected);
    let merges: Vec<String> = merges.into_iter().map(|(a, b)| format!("{a} {b}")).collect();
    assert_eq!(file["model"]["merges"], json!(merges));
    assert!(found.len() > 300, "the text gave only {} tokens", found.len());
}

#[test]
fn wordpiece_training_equals_its_definition() {
    let text = "low lower lowest new newer newest wide wider widest slow slower aaaa aaaaa";
    let options = TrainOptions { special_tokens: vec![], ..options(Kind::WordPiece, 48) };
    let tokenizer = train(&options, text);
    let found: Vec<String> = (0..tokenizer.vocab_size() as u32)
        .map(|id| String::from_utf8(tokenizer.token_bytes(id).unwrap().to_vec()).unwrap())
        .collect();
    let mut words: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    for word in text.split(' ') {
        let pieces = word.chars().enumerate();
        let pieces = pieces.map(|(i, c)| if i == 0 { c.to_string() } else { format!("##{c}") });
        *words.entry(pieces.collect()).or_default() += 1;
    }
    let mut start: Vec<String> = text.chars().filter(|&c| c != ' ').map(String::from).collect();
    let inner = words.keys().flat_map(|word| word[1..].to_vec());
    let mut continuing: Vec<String> = inner.collect();
    start.sort();
    start.dedup();
    continuing.sort();
    continuing.dedup();
    let mut expected = [vec!["[UNK]".to_owned()], start, continuing].concat();
    let letters = expected.len();
    slow_training(&words, &mut expected, 48, "##");
    assert_eq!(found, expected);
    assert!(found.len() > letters + 10, "the text gave only {} tokens", found.len());
}

/// Runs each job on its own thread, the last one first.
fn on_threads(jobs: usize, job: &(dyn Fn(usize) + Sync)) {
    std::thread::scope(|scope| {
        for index in (0..jobs).rev() {
            scope.spawn(move || job(index));
        }
    });
}

#[test]
fn training_does_not_depend_on_threads() {
    let mut state = 3;
    let letters = ["the", " cat", " 12", "'s", "é", "\n\n", "   ", "中", "ab", "!"];
    let mut text = String::new();
    while text.len() < 5 << 20 {
        text.push_str(letters[random(&mut state) % letters.len()]);
        text.push((b'a' + (random(&mut state) % 26) as u8) as char);
    }
    for kind in [Kind::Char, Kind::Bpe, Kind::WordPiece] {
        let options = options(kind, 600);
        let apart = Tokenizer::train(&options, text.split_inclusive('\n'), on_threads, |_| {
            ControlFlow::Continue(())
        });
        let threads =
            Tokenizer::train(&options, [&text], on_threads, |_| ControlFlow::Continue(()));
        let alone = train(&options, &text);
        assert_eq!(threads.unwrap().to_json(), alone.to_json(), "{kind:?}");
        if kind == Kind::WordPiece {
            // The other kinds treat lines as separate texts, whose ends need not be ends of pieces.
            assert_eq!(apart.unwrap().to_json(), alone.to_json());
        }
    }
}

#[test]
fn progress_increases_and_can_cancel_training() {
    let mut seen = Vec::new();
    let options = options(Kind::Bpe, 400);
    let text = TEXT.repeat(3);
    Tokenizer::train(&options, [&text], run_sequentially, |progress| {
        seen.push(progress);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((seen[0].stage, seen[0].done), (TrainStage::Counting, text.len() as u64));
    let merging: Vec<_> = seen.iter().filter(|p| p.stage == TrainStage::Merging).collect();
    assert!(merging.len() >= 2 && merging.windows(2).all(|pair| pair[0].done <= pair[1].done));
    assert_eq!(merging.last().map(|p| (p.total, p.done <= p.total)), Some((142, true)));

    for stop_at in 0..seen.len() {
        let mut calls = 0;
        let result = Tokenizer::train(&options, [&text], run_sequentially, |_| {
            calls += 1;
            if calls > stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(result, Err(Error::Cancelled)));
        assert_eq!(calls, stop_at + 1, "progress was called after cancellation");
    }
}

#[test]
fn a_vocabulary_size_that_is_too_small_reports_the_minimum() {
    for (kind, minimum) in
        [(Kind::Byte, 258), (Kind::Bpe, 258), (Kind::Char, 5), (Kind::WordPiece, 8)]
    {
        // WordPiece: [UNK], two special tokens, a b c, ##b ##c. Characters: a b c.
        let make = |vocab_size| {
            Tokenizer::train(&options(kind, vocab_size), ["abc"], run_sequentially, |_| {
                ControlFlow::Continue(())
            })
        };
        match make(minimum - 1) {
            Err(Error::VocabTooSmall { requested, minimum: found, .. }) => {
                assert_eq!((requested, found), (minimum - 1, minimum), "{kind:?}");
            }
            other => panic!("{kind:?}: {other:?}"),
        }
        let tokenizer = make(minimum).unwrap();
        assert_eq!(tokenizer.vocab_size(), minimum);
        assert!(!tokenizer.encode("abc").unwrap().is_empty());
    }
}

#[test]
fn invalid_options_are_rejected() {
    let refuse = |options: TrainOptions, text: &str, part: &str| {
        let result =
            Tokenizer::train(&options, [text], run_sequentially, |_| ControlFlow::Continue(()));
        let message = result.unwrap_err().to_string();
        assert!(message.contains(part), "{part:?} is not in: {message}");
    };
    let special = |kind, token: &str| TrainOptions {
        special_tokens: vec![token.into(), "<b>".into(), "<b>".into()],
        ..options(kind, 1000)
    };
    for kind in [Kind::Byte, Kind::Bpe, Kind::Char, Kind::WordPiece] {
        refuse(special(kind, "<a>"), "a", "`<b>` occurs twice");
        refuse(special(kind, ""), "a", "is empty");
        let letter = TrainOptions { special_tokens: vec!["a".into()], ..options(kind, 1000) };
        refuse(letter, "ab a", "also the ordinary token");
    }
    for kind in [Kind::Bpe, Kind::Char, Kind::WordPiece] {
        refuse(options(kind, 1000), "", "training text is empty");
    }
    refuse(
        TrainOptions { alphabet_limit: Some(2), ..options(Kind::Char, 1000) },
        "abc",
        "set an unknown token",
    );
    let bad: Result<TrainOptions, _> = serde_json::from_str(r#"{"vocabsize": 3}"#);
    assert!(bad.unwrap_err().to_string().contains("unknown field `vocabsize`"));
}

#[test]
fn rare_characters_can_be_excluded() {
    for kind in [Kind::Char, Kind::WordPiece] {
        let tokenizer = train(
            &TrainOptions {
                alphabet_limit: Some(2),
                unknown: Some("<?>".into()),
                special_tokens: vec![],
                ..options(kind, 100)
            },
            "aaa abba zb",
        );
        let unknown = tokenizer.id_of("<?>").unwrap();
        assert_eq!(tokenizer.encode("z").unwrap(), [unknown], "{kind:?}");
        assert_ne!(tokenizer.encode("a").unwrap(), [unknown]);
    }
}

#[test]
fn a_megabyte_without_spaces_takes_seconds() {
    let mut state = 11;
    let letters: String =
        (0..1 << 20).map(|_| (b'a' + (random(&mut state) % 3) as u8) as char).collect();
    let start = std::time::Instant::now();
    for kind in [Kind::Byte, Kind::Char, Kind::Bpe, Kind::WordPiece] {
        let tokenizer = train(&options(kind, 600), &letters);
        for text in [letters.clone(), "a".repeat(1 << 20), " ".repeat(1 << 20), "<".repeat(1 << 20)]
        {
            let ids = match tokenizer.encode_with_special(&text, &AllowedSpecial::All) {
                Ok(ids) => ids,
                Err(error) => {
                    assert!(kind == Kind::Char, "{error}");
                    continue;
                }
            };
            if kind != Kind::WordPiece {
                assert_eq!(tokenizer.decode(&ids).unwrap(), text);
            }
        }
    }
    // A quadratic algorithm would take hours; the limit allows for busy machines.
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[test]
fn the_report_counts_parameters_and_tokens() {
    let tokenizer = Tokenizer::byte(&["<|end|>".into()]).unwrap();
    let report = tokenizer.report("héllo", 10, false, 4).unwrap();
    assert_eq!((report.text_bytes, report.text_tokens, report.bytes_per_token), (6, 6, 1.0));
    assert_eq!((report.embedding_parameters, report.head_parameters), (2570, 2570));
    assert_eq!(report.parameter_bytes, 20560);
    let tied = tokenizer.report("", 10, true, 2).unwrap();
    assert_eq!((tied.head_parameters, tied.parameter_bytes, tied.bytes_per_token), (0, 5140, 0.0));
    let bpe = train(&options(Kind::Bpe, 330), TEXT);
    assert!(bpe.report(TEXT, 10, true, 4).unwrap().bytes_per_token > 1.5);
}

#[test]
fn tokenizers_can_be_shared_between_threads() {
    fn check<T: Send + Sync + Clone + std::fmt::Debug>() {}
    check::<Tokenizer>();
    check::<blankslate::tokenizer::StreamDecoder>();
    assert!(format!("{:?}", Tokenizer::byte(&[]).unwrap()).contains("vocab_size: 256"));
}
