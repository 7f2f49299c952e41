//! Comparison with Hugging Face's `tokenizers`, sentencepiece and tiktoken, token by token, on difficult text.

mod hugging_face;
mod scanners;
mod sentencepiece;
mod tiktoken;

use std::ops::ControlFlow;

use blankslate::tokenizer::{AllowedSpecial, Tokenizer, TrainOptions, run_sequentially};

/// xorshift64*, so that texts are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }
}

/// Difficult pieces of text.
const AWKWARD: &[&str] = &[
    " ",
    "  ",
    "    ",
    "\n",
    "\r\n",
    "\n\n",
    "\r",
    "\t",
    " \n",
    "\u{b}",
    "\u{c}",
    "\u{85}",
    "\u{a0}",
    "\u{1680}",
    "\u{2003}",
    "\u{2028}",
    "\u{2029}",
    "\u{202f}",
    "\u{3000}",
    "\u{200b}",
    "\u{180e}",
    "\u{feff}",
    "\0",
    "\u{1}",
    "\u{7f}",
    "\u{1f}",
    "'s",
    "'S",
    "'ſ",
    "'re",
    "'VE",
    "'lL",
    "'d",
    "''",
    "'",
    "don't",
    "WE'LL",
    "ſ",
    "İ",
    "ı",
    "ß",
    "K",
    "é",
    "e\u{301}",
    "a\u{300}\u{323}",
    "한국어",
    "中文字",
    "日本語テスト",
    "עברית",
    "العربية",
    "हिन्दी",
    "ไทย",
    "👨\u{200d}👩\u{200d}👧",
    "🇩🇪",
    "❤\u{fe0f}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{fffd}",
    "\u{ffff}",
    "\u{10ffff}",
    "٣٤٥",
    "½²Ⅷ",
    "1234567",
    "!?...—«»",
    // Ideographs of every block that BERT surrounds with spaces, and of the gap that it does not.
    "x\u{4e00}y\u{9fff}x",
    "x\u{3400}y\u{4dbf}x",
    "x\u{20000}y\u{2a6df}x",
    "x\u{2a700}y\u{2b73f}x",
    "x\u{2b740}y\u{2b81f}x",
    "x\u{2b820}y\u{2b91f}x",
    "x\u{2b920}y\u{2ceaf}x",
    "x\u{f900}y\u{faff}x",
    "x\u{2f800}y\u{2fa1f}x",
    // Case, which o200k's words depend on; a mark may start one.
    "HTTPRequest",
    "camelCase",
    "ǅungla",
    "Aʰ",
    "ªB",
    "\u{301}AB",
    " \u{301}a",
    "中A",
    "I'LLgo",
    "http://a/b//\n/c",
];

/// Generates a text of difficult pieces, plain words, runs and random Unicode characters.
fn hostile(seed: u64, pieces: usize) -> String {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut text = String::new();
    for _ in 0..pieces {
        match random.below(8) {
            0..3 => text.push_str(AWKWARD[random.below(AWKWARD.len())]),
            3 => {
                for _ in 0..=random.below(6) {
                    text.push((b'a' + random.below(26) as u8) as char);
                }
            }
            4 => {
                let c = [' ', '\n', '9', 'a', '-', '\u{a0}', '\u{301}', 'Z'][random.below(8)];
                text.extend(std::iter::repeat_n(c, random.below(40)));
            }
            5 => text.push((random.below(128) as u8) as char),
            6 => text.extend(char::from_u32(random.below(0x3000) as u32)),
            _ => text.extend(char::from_u32(random.below(0x11_0000) as u32)),
        }
    }
    text
}

const SHAKESPEARE: &str = include_str!("../../../assets/text/shakespeare.txt");

/// Generates training text with all scripts.
fn sample() -> String {
    (1..400)
        .map(|seed| hostile(seed, 12) + " the cat sat on the mat, don't ask 1234 times. ")
        .collect()
}

fn train(options: &TrainOptions, text: &str) -> Tokenizer {
    Tokenizer::train(options, [text], run_sequentially, |_| ControlFlow::Continue(())).unwrap()
}

fn load(tokenizer: &Tokenizer) -> tokenizers::Tokenizer {
    tokenizers::Tokenizer::from_bytes(tokenizer.to_json()).expect("tokenizers loads our file")
}

fn theirs(tokenizer: &tokenizers::Tokenizer, text: &str) -> Vec<u32> {
    tokenizer.encode_fast(text, false).expect("tokenizers encodes").get_ids().to_vec()
}

/// Checks that both encode and decode many texts identically, including special tokens.
fn assert_same(ours: &Tokenizer, rounds: u64) {
    let peer = load(ours);
    assert_eq!(peer.get_vocab_size(true), ours.vocab_size());
    for seed in 1000..1000 + rounds {
        let mut text = hostile(seed, 40);
        if seed % 3 == 0 {
            text.insert_str(text.floor_char_boundary(text.len() / 2), "a <|end|><|end|> b");
        }
        let ids = ours.encode_with_special(&text, &AllowedSpecial::All).unwrap();
        assert_eq!(ids, theirs(&peer, &text), "{:?} seed {seed}: {text:?}", ours.kind());
        assert_eq!(
            ours.decode(&ids).unwrap(),
            peer.decode(&ids, false).unwrap(),
            "decoding, {:?} seed {seed}: {text:?}",
            ours.kind()
        );
    }
}

/// Decodes tokens one at a time.
fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut stream = tokenizer.stream_decoder();
    let mut text: String = ids.iter().map(|id| stream.push(*id).unwrap()).collect();
    text += &stream.finish();
    text
}

fn special() -> Vec<String> {
    vec!["<|end|>".into(), "<|pad|>".into()]
}
