//! `training_state.json`.

use blankslate::checkpoint::TrainingState;
use blankslate::config::{DataConfig, DataOrder, Estimate, ModelConfig, TrainConfig};
use blankslate::data::{Corpus, Tokens, Windows};
use blankslate::error::Result;
use blankslate::optim::learning_rate;
use blankslate::run::{GivenSettings, RunConfig};
use blankslate::tokenizer::TrainOptions;

use super::{Target, memory_limit};

pub const TARGET: Target = Target { name: "training-state", seeds, check, memory_limit };

/// Tokens of the data, and most tokens of a batch that is drawn. The batch size is the user's choice.
const TOKENS: u32 = 200;
const BATCH: usize = 1 << 12;

fn seeds() -> Vec<Vec<u8>> {
    let saved = TrainingState { tokenizer: "bpe:300".into(), ..TrainingState::default() };
    let moved = TrainingState {
        step: 6,
        batches_drawn: 12,
        train: TrainConfig { grad_accum: 2, ..TrainConfig::default() },
        data: DataConfig { order: DataOrder::Sequential, ..DataConfig::default() },
        ..saved.clone()
    };
    vec![saved.to_json(), moved.to_json(), br#"{"step": 3, "batches_drawn": 3}"#.to_vec()]
}

fn check(input: &[u8]) -> Result<()> {
    let state = TrainingState::from_json(input)?;
    let again = TrainingState::from_json(&state.to_json()).expect("a written state can be read");
    assert_eq!(again, state);

    let TrainingState { train, data, .. } = &state;
    for step in [1, state.step, state.step.saturating_add(1), train.steps] {
        let rate = learning_rate(train, step);
        let most = train.optimizer.lr * (1.0 + 1e-9);
        assert!(rate >= 0.0 && rate <= most, "the learning rate of step {step} is {rate}");
    }
    // A path natively, so it need not be a specification.
    drop(TrainOptions::from_spec(&state.tokenizer));
    let model = ModelConfig::default();
    data.validate(model.max_position_embeddings)?;
    Estimate::of_run(&model, train, data);
    let config = RunConfig::of_checkpoint("run", model, &state);
    if let Ok(resumed) = config.resumed(&GivenSettings::default(), state.step) {
        assert_eq!(resumed, config, "resuming without other settings changes none");
    }
    let corpus = Corpus::new(Tokens::from_ids((0..TOKENS).collect()));
    let (corpus, _) = corpus.split(data.val_fraction);
    if train.batch_size.saturating_mul(data.seq_len) <= BATCH {
        let windows = Windows::new(corpus, data, train.batch_size, train.seed)?;
        windows.batches_per_epoch();
        windows.batch(state.batches_drawn);
    }
    Ok(())
}
