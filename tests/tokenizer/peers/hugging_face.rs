//! Hugging Face's `tokenizers`: it reads our files, and trains the same BPE.

use std::collections::BTreeMap;

use blankslate::tokenizer::{Kind, Pattern, Tokenizer, TrainOptions};
use serde_json::Value;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Trainer};

use super::{Random, SHAKESPEARE, assert_same, load, sample, special, streamed, theirs, train};

#[test]
fn tokenizers_agrees_with_our_bytes() {
    assert_same(&Tokenizer::byte(&special()).unwrap(), 300);
}

#[test]
fn tokenizers_agrees_with_our_characters() {
    let text = sample();
    let mut options = TrainOptions {
        kind: Kind::Char,
        special_tokens: special(),
        unknown: Some("<unk>".into()),
        ..TrainOptions::default()
    };
    assert_same(&train(&options, &text), 300);

    // Without an unknown token both reject the same text.
    options.unknown = None;
    let ours = train(&options, "abc \n");
    let peer = load(&ours);
    assert_eq!(ours.encode("ab\nc").unwrap(), theirs(&peer, "ab\nc"));
    assert!(peer.encode_fast("abz", false).is_err());
    let message = ours.encode("abz").unwrap_err().to_string();
    assert!(message.contains("'z' (U+007A)"), "{message}");
}

#[test]
fn tokenizers_agrees_with_our_bpe() {
    let text = sample();
    for (_, pattern) in Pattern::NAMES {
        let options = TrainOptions {
            vocab_size: 2000,
            pattern,
            special_tokens: special(),
            ..TrainOptions::default()
        };
        assert_same(&train(&options, &text), 200);
    }
}

#[test]
fn tokenizers_agrees_on_invalid_utf8() {
    let options = TrainOptions { vocab_size: 600, ..TrainOptions::default() };
    for ours in [Tokenizer::byte(&special()).unwrap(), train(&options, &sample())] {
        let peer = load(&ours);
        let bytes: Vec<u32> = (0..ours.vocab_size() as u32)
            .filter(|id| ours.token_bytes(*id).is_some_and(|token| token.len() == 1))
            .filter(|id| !ours.token_bytes(*id).unwrap().is_ascii())
            .collect();
        assert_eq!(bytes.len(), 128);
        let mut random = Random(7);
        let mut marked = 0;
        for _ in 0..20_000 {
            let ids: Vec<u32> = (0..=random.below(8))
                .map(|_| match random.below(4) {
                    0 => random.below(ours.vocab_size()) as u32,
                    _ => bytes[random.below(bytes.len())],
                })
                .collect();
            let text = ours.decode(&ids).unwrap();
            assert_eq!(text, peer.decode(&ids, false).unwrap(), "{ids:?}");
            assert_eq!(text, streamed(&ours, &ids), "{ids:?}");
            marked += usize::from(text.contains(char::REPLACEMENT_CHARACTER));
        }
        assert!(marked > 10_000, "{marked}");
    }
}

#[test]
fn tokenizers_agrees_with_our_wordpiece() {
    let text = sample();
    for lowercase in [true, false] {
        let options = TrainOptions {
            kind: Kind::WordPiece,
            vocab_size: 6000,
            lowercase,
            alphabet_limit: Some(1000),
            special_tokens: special(),
            ..TrainOptions::default()
        };
        let ours = train(&options, &text);
        assert_same(&ours, 300);
        let long = format!("{} {}", "a".repeat(100), "a".repeat(101));
        assert_eq!(ours.encode(&long).unwrap(), theirs(&load(&ours), &long));
    }
}

#[test]
fn bpe_training_equals_that_of_tokenizers() {
    let size = 4000;
    let mut trainer = BpeTrainerBuilder::new()
        .vocab_size(size)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let words = |text: &str| {
        let mut pieces = PreTokenizedString::from(text);
        ByteLevel::new(false, true, true).pre_tokenize(&mut pieces)?;
        let splits = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
        Ok(splits.into_iter().map(|(piece, _, _)| piece.to_owned()).collect())
    };
    trainer.feed(std::iter::once(SHAKESPEARE), words).unwrap();
    let mut peer = BPE::default();
    trainer.train(&mut peer).unwrap();
    let expected: BTreeMap<u32, String> =
        peer.get_vocab().into_iter().map(|(token, id)| (id, token)).collect();

    let ours = train(&TrainOptions { vocab_size: size, ..TrainOptions::default() }, SHAKESPEARE);
    let file: Value = serde_json::from_slice(&ours.to_json()).unwrap();
    let found: BTreeMap<u32, String> = file["model"]["vocab"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(token, id)| (id.as_u64().unwrap() as u32, token.clone()))
        .collect();
    assert_eq!(found.len(), size);
    let differs = found.iter().find(|(id, token)| expected.get(id) != Some(token));
    assert_eq!(differs, None, "first difference (id, our token)");
    assert_eq!(found, expected);
}
