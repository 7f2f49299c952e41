//! Trains on batches that are generated as they are needed: random digits, to be repeated. Only the repetition is
//! trained on. `cargo run --release --example custom_data_source`

use std::sync::Arc;

use blankslate::config::{ModelConfig, TrainConfig};
use blankslate::data::{Batch, BatchSource, IGNORE};
use blankslate::error::Result;
use blankslate::model::{Decoder, random_source};
use blankslate::objective::NextToken;
use blankslate::platform::{block_on, open_device};
use blankslate::train::Trainer;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const VOCAB: u32 = 10;

/// Sequences of `digits` random digits and the same digits again.
#[derive(Debug)]
pub struct Copying {
    /// Digits before they are repeated.
    pub digits: usize,
    /// Seed of all batches.
    pub seed: u64,
}

impl BatchSource for Copying {
    fn nth_batch(&self, number: u64, examples: usize) -> Batch {
        // A stream of its own for every batch: the same number always gives the same batch.
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(number);
        let mut inputs = Vec::new();
        let mut targets = Vec::new();
        for _ in 0..examples {
            let digits: Vec<u32> = (0..self.digits).map(|_| rng.next_u32() % VOCAB).collect();
            let sequence = [&digits[..], &digits[..]].concat();
            inputs.extend(&sequence[..sequence.len() - 1]);
            targets.extend(std::iter::repeat_n(IGNORE, self.digits - 1));
            targets.extend(&digits);
        }
        Batch::new(inputs, targets, examples)
    }
}

fn main() -> Result<()> {
    let (device, _) = block_on(open_device("cpu"))?;
    let config = TrainConfig { steps: 300, batch_size: 16, ..TrainConfig::default() };
    let source = Copying { digits: 8, seed: config.seed };
    let model = ModelConfig::gpt2(VOCAB as usize)
        .with_context(2 * source.digits)
        .with_hidden_size(64)
        .with_layers(2)
        .with_heads(4);
    let model = Decoder::new(&model, &device.autodiff(), &mut random_source(config.seed))?;
    let objective = Arc::new(NextToken::default());
    let mut trainer = Trainer::with_objective(model, &config, Arc::new(source), objective)?;
    for step in 1..=config.steps {
        let report = trainer.step()?;
        if step % 20 == 0 {
            println!("step {step}: loss {:.3}", block_on(report.read("nothing was saved"))?.loss);
        }
    }
    Ok(())
}
