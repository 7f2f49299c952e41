//! Runs a program that prints JSON lines, with a time limit.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Time that a killed program has to exit.
const GRACE: Duration = Duration::from_secs(5);

/// End of a program.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// Exited with status 0.
    Done,
    /// Killed after it printed the required event.
    Enough,
    /// Killed at its time limit.
    TimedOut,
    /// Not started, because no time was left.
    NotStarted,
    /// Failed or could not be started, with the reason.
    Failed(String),
}

/// A line of JSON, and its time in seconds since the start of the program.
#[derive(Clone, Debug)]
pub struct Line {
    pub at: f64,
    pub event: Value,
}

/// Result of a program.
#[derive(Clone, Debug)]
pub struct Done {
    pub end: End,
    pub seconds: f64,
    pub lines: Vec<Line>,
}

/// Runs a program until it exits, prints an event that is `enough`, or `deadline` passes. Writes its output to `LOG.out` and
/// `LOG.err`.
pub fn run(
    command: &mut Command,
    log: &Path,
    deadline: Instant,
    enough: &dyn Fn(&Value) -> bool,
) -> Done {
    let started = Instant::now();
    let mut lines = Vec::new();
    let end = follow(command, log, deadline, &mut |event| {
        let is_enough = enough(&event);
        lines.push(Line { at: started.elapsed().as_secs_f64(), event });
        is_enough
    });
    let end = end.unwrap_or_else(|error| End::Failed(format!("{error:#}")));
    Done { end, seconds: started.elapsed().as_secs_f64(), lines }
}

/// Starts the program and passes each event to the callback, until one is enough.
fn follow(
    command: &mut Command,
    log: &Path,
    deadline: Instant,
    is_enough: &mut dyn FnMut(Value) -> bool,
) -> anyhow::Result<End> {
    let errors = log.with_extension("err");
    let mut out = File::create(log.with_extension("out"))?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&errors)?);
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().expect("it is piped");
    let (sender, receiver) = mpsc::channel();
    // Runs until the last process closes the pipe. It is not joined, since that process may be impossible to kill.
    thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n') {
            let Ok(line) = line else { return };
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    loop {
        match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                writeln!(out, "{line}")?;
                if serde_json::from_str(&line).is_ok_and(&mut *is_enough) {
                    end(&mut child);
                    return Ok(End::Enough);
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                end(&mut child);
                return Ok(End::TimedOut);
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let Some(status) = wait(&mut child, deadline)? else {
        end(&mut child);
        return Ok(End::TimedOut);
    };
    if status.success() {
        return Ok(End::Done);
    }
    let complaints = fs::read(&errors).unwrap_or_default();
    let complaints = String::from_utf8_lossy(&complaints);
    let last = complaints.lines().rev().find(|line| !line.trim().is_empty());
    Ok(End::Failed(format!("{status}: {}", last.unwrap_or("without a message").trim())))
}

/// Waits for a program that has closed its output. Returns none if it does not exit before the deadline.
fn wait(child: &mut Child, deadline: Instant) -> anyhow::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Kills a program and its descendants. They have no process group of their own, so that Ctrl-C reaches them.
fn end(child: &mut Child) {
    let others = descendants(child.id());
    // Fails only if the program has exited.
    let _ = child.kill();
    if !others.is_empty() {
        let numbers: Vec<String> = others.iter().map(u32::to_string).collect();
        let kill = format!("kill -9 {} 2> /dev/null", numbers.join(" "));
        let _ = Command::new("sh").args(["-c", &kill]).status();
    }
    // A program that hangs in the driver may never exit; the next one runs anyway.
    let _ = wait(child, Instant::now() + GRACE);
}

/// Returns the descendants of a process.
fn descendants(ancestor: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some(parent) = parent(&stat) {
            children.entry(parent).or_default().push(number);
        }
    }
    let mut all = vec![ancestor];
    let mut next = 0;
    while let Some(process) = all.get(next) {
        all.extend(children.remove(process).unwrap_or_default());
        next += 1;
    }
    all.split_off(1)
}

/// Reads the parent from `/proc/PID/stat`: number, name in parentheses (which may contain any character), state, parent.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// Runs a script in sh with this limit.
    fn shell(name: &str, script: &str, limit_ms: u64) -> Done {
        let deadline = Instant::now() + Duration::from_millis(limit_ms);
        run(Command::new("sh").args(["-c", script]), &log(name), deadline, &|event| {
            event["stop"] == true
        })
    }

    fn log(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("gpu-day-runner-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder.join(name)
    }

    #[test]
    fn events_are_read_and_other_lines_kept_in_the_log() {
        let done = shell("events", r#"echo text; echo '{"a":1}'; printf '{"a":2}'"#, 60_000);
        assert_eq!(done.end, End::Done);
        let found: Vec<_> = done.lines.iter().map(|line| line.event["a"].as_u64()).collect();
        assert_eq!(found, [Some(1), Some(2)]);
        let log = fs::read_to_string(log("events").with_extension("out")).unwrap();
        assert_eq!(log, "text\n{\"a\":1}\n{\"a\":2}\n");
    }

    #[test]
    fn a_failure_has_the_status_and_the_last_complaint() {
        let done =
            shell("failure", r#"echo '{"a":1}'; echo first >&2; echo last >&2; exit 3"#, 60_000);
        assert_eq!(done.end, End::Failed("exit status: 3: last".into()));
        assert_eq!(done.lines.len(), 1);
        let mut missing = Command::new("/nowhere/program");
        let done = run(&mut missing, &log("missing"), Instant::now(), &|_| false);
        assert!(matches!(done.end, End::Failed(_)), "{:?}", done.end);
    }

    #[test]
    fn a_hanging_program_ends_at_its_limit_with_its_children() {
        let script = r#"sleep 600 & echo "{\"child\":$!}"; echo '{"a":1}'; sleep 600"#;
        let done = shell("hanging", script, 1_000);
        assert_eq!(done.end, End::TimedOut);
        assert!((1.0..30.0).contains(&done.seconds), "{}", done.seconds);
        assert_eq!(done.lines.len(), 2, "what it printed before is kept");
        let child = done.lines[0].event["child"].as_u64().unwrap();
        let begun = Instant::now();
        // A killed process remains a zombie until its parent has read its status.
        while let Ok(stat) = fs::read_to_string(format!("/proc/{child}/stat")) {
            if stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('Z')) {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "it still runs: {stat}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_program_that_closes_its_output_and_stays_ends_at_its_limit() {
        assert_eq!(shell("closed", "exec > /dev/null; sleep 600", 300).end, End::TimedOut);
    }

    #[test]
    fn a_program_is_ended_when_it_has_printed_enough() {
        let done = shell("enough", r#"echo '{"stop":true}'; sleep 600"#, 60_000);
        assert_eq!(done.end, End::Enough);
        assert!(done.seconds < 30.0);
    }

    #[test]
    fn the_parent_is_found_whatever_the_name() {
        assert_eq!(parent("12 (a) b (c)) S 7 12 12 0"), Some(7));
        assert_eq!(parent(""), None);
    }
}
