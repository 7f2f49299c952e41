//! Decoding with a KV cache: the same logits as without, in constant memory.

use blankslate::config::*;
use blankslate::error::Error;
use blankslate::model::{Decoder, KvCache, TokenIds, random_source, read_floats};
use blankslate::platform::block_on;
use burn::tensor::Device;

use crate::common;
use crate::common::memory::{held, most_held};
use crate::common::variants;

/// Tokens per text.
const TOKENS: usize = 12;

fn fresh(config: &ModelConfig, device: &Device) -> Decoder {
    Decoder::new(config, device, &mut random_source(1)).unwrap()
}

/// Returns `tokens` ids of each of `batch` texts, starting at position `from`.
fn texts(batch: usize, from: usize, tokens: usize) -> Vec<u32> {
    let id = |text: usize, place: usize| ((place * place + 5 * place + 7 * text) % 23) as u32;
    (0..batch).flat_map(|text| (from..from + tokens).map(move |place| id(text, place))).collect()
}

/// Computes the logits for `ids` of `batch` texts, one row per token.
fn logits(model: &Decoder, ids: &[u32], batch: usize, cache: Option<&mut KvCache>) -> Vec<f32> {
    let vocab = model.config().vocab_size;
    let tensor = TokenIds::new(ids, batch, vocab, &model.device()).unwrap();
    let logits = model.forward(tensor, cache, None).unwrap();
    block_on(read_floats(logits.reshape([ids.len() * vocab]))).unwrap()
}

/// Decodes texts in pieces of the given lengths and compares the logits with those of the whole texts.
fn compare(name: &str, model: &Decoder, batch: usize, pieces: &[usize]) {
    let vocab = model.config().vocab_size;
    let whole = logits(model, &texts(batch, 0, TOKENS), batch, None);
    let scale = whole.iter().map(|x| x.abs()).fold(0.0, f32::max);
    let mut cache = KvCache::new(model.config(), batch, TOKENS, &model.device());
    for tokens in pieces {
        let start = cache.len();
        let found = logits(model, &texts(batch, start, *tokens), batch, Some(&mut cache));
        for (text, found) in found.chunks(tokens * vocab).enumerate() {
            let expected = &whole[(text * TOKENS + start) * vocab..][..tokens * vocab];
            for (place, (a, b)) in found.iter().zip(expected).enumerate() {
                assert!(
                    (a - b).abs() <= 1e-5 * scale,
                    "{name}, {pieces:?}, text {text}, from {start}, number {place}: {a} and {b}"
                );
            }
        }
    }
    assert_eq!(cache.len(), TOKENS);
}

const PIECES: [&[usize]; 4] = [&[1; TOKENS], &[5, 1, 1, 1, 1, 1, 1, 1], &[3, 4, 1, 4], &[11, 1]];

#[test]
fn cached_decoding_equals_uncached_decoding_for_every_configuration() {
    for (name, config) in variants() {
        let model = fresh(&config, &common::cpu());
        for batch in [1, 3] {
            PIECES.iter().for_each(|pieces| compare(name, &model, batch, pieces));
        }
    }
}

#[test]
fn cached_decoding_equals_uncached_decoding_on_vulkan() {
    let Some(device) = common::vulkan() else { return };
    let chosen = ["gpt2", "llama", "soft caps", "multi-query", "sliding window"];
    for (name, config) in variants().into_iter().filter(|(name, _)| chosen.contains(name)) {
        let model = fresh(&config, &device);
        compare(name, &model, 3, &[5, 1, 4, 1, 1]);
    }
}

/// A cache can be rolled back and written again.
#[test]
fn a_truncated_cache_can_be_rewritten() {
    let config = ModelConfig::llama(23)
        .with_context(24)
        .with_hidden_size(16)
        .with_layers(2)
        .with_heads(4)
        .with_kv_heads(2)
        .with_intermediate_size(40);
    let model = fresh(&config, &common::cpu());
    let mut cache = KvCache::new(&config, 1, TOKENS, &model.device());
    logits(&model, &[9, 8, 7, 6, 5], 1, Some(&mut cache));
    cache.truncate(2);
    let again = logits(&model, &[1, 2, 3], 1, Some(&mut cache));
    let whole = logits(&model, &[9, 8, 1, 2, 3], 1, None);
    let expected = &whole[2 * 23..];
    assert!(again.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{again:?}");
}

#[test]
fn a_cache_rejects_more_than_its_capacity() {
    let config =
        ModelConfig::gpt2(23).with_context(24).with_hidden_size(16).with_layers(2).with_heads(4);
    let model = fresh(&config, &common::cpu());
    let mut cache = KvCache::new(&config, 2, 4, &model.device());
    let mut read = |batch: usize, tokens: usize| {
        let ids = TokenIds::new(&texts(batch, 0, tokens), batch, 23, &model.device()).unwrap();
        model.forward(ids, Some(&mut cache), None).map(|_| ())
    };
    read(2, 3).unwrap();
    let error = read(2, 2).unwrap_err();
    assert!(matches!(error, Error::ContextOverflow { tokens: 5, context: 4 }), "{error}");
    let error = read(1, 1).unwrap_err();
    assert!(matches!(error, Error::CacheBatch { given: 1, cached: 2 }), "{error}");
    read(2, 1).unwrap();
}

/// A small model with a long context.
fn long(context: usize) -> ModelConfig {
    ModelConfig::llama(23)
        .with_context(context)
        .with_hidden_size(16)
        .with_layers(2)
        .with_heads(4)
        .with_kv_heads(2)
        .with_intermediate_size(40)
}

/// Decodes a text in pieces that cross each growth of the cache, and in a cache that has the memory for all of it.
fn compare_growth(name: &str, config: &ModelConfig, device: &Device) {
    const PIECES: [usize; 9] = [250, 5, 1, 1, 1, 253, 1, 1, 20];
    let all: usize = PIECES.iter().sum();
    let model = fresh(config, device);
    let [mut growing, mut whole] = [0; 2].map(|_| KvCache::new(config, 2, 600, device));
    logits(&model, &texts(2, 7, 600), 2, Some(&mut whole));
    whole.truncate(0);
    let mut allocated = vec![growing.allocated()];
    for tokens in PIECES {
        let ids = texts(2, growing.len(), tokens);
        let bits = |cache: &mut KvCache| -> Vec<u32> {
            let logits = logits(&model, &ids, 2, Some(cache));
            assert_eq!(logits.len(), 2 * tokens * 23);
            logits.into_iter().map(f32::to_bits).collect()
        };
        assert!(bits(&mut growing) == bits(&mut whole), "{name}, {tokens} from {}", growing.len());
        allocated.push(growing.allocated());
    }
    assert_eq!((growing.len(), whole.len()), (all, all));
    assert_eq!(whole.allocated(), 600);
    allocated.dedup();
    assert_eq!(allocated, [256, 512, 600], "{name}");
}

#[test]
fn a_growing_cache_changes_no_bit() {
    let window = ModelConfig { sliding_window: Some(300), ..long(600) };
    for (name, config) in [("whole", long(600)), ("window", window)] {
        compare_growth(name, &config, &common::cpu());
        for (kind, device) in common::gpus() {
            compare_growth(&format!("{name}, {kind}"), &config, &device);
        }
    }
}

#[test]
fn a_cache_takes_the_memory_of_the_text_not_of_the_context() {
    let config = long(1 << 17);
    let device = common::cpu();
    // A single thread, whose memory is counted.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        let model = fresh(&config, &device);
        // Keys and values of 2 blocks, 2 heads, 4 numbers each, in f32.
        let bytes = |tokens: isize| tokens * 2 * 2 * 2 * 4 * 4;
        let before = held();
        let mut cache = KvCache::new(&config, 1, 1 << 17, &device);
        logits(&model, &[3, 1], 1, Some(&mut cache));
        let slack = 4096;
        let taken = held() - before;
        assert!((bytes(2)..bytes(256) + slack).contains(&taken), "{taken}");

        // It grows to what was announced, and beyond only for more.
        cache.expect(300);
        logits(&model, &texts(1, 2, 298), 1, Some(&mut cache));
        assert_eq!((cache.len(), cache.allocated()), (300, 300));
        let taken = held() - before;
        assert!((bytes(300)..bytes(300) + slack).contains(&taken), "{taken}");
        logits(&model, &[3], 1, Some(&mut cache));
        assert_eq!((cache.len(), cache.allocated()), (301, 600));
    });
}

#[test]
fn decoding_does_not_allocate_more_memory_with_length() {
    let config =
        ModelConfig::gpt2(23).with_context(1024).with_hidden_size(64).with_layers(2).with_heads(4);
    let device = common::cpu();
    // A single thread, whose memory is counted.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        let model = fresh(&config, &device);
        let mut cache = KvCache::new(&config, 1, 1024, &device);
        let mut token = || most_held(|| drop(logits(&model, &[3], 1, Some(&mut cache)))).1;
        // After the cache has grown the last time.
        (0..520).for_each(|_| assert!(token() > 0));
        let (early, before) = (token(), held());
        (0..450).for_each(|_| assert!(token() > 0));
        let (late, after) = (token(), held());
        println!("a token takes {early} bytes early and {late} late");
        assert_eq!(before, after);
        // One copy of the keys that a block has got since would be 450 x 64 x 4 bytes.
        assert!(late - early < 2048, "{early} bytes early, {late} late");
    });
}

#[test]
fn numbers_that_are_not_finite_name_the_parameter() {
    let config = ModelConfig::gpt2(24).with_context(TOKENS).with_hidden_size(16).with_layers(2);
    let config = config.with_heads(2);
    let bad = "layers.1.mlp.up_proj.weight";
    let with = |value: f32, device: &Device| {
        let mut usual = random_source(1);
        let mut source = |name: &str, shape: &[usize], init| {
            let mut values = usual(name, shape, init)?;
            if name == bad {
                values[3] = value;
            }
            Ok(values)
        };
        Decoder::new(&config, device, &mut source).unwrap()
    };
    let devices = [common::cpu()].into_iter().chain(common::gpus().into_iter().map(|(_, gpu)| gpu));
    for device in devices {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let model = with(value, &device);
            let found = logits(&model, &texts(1, 0, 4), 1, None);
            match block_on(model.require_finite(&found)) {
                Err(Error::NonFiniteWeight { tensor }) => assert_eq!(tensor, bad),
                other => panic!("{value}: {other:?}"),
            }
        }
        let model = with(0.1, &device);
        block_on(model.require_finite(&logits(&model, &texts(1, 0, 4), 1, None))).unwrap();
        let made_up = block_on(model.require_finite(&[1.0, f32::NAN])).unwrap_err();
        assert!(matches!(made_up, Error::NonFiniteLogits), "{made_up}");
    }
}
