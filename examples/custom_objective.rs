//! Training with an objective of our own: next-token prediction with label smoothing (Szegedy et al. 2016).
use blankslate::burn::tensor::{Tensor, activation::log_softmax};
use blankslate::config::{DataConfig, ModelConfig, TrainConfig};
use blankslate::data::{Corpus, Tokens, Windows};
use blankslate::error::Result;
use blankslate::model::{Decoder, random_source};
use blankslate::objective::{Format, Forward, Metric, Objective, Outcome, Reduction};
use blankslate::platform::{block_on, open_device};
use blankslate::train::Trainer;
use std::sync::Arc;

/// Cross-entropy against targets of which a share `epsilon` is spread evenly over the vocabulary.
#[derive(Debug)]
pub struct LabelSmoothing {
    pub(crate) epsilon: f64,
}

const ENTROPY: Metric = Metric {
    name: "entropy",
    label: "entropy",
    description: "Mean entropy of the predicted distributions, in nats. Label smoothing keeps it from reaching 0.",
    reduction: Reduction::Mean,
    format: Format::Decimals(3),
};

impl Objective for LabelSmoothing {
    fn metrics(&self) -> &[Metric] {
        &[ENTROPY]
    }

    fn loss(&self, pass: Forward<'_>, scale: f64) -> Result<Outcome> {
        let targets = pass.model.targets(&pass.batch.targets)?.ids(); // [N], -1 where none counts
        let counts = targets.clone().greater_equal_elem(0).float();
        let log_probs = log_softmax(pass.model.unembed(pass.residual), 1); // [N, V]
        let index = targets.clamp_min(0).unsqueeze_dim(1);
        let hard = -log_probs.clone().gather(1, index).squeeze_dim::<1>(1);
        let soft = -log_probs.clone().mean_dim(1).squeeze_dim::<1>(1);
        let entropy = -(log_probs.clone().exp() * log_probs).sum_dim(1).squeeze_dim::<1>(1);
        let sum = |values: Tensor<1>| (values * counts.clone()).sum() * scale;
        let loss = sum(hard * (1.0 - self.epsilon) + soft * self.epsilon);
        Ok(Outcome { loss, metrics: vec![(ENTROPY.name, sum(entropy))] })
    }
}

fn main() -> Result<()> {
    let (device, _) = block_on(open_device("cpu"))?;
    let corpus = Corpus::new(Tokens::from_ids((0..500).map(|i| i * i % 7).collect()));
    let config = TrainConfig { steps: 50, ..TrainConfig::default() };
    let windows = Windows::new(corpus, &DataConfig::default(), config.batch_size, config.seed)?;
    let model =
        ModelConfig::gpt2(7).with_context(32).with_hidden_size(32).with_layers(1).with_heads(2);
    let model = Decoder::new(&model, &device.autodiff(), &mut random_source(config.seed))?;
    let objective = Arc::new(LabelSmoothing { epsilon: 0.1 });
    let mut trainer = Trainer::with_objective(model, &config, Arc::new(windows), objective)?;
    for _ in 0..config.steps {
        let found = block_on(trainer.step()?.read("nothing was saved"))?;
        let metrics = found.metrics.describe(&[ENTROPY]);
        println!("step {}: loss {:.3}{metrics}", found.step, found.loss);
    }
    Ok(())
}
