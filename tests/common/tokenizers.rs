//! A difficult text, and small tokenizers trained on it.

use std::ops::ControlFlow;

use blankslate::tokenizer::{Kind, Pattern, Tokenizer, TrainOptions, run_sequentially};

pub const TEXT: &str = "The cat sat on the mat. The cats, the mats — and \"don't\" say naïve 日本語 words!\n\
    aaaaaaa aaaa aaa 12345 1234 the cat's cat sat; İstanbul ſo ſad 👨\u{200d}👩\u{200d}👧 e\u{301}\n\n   end";

/// Options with two special tokens, one of which is a prefix of the other.
pub fn options(kind: Kind, vocab_size: usize) -> TrainOptions {
    TrainOptions {
        kind,
        vocab_size,
        special_tokens: vec!["<|end|>".into(), "<|end|>of".into()],
        ..TrainOptions::default()
    }
}

pub fn train(options: &TrainOptions, text: &str) -> Tokenizer {
    Tokenizer::train(options, [text], run_sequentially, |_| ControlFlow::Continue(())).unwrap()
}

/// Trains one tokenizer of each kind and pattern.
pub fn trained() -> Vec<Tokenizer> {
    let unknown = TrainOptions { unknown: Some("<unk>".into()), ..options(Kind::Char, 1000) };
    let mut all = vec![
        train(&options(Kind::Byte, 1000), ""),
        train(&options(Kind::Char, 1000), TEXT),
        train(&unknown, TEXT),
        train(&options(Kind::WordPiece, 150), TEXT),
    ];
    for (_, pattern) in Pattern::NAMES {
        all.push(train(&TrainOptions { pattern, ..options(Kind::Bpe, 330) }, TEXT));
    }
    all
}

/// Random numbers that are the same in every run.
pub fn random(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}
