//! The options of training on several ranks, and the part of a rank that only takes part: rank 0 prints and writes.

use std::cell::RefCell;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use super::failure::{CliResult, Failure, usage};
use super::{interrupt, stderr};
use crate::error::{Error, Result};
use crate::parallel::{Collective, Layout, Mesh, Schedule, Sharding};
use crate::platform::parallel::{Choice, Connection};
use crate::platform::{host_name, parallel};
use crate::run::{Control, Run, Saving, TrainEvent};

/// Options of training on several ranks.
#[derive(Args)]
pub struct ParallelArgs {
    /// Number of replicas of the model (dp=N), of stages into which the layers of each are divided (pp=N), and of ranks that divide
    /// each layer (tp=N). `mpirun -n RANKS --bind-to none` starts dp times pp times tp ranks, and --grad-accum is a multiple of
    /// dp [default: as many replicas as ranks were started]
    #[arg(long, value_name = "dp=N,pp=N,tp=N", value_parser = division, help_heading = "Several ranks")]
    pub parallel: Option<Division>,
    /// Order in which a stage computes the batches of a step. With gpipe it keeps the activations of all of them, with 1f1b of
    /// as many as there are stages from it to the end
    #[arg(long, value_name = "ORDER", value_enum, default_value_t, help_heading = "Several ranks")]
    pub pipeline_schedule: Schedule,
    /// Divide among the ranks: nothing (0), the optimizer state (1), or the gradients as well (2)
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t, help_heading = "Several ranks")]
    pub zero: Sharding,
    /// Seconds after which a rank that does not answer has failed, and the run ends. Evaluations, samples and saves may take twelve
    /// times as long
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400), help_heading = "Several ranks")]
    pub collective_timeout: u64,
    /// Transport of tensors between ranks: nccl sends them from GPU to GPU, mpi through host memory. auto uses NCCL if every rank
    /// has the library and an NVIDIA GPU of its own, and otherwise MPI, and prints the reason
    #[arg(long, value_name = "WAY", value_enum, default_value_t, help_heading = "Several ranks")]
    pub collective: Choice,
    /// Compare the weights of all ranks every N steps and before each save; 0 turns it off
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = "Several ranks")]
    pub compare_weights: u64,
}

/// Ranks of a run, as seen by this one.
pub struct Ranks {
    pub mesh: Mesh,
    /// The device of this rank.
    pub device: String,
    /// Connection between the ranks; none for a single rank.
    pub connection: Option<Connection>,
}

/// Parsed value of `--parallel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Division {
    /// Number of replicas; none for as many as the ranks allow.
    dp: Option<usize>,
    pp: usize,
    tp: usize,
}

/// Parses some of `dp=N`, `pp=N` and `tp=N`.
fn division(text: &str) -> std::result::Result<Division, String> {
    let [mut dp, mut pp, mut tp] = [None; 3];
    for part in text.split(',') {
        let (place, number) = match part.split_once('=') {
            Some(("dp", number)) => (&mut dp, number),
            Some(("pp", number)) => (&mut pp, number),
            Some(("tp", number)) => (&mut tp, number),
            _ => return Err(DIVISION.into()),
        };
        let number: Option<usize> = number.parse().ok().filter(|number| *number > 0);
        let number = number.ok_or(DIVISION)?;
        if place.replace(number).is_some() {
            return Err(format!("{part} is given a second time; {DIVISION}"));
        }
    }
    Ok(Division { dp, pp: pp.unwrap_or(1), tp: tp.unwrap_or(1) })
}

/// The form of `--parallel`.
const DIVISION: &str =
    "use some of dp=N,pp=N,tp=N with numbers of replicas, stages and ranks that divide a layer";

impl Division {
    /// Every rank is a replica.
    const REPLICAS: Self = Self { dp: None, pp: 1, tp: 1 };

    /// Returns the layout with `dp` replicas, unless it has a number of its own.
    fn with(self, dp: usize) -> Layout {
        Layout { dp: self.dp.unwrap_or(dp), pp: self.pp, tp: self.tp }
    }

    /// Returns the number of ranks that it needs; none if any number may do that was started.
    fn ranks(self) -> Option<usize> {
        let least = self.with(1);
        let is_alone = parallel::launched().is_none();
        let is_known = self.dp.is_some() || (is_alone && least.ranks_of_replica() > 1);
        is_known.then(|| least.ranks())
    }

    /// Returns the layout of `ranks` ranks.
    fn layout(self, ranks: usize) -> Result<Layout> {
        let each = self.with(1).ranks_of_replica();
        let layout = self.with(ranks / each);
        if layout.ranks() == ranks {
            return Ok(layout);
        }
        let Self { pp, tp, .. } = self;
        let problem = match (pp, tp) {
            (_, 1) => format!("{ranks} ranks cannot be divided among {pp} stages"),
            (1, _) => format!("{ranks} ranks cannot be divided into groups of {tp}"),
            _ => format!("{ranks} ranks cannot be divided among {pp} stages of {tp} ranks"),
        };
        let most = ranks.next_multiple_of(each);
        let remedy =
            format!("start a multiple of {each}, such as `mpirun -n {most} --bind-to none`");
        Err(Error::config("parallel", problem, remedy))
    }
}

impl ParallelArgs {
    /// Joins the ranks that were started together. Messages of this process name its rank from then on.
    ///
    /// # Errors
    /// There is another number of ranks; they do not agree on the layout; the program was built without MPI; the transport that
    /// `--collective` requests cannot be used.
    pub async fn join(&self, device: &str) -> CliResult<Ranks> {
        let timeout = Duration::from_secs(self.collective_timeout);
        let wanted = self.parallel.and_then(Division::ranks);
        let joined = parallel::join(wanted, timeout).map_err(usage)?;
        let device = match joined.size() {
            1 => device.to_string(),
            _ => parallel::device_of_rank(device).await,
        };
        if joined.size() > 1 {
            stderr::name_rank(joined.rank(), &host_name());
        }
        let (all, connection) = match joined.connect(self.collective, &device).await {
            Err(error @ Error::Config { .. }) => return Err(usage(error)),
            connected => connected?,
        };
        let division = self.parallel.unwrap_or(Division::REPLICAS);
        let layout = division.layout(all.size()).map_err(usage)?;
        let mesh = Mesh::new(all, layout, self.pipeline_schedule)?;
        Ok(Ranks { mesh, device, connection })
    }
}

impl ValueEnum for Schedule {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.to_string()))
    }
}

impl ValueEnum for Choice {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.to_string()))
    }
}

impl ValueEnum for Sharding {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.to_string()))
    }
}

/// A rank other than 0: it makes the same steps, and neither prints nor writes.
pub struct Follower {
    pub run: RefCell<Run>,
    pub until: u64,
}

impl Control for Follower {
    type Failure = Failure;

    fn with_run<T>(&self, act: impl FnOnce(&mut Run) -> Result<T>) -> Result<T> {
        act(&mut self.run.borrow_mut())
    }

    fn emit(&self, _event: TrainEvent) -> CliResult<()> {
        Ok(())
    }

    fn until(&self) -> u64 {
        self.until
    }

    fn is_paused(&self) -> bool {
        interrupt::pressed()
    }

    fn take_profile(&self, _step: u64) -> u64 {
        0
    }

    async fn save(&self, _val_loss: Option<f64>) -> Result<Saving> {
        let snapshot = self.run.borrow().snapshot();
        snapshot.contribute()?;
        self.run.borrow_mut().saved = Some(snapshot.step());
        Ok(Saving::Done)
    }
}

/// Refuses options that only a single rank has.
///
/// # Errors
/// `profile` steps are to be profiled, which would not be the same on all ranks.
pub fn refuse_profile(ranks: &dyn Collective, profile: Option<u64>) -> CliResult<()> {
    if ranks.size() > 1 && profile.is_some() {
        let problem = "a profile needs a single rank";
        return Err(usage(Error::config("--profile", problem, "start one process")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{DIVISION, Division, ParallelArgs, division};
    use crate::parallel::{Schedule, Sharding};
    use crate::platform::parallel::Choice;

    /// A command line with these options alone.
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        ranks: ParallelArgs,
    }

    #[test]
    fn flags_take_the_names_that_are_written() {
        let parse = |words: &[&str]| {
            let line = Line::try_parse_from([&["train"][..], words].concat());
            line.map(|line| (line.ranks.pipeline_schedule, line.ranks.zero))
        };
        assert_eq!(parse(&[]).unwrap(), (Schedule::default(), Sharding::default()));
        for schedule in Schedule::ALL {
            for sharding in Sharding::ALL {
                let [order, level] = [schedule.to_string(), sharding.to_string()];
                let words = ["--pipeline-schedule", &order, "--zero", &level];
                assert_eq!(parse(&words).unwrap(), (schedule, sharding));
            }
        }
        assert_eq!(Sharding::ALL.map(Sharding::level), [0, 1, 2]);
        for choice in Choice::ALL {
            let words = ["train", "--collective", &choice.to_string()];
            assert_eq!(Line::try_parse_from(words).unwrap().ranks.collective, choice);
        }
        let error = parse(&["--zero", "3"]).unwrap_err().to_string();
        assert!(error.contains("[possible values: 0, 1, 2]"), "{error}");
    }

    #[test]
    fn the_parts_of_a_division_are_given_in_any_order() {
        let all = Division { dp: Some(2), pp: 3, tp: 4 };
        for text in ["dp=2,pp=3,tp=4", "tp=4,pp=3,dp=2"] {
            assert_eq!(division(text), Ok(all));
        }
        assert_eq!(division("pp=2"), Ok(Division { pp: 2, ..Division::REPLICAS }));
        assert_eq!(division("tp=2"), Ok(Division { tp: 2, ..Division::REPLICAS }));
        for text in ["", "2", "dp", "dp=0", "pp=-1", "dp=2,", "zp=2", "dp=2 pp=2"] {
            assert_eq!(division(text), Err(DIVISION.into()), "{text}");
        }
        let error = division("dp=2,dp=2").unwrap_err();
        assert!(error.starts_with("dp=2 is given a second time") && error.ends_with(DIVISION));
    }

    #[test]
    fn ranks_must_fill_the_stages_and_their_layers() {
        let stages = Division { pp: 2, ..Division::REPLICAS };
        let layout = stages.layout(6).unwrap();
        assert_eq!((layout.dp, layout.pp, layout.tp), (3, 2, 1));
        let error = stages.layout(3).unwrap_err().to_string();
        assert!(error.contains("3 ranks") && error.contains("mpirun -n 4"), "{error}");
        let both = Division { tp: 2, ..stages };
        let layout = both.layout(8).unwrap();
        assert_eq!((layout.dp, layout.pp, layout.tp), (2, 2, 2));
        let error = both.layout(6).unwrap_err().to_string();
        assert!(error.contains("2 stages of 2 ranks") && error.contains("mpirun -n 8"), "{error}");
    }
}
