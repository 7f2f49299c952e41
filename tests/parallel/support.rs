//! Runs on several threads, each a rank, and what a run leaves, bit by bit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use blankslate::checkpoint::{HostTensors, read_params, tensor_source};
use blankslate::config::{
    Accumulation, DataConfig, ModelConfig, OptimizerConfig, OptimizerKind, ScheduleConfig,
    TrainConfig,
};
use blankslate::data::{Corpus, Tokens, Windows};
use blankslate::error::Result;
use blankslate::model::{Decoder, ParamSource, random_source, read_floats};
use blankslate::parallel::{Collective, Layout, Mesh, Schedule, Sharding};
use blankslate::platform::block_on;
use blankslate::platform::parallel::threads;
use blankslate::train::Trainer;
use burn::tensor::Device;

use crate::common;

/// Time after which a rank is given up.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Calls `body` on `size` threads, each a rank, and returns their results in order.
pub fn on_ranks<T: Send>(size: usize, body: impl Fn(Arc<dyn Collective>) -> T + Sync) -> Vec<T> {
    let group = threads(size, TIMEOUT).unwrap();
    thread::scope(|scope| {
        let body = &body;
        let ranks: Vec<_> = group.into_iter().map(|rank| scope.spawn(move || body(rank))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

/// Everything that defines a run.
#[derive(Clone)]
pub struct Setup {
    pub model: ModelConfig,
    pub train: TrainConfig,
    pub corpus: Corpus,
    pub sharding: Sharding,
    pub device: Device,
    /// Stages of a pipeline.
    pub stages: usize,
    pub schedule: Schedule,
    /// Ranks that divide each layer.
    pub parts: usize,
}

const VOCAB: usize = 23;
const WINDOW: usize = 16;

/// Small GPT-2 and LLaMA models with dropout.
pub fn models() -> [(&'static str, ModelConfig); 2] {
    let gpt2 = ModelConfig::gpt2(VOCAB).with_hidden_size(16).with_heads(2);
    let llama = ModelConfig::llama(VOCAB).with_hidden_size(16).with_heads(4).with_kv_heads(2);
    [("gpt2", gpt2), ("llama", llama)].map(|(name, model)| {
        let model = model.with_context(WINDOW).with_layers(2);
        (name, ModelConfig { dropout: 0.1, ..model })
    })
}

pub fn text() -> Corpus {
    Corpus::new(Tokens::from_ids((0..600).map(|i| (i * i + 3 * i) % VOCAB as u32).collect()))
}

/// Conversations of several lengths with many targets that do not count.
pub fn conversations() -> Corpus {
    let conversation = |length: usize| {
        let ids = (0..length).map(|i| ((i * i + 5 * i + length) % VOCAB) as u32).collect();
        (ids, (0..length).map(|i| i % (length % 4 + 2) == 0).collect())
    };
    Corpus::conversations((3..40).map(conversation))
}

/// Preference pairs, whose reference model has made up log-probabilities.
pub fn pairs() -> Corpus {
    let completion = |seed: u32| {
        let ids: Vec<u32> = (0..9).map(|i| (i * i + seed * i + seed) % VOCAB as u32).collect();
        (ids, (0..9).map(|i| i > 3).collect::<Vec<bool>>())
    };
    let pairs = (0..12).map(|pair| [completion(pair), completion(pair + 50)]);
    let reference = (0..24).map(|row| -10.0 - row as f32 / 7.0).collect();
    Corpus::pairs(pairs, WINDOW).unwrap().with_reference(reference).unwrap()
}

impl Setup {
    /// `grad_accum` micro-batches a step, added up in a tree.
    pub fn new(model: ModelConfig, grad_accum: usize) -> Self {
        let train = TrainConfig {
            batch_size: 2,
            grad_accum,
            accumulation: Accumulation::Tree,
            optimizer: OptimizerConfig { lr: 0.01, grad_clip: 0.5, ..Default::default() },
            schedule: ScheduleConfig::with_warmup(3),
            ..TrainConfig::default()
        };
        Self {
            model,
            train,
            corpus: text(),
            sharding: Sharding::None,
            device: common::cpu(),
            stages: 1,
            schedule: Schedule::default(),
            parts: 1,
        }
    }

    pub fn muon(mut self) -> Self {
        self.train.optimizer.kind = OptimizerKind::Muon;
        self
    }

    pub fn sharded(mut self, sharding: Sharding) -> Self {
        self.sharding = sharding;
        self
    }

    pub fn pipeline(mut self, stages: usize, schedule: Schedule) -> Self {
        (self.stages, self.schedule) = (stages, schedule);
        self
    }

    pub fn divided(mut self, parts: usize) -> Self {
        self.parts = parts;
        self
    }

    fn mesh(&self, ranks: Arc<dyn Collective>) -> Result<Mesh> {
        let (pp, tp) = (self.stages, self.parts);
        let layout = Layout { dp: ranks.size() / (pp * tp), pp, tp };
        Mesh::new(ranks, layout, self.schedule)
    }

    /// A trainer for one of `ranks`, which continues from `state` if there is one.
    pub fn trainer(&self, ranks: Arc<dyn Collective>, from: Option<&State>) -> Trainer {
        self.try_trainer(ranks, from).unwrap()
    }

    pub fn try_trainer(&self, ranks: Arc<dyn Collective>, from: Option<&State>) -> Result<Trainer> {
        let device = self.device.clone().autodiff();
        let data = DataConfig { seq_len: WINDOW, ..DataConfig::default() };
        let windows =
            Windows::new(self.corpus.clone(), &data, self.train.batch_size, self.train.seed);
        let mut source: Box<ParamSource<'_>> = match from {
            Some(state) => tensor_source(state.weights.clone(), "the state".into()),
            None => Box::new(random_source(self.train.seed)),
        };
        let mut model = Decoder::new(&self.model, &device, &mut *source)?;
        if self.train.lora.is_enabled() {
            model = model.with_adapters(&self.train, &mut *source)?;
        }
        let trainer = Trainer::new(model, &self.train, windows?)?;
        let trainer = trainer.distributed(self.mesh(ranks)?, self.sharding)?;
        match from {
            Some(state) => trainer.resume(state.step, state.optimizer.clone()),
            None => Ok(trainer),
        }
    }

    /// Makes `steps` steps on `size` ranks. Every rank must report the same figures and, unless they divide the model, end with
    /// the same bits.
    pub fn run(&self, size: usize, steps: u64, from: Option<&State>) -> State {
        let mut states = on_ranks(size, |ranks| {
            let mut trainer = self.trainer(ranks, from);
            let losses = (0..steps).map(|_| loss(&mut trainer)).collect();
            State::of(&trainer, losses)
        });
        let first = states.remove(0);
        for other in states {
            match self.stages * self.parts {
                1 => first.require_same(&other, "another rank"),
                _ => first.require_same_losses(&other, "another part of the model"),
            }
        }
        first
    }
}

/// Loss and gradient norm of the next step.
pub fn loss(trainer: &mut Trainer) -> [f32; 2] {
    let figures = block_on(trainer.step().unwrap().read("nothing")).unwrap();
    [figures.loss, figures.grad_norm.unwrap()]
}

/// Result of a run.
pub struct State {
    pub step: u64,
    /// Loss and gradient norm of each step.
    pub losses: Vec<[f32; 2]>,
    pub weights: HostTensors,
    pub optimizer: Vec<(String, Vec<f32>)>,
    pub tokens_seen: u64,
}

impl State {
    /// On rank 0, everything; on others, what they hold.
    pub fn of(trainer: &Trainer, losses: Vec<[f32; 2]>) -> Self {
        let state = trainer.optimizer().whole_state().flat_map(Result::unwrap);
        let model = trainer.whole_model().unwrap().unwrap_or_else(|| trainer.in_training());
        let read = |(name, value)| (name, block_on(read_floats(value)).unwrap());
        Self {
            step: trainer.steps_done(),
            losses,
            weights: block_on(read_params(&model)).unwrap(),
            optimizer: state.map(read).collect(),
            tokens_seen: trainer.tokens_seen(),
        }
    }

    /// Asserts the same bits everywhere.
    #[track_caller]
    pub fn require_same(&self, other: &Self, what: &str) {
        self.require_same_losses(other, what);
        let weights = |state: &Self| -> BTreeMap<String, Vec<u32>> {
            state.weights.iter().map(|(name, x)| (name.clone(), bits(&x.values))).collect()
        };
        let moments = |state: &Self| -> BTreeMap<String, Vec<u32>> {
            state.optimizer.iter().map(|(name, x)| (name.clone(), bits(x))).collect()
        };
        for (kind, mine, theirs) in
            [("weights", weights(self), weights(other)), ("moments", moments(self), moments(other))]
        {
            assert!(mine.keys().eq(theirs.keys()), "names of the {kind} of {what}");
            for (name, values) in mine {
                assert!(values == theirs[&name], "{kind} `{name}` of {what} differ");
            }
        }
    }

    #[track_caller]
    fn require_same_losses(&self, other: &Self, what: &str) {
        let losses = |state: &Self| bits(state.losses.as_flattened());
        assert_eq!(losses(self), losses(other), "losses of {what}");
        assert_eq!(self.tokens_seen, other.tokens_seen, "tokens of {what}");
    }
}

fn bits(all: &[f32]) -> Vec<u32> {
    all.iter().map(|x| x.to_bits()).collect()
}
