//! Which checkpoints are saved and kept.

use super::declare::settings;
use super::range::Range;

settings! {
    /// Settings of saving.
    pub struct CheckpointConfig ("Checkpoints") {
        /// Number of steps between saved checkpoints. With 0, one is saved at the end only.
        save_every: u64 = 100 => { label: "Save every", unit: "steps" },
        /// Number of newest checkpoints that are kept beside the one with the lowest validation loss.
        keep_last: usize = 2 => { label: "Newest checkpoints kept", range: Range::at_least(1.0) },
        /// Number of older checkpoints that are kept as well, spread evenly over the run. A run can branch from them, and
        /// the page plays them back under Look inside.
        keep_spread: usize = 0 => { label: "Older checkpoints kept" },
    }
}
