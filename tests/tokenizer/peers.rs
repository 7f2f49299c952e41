//! Comparison with Hugging Face's `tokenizers` and tiktoken, token by token, on difficult text.

use blankslate::tokenizer::{
    AllowedSpecial, GgmlRule, GgmlVocabulary, Kind, Pattern, Tokenizer, TrainOptions,
    run_sequentially,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior,
    Trainer,
};

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

const SHAKESPEARE: &str = include_str!("../../assets/text/shakespeare.txt");

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

#[test]
fn scanners_equal_the_published_expressions() {
    let spellings = [
        (
            Pattern::Gpt2,
            r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        ),
        // tiktoken's expressions from tiktoken_ext/openai_public.py.
        (
            Pattern::Gpt2,
            r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
        ),
        (
            Pattern::Cl100k,
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
        ),
        // From the file of meta-llama/Meta-Llama-3-8B.
        (
            Pattern::Llama3,
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
    ];
    for (pattern, regex) in spellings {
        let split = SplitPattern::Regex(regex.into());
        let split = Split::new(split, SplitDelimiterBehavior::Isolated, false).unwrap();
        for seed in 1..1500 {
            let text = hostile(seed, 30);
            let mut pieces = PreTokenizedString::from(text.as_str());
            split.pre_tokenize(&mut pieces).unwrap();
            let expected: Vec<&str> = pieces
                .get_splits(OffsetReferential::Original, OffsetType::Byte)
                .into_iter()
                .map(|(piece, _, _)| piece)
                .collect();
            let found: Vec<&str> = pattern.split(&text).collect();
            assert_eq!(found, expected, "{pattern:?} as {regex}, seed {seed}");
        }
    }
}

#[test]
fn every_character_is_classified_as_in_the_expressions() {
    // Every Unicode character between letters, digits and spaces, in texts of 4096 characters.
    let characters: Vec<char> = ('\0'..=char::MAX).collect();
    for pattern in [Pattern::Gpt2, Pattern::Llama3] {
        let regex = match pattern {
            Pattern::Gpt2 => {
                r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
            }
            _ => {
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
            }
        };
        let split = SplitPattern::Regex(regex.into());
        let split = Split::new(split, SplitDelimiterBehavior::Isolated, false).unwrap();
        for block in characters.chunks(4096) {
            let text: String = block.iter().map(|c| format!("a{c}1{c}!{c} {c}\n")).collect();
            let mut pieces = PreTokenizedString::from(text.as_str());
            split.pre_tokenize(&mut pieces).unwrap();
            let splits = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
            let differs = splits.iter().zip(pattern.split(&text)).find(|(a, b)| a.0 != *b);
            assert!(differs.is_none(), "{pattern:?}: {differs:?}");
        }
    }
}

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
    for pattern in [Pattern::Gpt2, Pattern::Cl100k, Pattern::Llama3, Pattern::SmolLm] {
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

/// Generates a file like Llama 2's: trained by `tokenizers` on words that start with `▁`, with a token for every byte.
fn sentencepiece_file(normalizer: Value, pre_tokenizer: Value, strip: bool) -> Value {
    let mut trainer = BpeTrainerBuilder::new().vocab_size(1500).show_progress(false).build();
    let words = |text: &str| Ok(text.split(' ').map(|word| format!("▁{word}")).collect());
    trainer.feed(std::iter::once(sample() + "    so        far"), words).unwrap();
    let mut learnt = BPE::default();
    trainer.train(&mut learnt).unwrap();
    let mut model = serde_json::to_value(&learnt).unwrap();

    let names = ["<unk>", "<s>", "</s>"].map(String::from).into_iter().chain(special());
    let bytes = (0..=255u8).map(|byte| format!("<0x{byte:02X}>"));
    let first: Vec<String> = names.clone().chain(bytes).collect();
    let mut vocab: serde_json::Map<String, Value> =
        first.iter().zip(0..).map(|(token, id)| (token.clone(), json!(id))).collect();
    for (token, id) in learnt.get_vocab() {
        vocab.insert(token, json!(id as usize + first.len()));
    }
    model["vocab"] = vocab.into();
    model["unk_token"] = json!("<unk>");
    model["fuse_unk"] = json!(true);
    model["byte_fallback"] = json!(true);
    let added = names.zip(0..).map(|(name, id)| {
        json!({ "id": id, "content": name, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true })
    });
    let mut decoders = vec![
        json!({ "type": "Replace", "pattern": { "String": "▁" }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    if strip {
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": null,
        "decoder": { "type": "Sequence", "decoders": decoders },
        "model": model,
    })
}

#[test]
fn tokenizers_agrees_on_files_like_llama_2s() {
    let marks = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" });
    let opens = json!({ "type": "Prepend", "prepend": "▁" });
    let llama_2 = json!({ "type": "Sequence", "normalizers": [opens, marks.clone()] });
    let metaspace = |scheme, split| json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split });
    for (normalizer, pre_tokenizer, strip) in [
        (llama_2, Value::Null, true),
        (json!({ "type": "Sequence", "normalizers": [marks] }), Value::Null, true),
        (marks, Value::Null, false),
        (Value::Null, metaspace("first", false), true),
        (Value::Null, metaspace("always", false), true),
        (Value::Null, metaspace("always", true), true),
        (Value::Null, metaspace("never", false), false),
    ] {
        let file = sentencepiece_file(normalizer, pre_tokenizer, strip).to_string();
        let ours = Tokenizer::from_json(file.as_bytes()).unwrap();
        assert_eq!(ours.kind(), Kind::SentencePiece);
        let peer = tokenizers::Tokenizer::from_bytes(&file).unwrap();
        let text = format!(" {} <|end|>  x<|end|> naïve ▁ ▁▁x    far", hostile(7, 30));
        let ids = ours.encode_with_special(&text, &AllowedSpecial::All).unwrap();
        assert_eq!(ids, theirs(&peer, &text));
        assert_same(&ours, 300);
    }
}

#[test]
fn sentencepiece_agrees_on_its_own_vocabulary() {
    // Generated by scripts/make_sentencepiece_golden.py.
    let cases: Value =
        serde_json::from_str(include_str!("../golden/sentencepiece/cases.json")).unwrap();
    let list = |key: &str| cases[key].as_array().unwrap().iter();
    let vocabulary = GgmlVocabulary {
        tokens: list("tokens").map(|token| token.as_str().unwrap()).collect(),
        token_types: list("token_types").map(|kind| kind.as_i64().unwrap().into()).collect(),
        rule: GgmlRule::SentencePiece {
            scores: list("scores").map(|score| score.as_f64().unwrap()).collect(),
            opens_with_space: true,
        },
        bos: Some(1),
    };
    let ours = Tokenizer::from_ggml("cases.json", &vocabulary).unwrap();
    assert_eq!(ours.bos(), Some(1));
    assert!(list("texts").len() > 5);
    for case in list("texts") {
        let (text, decoded) = (case["text"].as_str().unwrap(), case["decoded"].as_str().unwrap());
        let expected: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
        let ids = ours.encode(text).unwrap();
        assert_eq!(ids, expected, "{text:?}");
        assert_eq!(ours.decode(&ids).unwrap(), decoded);
    }
    assert_eq!(list("bytes").len(), 300);
    for case in list("bytes") {
        let ids = case["ids"].as_str().unwrap().split(' ');
        let ids: Vec<u32> = ids.map(|id| id.parse().unwrap()).collect();
        assert_eq!(ours.decode(&ids).unwrap(), case["decoded"].as_str().unwrap(), "{ids:?}");
        assert_eq!(streamed(&ours, &ids), case["decoded"].as_str().unwrap(), "{ids:?}");
    }
    // Streaming also removes only the space before the text.
    let ids = ours.encode("two  words — é").unwrap();
    let text = streamed(&ours, &ids);
    assert_eq!(text, "two  words — é");
    // The bytes of all tokens add up to the text and the added space.
    let bytes: usize = ids.iter().map(|id| ours.text_bytes(*id)).sum();
    assert_eq!(bytes, text.len() + 1);
    assert_same(&ours, 100);
    let more = ours.with_special_tokens(&["<|im_start|>"]).unwrap();
    let id = more.id_of("<|im_start|>").unwrap();
    let text = "<|im_start|>user";
    assert_eq!(more.encode_with_special(text, &AllowedSpecial::All).unwrap()[0], id);
    assert!(!more.encode(text).unwrap().contains(&id));
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

/// Reconstructs the file of a tiktoken vocabulary from its tokens.
fn tiktoken_file(peer: &tiktoken_rs::CoreBPE, tokens: u32) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut file = String::new();
    for rank in 0..tokens {
        let bytes = peer.decode_bytes(&[rank]).unwrap();
        for group in bytes.chunks(3) {
            let bits =
                group.iter().fold(0u32, |bits, &b| bits << 8 | b as u32) << (8 * (3 - group.len()));
            for digit in 0..4 {
                if digit <= group.len() {
                    file.push(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63] as char);
                } else {
                    file.push('=');
                }
            }
        }
        file.push_str(&format!(" {rank}\n"));
    }
    file
}

fn assert_same_as_tiktoken(ours: &Tokenizer, peer: &tiktoken_rs::CoreBPE) {
    let mut texts: Vec<String> = (1..1500).map(|seed| hostile(seed, 40)).collect();
    texts.push(SHAKESPEARE.into());
    for c in ["a", " ", "\n", "-", "é", "=", "aab", "0"] {
        texts.extend([63, 64, 65, 66, 500, 3001].map(|n| c.repeat(n)));
    }
    for text in texts {
        let ids = ours.encode(&text).unwrap();
        assert_eq!(ids, peer.encode_ordinary(&text), "{text:?}");
        assert_eq!(ours.decode(&ids).unwrap(), text);
    }
}

#[test]
fn tiktoken_agrees_on_gpt2() {
    let peer = tiktoken_rs::r50k_base().unwrap();
    let file = tiktoken_file(&peer, 50256);
    let end = ("<|endoftext|>".to_owned(), 50256);
    let ours = Tokenizer::from_tiktoken(file.as_bytes(), Pattern::Gpt2, &[end]).unwrap();
    assert_eq!(ours.vocab_size(), 50257);
    assert_eq!(ours.id_of("<|endoftext|>"), Some(50256));
    assert_same_as_tiktoken(&ours, &peer);

    // `tokenizers` reads the file that we write.
    let hugging = load(&ours);
    for seed in 1..300 {
        let text = hostile(seed, 40) + "<|endoftext|>";
        let ids = ours.encode_with_special(&text, &AllowedSpecial::All).unwrap();
        assert_eq!(ids, theirs(&hugging, &text), "{text:?}");
        assert_eq!(ids, peer.encode_with_special_tokens(&text), "{text:?}");
    }
    let again = Tokenizer::from_json(&ours.to_json()).unwrap();
    assert_same_as_tiktoken(&again, &peer);
}

#[test]
fn tiktoken_agrees_on_gpt4() {
    let peer = tiktoken_rs::cl100k_base().unwrap();
    let file = tiktoken_file(&peer, 100_256);
    // The ids have the original's holes.
    let special = [("<|endoftext|>".to_owned(), 100_257), ("<|endofprompt|>".to_owned(), 100_276)];
    let ours = Tokenizer::from_tiktoken(file.as_bytes(), Pattern::Cl100k, &special).unwrap();
    assert_eq!(ours.vocab_size(), 100_277);
    assert!(ours.decode(&[100_260]).is_err(), "a hole is not a token");
    assert_same_as_tiktoken(&ours, &peer);

    let hugging = load(&ours);
    for seed in 1..300 {
        let text = hostile(seed, 40) + "<|endofprompt|>";
        let ids = ours.encode_with_special(&text, &AllowedSpecial::All).unwrap();
        assert_eq!(ids, theirs(&hugging, &text), "{text:?}");
    }
}
