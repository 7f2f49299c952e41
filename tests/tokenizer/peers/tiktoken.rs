//! tiktoken's vocabularies of GPT-2 and GPT-4.

use blankslate::tokenizer::{AllowedSpecial, Pattern, Tokenizer};

use super::{SHAKESPEARE, hostile, load, theirs};

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
fn tiktoken_agrees_on_gpt4o() {
    let peer = tiktoken_rs::o200k_base().unwrap();
    let file = tiktoken_file(&peer, 199_998);
    let special = [("<|endoftext|>".to_owned(), 199_999)];
    let ours = Tokenizer::from_tiktoken(file.as_bytes(), Pattern::O200k, &special).unwrap();
    assert_same_as_tiktoken(&ours, &peer);
    assert_same_as_tiktoken(&Tokenizer::from_json(&ours.to_json()).unwrap(), &peer);
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
