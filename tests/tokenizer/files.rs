//! Tokenizer files: published, malformed and damaged ones.

use blankslate::error::Error;
use blankslate::tokenizer::{AllowedSpecial, GgmlRule, GgmlVocabulary, Kind, Pattern, Tokenizer};
use serde_json::{Value, json};

use crate::common::tokenizers::{TEXT, options, random, train, trained};

fn every_kind() -> Vec<Tokenizer> {
    let mut all = trained();
    all.push(sentencepiece());
    all
}

/// Vocabulary like Llama 2's with the bytes and a few words.
fn sentencepiece() -> Tokenizer {
    let bytes: Vec<String> = (0..=255u8).map(|byte| format!("<0x{byte:02X}>")).collect();
    let learnt = ["▁", "t", "h", "e", "▁t", "he", "▁the"];
    let mut tokens: Vec<&str> = bytes.iter().map(String::as_str).chain(learnt).collect();
    tokens.push("<unk>");
    let vocabulary = GgmlVocabulary {
        token_types: [vec![6; 256], vec![1; learnt.len()], vec![2]].concat(),
        rule: GgmlRule::SentencePiece {
            scores: (0..tokens.len()).map(|id| -(id as f64)).collect(),
            opens_with_space: true,
        },
        bos: None,
        tokens,
    };
    Tokenizer::from_ggml("a test", &vocabulary).unwrap()
}

fn file_of(tokenizer: &Tokenizer) -> Value {
    serde_json::from_slice(&tokenizer.to_json()).unwrap()
}

/// File as published for GPT-2: no type, merges as text, an empty prefix, one added token.
fn old_file() -> Value {
    let mut file = file_of(&train(&options(Kind::Bpe, 270), "the cat sat on the mat"));
    let model = file["model"].as_object_mut().unwrap();
    model.remove("type");
    model.remove("ignore_merges");
    model.remove("byte_fallback");
    model["continuing_subword_prefix"] = json!("");
    model["end_of_word_suffix"] = json!("");
    file["truncation"] =
        json!({"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0});
    file["post_processor"] =
        json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false});
    file
}

#[test]
fn published_files_are_read() {
    let read = |file: &Value| Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
    let expected = read(&file_of(&train(&options(Kind::Bpe, 270), "the cat sat on the mat")));
    let mut file = old_file();
    assert_eq!(read(&file).encode("the mat").unwrap(), expected.encode("the mat").unwrap());
    assert_eq!(read(&file).bos(), None);
    let pairs: Vec<Value> = file["model"]["merges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|merge| json!(merge.as_str().unwrap().split(' ').collect::<Vec<_>>()))
        .collect();
    file["model"]["merges"] = json!(pairs);
    assert_eq!(read(&file).encode("the mat").unwrap(), expected.encode("the mat").unwrap());

    // Llama 3 adds a token before every text that is not in the model's vocabulary.
    let regex = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    file["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
    ]});
    file["added_tokens"].as_array_mut().unwrap().push(json!({"id": 500, "content": "<|begin|>",
        "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}));
    file["post_processor"] = json!({"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
        {"type": "TemplateProcessing",
         "single": [{"SpecialToken": {"id": "<|begin|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
         "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
         "special_tokens": {"<|begin|>": {"id": "<|begin|>", "ids": [500], "tokens": ["<|begin|>"]}}},
    ]});
    file["model"]["ignore_merges"] = json!(true);
    let llama = read(&file);
    assert_eq!((llama.bos(), llama.eos(), llama.vocab_size()), (Some(500), None, 501));
    assert_eq!(llama.pattern(), Some(Pattern::Llama3));
    assert_eq!(llama.decode(&[500]).unwrap(), "<|begin|>");
    let again = read(&file_of(&llama));
    assert_eq!(again.bos(), Some(500));
    assert_eq!(file_of(&again)["post_processor"], file["post_processor"]);
    assert_eq!(file_of(&again)["model"]["ignore_merges"], json!(true));

    // An added token that is not special is recognized in every text.
    file["added_tokens"][2]["special"] = json!(false);
    assert_eq!(read(&file).encode("<|begin|>").unwrap(), [500]);
    let other = AllowedSpecial::Only(&["<|end|>"]);
    assert_eq!(read(&file).encode_with_special("<|begin|>", &other).unwrap(), [500]);

    file["post_processor"] = json!({"type": "BertProcessing", "cls": ["the", 3], "sep": ["at", 4]});
    assert_eq!((read(&file).bos(), read(&file).eos()), (Some(3), Some(4)));
}

#[test]
fn words_are_single_tokens_only_if_the_merges_produce_them() {
    // "tac" is in the vocabulary, but no merge produces it.
    let mut file = old_file();
    file["model"]["vocab"]["tac"] = json!(300);
    let read = |file: &Value| Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
    assert!(!read(&file).encode("tac").unwrap().contains(&300));
    file["model"]["ignore_merges"] = json!(true);
    assert_eq!(read(&file).encode("tac").unwrap(), [300]);
}

#[test]
fn merges_that_produce_a_special_token_are_ignored() {
    let mut file = old_file();
    let read = |file: &Value| Tokenizer::from_json(file.to_string().as_bytes()).unwrap();
    let the = read(&file).id_of("the").unwrap();
    assert_eq!(read(&file).encode("the").unwrap(), [the]);
    let token = json!({"id": the, "content": "the", "special": true});
    file["added_tokens"].as_array_mut().unwrap().push(token);
    assert!(!read(&file).encode("the").unwrap().contains(&the));
    let allowed = AllowedSpecial::Only(&["the"]);
    assert_eq!(read(&file).encode_with_special("the", &allowed).unwrap(), [the]);
}

#[test]
fn malformed_tokenizer_files_are_rejected() {
    let change = |pointer: &str, value: Value| {
        let mut file = old_file();
        match file.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => {
                let (parent, key) = pointer.rsplit_once('/').unwrap();
                file.pointer_mut(parent).unwrap()[key] = value;
            }
        }
        file
    };
    let wordpiece = file_of(&train(&options(Kind::WordPiece, 150), TEXT));
    let with = |file: &Value, key: &str, value: Value| {
        let mut file = file.clone();
        file[key] = value;
        file
    };
    let chars = file_of(&train(&options(Kind::Char, 150), TEXT));
    let mut merged_twice = old_file();
    merged_twice["model"]["merges"] = json!(["t h e"]);
    let duplicated = old_file().to_string().replacen("\"vocab\":{", "\"vocab\":{\"t\":9999,", 1);
    let cases: Vec<(String, &str)> = vec![
        (change("/model/vocab/the", json!(0)).to_string(), "two tokens have the id 0"),
        (duplicated, "occurs twice"),
        (change("/model/vocab/the", json!(-1)).to_string(), "it has -1 where a whole number, 0 or more belongs"),
        (change("/model/vocab/the", json!("x")).to_string(), "it has \"x\" where"),
        (change("/model/vocab/the", json!(4_000_000_000_u32)).to_string(), "exceeds the maximum"),
        (change("/model/vocab/日本", json!(999)).to_string(), "not spelled in bytes"),
        (change("/model/merges", json!(["t zz"])).to_string(), "merge 0 needs the token \"zz\""),
        (change("/model/merges", json!([["q", "q"]])).to_string(), "needs the token \"qq\""),
        (merged_twice.to_string(), "\"t h e\" is not two tokens"),
        (change("/model/merges", json!([["a"]])).to_string(), "not two tokens"),
        (change("/model/merges", json!(7)).to_string(), "it has 7 where"),
        (change("/model/type", json!("Unigram")).to_string(), "unknown type `Unigram`"),
        (
            change("/model", json!({"type": "Unigram", "unk_id": 0, "vocab": [["a", -1.0]]})).to_string(),
            "unknown type Unigram",
        ),
        (change("/model/dropout", json!(0.1)).to_string(), "dropout is set"),
        (change("/model/byte_fallback", json!(true)).to_string(), "with byte_fallback only"),
        (change("/model/end_of_word_suffix", json!("</w>")).to_string(), "end_of_word_suffix"),
        (change("/model/surprise", json!(1)).to_string(), "unknown field `surprise`"),
        (change("/surprise", json!(1)).to_string(), "unknown field `surprise`"),
        (change("/normalizer", json!({"type": "Lowercase"})).to_string(), "normalizer Lowercase"),
        (change("/pre_tokenizer", json!({"type": "Whitespace"})).to_string(), "pre_tokenizer: unknown variant `Whitespace`"),
        (change("/pre_tokenizer", json!(null)).to_string(), "without ByteLevel"),
        (
            change("/pre_tokenizer", json!({"type": "Sequence", "pretokenizers": [
                {"type": "Digits", "individual_digits": true},
                {"type": "ByteLevel", "add_prefix_space": true, "use_regex": true}]})).to_string(),
            "add_prefix_space",
        ),
        (change("/pre_tokenizer/use_regex", json!(false)).to_string(), "does not split"),
        (
            change("/pre_tokenizer", json!({"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": "\\w+"}, "behavior": "Isolated", "invert": false},
                {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})).to_string(),
            "the regex `\\w+`",
        ),
        (change("/decoder", json!(null)).to_string(), "decoder"),
        (change("/decoder", json!({"type": "Whitespace"})).to_string(), "decoder: unknown variant `Whitespace`"),
        (change("/post_processor", json!({"type": "Odd"})).to_string(), "unknown type `Odd`"),
        (change("/post_processor", json!({"type": "BertProcessing", "cls": ["x", 7000], "sep": ["y", 1]})).to_string(), "7000 is not in the vocabulary"),
        (change("/post_processor", json!({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}]})).to_string(), "`ids` is not a list"),
        (change("/added_tokens/0/odd", json!(true)).to_string(), "unknown field `odd`"),
        (change("/added_tokens/0/id", json!(3)).to_string(), "in added_tokens"),
        (change("/added_tokens/1", old_file()["added_tokens"][0].clone()).to_string(), "occurs twice"),
        (change("/added_tokens/0/content", json!("")).to_string(), "is empty"),
        (with(&wordpiece, "normalizer", json!(null)).to_string(), "without BertNormalizer"),
        (with(&wordpiece, "normalizer", json!({"type": "Lowercase"})).to_string(), "normalizer"),
        (with(&wordpiece, "decoder", json!({"type": "WordPiece", "prefix": "@@", "cleanup": true})).to_string(), "prefix is `##`"),
        (wordpiece.to_string().replace("\"unk_token\":\"[UNK]\"", "\"unk_token\":\"[WHAT]\""), "`[WHAT]` is not in the vocabulary"),
        (with(&chars, "pre_tokenizer", json!({"type": "BertPreTokenizer"})).to_string(), "Split at every character"),
        (with(&chars, "decoder", json!(null)).to_string(), "without the decoder Fuse"),
        (chars.to_string().replacen("\"vocab\":{", "\"vocab\":{\"\":999,", 1), "id 999 is empty"),
        ("{}".into(), "`model` is missing"),
        ("[]".into(), "invalid"),
        ("".into(), "it ends too early"),
        ("null".into(), "it has null where"),
        ("[".repeat(100_000), "it ends too early"),
        (format!("{{\"normalizer\":{}", "[".repeat(100_000)), "recursion limit"),
        (format!("{{\"post_processor\":{}", "{\"a\":".repeat(100_000)), "recursion limit"),
    ];
    for (file, part) in cases {
        let message = match Tokenizer::from_json(file.as_bytes()) {
            Ok(tokenizer) => panic!("{part:?}: read as {tokenizer:?}"),
            Err(error) => error.to_string(),
        };
        assert!(message.contains(part), "{part:?} is not in: {message}");
        assert!(message.contains("; ") && !message.contains('\n'), "no remedy: {message}");
    }
    let mut file = old_file().to_string().into_bytes();
    file[100] = 0xFF;
    let error = Tokenizer::from_json(&file).unwrap_err();
    assert!(matches!(error, Error::NotUtf8 { offset: 100, .. }), "{error}");
}

#[test]
fn damaged_files_never_panic() {
    let mut state = 5;
    let mut refused = 0;
    for tokenizer in every_kind() {
        let file = tokenizer.to_json();
        for length in (0..file.len()).step_by(file.len() / 150) {
            assert!(Tokenizer::from_json(&file[..length]).is_err(), "cut at {length}");
        }
        for _ in 0..400 {
            let mut damaged = file.clone();
            for _ in 0..=random(&mut state) % 3 {
                let at = random(&mut state) % damaged.len();
                match random(&mut state) % 3 {
                    0 => damaged[at] = b"\"{}[],:019-e\\ "[random(&mut state) % 14],
                    1 => drop(damaged.drain(at..(at + random(&mut state) % 30).min(damaged.len()))),
                    _ => damaged.insert(at, b"0\"9]"[random(&mut state) % 4]),
                }
            }
            match Tokenizer::from_json(&damaged) {
                Ok(tokenizer) => drop(tokenizer.encode(TEXT).map(|ids| tokenizer.decode(&ids))),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 500, "only {refused} were refused");
}

#[test]
fn malformed_tiktoken_files_are_rejected_with_the_line() {
    let end = |id| [("<|end|>".to_owned(), id)];
    let good = "YQ== 0\nYg== 1\nYWI= 2\n";
    let tokenizer = Tokenizer::from_tiktoken(good.as_bytes(), Pattern::Gpt2, &end(9)).unwrap();
    assert_eq!(tokenizer.encode("abba").unwrap(), [2, 1, 0]);
    assert_eq!((tokenizer.vocab_size(), tokenizer.token_bytes(5)), (10, None));
    let message = tokenizer.encode("abc").unwrap_err().to_string();
    assert!(message.contains("the byte 0x63"), "{message}");

    for (file, part) in [
        ("YQ== 0\nYg==\n", "line 2: there is no space"),
        ("YQ== 0\nY*== 1\n", "line 2: the token is not base64"),
        ("YQ= 0\n", "line 1: the token is not base64"),
        ("Y 0\n", "line 1: the token is not base64"),
        ("==== 0\n", "line 1: the token is not base64"),
        ("YQ== x\n", "line 1: the rank"),
        ("YQ== 99999999999\n", "line 1: the rank"),
        ("YQ== 0\nYQ== 1\n", "occurs twice"),
        ("YQ== 0\nYg== 0\n", "two tokens have the id 0"),
        ("YQ== 9\n", "two tokens have the id 9"),
        ("YQ== 4000000000\n", "exceeds the maximum"),
        ("\n \n", "it has no tokens"),
    ] {
        let error = Tokenizer::from_tiktoken(file.as_bytes(), Pattern::Gpt2, &end(9)).unwrap_err();
        assert!(error.to_string().contains(part), "{part:?} is not in: {error}");
    }
    let long = format!("{} 0\n", "YWFh".repeat(400));
    let error = Tokenizer::from_tiktoken(long.as_bytes(), Pattern::Gpt2, &[]).unwrap_err();
    assert!(error.to_string().contains("1200 bytes"), "{error}");
}

/// Files whose tokens would make encoding, or reading them, take quadratic time.
#[test]
fn what_would_take_quadratic_time_is_refused() {
    let wordpiece = file_of(&train(&options(Kind::WordPiece, 150), TEXT));
    let unlimited = |piece: &str| {
        let mut file = wordpiece.clone();
        file["model"]["max_input_chars_per_word"] = json!(1_000_000_000);
        file["model"]["vocab"][piece] = json!(150);
        Tokenizer::from_json(file.to_string().as_bytes())
    };
    // Words without end, of short pieces: each character is looked at as often as the longest piece is long.
    let tokenizer = unlimited("##zz").unwrap();
    let ids = tokenizer.encode(&format!("a{}", "z".repeat(200_000))).unwrap();
    assert_eq!(ids.len(), 100_001);
    let error = unlimited(&"z".repeat(1025)).unwrap_err().to_string();
    assert!(error.contains("a WordPiece token of 1025 bytes"), "{error}");

    let mut file = file_of(&train(&options(Kind::Byte, 258), TEXT));
    file["added_tokens"] = json!([{"id": 300, "content": "x".repeat(1_000_000), "special": true}]);
    let error = Tokenizer::from_json(file.to_string().as_bytes()).unwrap_err().to_string();
    assert!(error.contains("the one with id 300 has 1000000 bytes"), "{error}");

    let long = "x".repeat(1_000_000);
    let vocabulary = GgmlVocabulary {
        tokens: vec!["<unk>", &long],
        token_types: vec![2, 1],
        rule: GgmlRule::SentencePiece { scores: vec![0.0; 2], opens_with_space: true },
        bos: None,
    };
    let error = Tokenizer::from_ggml("a.gguf", &vocabulary).unwrap_err().to_string();
    assert!(error.contains("its token 1 has 1000000 bytes, not at most 1024"), "{error}");
}
