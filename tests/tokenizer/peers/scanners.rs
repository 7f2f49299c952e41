//! The rules that split text before BPE, against the published regular expressions.

use blankslate::tokenizer::Pattern;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior,
};

use super::hostile;

/// From tiktoken_ext/openai_public.py.
const O200K: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

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
        // From llama.cpp, and files that were converted with it.
        (
            Pattern::Llama3Ascii,
            r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
        // From the file of Qwen/Qwen2-0.5B.
        (
            Pattern::Qwen2,
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ),
        (Pattern::O200k, O200K),
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
    for pattern in [Pattern::Gpt2, Pattern::Llama3, Pattern::O200k] {
        let regex = match pattern {
            Pattern::Gpt2 => {
                r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
            }
            Pattern::O200k => O200K,
            _ => {
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
            }
        };
        let split = SplitPattern::Regex(regex.into());
        let split = Split::new(split, SplitDelimiterBehavior::Isolated, false).unwrap();
        for block in characters.chunks(4096) {
            let text: String = block.iter().map(|c| format!("a{c}1{c}!{c}A {c}{c}a\n")).collect();
            let mut pieces = PreTokenizedString::from(text.as_str());
            split.pre_tokenize(&mut pieces).unwrap();
            let splits = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte);
            let differs = splits.iter().zip(pattern.split(&text)).find(|(a, b)| a.0 != *b);
            assert!(differs.is_none(), "{pattern:?}: {differs:?}");
        }
    }
}
