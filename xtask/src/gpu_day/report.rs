//! Contents of the report.

use super::kit::Identity;
use super::machine::Machine;
use super::parts::Name;
use super::runner::{Done, End};
use super::verdict::Verdict;
use serde::Serialize;
use serde_json::Value;

/// Status of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Not started yet.
    Waiting,
    /// Running, or interrupted.
    Running,
    Passed,
    Failed,
    TimedOut,
    /// The software to compare with is missing.
    Skipped,
    /// No time was left.
    NoTimeLeft,
    /// Not selected by `--only`.
    NotSelected,
}

/// A run of the program in the report.
#[derive(Debug, Serialize)]
struct TaskReport {
    label: String,
    seconds: f64,
    /// Reason why it did not exit with status 0.
    problem: Option<String>,
    /// Printed events, without those of single steps.
    events: Vec<Value>,
}

/// A part in the report.
#[derive(Debug, Serialize)]
pub struct PartReport {
    pub name: Name,
    pub title: &'static str,
    pub status: Status,
    pub seconds: f64,
    /// Its time limit.
    pub limit_seconds: f64,
    pub problems: Vec<String>,
    #[serde(flatten)]
    pub verdict: Verdict,
    tasks: Vec<TaskReport>,
}

/// The whole report.
#[derive(Serialize)]
pub struct Report {
    /// UTC.
    pub started: String,
    /// True if the day was not interrupted.
    pub finished: bool,
    pub dry_run: bool,
    pub limit_seconds: f64,
    pub machine: Machine,
    pub kit: Identity,
    pub parts: Vec<PartReport>,
}

impl PartReport {
    pub fn new(name: Name, title: &'static str, limit_seconds: f64) -> Self {
        Self {
            name,
            title,
            status: Status::Waiting,
            seconds: 0.0,
            limit_seconds,
            problems: Vec::new(),
            verdict: Verdict::default(),
            tasks: Vec::new(),
        }
    }

    /// Records the results of its tasks and the verdict.
    pub fn end(&mut self, done: Vec<(String, Done)>, verdict: Verdict) {
        let problem = |label: &str, done: &Done| match &done.end {
            End::Done | End::Enough => None,
            End::TimedOut => Some(format!("{label}: ended at the part's time limit")),
            End::NotStarted => Some(format!("{label}: not run: the part's time was used up")),
            End::Failed(why) => Some(format!("{label}: {why}")),
        };
        // A program without output lacks a requirement. The verdict decides whether that is a failure.
        let excused = |done: &Done| verdict.skipped.is_some() && done.lines.is_empty();
        let timed_out = done.iter().any(|(_, done)| done.end == End::TimedOut);
        let counted = done.iter().filter(|(_, done)| !excused(done));
        self.problems = counted.filter_map(|(label, done)| problem(label, done)).collect();
        self.problems.extend(verdict.problem.clone());
        let is_empty = verdict.tables.iter().all(|table| table.rows.is_empty());
        if is_empty && self.problems.is_empty() && verdict.skipped.is_none() {
            self.problems.push("the programs printed no results".into());
        }
        self.status = match (timed_out, self.problems.is_empty(), &verdict.skipped) {
            (true, ..) => Status::TimedOut,
            (false, false, _) => Status::Failed,
            (false, true, Some(_)) => Status::Skipped,
            (false, true, None) => Status::Passed,
        };
        self.seconds = done.iter().map(|(_, done)| done.seconds).sum();
        self.verdict = verdict;
        let task = |(label, done): (String, Done)| TaskReport {
            problem: problem(&label, &done),
            label,
            seconds: done.seconds,
            events: done
                .lines
                .into_iter()
                .map(|line| line.event)
                .filter(|event| event["type"] != "step")
                .collect(),
        };
        self.tasks = done.into_iter().map(task).collect();
    }
}
