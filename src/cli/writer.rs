//! Writes the checkpoints of a run, after checking the free disk space, in this thread or in the background.

use std::cell::RefCell;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use crate::error::{Error, Result};
use crate::platform::{block_on, free_space};
use crate::run::directory::RunDir;
use crate::run::{HostSnapshot, Run, Saving};

/// Upper bound, in bytes, of the disk space that a file takes in addition to its content: blocks of most file systems are
/// smaller.
const BLOCK: u64 = 16 << 10;

/// A checkpoint that is being written.
struct Write {
    step: u64,
    thread: JoinHandle<Result<()>>,
}

/// Writes checkpoints to the directory of a run.
pub struct Writer {
    directory: RunDir,
    /// Path of the directory, which exists.
    out: PathBuf,
    /// True if checkpoints are written in a background thread while training continues.
    in_background: bool,
    under_way: RefCell<Option<Write>>,
}

impl Writer {
    /// Returns a writer to `directory`, which is at `out`.
    pub fn new(directory: RunDir, out: &str, in_background: bool) -> Self {
        Self { directory, out: out.into(), in_background, under_way: RefCell::default() }
    }

    /// Returns the directory.
    pub fn directory(&self) -> &RunDir {
        &self.directory
    }

    /// Saves `run` as it is now. At most one checkpoint is being written at a time: waits for the one before.
    ///
    /// # Errors
    /// As [`HostSnapshot::save`]; the device was lost; an error of the checkpoint before.
    pub async fn save(&self, run: &RefCell<Run>, val_loss: Option<f64>) -> Result<Saving> {
        self.finish(run)?;
        let snapshot = run.borrow().snapshot();
        let Some(host) = snapshot.to_host().await? else { return Ok(Saving::Done) };
        let step = host.step();
        if let Some(refused) = self.lacks_room(&host) {
            return Ok(refused);
        }
        if !self.in_background {
            host.save(&self.directory, val_loss).await?;
            self.directory.publish(step).await?;
            run.borrow_mut().saved = Some(step);
            return Ok(Saving::Done);
        }
        let directory = self.directory.clone();
        let write = move || {
            block_on(async {
                host.save(&directory, val_loss).await?;
                directory.publish(step).await
            })
        };
        let thread = thread::Builder::new().name("checkpoint".into()).spawn(write);
        let thread = thread.map_err(|error| Error::io("a thread for checkpoints", error))?;
        self.under_way.replace(Some(Write { step, thread }));
        Ok(Saving::UnderWay)
    }

    /// Returns the step of the checkpoint that was being written, once it is complete.
    ///
    /// # Errors
    /// Writing failed.
    pub fn saved(&self, run: &RefCell<Run>) -> Result<Option<u64>> {
        let is_done =
            self.under_way.borrow().as_ref().is_some_and(|write| write.thread.is_finished());
        if is_done { self.finish(run) } else { Ok(None) }
    }

    /// Waits for the checkpoint that is being written; returns its step.
    ///
    /// # Errors
    /// As [`Self::saved`].
    pub fn finish(&self, run: &RefCell<Run>) -> Result<Option<u64>> {
        let Some(Write { step, thread }) = self.under_way.take() else { return Ok(None) };
        let panicked =
            |_| Err(Error::io("the checkpoint", std::io::Error::other("the writer panicked")));
        thread.join().unwrap_or_else(panicked)?;
        run.borrow_mut().saved = Some(step);
        Ok(Some(step))
    }

    /// Returns [`Saving::Refused`] if the checkpoint does not fit into the free disk space; none if it fits, or if free space is
    /// unknown.
    fn lacks_room(&self, host: &HostSnapshot) -> Option<Saving> {
        let needed = host.sizes().map(|size| size.saturating_add(BLOCK)).sum();
        let free = free_space(&self.out)?;
        (free < needed).then_some(Saving::Refused { needed, free })
    }
}

impl Drop for Writer {
    /// Waits until the checkpoint that is being written is complete, also if the run ends with an error.
    fn drop(&mut self) {
        if let Some(Write { thread, .. }) = self.under_way.take() {
            let _ = thread.join();
        }
    }
}
