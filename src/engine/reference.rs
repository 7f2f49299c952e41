//! Reference from a run with adapters to the run that it fine-tunes.

use serde::{Deserialize, Serialize};

use crate::platform::Store;

/// File with the [`BaseCheckpoint`].
pub(super) const REFERENCE: &str = "base.json";

/// A stored checkpoint whose weights a run with adapters shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseCheckpoint {
    /// Name of the run.
    pub run: String,
    /// Step of its checkpoint.
    pub step: u64,
}

/// Returns the checkpoint that the run in `store` refers to.
pub(super) async fn base_of(store: &Store) -> Option<BaseCheckpoint> {
    serde_json::from_slice(&store.read(REFERENCE).await.ok()?).ok()
}
