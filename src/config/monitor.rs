//! What a run shows while it trains.

use super::declare::settings;

settings! {
    /// Settings of what is shown during a run, without effect on the result.
    pub struct MonitorConfig ("Monitoring") {
        /// Number of steps between the texts that are sampled during training. 0 turns it off.
        sample_every: u64 = 0 => { label: "Sample every", unit: "steps" },
    }
}
