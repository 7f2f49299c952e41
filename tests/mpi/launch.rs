//! Starting ranks with `mpirun`, and finding their processes.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Outcome, Place, outcome};

/// Flags of a run of four micro-batches a step, with dropout.
pub const RUN: &str =
    "--grad-accum 4 --batch-size 2 --dropout 0.1 --steps 30 --eval-every 10 --save-every 0";

/// Flags of a run that does not end by itself, and whose steps do not depend on when it ends.
pub const ENDLESS: &str =
    "--steps 1000000 --schedule constant --grad-accum 2 --eval-every 0 --save-every 0";

/// The turn of a test: one job at a time, since each has up to four ranks.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `mpirun` for this machine, whatever its cores. Programs and their arguments are separated by ` : `.
pub fn mpirun(arguments: &str) -> Command {
    let mut command = Command::new("mpirun");
    // As root, Open MPI asks for both variables.
    command
        .envs(["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"].map(|name| (name, "1")));
    command.args(["--oversubscribe", "--bind-to", "none", "--mca", "btl", "self,tcp"]);
    command.args(arguments.split_whitespace());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The program, for a command line of [`mpirun`].
pub fn program() -> &'static str {
    env!("CARGO_BIN_EXE_blankslate")
}

/// Runs `ranks` ranks to their end.
pub fn run(ranks: usize, arguments: &str) -> Outcome {
    let command = format!("-n {ranks} {} {arguments}", program());
    outcome(mpirun(&command).output().expect("mpirun is installed with MPI"))
}

/// A job in the background.
pub struct Job {
    /// `mpirun`, until it has ended.
    child: Option<Child>,
    started: Instant,
}

impl Job {
    pub fn start(arguments: &str) -> Self {
        let child = mpirun(arguments).spawn().expect("mpirun is installed with MPI");
        Self { child: Some(child), started: Instant::now() }
    }

    /// Starts an endless run of two ranks and waits until it trains.
    pub fn endless(place: &Place, more: &str) -> Self {
        let arguments = place.train_arguments("run", &format!("{ENDLESS} {more}"));
        let mut job = Self::start(&format!("-n 2 {} {arguments}", program()));
        job.wait_until_it_trains(place);
        job
    }

    pub fn wait_until_it_trains(&mut self, place: &Place) {
        let metrics = place.path("run/metrics.jsonl");
        self.wait_until(|| fs::metadata(&metrics).is_ok_and(|file| file.len() > 0));
    }

    /// Waits until `is_so`, at most two minutes from the start. The job must not end before.
    pub fn wait_until(&mut self, is_so: impl Fn() -> bool) {
        while !is_so() {
            let ended = self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
            if ended || self.started.elapsed() > Duration::from_secs(120) {
                let mut child = self.child.take().unwrap();
                let _ = Command::new("kill").arg(child.id().to_string()).status();
                let _ = child.wait();
                panic!("it does not train: {}", outcome(child.wait_with_output().unwrap()).stderr);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process of a rank: a descendant of `mpirun` with its number.
    pub fn process(&self, rank: usize) -> u32 {
        let wanted = format!("OMPI_COMM_WORLD_RANK={rank}");
        let is_rank = |id: &u32| {
            let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|line| line == wanted.as_bytes())
        };
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut found = ids.filter(|id| is_rank(id) && self.is_ancestor_of(*id));
        found.next().unwrap_or_else(|| panic!("rank {rank} does not run"))
    }

    fn is_ancestor_of(&self, mut id: u32) -> bool {
        while id > 1 {
            if self.child.as_ref().is_some_and(|child| child.id() == id) {
                return true;
            }
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
            id = parent.and_then(|parent| parent.trim().parse().ok()).unwrap_or(0);
        }
        false
    }

    /// Sends a signal to a rank.
    pub fn signal(&self, rank: usize, signal: &str) {
        let id = self.process(rank).to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Waits for the end, which must come within `limit` from now.
    pub fn end(mut self, limit: Duration) -> Outcome {
        let asked = Instant::now();
        let child = self.child.as_mut().unwrap();
        while child.try_wait().unwrap().is_none() {
            assert!(asked.elapsed() < limit, "it still runs after {limit:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        outcome(self.child.take().unwrap().wait_with_output().unwrap())
    }
}

impl Drop for Job {
    /// Ends a job that a failed test has left.
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
    }
}

/// Returns the results that must not depend on the number of ranks, by name: files of the newest checkpoint, and figures of every
/// step.
pub fn results(place: &Place, out: &str) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = ["model.safetensors", "optimizer.safetensors", "config.json"]
        .map(|name| (name.to_string(), place.read(&format!("{out}/{name}"))))
        .into();
    let mut state: Value =
        serde_json::from_slice(&place.read(&format!("{out}/training_state.json"))).unwrap();
    assert!(state.as_object_mut().unwrap().remove("ranks").is_some());
    found.push(("training_state.json".into(), state.to_string().into_bytes()));
    let metrics = String::from_utf8(place.read(&format!("{out}/metrics.jsonl"))).unwrap();
    for line in metrics.lines() {
        let mut line: Value = serde_json::from_str(line).unwrap();
        if line["type"] == "ranks" {
            continue;
        }
        line.as_object_mut().unwrap().remove("tokens_per_second");
        found.push((format!("{} {}", line["type"], line["step"]), line.to_string().into_bytes()));
    }
    found
}

/// Asserts that two runs left the same bytes.
#[track_caller]
pub fn require_same(place: &Place, a: &str, b: &str) {
    let (a_found, b_found) = (results(place, a), results(place, b));
    assert_eq!(a_found.len(), b_found.len(), "{a} and {b}");
    for ((name, a_bytes), (other, b_bytes)) in a_found.into_iter().zip(b_found) {
        assert_eq!(name, other);
        assert!(a_bytes == b_bytes, "{name} of {a} and {b} differ");
    }
}
