//! Direct preference optimization: compared with PyTorch, its effect on a model, batches of pairs, and files of them.

use std::fs;
use std::path::Path;

use blankslate::check::{TOLERANCE, relative_error};
use blankslate::checkpoint::{
    CONFIG, HostTensor, HostTensors, WEIGHTS, from_file_layout, from_hf, read_float_tensors,
    read_ids, read_safetensors, tensor_source, to_file_layout,
};
use blankslate::config::{
    DataConfig, DataKind, DataOrder, ModelConfig, OptimizerConfig, Precision, ScheduleConfig,
    TrainConfig,
};
use blankslate::data::{Batch, Corpus, IGNORE, Windows, eval_batches};
use blankslate::eval::{EvalOptions, Evaluator};
use blankslate::model::{
    Decoder, PassOptions, TokenIds, for_each_param, random_source, read_floats,
};
use blankslate::objective::{
    DirectPreference, GradientOptions, loss_and_gradients, reference_log_probs,
};
use blankslate::platform::block_on;
use blankslate::run::data::Examples;
use blankslate::tokenizer::{Tokenizer, run_sequentially};
use blankslate::train::{StepFigures, Trainer};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::common;

/// Settings that `scripts/make_dpo_golden.py` was run with.
const BETA: f64 = 0.5;
const REFERENCE: f32 = 0.8;

/// A folder written by the script.
struct Golden {
    config: ModelConfig,
    weights: HostTensors,
    figures: HostTensors,
    inputs: Vec<u32>,
    targets: Vec<u32>,
    rows: usize,
}

impl Golden {
    fn open(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let read = |file: &str| fs::read(folder.join(file)).expect(file);
        let config = from_hf(&read(CONFIG)).unwrap();
        let weights = read_safetensors(WEIGHTS, &read(WEIGHTS)).unwrap();
        let weights = from_file_layout(&config, WEIGHTS, weights).unwrap();
        let pairs = read("pairs.safetensors");
        let (shape, inputs) = read_ids(name, &pairs, "input_ids").unwrap();
        let (_, targets) = read_ids(name, &pairs, "targets").unwrap();
        let targets = targets.into_iter().map(|id| if id == 0 { IGNORE } else { id }).collect();
        let figures = read_float_tensors(name, &pairs).unwrap();
        Self { config, weights, figures, inputs, targets, rows: shape[0] }
    }

    /// The model with all weights multiplied by `factor`.
    fn model(&self, factor: f32, device: &Device) -> Decoder {
        let mut weights = self.weights.clone();
        weights.values_mut().flat_map(|t| &mut t.values).for_each(|value| *value *= factor);
        Decoder::new(&self.config, device, &mut *tensor_source(weights, WEIGHTS.into())).unwrap()
    }

    /// A batch of some of the pairs, with the log-probabilities of all completions under the reference.
    fn batch(&self, pairs: std::ops::Range<usize>, reference: &[f32]) -> Batch {
        let tokens = self.inputs.len() / self.rows;
        let rows = 2 * pairs.start..2 * pairs.end;
        let of = |all: &[u32]| all[rows.start * tokens..rows.end * tokens].to_vec();
        let reference_log_probs = Some(reference[rows.clone()].to_vec());
        let batch = Batch::new(of(&self.inputs), of(&self.targets), rows.len());
        Batch { reference_log_probs, ..batch }
    }

    fn log_probabilities(&self, model: &Decoder) -> Vec<f32> {
        let ids = TokenIds::new(&self.inputs, self.rows, self.config.vocab_size, &model.device());
        let residual = model.forward_residual(ids.unwrap(), None, None).unwrap();
        let targets = model.targets(&self.targets).unwrap();
        read(model.sequence_log_probs(residual, targets, self.rows))
    }

    #[track_caller]
    fn close(&self, name: &str, ours: &[f32]) {
        let error = relative_error(ours, &self.figures[name].values);
        println!("{name}: {error:.1e}");
        assert!(error < TOLERANCE, "{name}: {error:e}, {ours:?}");
    }
}

fn read(tensor: Tensor<1>) -> Vec<f32> {
    block_on(read_floats(tensor)).unwrap()
}

fn agrees_with_pytorch(name: &str, device: &Device) {
    let golden = Golden::open(name);
    let reference = golden.log_probabilities(&golden.model(REFERENCE, device));
    golden.close("reference", &reference);
    let objective = DirectPreference { beta: BETA };
    let model = golden.model(1.0, &device.clone().autodiff());
    let found = golden.log_probabilities(&model.valid());
    golden.close("log_probabilities", &found);

    let margins = &golden.figures["margins"].values;
    let margin = margins.iter().sum::<f32>() / margins.len() as f32;
    let right = margins.iter().filter(|margin| **margin > 0.0).count();
    assert!((1..margins.len()).contains(&right), "both kinds of pairs take part: {margins:?}");
    let pairs = golden.rows / 2;
    let run = |batch: &Batch, recompute| {
        let pass = PassOptions { recompute, ..PassOptions::default() };
        let options = GradientOptions { pass, ..GradientOptions::scaled(2.0 / batch.rows as f64) };
        let (values, gradients) = loss_and_gradients(&objective, &model, batch, &options).unwrap();
        (block_on(values.read()).unwrap(), gradients)
    };
    for (pair, margin) in margins.iter().enumerate() {
        let (values, _) = run(&golden.batch(pair..pair + 1, &reference), false);
        let found = values.get("margin").unwrap() as f32;
        assert!((found - margin).abs() < 1e-4 * margin.abs(), "{values:?}, {margin}");
    }
    for recompute in [false, true] {
        let (values, mut gradients) = run(&golden.batch(0..pairs, &reference), recompute);
        let value = |name| values.get(name).unwrap() as f32;
        golden.close("loss", &[value("loss")]);
        assert!((value("margin") - margin).abs() < 1e-4 * margin.abs(), "{values:?}, {margin}");
        assert_eq!(value("accuracy"), right as f32 / pairs as f32);
        let mut found = HostTensors::new();
        for_each_param(&model, &mut |name, shape, _| {
            let values = read(gradients.remove(name).expect(name));
            found.insert(name.into(), HostTensor { shape: shape.to_vec(), values });
        });
        let found = to_file_layout(&golden.config, &found);
        let expected = golden.figures.keys().filter_map(|name| name.strip_prefix("grad."));
        assert_eq!(expected.clone().count(), found.len());
        for name in expected {
            golden.close(&format!("grad.{name}"), &found[name].values);
        }
    }
}

#[test]
fn loss_margins_and_gradients_agree_with_pytorch() {
    for name in ["dpo-gpt2", "dpo-llama"] {
        agrees_with_pytorch(name, &common::cpu());
    }
}

#[test]
fn loss_margins_and_gradients_agree_with_pytorch_on_vulkan() {
    if let Some(device) = common::vulkan() {
        for name in ["dpo-gpt2", "dpo-llama"] {
            agrees_with_pytorch(name, &device);
        }
    }
}

#[test]
fn f16_gradients_are_scaled_and_close_to_f32() {
    /// The tolerance of a single kernel in `tests/kernels/`, here for the whole model.
    const TOLERANCE_F16: f64 = 1e-2;
    /// A loss scale at which no gradient overflows.
    const SCALE: f32 = 4096.0;
    let Some(device) = common::gpu_in(Precision::F16) else { return };
    let golden = Golden::open("dpo-gpt2");
    let batch = golden.batch(0..golden.rows / 2, &golden.figures["reference"].values);
    let options = GradientOptions {
        pass: PassOptions { precision: Precision::F16, ..PassOptions::default() },
        loss_scale: Some(Tensor::from_floats([SCALE], &device)),
        ..GradientOptions::scaled(2.0 / golden.rows as f64)
    };
    let model = golden.model(1.0, &device.clone().autodiff());
    let objective = DirectPreference { beta: BETA };
    let (values, gradients) = loss_and_gradients(&objective, &model, &batch, &options).unwrap();
    let near = |name: &str, ours: &[f32]| {
        let error = relative_error(ours, &golden.figures[name].values);
        assert!(error < TOLERANCE_F16, "{name}: {error:e}");
    };
    near("loss", &[block_on(values.read()).unwrap().get("loss").unwrap() as f32]);
    for (ours, theirs) in [("norm.weight", "ln_f.weight"), ("embed_tokens.weight", "wte.weight")] {
        let values: Vec<f32> =
            read(gradients[ours].clone()).iter().map(|value| value / SCALE).collect();
        near(&format!("grad.transformer.{theirs}"), &values);
    }
}

const PAIRS: &str = r#"{"prompt": "sky?", "chosen": "It is blue.", "rejected": "Red."}
{"prompt": "sea?", "chosen": "Green, they say.", "rejected": "No idea at all."}
{"prompt": [{"role": "user", "content": "snow?"}], "chosen": [{"role": "assistant", "content": "White."}], "rejected": [{"role": "assistant", "content": "Ask him."}]}
{"chosen": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}], "rejected": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "What?"}]}
"#;
const SEQ_LEN: usize = 48;

fn bytes() -> Tokenizer {
    let options = blankslate::tokenizer::TrainOptions::from_spec("byte").unwrap();
    let go_on = |_| std::ops::ControlFlow::Continue(());
    let tokenizer =
        Tokenizer::train(&options, ["x"], blankslate::tokenizer::run_sequentially, go_on).unwrap();
    tokenizer.with_chat_tokens().unwrap()
}

fn corpus(tokenizer: &Tokenizer, seq_len: usize) -> blankslate::error::Result<Corpus> {
    let pairs = Examples::of_text("pairs", PAIRS)?;
    pairs.corpus(tokenizer, seq_len, run_sequentially)
}

/// A trainer of a small model on the pairs. Its dropout must have no effect.
fn trainer(train: &TrainConfig) -> (Trainer, Corpus) {
    let tokenizer = bytes();
    let vocab_size = tokenizer.vocab_size();
    let config = ModelConfig {
        dropout: 0.1,
        ..ModelConfig::gpt2(vocab_size)
            .with_context(SEQ_LEN)
            .with_hidden_size(32)
            .with_layers(2)
            .with_heads(2)
    };
    let model =
        Decoder::new(&config, &common::cpu().autodiff(), &mut random_source(train.seed)).unwrap();
    let corpus = corpus(&tokenizer, SEQ_LEN).unwrap();
    let reference = block_on(reference_log_probs(&model.valid(), &corpus, SEQ_LEN, 3)).unwrap();
    let corpus = corpus.with_reference(reference).unwrap();
    let kind = DataKind::Preferences;
    let data =
        DataConfig { kind, seq_len: SEQ_LEN, order: DataOrder::Sequential, ..Default::default() };
    let windows = Windows::new(corpus.clone(), &data, train.batch_size, train.seed).unwrap();
    (Trainer::new(model, train, windows).unwrap(), corpus)
}

fn steps(trainer: &mut Trainer, count: usize) -> Vec<StepFigures> {
    let mut step = || block_on(trainer.step().unwrap().read("nothing")).unwrap();
    (0..count).map(|_| step()).collect()
}

#[test]
fn training_raises_chosen_completions_above_rejected_ones() {
    let train = TrainConfig {
        optimizer: OptimizerConfig::with_lr(1e-3),
        steps: 60,
        schedule: ScheduleConfig::with_warmup(0),
        ..TrainConfig::default()
    };
    let (mut trainer, corpus) = trainer(&train);
    let before = corpus.reference_log_probs.clone().unwrap();
    let figures = steps(&mut trainer, 60);
    // The model starts as its own reference, so margins are zero up to rounding. With dropout they would not be.
    let first = &figures[0];
    assert!((f64::from(first.loss) - 2f64.ln()).abs() < 1e-6, "{first:?}");
    assert!(first.metrics.get("margin").unwrap().abs() < 1e-5, "{first:?}");
    let last = &figures[59].metrics;
    println!("{} {last:?}", figures[59].loss);
    assert!(last.get("margin").unwrap() > 0.5, "{last:?}");
    assert_eq!(last.get("accuracy"), Some(1.0));
    assert!(figures[59].loss < 0.5, "{}", figures[59].loss);

    // The evaluation agrees with the log-probabilities themselves.
    let options = EvalOptions { seq_len: SEQ_LEN, batch_size: 4 };
    let objective = trainer.objective().clone();
    let mut evaluator =
        Evaluator::new(trainer.model(), objective, &corpus, options, &|_| 1).unwrap();
    while block_on(evaluator.advance()).unwrap() {}
    let evaluation = evaluator.finish().unwrap();
    let found = |name| evaluation.metrics.get(name).unwrap();
    let after = block_on(reference_log_probs(&trainer.model(), &corpus, SEQ_LEN, 8)).unwrap();
    let gain = |row: usize| f64::from(after[row]) - f64::from(before[row]);
    let margins: Vec<f64> = (0..4)
        .map(|pair| train.objective.dpo_beta * (gain(2 * pair) - gain(2 * pair + 1)))
        .collect();
    let losses = margins.iter().map(|margin| (1.0 + (-margin).exp()).ln());
    let mean = margins.iter().sum::<f64>() / 4.0;
    assert!((found("margin") - mean).abs() < 1e-4, "{evaluation:?}");
    assert_eq!(found("accuracy"), 1.0);
    assert!((evaluation.loss - losses.sum::<f64>() / 4.0).abs() < 1e-4, "{evaluation:?}");
    assert!(margins.iter().all(|margin| *margin > 0.2), "{margins:?}");
    let chosen: Vec<_> = eval_batches(&corpus, SEQ_LEN, 8).collect();
    let chosen = chosen[0].targets.chunks(2 * SEQ_LEN).map(|pair| &pair[..SEQ_LEN]);
    let tokens = chosen.flatten().filter(|id| **id != IGNORE).count();
    let nats: f64 = after.iter().step_by(2).map(|row| -f64::from(*row)).sum();
    assert!((found("perplexity").ln() - nats / tokens as f64).abs() < 1e-4, "{evaluation:?}");
}

#[test]
fn accumulated_gradients_equal_those_of_one_large_batch() {
    let gradients = |batch_size, grad_accum| {
        let train = TrainConfig { batch_size, grad_accum, ..TrainConfig::default() };
        let gradients = trainer(&train).0.next_gradients().unwrap();
        gradients.into_values().flat_map(read).collect::<Vec<f32>>()
    };
    let (large, accumulated) = (gradients(4, 1), gradients(1, 4));
    assert!(relative_error(&accumulated, &large) < 1e-5);
    assert!(relative_error(&gradients(2, 1), &large) > 1e-2);
}

#[test]
fn only_the_completions_of_a_batch_are_targets() {
    let (tokenizer, corpus) = (bytes(), trainer(&TrainConfig::default()).1);
    let data = DataConfig { seq_len: SEQ_LEN, order: DataOrder::Sequential, ..Default::default() };
    let windows = Windows::new(corpus.clone(), &data, 2, 7).unwrap();
    assert_eq!(windows.batches_per_epoch(), 2);
    let mut seen = Vec::new();
    for number in 0..2 {
        let Batch { inputs, targets, rows, reference_log_probs, .. } = windows.batch(number);
        assert_eq!((rows, inputs.len()), (4, 4 * SEQ_LEN));
        let reference = reference_log_probs.unwrap();
        for (row, targets) in targets.chunks(SEQ_LEN).enumerate() {
            let ids: Vec<u32> = targets.iter().copied().filter(|id| *id != IGNORE).collect();
            let place = corpus.reference_log_probs.as_ref().unwrap().iter();
            let part = place.clone().position(|found| *found == reference[row]).unwrap();
            assert_eq!(part % 2, row % 2);
            seen.push((part, tokenizer.decode(&ids).unwrap()));
        }
    }
    seen.sort_unstable();
    let said: Vec<&str> =
        seen.iter().map(|(_, text)| text.trim_end_matches("<|im_end|>")).collect();
    assert_eq!(
        said,
        ["It is blue.", "Red.", "Green, they say.", "No idea at all.", "White.", "Ask him."]
            .into_iter()
            .chain(["Hello!", "What?"])
            .collect::<Vec<_>>()
    );
    assert_eq!(windows.batch(5), windows.clone().batch(5));
    let (first, last) = corpus.split(0.3);
    assert_eq!((first.segments.len(), last.segments.len()), (6, 2));
}

#[test]
fn pairs_longer_than_a_window_are_left_out_and_counted() {
    let tokenizer = bytes();
    let lengths: Vec<usize> = corpus(&tokenizer, 1000)
        .unwrap()
        .segments
        .chunks(2)
        .map(|pair| pair[0].len().max(pair[1].len()) - 1)
        .collect();
    let (least, most) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
    let all = corpus(&tokenizer, *most).unwrap();
    assert_eq!((all.segments.len(), all.left_out), (8, 0));
    let some = corpus(&tokenizer, most - 1).unwrap();
    assert_eq!((some.segments.len(), some.left_out), (6, 1));
    let error = corpus(&tokenizer, least - 1).unwrap_err().to_string();
    assert!(error.contains("too short") && error.contains(&format!("at least {least}")), "{error}");
}
