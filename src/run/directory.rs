//! The directory of a run: its checkpoints, which of them is best, and which are deleted.
//!
//! ```text
//! RUN/checkpoints/step-00000200/   a complete checkpoint. Kept are the last `keep_last`, the best and, of
//!                                  the others, `keep_spread` that are spread evenly.
//! RUN/best.json                    {"step", "val_loss"} of the best checkpoint
//! ```
//!
//! A checkpoint is complete once its `training_state.json` exists, which is written last. So a checkpoint that a crash or a
//! full disk interrupted is never mistaken for a complete one.
//!
//! ```
//! use blankslate::platform::{Store, block_on};
//! use blankslate::run::directory::RunDir;
//!
//! # fn main() -> blankslate::error::Result<()> {
//! let directory = RunDir::new(block_on(Store::open("target/no-run"))?);
//! assert!(block_on(directory.steps())?.is_empty()); // nothing was saved yet
//! assert_eq!(RunDir::path_of(200), "checkpoints/step-00000200");
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

use crate::checkpoint::{
    ADAPTER, ADAPTER_CONFIG, ADAPTER_WEIGHTS, ADDED_TOKENS, BASE_WEIGHTS, CHAT_TEMPLATE_FILE,
    CONFIG, Files, GENERATION_CONFIG, GGUF_EXTENSION, MERGES, OPTIMIZER, PEFT_CONFIG,
    SPECIAL_TOKENS_MAP, STATE, TOKENIZER, TOKENIZER_CONFIG, TrainingState, VOCAB, WEIGHTS,
    WEIGHTS_INDEX, is_foreign, is_other_weights, read_safetensors, shard_names,
};
use crate::error::{Error, Result};
use crate::platform::Store;

/// Names of the files of a checkpoint, the state last.
pub const FILES: [&str; 12] = [
    CONFIG,
    WEIGHTS,
    TOKENIZER,
    TOKENIZER_CONFIG,
    GENERATION_CONFIG,
    SPECIAL_TOKENS_MAP,
    CHAT_TEMPLATE_FILE,
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    BASE_WEIGHTS,
    OPTIMIZER,
    STATE,
];

const CHECKPOINTS: &str = "checkpoints";
const BEST: &str = "best.json";

/// The best checkpoint so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Its step.
    pub step: u64,
    /// Its validation loss in nats per token.
    pub val_loss: f64,
}

/// The directory of a run.
#[derive(Clone, Debug)]
pub struct RunDir {
    store: Store,
}

impl RunDir {
    /// Returns the run at the root of `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Returns the path of the checkpoint of `step` below the run.
    pub fn path_of(step: u64) -> String {
        format!("{CHECKPOINTS}/step-{step:08}")
    }

    /// Writes a checkpoint, then removes those that are no longer kept. `val_loss` is the validation loss at this step, if it
    /// was evaluated.
    ///
    /// Later checkpoints are removed unless the same checkpoint already exists: training was continued from an older one, so
    /// they belong to another course of the run.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a weight is not finite; `good_checkpoint` says which checkpoint can still be used. If writing
    /// fails, the incomplete checkpoint is removed and earlier ones stay.
    pub async fn save(
        &self,
        files: &Files,
        state: &TrainingState,
        val_loss: Option<f64>,
        good_checkpoint: &str,
    ) -> Result<()> {
        // A loss belongs to the weights before its step; the last update may have broken them since.
        let weights = read_safetensors(WEIGHTS, files.get(WEIGHTS).map_or(&[], Vec::as_slice))?;
        if weights.values().any(|tensor| tensor.values.iter().any(|value| !value.is_finite())) {
            let step = state.step + 1;
            let saved = good_checkpoint.into();
            return Err(Error::Diverged { step, loss: f32::NAN, saved });
        }
        let path = Self::path_of(state.step);
        let old_state = self.store.read(&format!("{path}/{STATE}")).await.ok();
        if let Err(error) = self.write_checkpoint(&path, files).await {
            let _ = self.store.remove(&path).await;
            return Err(error);
        }
        if old_state.as_ref() != files.get(STATE) {
            self.forget_after(state.step).await?;
        }
        let best = self.best().await;
        if let Some(val_loss) = val_loss
            && best.is_none_or(|best| val_loss < best.val_loss)
        {
            let best = Best { step: state.step, val_loss };
            let json = serde_json::to_vec(&best).expect("two numbers serialize");
            self.store.write(BEST, &json).await?;
        }
        self.prune(state).await
    }

    async fn write_checkpoint(&self, path: &str, files: &Files) -> Result<()> {
        // Without its state, a checkpoint of the same step no longer counts as complete while it is replaced.
        self.store.remove(&format!("{path}/{STATE}")).await?;
        for (name, bytes) in files.iter().filter(|(name, _)| *name != STATE) {
            self.store.write(&format!("{path}/{name}"), bytes).await?;
        }
        let state = files.get(STATE).expect("a training checkpoint has a state");
        self.store.write(&format!("{path}/{STATE}"), state).await
    }

    async fn forget_after(&self, step: u64) -> Result<()> {
        if self.best().await.is_some_and(|best| best.step > step) {
            self.store.remove(BEST).await?;
        }
        for later in self.steps().await?.into_iter().filter(|later| *later > step) {
            self.remove(later).await?;
        }
        Ok(())
    }

    async fn prune(&self, state: &TrainingState) -> Result<()> {
        let best = self.best().await.map(|best| best.step);
        let steps = self.steps().await?;
        for step in removable(
            &steps,
            best,
            state.train.checkpoints.keep_last,
            state.train.checkpoints.keep_spread,
        ) {
            self.remove(step).await?;
        }
        Ok(())
    }

    async fn remove(&self, step: u64) -> Result<()> {
        let path = Self::path_of(step);
        // Without its state, it no longer counts as complete.
        self.store.remove(&format!("{path}/{STATE}")).await?;
        self.store.remove(&path).await
    }

    /// Publishes the files of the checkpoint of `step` at the top of the run, where transformers finds the model, and from a
    /// copy of which training can be resumed. The state is replaced last, as in every checkpoint. Does nothing if there is no
    /// such checkpoint.
    ///
    /// # Errors
    /// Writing fails.
    pub async fn publish(&self, step: u64) -> Result<()> {
        let path = Self::path_of(step);
        let there = files_in(&self.store, &path).await?;
        if !there.iter().any(|file| file == STATE) {
            return Ok(());
        }
        self.store.remove(STATE).await?;
        for name in FILES {
            if there.iter().any(|file| file == name) {
                self.store.publish(&format!("{path}/{name}"), name).await?;
            }
        }
        Ok(())
    }

    /// Returns the best checkpoint, if any was evaluated.
    pub async fn best(&self) -> Option<Best> {
        serde_json::from_slice(&self.store.read(BEST).await.ok()?).ok()
    }

    /// Returns the steps of the complete checkpoints, ascending.
    pub async fn steps(&self) -> Result<Vec<u64>> {
        let mut steps = Vec::new();
        for name in self.store.list(CHECKPOINTS).await? {
            let Some(step) = name.strip_prefix("step-").and_then(|step| step.parse().ok()) else {
                continue;
            };
            if self.store.list(&format!("{CHECKPOINTS}/{name}")).await?.iter().any(|f| f == STATE) {
                steps.push(step);
            }
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Reads the files of the checkpoint of `step`.
    ///
    /// # Errors
    /// The step is not kept; reading fails.
    pub async fn load_step(&self, step: u64) -> Result<Files> {
        let steps = self.steps().await?;
        if !steps.contains(&step) {
            let kept: Vec<String> = steps.iter().map(u64::to_string).collect();
            return Err(Error::config(
                "step",
                format!("no checkpoint of step {step} is kept"),
                format!("choose one of: {}", kept.join(", ")),
            ));
        }
        read_checkpoint(&self.store, &format!("{}/", Self::path_of(step))).await
    }

    /// Reads the files of the newest complete checkpoint or, if there is none, of a checkpoint at the top of the directory (an
    /// unpacked download, a directory of transformers).
    ///
    /// # Errors
    /// Reading fails.
    pub async fn load(&self) -> Result<Files> {
        match self.steps().await?.last() {
            Some(step) => self.load_step(*step).await,
            None => read_checkpoint(&self.store, "").await,
        }
    }
}

/// Returns which of `steps`, ascending, to remove: all but the last `keep_last`, the best, and `keep_spread` others.
///
/// The others are thinned out one by one, each time where the gap between two neighbours is smallest, and never the first. So
/// they stay spread evenly, however many follow.
fn removable(steps: &[u64], best: Option<u64>, keep_last: usize, keep_spread: usize) -> Vec<u64> {
    let (older, last) = steps.split_at(steps.len().saturating_sub(keep_last));
    let mut spread: Vec<u64> = older.iter().copied().filter(|step| Some(*step) != best).collect();
    let Some(end) = last.first() else { return spread };
    let mut gone = Vec::new();
    while spread.len() > keep_spread {
        let after = |i: usize| spread.get(i + 1).unwrap_or(end);
        let closest = (1..spread.len()).min_by_key(|i| after(*i) - spread[i - 1]);
        gone.push(spread.remove(closest.unwrap_or(0)));
    }
    gone
}

/// Lists the files in the directory of a checkpoint, including those of its adapters.
///
/// # Errors
/// Reading fails.
pub async fn files_in(store: &Store, directory: &str) -> Result<Vec<String>> {
    let mut names = store.list(directory).await?;
    if names.iter().any(|name| name == ADAPTER) {
        let inside = store.list(&format!("{directory}/{ADAPTER}")).await?;
        names.extend(inside.into_iter().map(|name| format!("{ADAPTER}/{name}")));
    }
    Ok(names)
}

/// Reads the files of a checkpoint's directory for [`crate::checkpoint::unpack`]. `prefix` is empty or ends in a slash.
///
/// # Errors
/// A file exists but cannot be read.
pub async fn read_checkpoint(store: &Store, prefix: &str) -> Result<Files> {
    let mut wanted: Vec<String> = FILES.map(String::from).into();
    let mut there = files_in(store, prefix.trim_end_matches('/')).await?;
    there.retain(|name| !is_foreign(name));
    let has = |wanted: &str| there.iter().any(|name| name == wanted);
    let mut files = Files::new();
    // Beside a model, or in its place, an adapter is reported.
    wanted.push(PEFT_CONFIG.into());
    if !has(TOKENIZER) {
        wanted.extend([VOCAB, MERGES, ADDED_TOKENS].map(String::from));
    }
    if !has(CONFIG) {
        wanted.extend(there.iter().find(|name| name.ends_with(GGUF_EXTENSION)).cloned());
    }
    if !has(WEIGHTS) && !has(WEIGHTS_INDEX) {
        // Weights in other forms are reported by name; their content does not matter.
        let others = there.iter().filter(|name| is_other_weights(name));
        files.extend(others.map(|name| (name.clone(), Vec::new())));
    }
    if !has(WEIGHTS) && has(WEIGHTS_INDEX) {
        let index = store.read(&format!("{prefix}{WEIGHTS_INDEX}")).await?;
        wanted.extend(shard_names(&index)?);
        files.insert(WEIGHTS_INDEX.into(), index);
    }
    for name in wanted.into_iter().filter(|name| there.contains(name)) {
        let bytes = store.read(&format!("{prefix}{name}")).await?;
        files.insert(name, bytes);
    }
    Ok(files)
}

/// Returns an error unless `name` can be the name of a run in every store.
pub fn valid_name(name: &str) -> Result<()> {
    let fits = (1..=80).contains(&name.len())
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' '));
    if !fits {
        let problem = format!("`{name}` cannot be the name of a run");
        let remedy = "use up to 80 letters, digits, spaces, dots, dashes and underscores";
        return Err(Error::config("name", problem, remedy));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::removable;

    #[test]
    fn checkpoints_stay_spread_over_the_run() {
        let steps = |step: u64, count: u64| (1..=count).map(|n| n * step).collect::<Vec<u64>>();
        assert_eq!(removable(&steps(10, 5), Some(20), 2, 0), [30, 10]);
        assert!(removable(&steps(10, 5), None, 9, 0).is_empty());
        assert!(removable(&steps(10, 5), None, 2, 9).is_empty());
        assert_eq!(removable(&steps(10, 5), None, 2, 1), [20, 30]);
        assert_eq!(removable(&[10, 20, 21, 30, 40], None, 1, 3), [21]);

        // One checkpoint after another, as a run saves them.
        let mut kept = Vec::new();
        for step in steps(100, 200) {
            kept.push(step);
            let gone = removable(&kept, None, 2, 12);
            kept.retain(|step| !gone.contains(step));
        }
        assert_eq!((kept.len(), kept[0]), (14, 100));
        assert_eq!(kept[12..], [19_900, 20_000]);
        let gaps: Vec<u64> = kept[..13].windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (800..=3200).contains(gap)), "{kept:?}");
    }
}
