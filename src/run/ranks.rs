//! Communication between the ranks of a run outside of steps: checks that run and weights are the same, agreement to stop, and
//! compute times.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::Run;
use super::fingerprint::{fingerprints, hash};
use crate::HAS_RANKS;
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::model::{Cut, Decoder};
use crate::parallel::{Collective, Layout, Mesh, Traffic};
use crate::platform::now_ms;

/// A rank whose compute time exceeds this multiple of the median of its stage is a straggler.
const STRAGGLES: f64 = 1.5;

/// Compute and communication of the ranks in the steps since the last figures. Times and bytes are means per step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RankFigures {
    /// Number of steps done.
    pub step: u64,
    /// Compute time of each rank in milliseconds, without waiting for others.
    pub compute_ms: Vec<f64>,
    /// Milliseconds that this rank waited for others and for transfers (exposed communication).
    pub exposed_ms: f64,
    /// Milliseconds in which a message of this rank was in flight while it computed (overlapped communication).
    pub hidden_ms: f64,
    /// Bytes that this rank sent.
    pub bytes: f64,
    /// Number of ranks of a pipeline stage, over all replicas and tensor-parallel ranks. They are consecutive.
    pub of_stage: usize,
}

impl RankFigures {
    /// Returns the rank with the longest compute time.
    pub fn slowest(&self) -> usize {
        slowest(&self.compute_ms)
    }

    /// Returns the median compute time in milliseconds.
    pub fn median_ms(&self) -> f64 {
        median(&self.compute_ms)
    }

    /// Returns the first rank that computes much longer than others of its stage. Different stages have different work.
    pub fn straggler(&self) -> Option<usize> {
        let stages = self.compute_ms.chunks(self.of_stage.max(1)).enumerate();
        let late = |(stage, ms): (usize, &[f64])| {
            let slowest = slowest(ms);
            (ms[slowest] > STRAGGLES * median(ms)).then_some(stage * self.of_stage + slowest)
        };
        stages.filter_map(late).next()
    }
}

fn slowest(ms: &[f64]) -> usize {
    let slower = |a: &(usize, &f64), b: &(usize, &f64)| a.1.total_cmp(b.1);
    ms.iter().enumerate().max_by(slower).map_or(0, |(rank, _)| rank)
}

fn median(ms: &[f64]) -> f64 {
    let mut sorted = ms.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

/// The ranks of a run, as the training loop uses them.
pub struct Ranks {
    group: Arc<dyn Collective>,
    layout: Layout,
    /// True once a rank has asked to stop.
    stopped: bool,
    /// True if rank 0 reads the figures of its steps.
    reads: bool,
    /// Compute time of this rank, in milliseconds, that it has not sent to the others yet, and the number of those steps.
    untold: (f64, u64),
    /// Compute time of each rank since the last figures, in milliseconds, and the number of those steps.
    compute_ms: Vec<f64>,
    told: u64,
    /// Steps since the last figures, and the traffic at that time.
    steps: u64,
    reported: Traffic,
    /// Step of the last comparison of weights.
    compared: Option<u64>,
}

impl Ranks {
    pub fn new(mesh: &Mesh) -> Self {
        let (group, layout) = (mesh.all.clone(), mesh.layout());
        let compute_ms = vec![0.0; group.size()];
        let reported = group.traffic();
        Self {
            group,
            layout,
            stopped: false,
            reads: false,
            untold: (0.0, 0),
            compute_ms,
            told: 0,
            steps: 0,
            reported,
            compared: None,
        }
    }

    pub fn are_alone(&self) -> bool {
        !HAS_RANKS || self.group.size() == 1
    }

    /// Returns true once the ranks have agreed to stop.
    pub fn have_stopped(&self) -> bool {
        self.stopped
    }

    /// Returns true if all ranks read the figures of their steps, as rank 0 does.
    pub fn read_figures(&self) -> bool {
        self.reads
    }

    /// Makes a step and measures the compute time of this rank.
    ///
    /// # Errors
    /// Any error of `step`.
    pub fn measure<T>(&mut self, step: impl FnOnce() -> Result<T>) -> Result<T> {
        let (began, waited) = (now_ms(), self.group.traffic().waited_ms);
        let made = step()?;
        let waited = self.group.traffic().waited_ms - waited;
        self.untold.0 += now_ms() - began - waited;
        self.untold.1 += 1;
        self.steps += 1;
        Ok(made)
    }

    /// Exchanges, after `step` steps, requests to stop, whether rank 0 reads its figures, and the compute time of each rank. If
    /// one rank stops, all do.
    ///
    /// # Errors
    /// A rank does not answer.
    pub fn agree(&mut self, step: u64, stop: bool, reads: bool) -> Result<()> {
        let (computed_ms, steps) = std::mem::take(&mut self.untold);
        let mut message = vec![u8::from(stop), u8::from(reads)];
        message.extend(computed_ms.to_le_bytes());
        let all = self.group.exchange(&format!("step {step}: whether to continue"), message)?;
        self.told += steps;
        self.reads = all[0][1] != 0;
        for (sum, message) in self.compute_ms.iter_mut().zip(all) {
            self.stopped |= message[0] != 0;
            *sum += message[2..].as_array().map_or(0.0, |bytes| f64::from_le_bytes(*bytes));
        }
        Ok(())
    }

    /// Returns the decision of rank 0 about step `step`.
    ///
    /// # Errors
    /// A rank does not answer.
    pub fn decide(&self, step: u64, what: &str, own: bool) -> Result<bool> {
        if self.are_alone() {
            return Ok(own);
        }
        let all = self.group.exchange(&format!("step {step}: {what}"), vec![u8::from(own)])?;
        Ok(all[0] == [1])
    }

    /// Waits, after `step` steps, for work that only rank 0 does, such as a save.
    ///
    /// # Errors
    /// A rank does not answer.
    pub fn wait_for_first(&self, step: u64, does: &str) -> Result<()> {
        self.group.wait_long(&format!("step {step}: rank 0 {does}"))
    }

    /// Returns the figures since the last call; none for a single rank, or if no times have been exchanged since.
    pub fn take_figures(&mut self, step: u64) -> Option<RankFigures> {
        if self.are_alone() || self.told == 0 {
            return None;
        }
        let now = self.group.traffic();
        let before = std::mem::replace(&mut self.reported, now);
        let steps = std::mem::take(&mut self.steps) as f64;
        let told = std::mem::take(&mut self.told) as f64;
        Some(RankFigures {
            step,
            compute_ms: self.compute_ms.iter_mut().map(|sum| std::mem::take(sum) / told).collect(),
            exposed_ms: (now.waited_ms - before.waited_ms) / steps,
            hidden_ms: (now.hidden_ms - before.hidden_ms) / steps,
            bytes: (now.bytes - before.bytes) as f64 / steps,
            of_stage: self.layout.dp * self.layout.tp,
        })
    }

    /// Broadcasts the loss of an evaluation on rank 0, for which the other ranks wait; none if it was not finished.
    ///
    /// # Errors
    /// A rank does not answer.
    pub fn share_loss(&self, step: u64, loss: Option<f64>) -> Result<Option<f64>> {
        self.wait_for_first(step, "evaluates")?;
        let message = loss.map(|loss| loss.to_le_bytes().to_vec()).unwrap_or_default();
        let found = self.group.exchange(&format!("step {step}: the validation loss"), message)?;
        Ok(found[0].as_array().map(|bytes| f64::from_le_bytes(*bytes)))
    }

    /// Compares the bits of replicated weights, once per step: all weights between replicas, and undivided ones between
    /// tensor-parallel ranks.
    ///
    /// # Errors
    /// Ranks have different weights; a rank does not answer.
    pub async fn compare_weights(&mut self, step: u64, model: &Decoder) -> Result<()> {
        let Layout { dp, tp, .. } = self.layout;
        if self.compared == Some(step) || dp * tp == 1 {
            return Ok(());
        }
        let operation = format!("step {step}: comparing the weights");
        let is_whole =
            |name: &str, shape: &[usize]| Cut::of(model.config(), name, shape, tp).is_none();
        let own = fingerprints(model, is_whole).await?;
        let own = own.into_iter().flat_map(u64::to_le_bytes).collect();
        let all = self.group.exchange(&operation, own)?;
        // Ranks with the reference weights: the same rank of the first replica, and the first rank of the stage.
        let firsts = |rank: usize| {
            let replica = self.layout.replicas(rank).next().expect("there is a replica");
            [replica, rank - rank % (dp * tp)]
        };
        let differs = |rank: usize, which: usize| {
            let hash = |rank: usize| all[rank].chunks(8).nth(which);
            hash(rank) != hash(firsts(rank)[which])
        };
        let ranks = 0..all.len();
        let found = ranks.clone().flat_map(|rank| [(rank, 0), (rank, 1)]);
        let Some((rank, which)) = found.into_iter().find(|(rank, which)| differs(*rank, *which))
        else {
            self.compared = Some(step);
            return Ok(());
        };
        let first = firsts(rank)[which];
        let others: Vec<String> = ranks
            .filter(|rank| firsts(*rank)[which] == first && differs(*rank, which))
            .map(|rank| rank.to_string())
            .collect();
        let others = others.join(" and ");
        let problem = format!("other weights than on rank {first} on rank {others}");
        let on_other_processors = match which {
            0 => "set `zero` to 1, which updates each weight on one rank only",
            _ => "use equal processors for the ranks of a tensor-parallel group",
        };
        let remedy = format!(
            "resume from a checkpoint {}; if the ranks are different processors, which round differently, {on_other_processors}",
            match self.compared {
                Some(step) => format!("of step {step} or before"),
                None => "from before this run was resumed".into(),
            }
        );
        Err(Error::Collective { operation, problem, remedy })
    }

    /// Checks that all ranks have the same run, before its first step.
    ///
    /// # Errors
    /// Settings or data differ from those of rank 0; a rank does not answer.
    pub fn require_same(&self, facts: Facts) -> Result<()> {
        let bytes = serde_json::to_vec(&facts.0).expect("texts serialize");
        let all = self.group.exchange("comparing the ranks", bytes)?;
        let facts = |bytes: &Vec<u8>| -> BTreeMap<String, String> {
            serde_json::from_slice(bytes).unwrap_or_default()
        };
        let first = facts(&all[0]);
        for (rank, other) in all.iter().enumerate().skip(1) {
            let other = facts(other);
            let nothing = String::from("nothing");
            let differs = |key: &&String| first.get(*key) != other.get(*key);
            if let Some(key) = first.keys().chain(other.keys()).find(differs) {
                let [there, here] =
                    [&other, &first].map(|facts| facts.get(key).unwrap_or(&nothing));
                return Err(Error::config(
                    key,
                    format!("rank {rank} has {there}, but rank 0 has {here}"),
                    "start all ranks with the same program, flags and data",
                ));
            }
        }
        Ok(())
    }
}

/// Everything that defines a run, as strings by name.
pub struct Facts(BTreeMap<String, String>);

impl Facts {
    /// Collects the facts of `run`, trained until step `until`, with weights compared every `compared_every` steps.
    pub fn of(run: &Run, until: u64, compared_every: u64) -> Self {
        let config = &run.config;
        let long_run = run.long_run().config.to_map();
        let settings =
            [config.model.to_map(), config.train.to_map(), config.data.to_map(), long_run];
        let settings = settings.into_iter().flatten();
        let mut facts: BTreeMap<String, String> =
            settings.map(|(key, value): (String, Value)| (key, value.to_string())).collect();
        let tokenizer = run.tokenizer.to_json();
        let more = [
            ("version", env!("CARGO_PKG_VERSION").to_string()),
            ("step", run.step().to_string()),
            ("sample_every", config.sample_every.to_string()),
            ("tokenizer", format!("{:016x}", hash(tokenizer.iter().map(|byte| u32::from(*byte))))),
            ("data", format!("data with fingerprint {}", run.corpus.fingerprint)),
            ("val_data", format!("data with fingerprint {:016x}", run.validation.fingerprint())),
            ("stop_at", until.to_string()),
            ("zero", run.sharding.to_string()),
            ("compare_weights", compared_every.to_string()),
        ];
        facts.extend(more.map(|(key, value)| (key.to_string(), value)));
        let weights = run.joined_with.map(|weights| ("weights".into(), format!("{weights:016x}")));
        facts.extend(weights);
        Self(facts)
    }
}

#[cfg(test)]
mod tests {
    use super::RankFigures;

    #[test]
    fn a_straggler_is_much_slower_than_the_median() {
        let figures = |compute_ms: &[f64]| RankFigures {
            compute_ms: compute_ms.to_vec(),
            of_stage: compute_ms.len(),
            ..RankFigures::default()
        };
        assert_eq!(figures(&[10.0, 11.0, 12.0, 10.5]).straggler(), None);
        assert_eq!(figures(&[10.0, 11.0, 12.0, 10.5]).slowest(), 2);
        assert_eq!(figures(&[10.0, 10.0, 10.0, 16.0]).straggler(), Some(3));
        assert_eq!(figures(&[20.0, 10.0]).straggler(), Some(0));
        assert_eq!(figures(&[]).straggler(), None);
        let of_stages = |compute_ms| RankFigures { of_stage: 2, ..figures(compute_ms) };
        assert_eq!(of_stages(&[10.0, 11.0, 30.0, 31.0]).straggler(), None);
        assert_eq!(of_stages(&[10.0, 11.0, 30.0, 60.0]).straggler(), Some(3));
    }
}
