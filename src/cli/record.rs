//! Records of a run besides its checkpoints: metrics.jsonl, trackers, system metrics, and the run card.

use std::cell::RefCell;
use std::time::Instant;

use serde_json::Value;

use super::log_to::Trackers;
use super::metrics::Metrics;
use super::prepare::Prepared;
use super::run_card::RunCard;
use super::system::Machine;
use super::train_args::TrainArgs;
use crate::error::Result;
use crate::platform::block_on;
use crate::run::Run;

/// Writes the events of a run.
pub struct Record {
    metrics: RefCell<Metrics>,
    trackers: RefCell<Trackers>,
    machine: RefCell<Machine>,
    card: RunCard,
}

impl Record {
    /// Opens the records of a run that continues after `step`.
    ///
    /// # Errors
    /// A directory cannot be written.
    pub async fn open(args: &TrainArgs, prepared: &Prepared, step: u64) -> Result<Self> {
        let Prepared { run, store, device, source, .. } = prepared;
        let metrics = Metrics::open(store, &args.out, step).await?;
        let trackers = Trackers::open(&args.log_to, step)?;
        Ok(Self {
            metrics: metrics.into(),
            trackers: trackers.into(),
            machine: Machine::new(device, run).into(),
            card: RunCard::new(store.clone(), args, run, device, source),
        })
    }

    /// Writes an event.
    ///
    /// # Errors
    /// A full disk.
    pub fn event(&self, event: &Value) -> Result<()> {
        let began = Instant::now();
        self.metrics.borrow_mut().append(event)?;
        self.trackers.borrow_mut().log(event);
        self.add_waiting(began);
        Ok(())
    }

    /// Counts a step. Measures the machine if that is due, and writes and returns the event.
    ///
    /// # Errors
    /// A full disk.
    pub fn step(&self, step: u64, tokens_per_second: f64) -> Result<Option<Value>> {
        let measured = self.machine.borrow_mut().step(step, tokens_per_second);
        if let Some(event) = &measured {
            self.event(event)?;
        }
        Ok(measured)
    }

    /// Adds the time since `began` to the time that training waited for files.
    pub fn add_waiting(&self, began: Instant) {
        self.machine.borrow().add_waiting(began);
    }

    /// Updates the run card and the trackers.
    pub fn update(&self, run: &Run, status: &str) {
        block_on(self.card.write(run, status, self.metrics.borrow().curve()));
        self.trackers.borrow_mut().flush();
    }
}
