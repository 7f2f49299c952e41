//! Training that something outside disturbs: signals, closed outputs, and a second process.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Outcome, Place, command, outcome, run};

const ENDLESS: &str = "--steps 1000000 --eval-every 0 --save-every 0 --json";

/// Lets a program hear SIGHUP, which it would ignore if the tests themselves run under `nohup`.
fn hear_hangups(command: &mut Command) {
    // SAFETY: between fork and exec only `signal` is called, which is safe there.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_DFL);
            Ok(())
        });
    }
}

/// A program in the middle of training.
struct Training {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Training {
    /// Waits for the first step.
    fn of(mut command: Command) -> Self {
        hear_hangups(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("\"type\":\"step\"") {
            line.clear();
            assert!(stdout.read_line(&mut line).unwrap() > 0, "it ended too soon");
        }
        Self { child, stdout }
    }

    fn send(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Waits for the end; returns the events that followed.
    fn end(self) -> (Vec<Value>, Outcome) {
        let lines = self.stdout.lines();
        let events = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        (events, outcome(self.child.wait_with_output().unwrap()))
    }
}

#[test]
fn signals_that_end_programs_save_and_print_how_to_resume() {
    for signal in ["-INT", "-TERM", "-HUP", "-USR1"] {
        let place = Place::new();
        let training = Training::of(command(&place.train_arguments("run", ENDLESS)));
        training.send(signal);
        // The system and the shell both send one when a terminal is closed.
        training.send(signal);
        let (events, stopped) = training.end();
        assert_eq!(stopped.code, Some(130), "{signal}: {}", stopped.stderr);
        let last = events.last().unwrap();
        assert_eq!(last["type"], "interrupted");
        let step = last["step"].as_u64().unwrap();
        let state = format!("run/checkpoints/step-{step:08}/training_state.json");
        assert!(place.path(&state).exists());
        assert!(stopped.stderr.contains("stopping after this step"), "{}", stopped.stderr);
        let resume = last["resume"].as_str().unwrap();
        assert!(stopped.stderr.contains(&format!("resume with: {resume}")), "{}", stopped.stderr);
        let resume = resume.strip_prefix("blankslate ").unwrap();
        let events = run(&format!("{resume} --steps {}", step + 2)).json();
        assert_eq!(events.iter().filter(|event| event["type"] == "step").count(), 2);
    }
}

#[test]
fn a_program_that_ignores_hangups_continues() {
    let place = Place::new();
    let mut shell = Command::new("sh");
    let words = place.train_arguments("run", "--steps 2000 --eval-every 0 --json");
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_blankslate")]);
    shell.args(words.split_whitespace());
    let training = Training::of(shell);
    training.send("-HUP");
    let (events, ended) = training.end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(events.last().unwrap()["step"], 2000);
}

#[test]
fn training_outlives_its_readers() {
    for close_errors in [false, true] {
        let place = Place::new();
        // More than a pipe holds.
        let arguments = place.train_arguments("run", "--steps 1000 --eval-every 0 --json");
        let mut training = Training::of(command(&arguments));
        if close_errors {
            drop(training.child.stderr.take());
        }
        let Training { child, stdout } = training;
        drop(stdout);
        let ended = outcome(child.wait_with_output().unwrap());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        if !close_errors {
            assert!(ended.stderr.contains("standard output was closed"), "{}", ended.stderr);
        }
        assert!(place.path("run/checkpoints/step-00001000/training_state.json").exists());
        assert!(place.path("run/model.safetensors").exists());
    }
}

#[test]
fn two_processes_cannot_train_in_one_directory() {
    let place = Place::new();
    let mut training = Training::of(command(&place.train_arguments("run", ENDLESS)));
    let pid = training.child.id().to_string();
    let words = ["--out", "is training in", pid.as_str(), "choose another"];
    place.train("run", "--steps 2").refuses(2, &words);
    // Until the first save there is no run to resume.
    place.resume("run", "").refuses(1, &["training_state.json is missing"]);
    training.child.kill().unwrap();
    training.child.wait().unwrap();
    // The lock ends with the process, although its file is still there.
    assert!(place.path("run/.lock").exists());
    place.train("run", "--steps 2").ok();
    assert!(!place.path("run/.lock").exists());

    let resume = format!(
        "train --resume --device cpu --out {} --data {} {ENDLESS}",
        place.at("run"),
        place.at("text.txt")
    );
    let mut training = Training::of(command(&resume));
    let pid = training.child.id().to_string();
    place.resume("run", "--steps 9").refuses(2, &["is training in", pid.as_str()]);
    place.train("run", "").refuses(2, &["is training in", pid.as_str()]);
    training.child.kill().unwrap();
    training.child.wait().unwrap();
    place.resume("run", "--steps 9").ok();
}

#[test]
fn a_refused_start_leaves_no_directory() {
    let place = Place::new();
    place.train("deep/run", "--steps 1 --batch-size 0").refuses(2, &["--batch-size"]);
    assert!(!place.path("deep").exists());
}

#[test]
fn a_model_can_be_opened_at_every_moment_of_training() {
    let place = Place::new();
    let arguments =
        place.train_arguments("run", "--steps 2000 --eval-every 0 --save-every 1 --json");
    let mut training = command(&arguments).stdout(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    let is_saved = || {
        let checkpoints = fs::read_dir(place.path("run/checkpoints")).into_iter().flatten();
        checkpoints.flatten().any(|step| step.path().join("training_state.json").exists())
    };
    while !is_saved() {
        assert!(started.elapsed() < Duration::from_secs(60), "nothing was saved");
    }
    let sample = format!("sample --device cpu --max-new-tokens 1 --model {}", place.at("run"));
    for _ in 0..20 {
        run(&sample).ok();
    }
    training.kill().unwrap();
    training.wait().unwrap();
    run(&sample).ok();
}
