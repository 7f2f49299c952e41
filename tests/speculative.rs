//! Speculative decoding against decoding without it: the same tokens, in fewer passes.

mod common;

use blankslate::config::{ModelConfig, SampleConfig};
use blankslate::model::{Decoder, random_source};
use blankslate::platform::block_on;
use blankslate::sample::{Generator, Guesses};
use blankslate::tokenizer::Tokenizer;

/// A model of bytes with weights that make it choosy.
fn model(config: ModelConfig, seed: u64) -> Decoder {
    let mut source = random_source(seed);
    let mut sharp = |name: &str, shape: &[usize], init| {
        let values = source(name, shape, init)?;
        let factor = if shape.len() == 2 { 6.0 } else { 1.0 };
        Ok(values.into_iter().map(|x| x * factor).collect())
    };
    Decoder::new(&config, &common::cpu(), &mut sharp).unwrap()
}

fn written(mut generator: Generator) -> (Vec<u32>, Option<Guesses>) {
    while block_on(generator.next()).unwrap().is_some() {}
    (generator.ids().to_vec(), generator.guesses())
}

/// How 75 tokens are drawn, in several manners.
fn manners() -> impl Iterator<Item = SampleConfig> {
    let manners = [(1, 1.0, 1.0), (2, 0.7, 1.0), (3, 0.0, 1.0), (4, 1.3, 1.2)];
    manners.into_iter().map(|(seed, temperature, repetition_penalty)| SampleConfig {
        max_new_tokens: 75,
        top_k: 40,
        seed,
        temperature,
        repetition_penalty,
        ..Default::default()
    })
}

#[test]
fn a_draft_changes_nothing_but_the_number_of_passes() {
    let tokenizer = Tokenizer::byte(&[]).unwrap();
    // Contexts that are full several times over.
    let large = model(ModelConfig::llama(256, 32, 32, 2, 4, 2, 80), 1);
    let other = model(ModelConfig::gpt2(256, 24, 16, 1, 2), 2);
    for config in manners() {
        let begin = || Generator::new(large.clone(), &tokenizer, "she sells", &config).unwrap();
        let (alone, nothing) = written(begin());
        assert!(nothing.is_none());
        for (draft, length) in [(&other, 1), (&other, 3), (&large, 1), (&large, 8)] {
            let (ids, guesses) = written(begin().with_draft(draft.clone(), length).unwrap());
            assert_eq!(ids, alone, "{config:?}, {length} guesses");
            let Guesses { made, right, passes } = guesses.unwrap();
            assert!(right <= made && passes + right == 75, "{right} of {made} in {passes}");
        }
    }
}

#[test]
fn a_draft_that_knows_everything_saves_all_it_can() {
    let tokenizer = Tokenizer::byte(&[]).unwrap();
    let large = model(ModelConfig::llama(256, 128, 32, 2, 4, 2, 80), 1);
    for config in manners() {
        for length in [1, 4, 9] {
            let generator = Generator::new(large.clone(), &tokenizer, "she sells", &config);
            let generator = generator.unwrap().with_draft(large.clone(), length).unwrap();
            let Guesses { made, right, passes } = written(generator).1.unwrap();
            assert_eq!(
                (made, right, passes),
                (75 - passes, 75 - passes, 75usize.div_ceil(length + 1))
            );
        }
    }
}

#[test]
fn a_draft_with_another_vocabulary_is_refused() {
    let tokenizer = Tokenizer::byte(&[]).unwrap();
    let large = model(ModelConfig::gpt2(256, 16, 16, 1, 2), 1);
    let other = model(ModelConfig::gpt2(255, 16, 16, 1, 2), 1);
    let generator = Generator::new(large, &tokenizer, "a", &SampleConfig::default()).unwrap();
    let error = generator.with_draft(other, 4).err().unwrap().to_string();
    assert!(error.contains("255") && error.contains("tokenizer"), "{error}");
}
