//! Token shards.

use std::sync::Arc;

use blankslate::config::DataConfig;
use blankslate::data::{Corpus, TokenWidth, Windows, eval_batches, parse_shard};
use blankslate::error::Result;

use super::{Target, choice, memory_limit};

pub const TARGET: Target = Target { name: "shard", seeds, check, memory_limit };

fn seeds() -> Vec<Vec<u8>> {
    let with_header = |magic: u32, version: u32, tokens: &[u8], count: u32| {
        let words = [magic, version, count].map(u32::to_le_bytes).concat();
        [&[0][..], &words, &[0; 1012], tokens].concat()
    };
    vec![
        with_header(20_240_520, 1, &[5; 200], 100),
        with_header(20_240_801, 7, &[5; 200], 50),
        with_header(20_240_520, 1, &[], 0),
        [0; 201].into(),
        [1; 201].into(),
    ]
}

fn check(input: &[u8]) -> Result<()> {
    let (choice, file) = choice(input);
    let width = if choice.is_multiple_of(2) { TokenWidth::U16 } else { TokenWidth::U32 };
    let tokens = parse_shard("shard.bin", Arc::new(file.to_vec()), width)?;
    assert_eq!(tokens.read(0, tokens.len()).count(), tokens.len());
    assert!(tokens.len() <= file.len() / 2);
    let corpus = Corpus { end_of_text: Some(5), ..Corpus::new(tokens) };
    let (train, val) = corpus.split(0.3);
    assert_eq!(train.len() + val.len(), corpus.len());
    train.fingerprint();
    let batches: usize = eval_batches(&val, 8, 4).map(|batch| batch.inputs.len()).sum();
    assert!(batches <= 8 * (val.len() + 8));
    // Too few tokens for a window are not an error of the file.
    drop(Windows::new(train, &DataConfig::default(), 2, 1).map(|windows| windows.batch(3)));
    Ok(())
}
