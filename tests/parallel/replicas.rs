//! The training loop on several ranks: what they compare, and that they stop together.

use std::cell::{Cell, RefCell};

use blankslate::checkpoint::{Files, STATE};
use blankslate::config::{Accumulation, preset};
use blankslate::error::{Error, Result};
use blankslate::parallel::{Layout, Mesh, Schedule, Sharding};
use blankslate::platform::block_on;
use blankslate::run::data::Examples;
use blankslate::run::{
    Control, Pace, RankFigures, Run, RunConfig, Saving, TrainEvent, Trained, train,
};
use blankslate::tokenizer::{Tokenizer, run_sequentially};

use crate::common;
use crate::support::on_ranks;

/// Deviation of one rank from the others.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// Its learning rate changes before this step.
    OtherRate(u64),
    /// It is asked to stop after this step.
    Stops(u64),
    /// Its text has another letter.
    OtherText,
}

/// A rank without outputs.
struct Rank {
    run: RefCell<Run>,
    fault: Fault,
    step: Cell<u64>,
    figures: RefCell<Vec<RankFigures>>,
    /// Files of the last checkpoint, on rank 0.
    files: RefCell<Files>,
}

impl Control for Rank {
    type Failure = Error;

    fn with_run<T>(&self, act: impl FnOnce(&mut Run) -> Result<T>) -> Result<T> {
        act(&mut self.run.borrow_mut())
    }
    fn emit(&self, event: TrainEvent) -> Result<()> {
        if let TrainEvent::Ranks(figures) = event {
            self.figures.borrow_mut().push(figures);
        }
        Ok(())
    }
    fn until(&self) -> u64 {
        self.run.borrow().config.train.steps
    }
    fn is_paused(&self) -> bool {
        matches!(self.fault, Fault::Stops(step) if self.step.get() >= step)
    }
    fn take_profile(&self, _step: u64) -> u64 {
        0
    }
    fn before_step(&self) {
        self.step.set(self.run.borrow().step() + 1);
        if self.fault == Fault::OtherRate(self.step.get()) {
            self.run.borrow_mut().adjust(Some(0.02), None, None).unwrap();
        }
    }
    async fn save(&self, _val_loss: Option<f64>) -> Result<Saving> {
        let snapshot = self.run.borrow().snapshot();
        let rank = self.run.borrow().mesh().all.rank();
        match rank {
            0 => *self.files.borrow_mut() = snapshot.files().await?,
            _ => snapshot.contribute()?,
        }
        self.run.borrow_mut().saved = Some(snapshot.step());
        Ok(Saving::Done)
    }
}

/// Result of a rank: the outcome, the figures of all ranks, and the files of its last checkpoint.
type Ended = (Result<Trained>, Vec<RankFigures>, Files);

fn run(mesh: impl Into<Mesh>, batches: usize, fault: Fault, is_faulty: bool) -> Ended {
    let mut config = RunConfig::from_preset("ranks", preset("tiny").unwrap());
    config.tokenizer = "byte".into();
    config.model = config.model.with_hidden_size(16).with_layers(2).with_heads(2);
    config.model.dropout = 0.1;
    config.train.steps = 12;
    config.train.eval_every = 5;
    config.sample_every = 6;
    config.train.grad_accum = batches;
    config.train.accumulation = Accumulation::Tree;
    let text = "she sells sea shells by the sea shore. ".repeat(30);
    let text = if is_faulty && fault == Fault::OtherText {
        text.replacen("shore", "share", 1)
    } else {
        text
    };
    block_on(async {
        let mut run = Run::fresh(config, Tokenizer::byte(&[]).unwrap(), &common::cpu()).unwrap();
        // Shards would give every rank the weights that were computed with another rate.
        let replicated = matches!(fault, Fault::OtherRate(_));
        let sharding = if replicated { Sharding::None } else { Sharding::State };
        run.join(mesh, sharding).await.unwrap();
        let data = run.encode(&Examples::of_text("it", &text).unwrap(), run_sequentially).unwrap();
        run.begin(data).await.unwrap();
        let run = RefCell::new(run);
        let fault = if is_faulty { fault } else { Fault::None };
        let (figures, files) = (RefCell::default(), RefCell::default());
        let rank = Rank { run, fault, step: Cell::new(0), figures, files };
        let pace = Pace { compare_weights_every: 2, ..Pace::default() };
        let trained = train(&rank, pace).await;
        (trained, rank.figures.into_inner(), rank.files.into_inner())
    })
}

/// Runs three ranks, the last of them with a fault.
fn three(fault: Fault) -> Vec<Ended> {
    on_ranks(3, |ranks| {
        let is_faulty = ranks.rank() == 2;
        run(ranks, 3, fault, is_faulty)
    })
}

fn errors(fault: Fault) -> Vec<String> {
    three(fault).into_iter().map(|(trained, ..)| trained.unwrap_err().to_string()).collect()
}

#[test]
fn other_weights_end_the_run_at_the_next_comparison() {
    for error in errors(Fault::OtherRate(5)) {
        let words = "step 6: comparing the weights: other weights than on rank 0 on rank 2";
        assert!(error.starts_with(words), "{error}");
    }
}

#[test]
fn other_data_is_refused_before_the_first_step() {
    for error in errors(Fault::OtherText) {
        assert!(error.starts_with("data: rank 2 has data with fingerprint"), "{error}");
    }
}

#[test]
fn all_ranks_stop_after_the_step_in_which_one_is_asked_to() {
    for (trained, ..) in three(Fault::Stops(4)) {
        assert_eq!(trained.unwrap().step, 4);
    }
}

#[test]
fn the_figures_of_all_ranks_are_gathered() {
    for (trained, figures, _) in three(Fault::None) {
        assert_eq!(trained.unwrap().step, 12);
        assert!(!figures.is_empty());
        for figures in figures {
            assert_eq!(figures.compute_ms.len(), 3, "{figures:?}");
            assert!(figures.bytes > 1000.0 && figures.slowest() < 3, "{figures:?}");
        }
    }
}

/// The files of the last checkpoint, but for the number of ranks, and the validation losses of all ranks.
fn results(ended: Vec<Ended>) -> (Files, Vec<Option<u64>>) {
    let mut files = ended[0].2.clone();
    let state = files.remove(STATE).unwrap();
    let mut state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    assert!(state.as_object_mut().unwrap().remove("ranks").is_some());
    files.insert(STATE.into(), state.to_string().into_bytes());
    let losses = ended.into_iter().map(|(trained, ..)| trained.unwrap().val_loss.map(f64::to_bits));
    (files, losses.collect())
}

#[test]
fn stages_leave_the_files_of_a_single_rank() {
    let (alone, losses) = results(on_ranks(1, |ranks| run(ranks, 4, Fault::None, false)));
    assert!(losses[0].is_some());
    for layout in [Layout { dp: 1, pp: 2, tp: 1 }, Layout { dp: 2, pp: 2, tp: 1 }] {
        let ended = on_ranks(layout.ranks(), |ranks| {
            let mesh = Mesh::new(ranks, layout, Schedule::default()).unwrap();
            run(mesh, 4, Fault::None, false)
        });
        let (found, of_ranks) = results(ended);
        assert_eq!(of_ranks, vec![losses[0]; layout.ranks()], "{layout}");
        assert!(found.keys().eq(alone.keys()));
        for (name, bytes) in found {
            assert!(bytes == alone[&name], "{name} of {layout} differs");
        }
    }
}

#[test]
fn other_weights_are_found_where_they_are() {
    for (layout, words) in [
        // The second replica of the second stage.
        (Layout { dp: 2, pp: 2, tp: 1 }, "other weights than on rank 2 on rank 3;"),
        // The second part of the second replica.
        (Layout { dp: 2, pp: 1, tp: 2 }, "other weights than on rank 1 on rank 3;"),
        // The second part of the second stage, whose norms are those of the first part.
        (Layout { dp: 1, pp: 2, tp: 2 }, "other weights than on rank 2 on rank 3;"),
    ] {
        let ended = on_ranks(4, |ranks| {
            let is_faulty = ranks.rank() == 3;
            let mesh = Mesh::new(ranks, layout, Schedule::default()).unwrap();
            run(mesh, 4, Fault::OtherRate(5), is_faulty)
        });
        for (trained, ..) in ended {
            let error = trained.unwrap_err().to_string();
            assert!(error.contains(words), "{layout}: {error}");
        }
    }
}
