//! Training without an edge, for programs that use the library.

use std::cell::RefCell;

use super::directory::RunDir;
use super::{Control, Pace, Run, Saving, TrainEvent, Trained, train};
use crate::checkpoint::{Checkpoint, unpack};
use crate::error::{Error, Result};

/// Trains a run to its last step and saves its checkpoints in `directory`, from which the leftovers of crashes are removed
/// first. `report` receives the events. On several ranks, all call it, and rank 0 writes.
///
/// # Errors
/// As [`train`].
pub async fn train_unattended(
    run: Run,
    directory: RunDir,
    report: impl Fn(&TrainEvent),
) -> Result<(Run, Trained)> {
    let writes = run.mesh().all.rank() == 0;
    if writes {
        directory.recover(&run.config.train.checkpoints).await?;
    }
    let program = Unattended { run: RefCell::new(run), directory, writes, report };
    let trained = train(&program, Pace::default()).await?;
    Ok((program.run.into_inner(), trained))
}

struct Unattended<F> {
    run: RefCell<Run>,
    directory: RunDir,
    writes: bool,
    report: F,
}

impl<F: Fn(&TrainEvent)> Control for Unattended<F> {
    type Failure = Error;

    fn with_run<T>(&self, act: impl FnOnce(&mut Run) -> Result<T>) -> Result<T> {
        act(&mut self.run.borrow_mut())
    }

    fn emit(&self, event: TrainEvent) -> Result<()> {
        (self.report)(&event);
        Ok(())
    }

    fn until(&self) -> u64 {
        self.run.borrow().config.train.steps
    }

    fn is_paused(&self) -> bool {
        false
    }

    fn take_profile(&self, _step: u64) -> u64 {
        0
    }

    async fn load(&self, step: u64) -> Result<Checkpoint> {
        unpack(self.directory.load_step(step).await?, &RunDir::path_of(step))
    }

    async fn save(&self, val_loss: Option<f64>) -> Result<Saving> {
        let snapshot = self.run.borrow().snapshot();
        snapshot.save(&self.directory, val_loss).await?;
        self.run.borrow_mut().saved = Some(snapshot.step());
        if self.writes {
            self.directory.publish(snapshot.step()).await?;
        }
        Ok(Saving::Done)
    }
}
