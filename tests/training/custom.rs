//! Objectives and data sources that are not part of the crate, on the examples that show how to write them.

use std::sync::Arc;

use blankslate::checkpoint::{HostTensors, read_params, tensor_source};
use blankslate::config::{DataConfig, ModelConfig, OptimizerConfig, ScheduleConfig, TrainConfig};
use blankslate::data::{Batch, BatchSource, Corpus, IGNORE, Tokens, Windows};
use blankslate::error::Result;
use blankslate::eval::{EvalOptions, Evaluator};
use blankslate::model::{CrossEntropy, Decoder, NamedGradients, random_source, read_floats};
use blankslate::objective::{
    Format, Forward, GradientOptions, LOSS, Metric, Metrics, NextToken, Objective, Outcome,
    Reduction, loss_and_gradients,
};
use blankslate::platform::block_on;
use blankslate::train::{StepFigures, Trainer};
use burn::module::Module;
use burn::tensor::Device;

use crate::common;

#[allow(dead_code, reason = "its `main` is the example")]
#[path = "../../examples/custom_data_source.rs"]
mod custom_data_source;
#[allow(dead_code, reason = "its `main` is the example")]
#[path = "../../examples/custom_objective.rs"]
mod custom_objective;

use custom_data_source::Copying;
use custom_objective::LabelSmoothing;

const VOCAB: usize = 11;

fn config() -> ModelConfig {
    ModelConfig::gpt2(VOCAB).with_context(16).with_hidden_size(16).with_layers(2).with_heads(2)
}

fn model(device: &Device) -> Decoder {
    Decoder::new(&config(), device, &mut random_source(1)).unwrap()
}

/// Four sequences, the last with few targets that count.
fn batch() -> Batch {
    let inputs: Vec<u32> = (0..64).map(|i| (i * i + 3 * i) % 11).collect();
    let mut targets: Vec<u32> = inputs.iter().map(|id| (id + 1) % 11).collect();
    targets[50..60].fill(IGNORE);
    Batch::new(inputs, targets, 4)
}

/// Rows `first..end` of a batch.
fn rows(batch: &Batch, first: usize, end: usize) -> Batch {
    let of = |all: &[u32]| all[first * batch.tokens..end * batch.tokens].to_vec();
    Batch::new(of(&batch.inputs), of(&batch.targets), end - first)
}

fn corpus() -> Corpus {
    Corpus::new(Tokens::from_ids((0..300).map(|i| i * i % 11).collect()))
}

fn trainer(objective: Arc<dyn Objective>) -> Result<Trainer> {
    let schedule = ScheduleConfig::with_warmup(0);
    let train = TrainConfig { schedule, ..TrainConfig::default() };
    let data = DataConfig { seq_len: 16, ..DataConfig::default() };
    let windows = Windows::new(corpus(), &data, train.batch_size, train.seed)?;
    let model = model(&common::cpu().autodiff());
    Trainer::with_objective(model, &train, Arc::new(windows), objective)
}

fn read(report: blankslate::train::StepReport) -> StepFigures {
    block_on(report.read("nothing")).unwrap()
}

fn mean(objective: &dyn Objective, model: &Decoder, batch: &Batch) -> (Metrics, NamedGradients) {
    let options = GradientOptions::scaled(1.0 / batch.counted() as f64);
    let (values, gradients) = loss_and_gradients(objective, model, batch, &options).unwrap();
    (block_on(values.read()).unwrap(), gradients)
}

#[test]
fn gradients_of_a_custom_objective_equal_finite_differences() {
    let objective = LabelSmoothing { epsilon: 0.2 };
    let device = common::cpu().autodiff();
    // Larger weights than initial ones, so that no gradient is lost in rounding.
    let mut weights = block_on(read_params(&model(&device).valid())).unwrap();
    for (name, tensor) in &mut weights {
        let factor = if name.contains("norm") { 1.0 } else { 8.0 };
        tensor.values.iter_mut().for_each(|value| *value *= factor);
    }
    let build = |weights: HostTensors| {
        Decoder::new(&config(), &device, &mut *tensor_source(weights, "test".into())).unwrap()
    };
    let (_, gradients) = mean(&objective, &build(weights.clone()), &batch());
    let mut compared = 0;
    for (name, gradient) in gradients {
        let gradient = block_on(read_floats(gradient)).unwrap();
        let norm = gradient.iter().map(|x| x * x).sum::<f32>().sqrt();
        if norm < 1e-2 {
            // A bias of keys, which softmax ignores.
            continue;
        }
        // The derivative in the gradient's own direction is its norm.
        let loss_at = |distance: f32| {
            let mut moved = weights.clone();
            let values = &mut moved.get_mut(&name).unwrap().values;
            values.iter_mut().zip(&gradient).for_each(|(x, g)| *x += distance * g / norm);
            mean(&objective, &build(moved), &batch()).0.get(LOSS).unwrap()
        };
        let step = 1e-2;
        let found = ((loss_at(step) - loss_at(-step)) / (2.0 * f64::from(step))) as f32;
        assert!((found - norm).abs() < 0.02 * norm, "{name}: {found} instead of {norm}");
        compared += 1;
    }
    assert!(compared > 10, "only {compared} gradients were large enough");
}

#[test]
fn without_smoothing_the_custom_objective_is_next_token_prediction() {
    let model = model(&common::cpu().autodiff());
    let (plain, expected) = mean(&NextToken::default(), &model, &batch());
    let (smooth, found) = mean(&LabelSmoothing { epsilon: 0.0 }, &model, &batch());
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-5, "{a} {b}");
    near(plain.get(LOSS).unwrap(), smooth.get(LOSS).unwrap());
    assert!(found.keys().eq(expected.keys()));
    for (name, gradient) in found {
        let read = |tensor| block_on(read_floats(tensor)).unwrap();
        for (a, b) in read(gradient).iter().zip(&read(expected[&name].clone())) {
            near(f64::from(*a), f64::from(*b));
        }
    }
}

#[test]
fn metrics_of_micro_batches_combine_as_those_of_one_batch() {
    let figures = |batches: &[Batch]| {
        let mut trainer = trainer(Arc::new(LabelSmoothing { epsilon: 0.1 })).unwrap();
        read(trainer.step_on(batches).unwrap())
    };
    let all = batch();
    let whole = figures(std::slice::from_ref(&all));
    // The halves have different numbers of targets that count.
    let parts = figures(&[rows(&all, 0, 3), rows(&all, 3, 4)]);
    let entropy = |figures: &StepFigures| figures.metrics.get("entropy").unwrap();
    assert!((entropy(&whole) - entropy(&parts)).abs() < 1e-5, "{whole:?} {parts:?}");
    assert!((whole.loss - parts.loss).abs() < 1e-5, "{whole:?} {parts:?}");
    // Near uniform at first, so the entropy is just below that of the uniform distribution.
    assert!((0.9..1.0).contains(&(entropy(&whole) / (VOCAB as f64).ln())), "{whole:?}");
    assert_eq!(whole.metrics.get("perplexity"), None);
}

#[test]
fn the_default_evaluation_reports_loss_and_metrics_over_all_terms() {
    let objective = Arc::new(LabelSmoothing { epsilon: 0.1 });
    let model = model(&common::cpu());
    let evaluate = |batch_size| {
        let (corpus, options) = (corpus(), EvalOptions { seq_len: 16, batch_size });
        let mut evaluator =
            Evaluator::new(model.clone(), objective.clone(), &corpus, options, &|_| 1).unwrap();
        while block_on(evaluator.advance()).unwrap() {}
        evaluator.finish().unwrap()
    };
    // One batch more or less, of equal or unequal sizes, makes no difference.
    let (one, other) = (evaluate(100), evaluate(3));
    assert_eq!((one.tokens, other.tokens), (299, 299));
    assert!((one.loss - other.loss).abs() < 1e-5, "{one:?} {other:?}");
    let entropy = |of: &blankslate::eval::Evaluation| of.metrics.get("entropy").unwrap();
    assert!((entropy(&one) - entropy(&other)).abs() < 1e-5, "{one:?} {other:?}");
    let json = serde_json::to_value(&one).unwrap();
    assert_eq!(json["entropy"], entropy(&one));
    assert_eq!(json.as_object().unwrap().len(), 3, "{json}");
}

#[test]
fn an_explicit_objective_trains_as_the_built_in_one_to_the_bit() {
    let mut explicit = trainer(Arc::new(NextToken::default())).unwrap();
    let data = DataConfig { seq_len: 16, ..DataConfig::default() };
    let config = explicit.config().clone();
    let windows = Windows::new(corpus(), &data, config.batch_size, config.seed).unwrap();
    let mut built_in = Trainer::new(model(&common::cpu().autodiff()), &config, windows).unwrap();
    for _ in 0..3 {
        assert_eq!(read(explicit.step().unwrap()), read(built_in.step().unwrap()));
    }
}

/// Reports metrics under the names it is given, described or not.
#[derive(Debug)]
struct Reporting {
    described: Vec<Metric>,
    reported: Vec<&'static str>,
}

fn metric(name: &'static str) -> Metric {
    let (reduction, format) = (Reduction::Mean, Format::Percent);
    Metric { name, label: "a metric", description: "", reduction, format }
}

impl Objective for Reporting {
    fn metrics(&self) -> &[Metric] {
        &self.described
    }

    fn loss(&self, pass: Forward<'_>, scale: f64) -> Result<Outcome> {
        let Forward { model, residual, batch } = pass;
        let targets = model.targets(&batch.targets)?;
        let loss = model.cross_entropy(residual, targets, CrossEntropy::scaled(scale));
        // The second row onwards has only the first metric.
        let count = if batch.rows == 1 { 1 } else { self.reported.len() };
        let metrics = self.reported.iter().take(count).map(|name| (*name, loss.clone()));
        Ok(Outcome { metrics: metrics.collect(), loss })
    }
}

#[test]
fn metric_names_that_are_unknown_missing_or_taken_are_refused() {
    let objective = |described: &[&'static str], reported: &[&'static str]| {
        let described = described.iter().copied().map(metric).collect();
        Arc::new(Reporting { described, reported: reported.into() })
    };
    let error = |result: Result<_>| -> String { result.map(drop).unwrap_err().to_string() };
    for (described, problem) in [
        (&["grad_norm"][..], "`grad_norm` is the name of another value"),
        (&["loss"], "`loss` is the name of another value"),
        (&["a", "b", "a"], "`a` is the name of two metrics"),
    ] {
        let found = error(trainer(objective(described, &[])).map(drop));
        assert!(found.contains(problem), "{found}");
    }
    let undescribed = trainer(objective(&["a"], &["b"])).unwrap().step();
    let found = error(undescribed.map(drop));
    assert!(found.contains("`b`, which it does not describe"), "{found}");

    let both = objective(&["a", "b"], &["a", "b"]);
    let all = batch();
    let unequal = [rows(&all, 0, 2), rows(&all, 2, 3)];
    let found = error(trainer(both).unwrap().step_on(&unequal).map(drop));
    assert!(found.contains("loss, a, b, another loss, a"), "{found}");

    // A metric that is described and never measured is absent.
    let figures = read(trainer(objective(&["a", "b"], &["a"])).unwrap().step().unwrap());
    assert_eq!(figures.metrics.get("b"), None);
    let (known, value) = ([metric("b"), metric("a")], figures.metrics.get("a").unwrap());
    assert_eq!(figures.metrics.describe(&known), format!(", a metric {:.0} %", 100.0 * value));
}

#[test]
fn a_model_learns_from_a_custom_data_source() {
    let source = Copying { digits: 6, seed: 3 };
    assert_eq!(source.nth_batch(7, 2), source.nth_batch(7, 2));
    assert_ne!(source.nth_batch(7, 2), source.nth_batch(8, 2));
    let batch = source.nth_batch(0, 1);
    assert_eq!((batch.tokens, batch.counted()), (11, 6));
    assert_eq!(batch.inputs[..6], batch.targets[5..]);

    let optimizer = OptimizerConfig::with_lr(1e-2);
    let train = TrainConfig { steps: 250, batch_size: 16, optimizer, ..TrainConfig::default() };
    let model = Decoder::new(
        &ModelConfig::gpt2(10).with_context(12).with_hidden_size(32).with_layers(2).with_heads(2),
        &common::cpu().autodiff(),
        &mut random_source(1),
    );
    let objective = Arc::new(NextToken::default());
    let mut trainer =
        Trainer::with_objective(model.unwrap(), &train, Arc::new(source), objective).unwrap();
    let losses: Vec<f32> = (0..train.steps).map(|_| read(trainer.step().unwrap()).loss).collect();
    let last = losses[losses.len() - 20..].iter().sum::<f32>() / 20.0;
    assert!(last < 0.7 * losses[0], "{} to {last}", losses[0]);
}
