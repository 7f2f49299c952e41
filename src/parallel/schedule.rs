//! Pipeline schedules: the order in which a stage computes the micro-batches of a step.

use std::fmt;

/// Order of the forward and backward passes of a pipeline. All schedules give the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schedule {
    /// All forward passes, then all backward passes (Huang et al. 2019): each stage keeps the activations of all
    /// micro-batches.
    Gpipe,
    /// One forward, one backward pass (Narayanan et al. 2019, PipeDream-Flush): stage `i` of `p` keeps the activations of at most
    /// `p - i` micro-batches. The pipeline bubble is that of GPipe.
    #[default]
    OneForwardOneBackward,
}

impl fmt::Display for Schedule {
    /// Writes the name that `--pipeline-schedule` takes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gpipe => "gpipe",
            Self::OneForwardOneBackward => "1f1b",
        })
    }
}

/// A pass of a stage over one micro-batch of its replica, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// The forward pass.
    Forward(usize),
    /// The backward pass.
    Backward(usize),
}

impl Schedule {
    /// All schedules.
    pub const ALL: [Self; 2] = [Self::Gpipe, Self::OneForwardOneBackward];

    /// Returns the maximum number of micro-batches, of `micros` in a step, whose activations `stage` of `stages` keeps.
    pub fn most_kept(self, stage: usize, stages: usize, micros: usize) -> usize {
        match self {
            Self::Gpipe => micros,
            Self::OneForwardOneBackward => micros.min(stages - stage),
        }
    }

    /// Returns the passes of `stage` of `stages` over `micros` micro-batches, in order. Each kind of pass takes the
    /// micro-batches in order, so that gradients are added up as on a single rank.
    pub fn passes(self, stage: usize, stages: usize, micros: usize) -> Vec<Pass> {
        let ahead = self.most_kept(stage, stages, micros);
        let first = (0..ahead).map(Pass::Forward);
        let rest = (0..micros).flat_map(|micro| {
            let next = Some(micro + ahead).filter(|next| *next < micros);
            std::iter::once(Pass::Backward(micro)).chain(next.map(Pass::Forward))
        });
        first.chain(rest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the maximum number of micro-batches between their forward and their backward pass.
    fn most_kept(passes: &[Pass]) -> usize {
        let mut kept = 0;
        let counts = passes.iter().map(|pass| {
            match pass {
                Pass::Forward(_) => kept += 1,
                Pass::Backward(_) => kept -= 1,
            }
            kept
        });
        counts.max().unwrap_or(0)
    }

    #[test]
    fn both_kinds_of_passes_take_all_micro_batches_in_order() {
        for schedule in Schedule::ALL {
            for (stages, micros) in [(1, 1), (1, 4), (2, 1), (2, 4), (4, 3), (4, 8), (3, 7)] {
                for stage in 0..stages {
                    let passes = schedule.passes(stage, stages, micros);
                    let of = |forward: bool| -> Vec<usize> {
                        let micro = |pass: &Pass| match pass {
                            Pass::Forward(micro) => forward.then_some(*micro),
                            Pass::Backward(micro) => (!forward).then_some(*micro),
                        };
                        passes.iter().filter_map(micro).collect()
                    };
                    let all: Vec<usize> = (0..micros).collect();
                    assert_eq!((of(true), of(false)), (all.clone(), all), "{passes:?}");
                    let limit = match schedule {
                        Schedule::Gpipe => micros,
                        Schedule::OneForwardOneBackward => micros.min(stages - stage),
                    };
                    assert_eq!(most_kept(&passes), limit, "{passes:?}");
                }
            }
        }
    }

    #[test]
    fn one_forward_one_backward_alternates_once_the_pipeline_is_full() {
        use Pass::{Backward as B, Forward as F};
        let passes = |stage| Schedule::OneForwardOneBackward.passes(stage, 2, 3);
        assert_eq!(passes(0), [F(0), F(1), B(0), F(2), B(1), B(2)]);
        assert_eq!(passes(1), [F(0), B(0), F(1), B(1), F(2), B(2)]);
        assert_eq!(Schedule::Gpipe.passes(1, 2, 2), [F(0), F(1), B(0), B(1)]);
    }
}
