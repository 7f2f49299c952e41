//! Layout of the ranks of a run: data-parallel replicas, pipeline stages and tensor-parallel ranks.

use std::fmt;
use std::sync::Arc;

use super::{Alone, Collective, Schedule};
use crate::HAS_RANKS;
use crate::error::{Error, Result};

/// Sizes of the data-parallel, pipeline-parallel and tensor-parallel dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Replicas of the model, each with its own micro-batches (data parallelism).
    pub dp: usize,
    /// Stages of consecutive layers (pipeline parallelism).
    pub pp: usize,
    /// Ranks among which each layer is divided (tensor parallelism).
    pub tp: usize,
}

/// Coordinates of a rank in a [`Layout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of its replica.
    pub replica: usize,
    /// Index of its pipeline stage.
    pub stage: usize,
    /// Index in its tensor-parallel group.
    pub part: usize,
}

impl Layout {
    /// A single rank.
    pub const ALONE: Self = Self { dp: 1, pp: 1, tp: 1 };

    /// Returns the number of ranks.
    pub fn ranks(self) -> usize {
        self.dp.saturating_mul(self.ranks_of_replica())
    }

    /// Returns the number of ranks that divide a replica of the model.
    pub fn ranks_of_replica(self) -> usize {
        self.pp.saturating_mul(self.tp)
    }

    /// Returns the coordinates of a rank. As in Megatron-LM, tensor-parallel ranks are consecutive, then come the replicas of a
    /// stage, so that the most frequent communication stays inside a machine.
    pub fn place(self, rank: usize) -> Place {
        let Self { dp, tp, .. } = self;
        Place { replica: rank / tp % dp, stage: rank / (tp * dp), part: rank % tp }
    }

    /// Returns the ranks that hold the same weights as `rank`, in the order of their replicas.
    pub fn replicas(self, rank: usize) -> impl Iterator<Item = usize> {
        let Place { stage, part, .. } = self.place(rank);
        (0..self.dp).map(move |replica| (stage * self.dp + replica) * self.tp + part)
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dp={}", self.dp)?;
        [("pp", self.pp), ("tp", self.tp)]
            .into_iter()
            .filter(|(_, size)| *size > 1)
            .try_for_each(|(name, size)| write!(f, ",{name}={size}"))
    }
}

/// The groups of ranks that one rank belongs to.
#[derive(Clone, Debug)]
pub struct Mesh {
    layout: Layout,
    /// Pipeline schedule.
    pub schedule: Schedule,
    /// All ranks.
    pub all: Arc<dyn Collective>,
    /// Data-parallel group: the ranks that hold the same weights, in the order of their replicas.
    pub replicas: Arc<dyn Collective>,
    /// Pipeline group: the ranks with the same part of each layer in one replica, in the order of their stages.
    pub pipeline: Arc<dyn Collective>,
    /// Tensor-parallel group: the ranks that divide the layers of one stage, in the order of their parts.
    pub tensor: Arc<dyn Collective>,
}

impl Mesh {
    /// A single rank.
    pub fn alone() -> Self {
        Self::from(Arc::new(Alone) as Arc<dyn Collective>)
    }

    /// Creates the groups. Every rank must call it, before any other operation.
    ///
    /// # Errors
    /// Another rank has another layout or schedule; a rank does not answer.
    ///
    /// # Panics
    /// If the layout has another number of ranks than there are.
    pub fn new(all: Arc<dyn Collective>, layout: Layout, schedule: Schedule) -> Result<Self> {
        assert_eq!(layout.ranks(), all.size(), "the ranks of the layout");
        let own = format!("{layout} {schedule}").into_bytes();
        let found = all.exchange("comparing the layouts", own)?;
        if let Some(rank) = (1..found.len()).find(|rank| found[*rank] != found[0]) {
            let [there, here] =
                [rank, 0].map(|rank| String::from_utf8_lossy(&found[rank]).into_owned());
            let problem = format!("rank {rank} has {there}, but rank 0 has {here}");
            return Err(Error::config("parallel", problem, "start all ranks with the same flags"));
        }
        if layout.ranks_of_replica() == 1 {
            return Ok(Self::from(all));
        }
        let Place { replica, stage, part } = layout.place(all.rank());
        let group = |what: &str, size: usize, color: usize| match size {
            1 => Ok(Arc::new(Alone) as Arc<dyn Collective>),
            _ => all.split(&format!("forming {what}"), color),
        };
        let tensor =
            group("the groups that divide layers", layout.tp, stage * layout.dp + replica)?;
        let pipeline = group("the pipelines", layout.pp, replica * layout.tp + part)?;
        let replicas = group("the groups of replicas", layout.dp, stage * layout.tp + part)?;
        Ok(Self { layout, schedule, all, replicas, pipeline, tensor })
    }

    /// Returns the layout of all ranks.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Returns the stage of this rank.
    pub fn stage(&self) -> usize {
        self.pipeline.rank()
    }

    /// Returns true if the run has several pipeline stages.
    pub fn has_pipeline(&self) -> bool {
        HAS_RANKS && self.layout.pp > 1
    }

    /// Returns true if the run is tensor-parallel.
    pub fn divides_layers(&self) -> bool {
        HAS_RANKS && self.layout.tp > 1
    }
}

impl From<Arc<dyn Collective>> for Mesh {
    /// Makes every rank a replica.
    fn from(all: Arc<dyn Collective>) -> Self {
        Self {
            layout: Layout { dp: all.size(), pp: 1, tp: 1 },
            schedule: Schedule::default(),
            replicas: all.clone(),
            pipeline: Arc::new(Alone),
            tensor: Arc::new(Alone),
            all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_layer_are_neighbors_and_then_replicas() {
        let layout = Layout { dp: 2, pp: 3, tp: 1 };
        let places = |layout: Layout| -> Vec<_> {
            let place = |rank| {
                let Place { replica, stage, part } = layout.place(rank);
                (replica, stage, part)
            };
            (0..layout.ranks()).map(place).collect()
        };
        assert_eq!(
            places(layout),
            [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 2, 0), (1, 2, 0)]
        );
        let divided = Layout { dp: 2, pp: 2, tp: 2 };
        let found = places(divided);
        assert_eq!(found[..4], [(0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 0, 1)]);
        assert_eq!(found[4..], [(0, 1, 0), (0, 1, 1), (1, 1, 0), (1, 1, 1)]);
        let same: Vec<Vec<usize>> = (0..8).map(|rank| divided.replicas(rank).collect()).collect();
        assert_eq!((&same[5], &same[7]), (&vec![5, 7], &vec![5, 7]));
        assert_eq!((&same[0], &same[3]), (&vec![0, 2], &vec![1, 3]));
        assert_eq!(layout.to_string(), "dp=2,pp=3");
        assert_eq!(Layout { dp: 4, pp: 1, tp: 1 }.to_string(), "dp=4");
        assert_eq!(Layout { dp: 1, pp: 1, tp: 2 }.to_string(), "dp=1,tp=2");
    }
}
