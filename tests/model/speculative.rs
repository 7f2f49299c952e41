//! Speculative decoding and reuse of the KV cache, which must not change the text.

use blankslate::config::{
    DataConfig, ModelConfig, OptimizerConfig, SampleConfig, ScheduleConfig, TrainConfig,
};
use blankslate::data::{Corpus, Tokens, Windows};
use blankslate::model::{Decoder, random_source};
use blankslate::platform::block_on;
use blankslate::sample::{CachedDecoder, DraftStats, Drafter, Generator};
use blankslate::tokenizer::Tokenizer;
use blankslate::train::Trainer;

use crate::common;

/// A byte model with weights that make its predictions confident.
fn model(config: ModelConfig, seed: u64) -> Decoder {
    let mut source = random_source(seed);
    let mut sharp = |name: &str, shape: &[usize], init| {
        let values = source(name, shape, init)?;
        let factor = if shape.len() == 2 { 6.0 } else { 1.0 };
        Ok(values.into_iter().map(|x| x * factor).collect())
    };
    Decoder::new(&config, &common::cpu(), &mut sharp).unwrap()
}

/// Trains a model on `tick tock tick tock …`.
fn ticking(config: ModelConfig) -> Decoder {
    let text = "tick tock ".repeat(60);
    let corpus = Corpus::new(Tokens::from_ids(text.bytes().map(u32::from).collect()));
    let train = TrainConfig {
        optimizer: OptimizerConfig::with_lr(1e-2),
        schedule: ScheduleConfig::with_warmup(5),
        batch_size: 4,
        steps: 80,
        ..Default::default()
    };
    let data = DataConfig { seq_len: 32, ..Default::default() };
    let windows = Windows::new(corpus, &data, train.batch_size, train.seed).unwrap();
    let model = Decoder::new(&config, &common::cpu().autodiff(), &mut random_source(1)).unwrap();
    let mut trainer = Trainer::new(model, &train, windows).unwrap();
    for _ in 0..train.steps {
        trainer.step().unwrap();
    }
    trainer.model()
}

/// Generates a text and returns it with the acceptance statistics, which are also checked against every piece.
fn written(mut generator: Generator) -> (Vec<u32>, Option<DraftStats>) {
    let mut told = DraftStats::default();
    let mut begins = true;
    while let Some(piece) = block_on(generator.next()).unwrap() {
        if begins {
            told.passes += 1;
            told.proposed += piece.guessed.len();
        }
        // A pass ends with the first rejected proposal.
        begins = piece.guessed.first() != Some(&piece.id);
        told.accepted += usize::from(!begins);
    }
    let stats = generator.draft_stats();
    assert!(stats.is_none_or(|stats| stats == told), "{stats:?}, {told:?}");
    (generator.ids().to_vec(), stats)
}

/// Several sampling configurations for 75 tokens.
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
fn a_drafter_changes_only_the_number_of_passes() {
    let tokenizer = Tokenizer::byte(&[]).unwrap();
    // Contexts that fill up several times.
    let large = model(
        ModelConfig::llama(256)
            .with_context(32)
            .with_hidden_size(32)
            .with_layers(2)
            .with_heads(4)
            .with_kv_heads(2)
            .with_intermediate_size(80),
        1,
    );
    let other = model(
        ModelConfig::gpt2(256).with_context(24).with_hidden_size(16).with_layers(1).with_heads(2),
        2,
    );
    for config in manners() {
        let begin = || Generator::new(large.clone(), &tokenizer, "she sells", &config).unwrap();
        let (alone, nothing) = written(begin());
        assert!(nothing.is_none());
        for (draft, length) in [(&other, 1), (&other, 3), (&large, 1), (&large, 8)] {
            let (ids, stats) =
                written(begin().with_drafter(Drafter::model(draft.clone()), length).unwrap());
            assert_eq!(ids, alone, "{config:?}, {length} proposals");
            let DraftStats { proposed, accepted, passes, .. } = stats.unwrap();
            assert!(
                accepted <= proposed && passes + accepted == 75,
                "{accepted} of {proposed} in {passes}"
            );
        }
    }
}

#[test]
fn a_perfect_drafter_saves_the_most_passes() {
    let tokenizer = Tokenizer::byte(&[]).unwrap();
    let large = model(
        ModelConfig::llama(256)
            .with_context(128)
            .with_hidden_size(32)
            .with_layers(2)
            .with_heads(4)
            .with_kv_heads(2)
            .with_intermediate_size(80),
        1,
    );
    for config in manners() {
        for length in [1, 4, 9] {
            let generator = Generator::new(large.clone(), &tokenizer, "she sells", &config);
            let generator =
                generator.unwrap().with_drafter(Drafter::model(large.clone()), length).unwrap();
            let DraftStats { proposed, accepted, passes, .. } = written(generator).1.unwrap();
            assert_eq!(
                (proposed, accepted, passes),
                (75 - passes, 75 - passes, 75usize.div_ceil(length + 1))
            );
        }
    }
}

#[test]
fn repetitions_are_proposed_without_a_second_model() {
    let tokenizer = Tokenizer::byte(&[]).unwrap();
    // Contexts that fill up before the text ends, and one that does not.
    for context in [32, 128] {
        let large = ticking(
            ModelConfig::llama(256)
                .with_context(context)
                .with_hidden_size(32)
                .with_layers(2)
                .with_heads(4)
                .with_kv_heads(2)
                .with_intermediate_size(80),
        );
        let mut accepted = 0;
        for config in manners() {
            let begin = || Generator::new(large.clone(), &tokenizer, "tick tock tick", &config);
            let alone = written(begin().unwrap()).0;
            for length in [1, 4, 9] {
                let generator = begin().unwrap().with_drafter(Drafter::Ngram, length).unwrap();
                let (ids, stats) = written(generator);
                assert_eq!(ids, alone, "{config:?}, {length} proposals");
                let stats = stats.unwrap();
                assert_eq!(stats.passes + stats.accepted, 75);
                if config.temperature == 0.0 {
                    accepted += stats.accepted;
                }
            }
        }
        // The learned text is periodic, so many proposals are accepted.
        assert!(accepted > 75, "{accepted}");
    }
}

#[test]
fn a_model_reuses_the_cached_prefix_of_the_last_text() {
    let tokenizer = Tokenizer::byte(&[]).unwrap();
    for config in [
        ModelConfig::llama(256)
            .with_context(40)
            .with_hidden_size(32)
            .with_layers(2)
            .with_heads(4)
            .with_kv_heads(2)
            .with_intermediate_size(80),
        ModelConfig {
            sliding_window: Some(7),
            ..ModelConfig::llama(256)
                .with_context(40)
                .with_hidden_size(32)
                .with_layers(2)
                .with_heads(4)
                .with_kv_heads(2)
                .with_intermediate_size(80)
        },
        ModelConfig::gpt2(256).with_context(40).with_hidden_size(16).with_layers(2).with_heads(2),
    ] {
        let model = model(config, 1);
        let sampling = SampleConfig { max_new_tokens: 20, temperature: 1.0, ..Default::default() };
        let mut reader = CachedDecoder::from(model.clone());
        // The same text, a longer one, a shorter one, another one, and one after the context filled up.
        let texts = [
            "she sells",
            "she sells",
            "she sells sea",
            "she",
            "sea shells by the sea shore",
            "sea sh",
        ];
        let reused = [0, 8, 9, 2, 1, 0];
        for (text, reused) in texts.iter().zip(reused) {
            let fresh = Generator::new(model.clone(), &tokenizer, text, &sampling).unwrap();
            let generator = Generator::new(reader, &tokenizer, text, &sampling).unwrap();
            assert_eq!((fresh.reused_tokens(), generator.reused_tokens()), (0, reused), "{text}");
            let (ids, again);
            (ids, reader) = gone_on(generator);
            (again, _) = gone_on(fresh);
            assert_eq!(ids, again, "{text}");
        }
        // A conversation, message after message.
        let mut text = tokenizer.encode("who?").unwrap();
        let two = SampleConfig { max_new_tokens: 2, ..sampling };
        for turn in 0..6 {
            let fresh = Generator::from_ids(model.clone(), &tokenizer, text.clone(), &two).unwrap();
            let generator = Generator::from_ids(reader, &tokenizer, text.clone(), &two).unwrap();
            // Everything is cached except the new message and the last sampled token.
            assert_eq!(generator.reused_tokens(), if turn == 0 { 0 } else { text.len() - 4 });
            (text, reader) = gone_on(generator);
            assert_eq!(text, gone_on(fresh).0);
            text.extend(tokenizer.encode("so?").unwrap());
        }
    }
}

#[test]
fn a_draft_model_reuses_its_cached_prefix() {
    let tokenizer = Tokenizer::byte(&[]).unwrap();
    let large = model(
        ModelConfig::llama(256)
            .with_context(96)
            .with_hidden_size(32)
            .with_layers(2)
            .with_heads(4)
            .with_kv_heads(2)
            .with_intermediate_size(80),
        1,
    );
    // A draft model with the model's context length, and one whose context fills up earlier.
    for context in [96, 24] {
        let small = model(
            ModelConfig::gpt2(256)
                .with_context(context)
                .with_hidden_size(16)
                .with_layers(1)
                .with_heads(2),
            2,
        );
        let sampling = SampleConfig { max_new_tokens: 5, ..Default::default() };
        let (mut reader, mut draft) =
            (CachedDecoder::from(large.clone()), Drafter::model(small.clone()));
        let mut text = tokenizer.encode("who?").unwrap();
        let (mut whole, mut new) = (0, 0);
        for turn in 0..8 {
            let begin = |reader, draft| {
                let text = text.clone();
                let generator = Generator::from_ids(reader, &tokenizer, text, &sampling).unwrap();
                generator.with_drafter(draft, 3).unwrap()
            };
            let fresh = written(begin(large.clone().into(), Drafter::model(small.clone())));
            let mut generator = begin(reader, draft);
            let reused = generator.draft_stats().unwrap().reused;
            (whole, new) = (whole + text.len(), new + text.len() - reused);
            if turn > 0 && context == 96 {
                // Everything is cached except the new message and the last sampled token, or more if the last
                // proposals were rejected.
                assert!((text.len() - 4 - 3..=text.len() - 4).contains(&reused), "{reused}");
            }
            while block_on(generator.next()).unwrap().is_some() {}
            assert_eq!(generator.ids(), fresh.0);
            let stats = generator.draft_stats().unwrap();
            assert_eq!(DraftStats { reused: 0, ..stats }, fresh.1.unwrap());
            text = generator.ids().to_vec();
            text.extend(tokenizer.encode("so?").unwrap());
            let (kept, drafted) = generator.into_parts();
            (reader, draft) = (kept, drafted.unwrap());
        }
        println!("of {whole} tokens of eight prompts the draft read {new}");
    }
}

/// Generates the whole text and returns it with the model and its KV cache.
fn gone_on(mut generator: Generator) -> (Vec<u32>, CachedDecoder) {
    while block_on(generator.next()).unwrap().is_some() {}
    (generator.ids().to_vec(), generator.into_decoder())
}

#[test]
fn an_unusable_drafter_is_rejected() {
    let tokenizer = Tokenizer::byte(&[]).unwrap();
    let large = model(
        ModelConfig::gpt2(256).with_context(16).with_hidden_size(16).with_layers(1).with_heads(2),
        1,
    );
    let other = model(
        ModelConfig::gpt2(255).with_context(16).with_hidden_size(16).with_layers(1).with_heads(2),
        1,
    );
    let refused = |draft, length| {
        let generator = Generator::new(large.clone(), &tokenizer, "a", &SampleConfig::default());
        generator.unwrap().with_drafter(draft, length).err().unwrap().to_string()
    };
    let error = refused(Drafter::model(other), 4);
    assert!(error.contains("255") && error.contains("tokenizer"), "{error}");
    assert!(refused(Drafter::Ngram, 0).contains("at least one token"));
}
