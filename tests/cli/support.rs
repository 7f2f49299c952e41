//! Running the binary, and the small text and model that most tests use.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Output and exit status of the program.
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The binary with arguments separated by spaces.
pub fn command(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_blankslate"));
    command.args(arguments.split_whitespace()).env("RUST_BACKTRACE", "1");
    command
}

/// Runs it with nothing on standard input.
pub fn run(arguments: &str) -> Outcome {
    run_with(arguments, b"")
}

/// Runs it with `input` on standard input.
pub fn run_with(arguments: &str, input: &[u8]) -> Outcome {
    let mut command = command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that refuses its arguments reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input);
    outcome(child.wait_with_output().unwrap())
}

pub fn outcome(output: std::process::Output) -> Outcome {
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        // Paths are compared as they are written on Unix.
        stderr: String::from_utf8_lossy(&output.stderr).replace(std::path::MAIN_SEPARATOR, "/"),
    }
}

impl Outcome {
    /// Standard output of a success.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self.stdout
    }

    /// Objects that a success printed with `--json`.
    #[track_caller]
    pub fn json(self) -> Vec<Value> {
        self.ok().lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// Asserts a failure in one line on standard error that holds all of `words`.
    #[track_caller]
    pub fn refuses(self, code: i32, words: &[&str]) {
        let error = &self.stderr;
        assert_eq!(self.code, Some(code), "{error}");
        assert!(error.starts_with("blankslate: "), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        for word in words {
            assert!(error.contains(word), "`{word}` is not in: {error}");
        }
    }
}

/// A folder that is removed at the end, with a text in it.
pub struct Place {
    folder: tempfile::TempDir,
}

pub const TEXT: &str =
    "she sells sea shells by the sea shore, and the shells she sells are sea shells.\n";

/// Flags of a model that trains quickly, used by most tests.
pub const SMALL: &str = "--preset small --device cpu --hidden-size 16 --layers 1 --heads 2 --seq-len 16 \
     --batch-size 4 --warmup-steps 0 --lr 0.01";

impl Place {
    pub fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.write("text.txt", TEXT.repeat(40));
        place
    }

    /// A path below it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same as text, for a command line.
    pub fn at(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().into()
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect(name)
    }

    /// A `train` command on the text into `out`, with further arguments.
    pub fn train(&self, out: &str, more: &str) -> Outcome {
        run(&self.train_arguments(out, more))
    }

    pub fn train_arguments(&self, out: &str, more: &str) -> String {
        format!("train {SMALL} --out {} --data {} {more}", self.at(out), self.at("text.txt"))
    }

    /// Resumes the run.
    pub fn resume(&self, out: &str, more: &str) -> Outcome {
        run(&format!(
            "train --resume --device cpu --out {} --data {} {more}",
            self.at(out),
            self.at("text.txt")
        ))
    }

    /// A trained model in folder `model`.
    pub fn with_model() -> Self {
        let place = Self::new();
        place.train("model", "--steps 4").ok();
        place
    }

    /// A copy of the model's folder, without its checkpoints, to be damaged.
    pub fn copy_of_model(&self, name: &str) {
        self.copy("model", name);
    }

    /// A copy of a model's folder, without its checkpoints and the state of its training.
    pub fn copy(&self, from: &str, to: &str) {
        copy_files(&self.path(from), &self.path(to));
    }
}

/// Copies the files of a folder.
pub fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// Copies a folder with everything in it.
pub fn copy_all(from: &Path, to: &Path) {
    copy_files(from, to);
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            copy_all(&path, &to.join(path.file_name().unwrap()));
        }
    }
}
