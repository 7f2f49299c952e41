//! Runs the parts one after the other.

use super::kit::Identity;
use super::machine::Machine;
use super::markdown::{render, status};
use super::parts::{Name, Part, Task};
use super::report::{PartReport, Report, Status};
use super::runner::{self, Done, End};
use crate::process::failure;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Total minutes that the time limits of the parts assume.
const MINUTES: f64 = 10.0;

/// Minimum remaining time to start a part.
const SHORTEST: Duration = Duration::from_millis(200);

/// Options of a GPU day.
pub struct Day<'a> {
    /// UTC.
    pub started: String,
    /// An empty folder for the report.
    pub out: &'a Path,
    pub minutes: u32,
    pub dry_run: bool,
    /// Parts to run; all if it is empty.
    pub only: &'a [Name],
    /// Prepares the command of a task. The path is a folder for logs of a simulated driver.
    pub program: &'a dyn Fn(&Task, &Path) -> Result<Command>,
}

impl Day<'_> {
    /// Runs all parts, even if some fail, and writes the report after each.
    ///
    /// # Errors
    /// The report cannot be written; a part failed, which is reported at the end.
    pub fn run(&self, machine: Machine, kit: Identity, parts: Vec<Part>) -> Result<()> {
        let scale = f64::from(self.minutes) / MINUTES;
        let limit = 60.0 * f64::from(self.minutes);
        let begun = Instant::now();
        let deadline = begun + Duration::from_secs_f64(limit);
        let waiting = |part: &Part| PartReport::new(part.name, part.title, scale * part.limit);
        let mut report = Report {
            started: self.started.clone(),
            finished: false,
            dry_run: self.dry_run,
            limit_seconds: limit,
            machine,
            kit,
            parts: parts.iter().map(waiting).collect(),
        };
        let logs = self.out.join("logs");
        fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        for (place, part) in parts.iter().enumerate() {
            if !self.only.is_empty() && !self.only.contains(&part.name) {
                report.parts[place].status = Status::NotSelected;
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left < SHORTEST {
                report.parts[place].status = Status::NoTimeLeft;
                continue;
            }
            let limit = report.parts[place].limit_seconds;
            println!("==> {} (at most {:.0} s)", part.title, limit.min(left.as_secs_f64()));
            report.parts[place].status = Status::Running;
            self.write(&report)?;
            let until = deadline.min(Instant::now() + Duration::from_secs_f64(limit));
            let done = self.tasks(part, &logs, until);
            let verdict = (part.judge)(&done);
            let entry = &mut report.parts[place];
            entry.end(done, verdict);
            println!("    {:.1} s: {}", entry.seconds, status(entry.status));
            entry.problems.iter().for_each(|problem| println!("    {problem}"));
            self.write(&report)?;
        }
        report.finished = true;
        self.write(&report)?;
        println!("report: {}", self.out.join("report.md").display());
        let failed: Vec<&str> = report
            .parts
            .iter()
            .filter(|part| {
                !matches!(part.status, Status::Passed | Status::Skipped | Status::NotSelected)
            })
            .map(|part| part.title)
            .collect();
        match failed.is_empty() {
            true => Ok(()),
            false => Err(failure(
                format!("did not pass: {}", failed.join("; ")),
                "see report.md and logs/ beside it",
            )),
        }
    }

    /// Writes `report.json` and `report.md`, each atomically, so that an interrupted day leaves a report of the parts so far.
    fn write(&self, report: &Report) -> Result<()> {
        let json = serde_json::to_string_pretty(report)?;
        for (name, text) in [("report.json", json), ("report.md", render(report))] {
            let file = self.out.join(name);
            let new = self.out.join(format!("{name}.new"));
            fs::write(&new, text)
                .and_then(|()| fs::rename(&new, &file))
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }

    /// Runs the tasks of a part until its time limit. A failed task does not prevent the next.
    fn tasks(&self, part: &Part, logs: &Path, until: Instant) -> Vec<(String, Done)> {
        let mut all = Vec::new();
        for (number, task) in part.tasks.iter().enumerate() {
            let log = logs.join(format!("{:?}-{number}", part.name).to_lowercase());
            let done = match (self.program)(task, &log.with_extension("driver")) {
                Ok(mut program) => runner::run(&mut program, &log, until, &task.enough),
                Err(error) => {
                    let end = End::Failed(format!("{error:#}"));
                    Done { end, seconds: 0.0, lines: Vec::new() }
                }
            };
            let is_over = done.end == End::TimedOut;
            all.push((task.label.clone(), done));
            if is_over {
                break;
            }
        }
        let rest = part.tasks.iter().skip(all.len());
        let not_started = Done { end: End::NotStarted, seconds: 0.0, lines: Vec::new() };
        all.extend(rest.map(|task| (task.label.clone(), not_started.clone())));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::kit::Kit;
    use super::super::verdict::{Verdict, events};
    use super::*;
    use serde_json::Value;
    use std::path::PathBuf;

    /// Returns a part whose tasks are shell scripts. It passes with an event of type `result`.
    fn part(name: Name, limit: f64, scripts: &[&str]) -> Part {
        let task = |(label, script): (&str, &&str)| Task {
            label: label.into(),
            arguments: vec![(*script).into()],
            enough: |_| false,
        };
        Part {
            name,
            title: "A part",
            limit,
            tasks: ["script", "second"].into_iter().zip(scripts).map(task).collect(),
            judge: Box::new(|done| {
                let rows = events(done, "result").map(|result| [result.to_string()]);
                Verdict::table(["result"], rows.collect())
            }),
        }
    }

    /// Runs parts in a new folder and returns it with the error and the report.
    fn run(
        name: &str,
        minutes: u32,
        only: &[Name],
        parts: Vec<Part>,
    ) -> (PathBuf, Option<String>, Value) {
        let out = std::env::temp_dir().join(format!("gpu-day-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&out);
        let day = Day {
            started: "now".into(),
            out: &out,
            minutes,
            dry_run: false,
            only,
            program: &|task, _| {
                let mut shell = Command::new("sh");
                // The report while a part runs.
                shell.env("REPORT", out.join("report.json")).arg("-c").args(&task.arguments);
                Ok(shell)
            },
        };
        let machine = Machine { simulated: true, ..Machine::default() };
        let outcome = day.run(machine, Kit::example().identity, parts);
        let report = fs::read_to_string(out.join("report.json")).unwrap();
        let report = serde_json::from_str(&report).unwrap();
        (out, outcome.err().map(|error| format!("{error:#}")), report)
    }

    const FINE: &str = r#"echo '{"type":"step","loss":1}'; echo '{"type":"result","x":1}'"#;

    #[test]
    fn parts_survive_those_that_fail_or_hang() {
        let parts = vec![
            part(Name::Check, 60.0, &["echo broken >&2; exit 1"]),
            part(Name::Train, 1.0, &["echo '{\"type\":\"result\"}'; sleep 600", FINE]),
            part(Name::Kernels, 60.0, &["exit 7", FINE]),
            part(Name::Decode, 60.0, &[FINE]),
            part(Name::Torch, 60.0, &["true"]),
        ];
        let (out, error, report) = run("survive", 10, &[], parts);
        let found: Vec<&str> = report["parts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| part["status"].as_str().unwrap())
            .collect();
        assert_eq!(found, ["failed", "timed-out", "failed", "passed", "failed"]);
        let problems = |place: usize| report["parts"][place]["problems"].to_string();
        assert!(problems(0).contains("exit status: 1: broken"));
        assert!(problems(1).contains("time limit"));
        assert!(problems(2).contains("exit status: 7"));
        assert!(problems(4).contains("printed no results"));
        assert!(problems(1).contains("second: not run: the part's time was used up"));
        let events = &report["parts"][3]["tasks"][0]["events"];
        assert_eq!(events.to_string(), r#"[{"type":"result","x":1}]"#, "without single steps");
        assert_eq!(report["finished"], true);
        assert!(error.unwrap().contains("did not pass: A part; A part; A part; A part"));
        let markdown = fs::read_to_string(out.join("report.md")).unwrap();
        assert!(
            markdown.contains("driver was simulated")
                && markdown.contains("**script: exit status: 7")
        );
        assert!(!markdown.contains("cut off.**"));
    }

    #[test]
    fn the_report_is_written_before_and_after_each_part() {
        // Prints the report as it is on disk while the second part runs.
        let show = r#"echo '{"type":"result"}'; tr -d '\n' < "$REPORT""#;
        let parts = vec![
            part(Name::Check, 60.0, &[FINE]),
            part(Name::Train, 60.0, &[show]),
            part(Name::Torch, 60.0, &[FINE]),
        ];
        let (_, error, report) = run("written", 10, &[], parts);
        assert_eq!(error, None);
        let before = &report["parts"][1]["tasks"][0]["events"][1];
        assert_eq!(before["finished"], false);
        let found: Vec<&str> = before["parts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| part["status"].as_str().unwrap())
            .collect();
        assert_eq!(found, ["passed", "running", "waiting"]);
    }

    #[test]
    fn all_parts_share_the_time() {
        let slow = r#"echo '{"type":"result"}'; sleep 600"#;
        // A limit of 10 s is for ten minutes: in a day of one minute, it is 1 s.
        let parts = vec![part(Name::Check, 10.0, &[slow]), part(Name::Train, 60.0, &[FINE])];
        let begun = Instant::now();
        let (_, _, report) = run("share", 1, &[], parts);
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert_eq!(report["parts"][0]["status"], "timed-out");
        assert_eq!(report["parts"][0]["limit_seconds"], 1.0);
        assert_eq!(report["parts"][1]["status"], "passed");
    }

    #[test]
    fn parts_that_did_not_run_are_in_the_report_with_the_reason() {
        let mut lacking = part(Name::Vulkan, 60.0, &[FINE, "echo no driver >&2; exit 1"]);
        lacking.judge =
            Box::new(|_| Verdict { skipped: Some("no driver".into()), ..Verdict::default() });
        let parts = vec![part(Name::Check, 60.0, &["exit 1"]), lacking];
        let (out, error, report) = run("reasons", 10, &[Name::Vulkan], parts);
        assert_eq!(error, None);
        assert_eq!(report["parts"][0]["status"], "not-selected");
        assert_eq!(report["parts"][1]["status"], "skipped");
        let markdown = fs::read_to_string(out.join("report.md")).unwrap();
        assert!(markdown.contains("not run: not selected with --only"), "{markdown}");
        assert!(markdown.contains("- no driver"), "{markdown}");
    }

    #[test]
    fn a_program_that_cannot_be_started_is_a_failure() {
        let out = std::env::temp_dir().join(format!("gpu-day-start-{}", std::process::id()));
        let day = Day {
            started: "now".into(),
            out: &out,
            minutes: 10,
            dry_run: true,
            only: &[],
            program: &|_, _| Ok(Command::new("/nowhere/speed")),
        };
        let parts = vec![part(Name::Check, 60.0, &[""])];
        let error = day.run(Machine::default(), Kit::example().identity, parts).unwrap_err();
        assert!(error.to_string().contains("did not pass"));
        let markdown = fs::read_to_string(out.join("report.md")).unwrap();
        assert!(markdown.contains("No such file") && markdown.contains("A dry run"), "{markdown}");
    }
}
