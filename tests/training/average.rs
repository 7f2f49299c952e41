//! The moving average of the weights, compared with one that is computed here from the weights after each step.

use blankslate::checkpoint::{HostTensors, pack, pack_average, read_safetensors};
use blankslate::config::{DataConfig, ModelConfig, OptimizerConfig, TrainConfig};
use blankslate::data::{Corpus, Tokens, Windows};
use blankslate::model::{Decoder, random_source};
use blankslate::platform::block_on;
use blankslate::train::{Average, Trainer};

use crate::common;

fn weights(model: &Decoder) -> HostTensors {
    let files = block_on(pack(model, None, None)).unwrap();
    read_safetensors("model", &files["model.safetensors"]).unwrap()
}

#[test]
fn the_average_is_that_of_its_formula() {
    const DECAY: f64 = 0.7;
    let model =
        ModelConfig::gpt2(16).with_context(8).with_hidden_size(16).with_layers(2).with_heads(2);
    let corpus = Corpus::new(Tokens::from_ids((0..400).map(|i| i * i % 16).collect()));
    let data = DataConfig { seq_len: 8, ..DataConfig::default() };
    let config =
        TrainConfig { optimizer: OptimizerConfig::with_lr(0.02), ..TrainConfig::default() };
    let windows = Windows::new(corpus, &data, config.batch_size, config.seed).unwrap();
    let model = Decoder::new(&model, &common::cpu().autodiff(), &mut random_source(1)).unwrap();
    let mut trainer = Trainer::new(model, &config, windows).unwrap();
    let mut expected = weights(&trainer.in_training());
    let first = expected.clone();
    trainer.set_average(Some(Average::new(&trainer.in_training(), DECAY)));
    for _ in 0..25 {
        trainer.step().unwrap();
        let now = weights(&trainer.in_training());
        for (name, average) in &mut expected {
            for (average, weight) in average.values.iter_mut().zip(&now[name].values) {
                *average = *average * DECAY as f32 + weight * (1.0 - DECAY) as f32;
            }
        }
    }
    let average = trainer.average().unwrap().model(trainer.in_training());
    let found = read_safetensors("average", &block_on(pack_average(&average)).unwrap()).unwrap();
    assert!(found.keys().eq(expected.keys()) && found != first);
    for (name, tensor) in &expected {
        for (a, b) in tensor.values.iter().zip(&found[name].values) {
            assert!((a - b).abs() <= 1e-6 + 1e-5 * a.abs(), "{name}: {a} and {b}");
        }
    }
    assert!(found != weights(&trainer.in_training()));
}
