//! Crashes and failing disks at every file operation of a run: nothing that was saved is lost, the next start removes the
//! leftovers, and the run ends with the bytes of an undisturbed one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use blankslate::checkpoint::{STATE, unpack};
use blankslate::config::{
    CheckpointConfig, DataConfig, LoraConfig, ModelConfig, ScheduleConfig, TrainConfig, preset,
};
use blankslate::error::Result;
use blankslate::platform::{Operation, Store, block_on};
use blankslate::run::data::Examples;
use blankslate::run::directory::RunDir;
use blankslate::run::{Base, Run, RunConfig, train_unattended};
use blankslate::tokenizer::{Tokenizer, run_sequentially};

use crate::common;

/// Failure of an operation on files.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// The process ends, with a write half done: from here on nothing changes on the disk.
    Crash,
    /// The disk is full from here on: files can only be removed.
    Full,
    /// One operation fails.
    Broken,
}

impl Fault {
    /// Returns the store at `root`, whose operations fail from number `at` on, and the number of operations.
    fn store(self, root: &Path, at: usize) -> (Store, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let done = count.clone();
        let probe = move |operation: Operation, path: &Path| {
            let number = done.fetch_add(1, Ordering::Relaxed) + 1;
            if number == at && self == Self::Crash && operation == Operation::Write {
                fs::write(path, "half")?;
            }
            let fails = match self {
                Self::Crash => number >= at,
                Self::Full => number >= at && operation != Operation::Remove,
                Self::Broken => number == at,
            };
            match self {
                Self::Full if fails => Err(io::ErrorKind::StorageFull.into()),
                // EIO on Unix.
                _ if fails => Err(io::Error::from_raw_os_error(5)),
                _ => Ok(()),
            }
        };
        (store(root).with_probe(probe), count)
    }
}

fn store(root: &Path) -> Store {
    block_on(Store::open(root.to_str().unwrap())).unwrap()
}

/// A run that saves after each of `steps / 2` evaluations, with adapters of rank `rank`, or without for 0.
#[derive(Clone, Copy, Debug)]
struct Kind {
    rank: usize,
    steps: u64,
}

impl Kind {
    fn config(self) -> RunConfig {
        let train = TrainConfig {
            steps: self.steps,
            batch_size: 1,
            eval_every: 2,
            schedule: ScheduleConfig::with_warmup(1),
            checkpoints: CheckpointConfig { save_every: 2, keep_last: 1, keep_spread: 0 },
            lora: LoraConfig::with_rank(self.rank),
            ..TrainConfig::default()
        };
        RunConfig {
            tokenizer: "byte".into(),
            model: ModelConfig::gpt2(256)
                .with_context(8)
                .with_hidden_size(8)
                .with_layers(1)
                .with_heads(1),
            train,
            data: DataConfig { seq_len: 8, ..DataConfig::default() },
            ..RunConfig::from_preset("run", preset("tiny").unwrap())
        }
    }

    /// Starts the run in `directory`, or resumes it if there is one.
    fn prepare(self, directory: &RunDir) -> Result<Run> {
        let device = common::cpu();
        let examples = Examples::of_text("a text", &"she sells sea shells. ".repeat(12))?;
        if block_on(directory.holds_run())? {
            let loaded = unpack(block_on(directory.load())?, "the run")?;
            let (state, _) = loaded.training.as_ref().expect("a run has a state");
            let saved = RunConfig::of_checkpoint("run", loaded.config.clone(), state);
            let config = RunConfig { train: self.config().train, ..saved };
            let mut run = Run::resumed(config, loaded, &device)?;
            run.saved = Some(run.step());
            let data = run.encode(&examples, run_sequentially)?;
            assert!(run.other_corpus(&data).is_none());
            run.learn_from(data)?;
            return Ok(run);
        }
        let tokenizer = Tokenizer::byte(&[])?;
        let config = self.config();
        let fresh = RunConfig {
            train: TrainConfig { lora: LoraConfig::default(), ..config.train.clone() },
            ..config.clone()
        };
        let mut run = Run::fresh(fresh, tokenizer.clone(), &device)?;
        if self.rank > 0 {
            let base = block_on(Base::read("base".into(), run.model(), tokenizer))?;
            run = Run::fine_tuned(config, base, &device)?;
        }
        let data = run.encode(&examples, run_sequentially)?;
        block_on(run.begin(data))?;
        Ok(run)
    }

    fn train(self, store: Store) -> Result<()> {
        let directory = RunDir::new(store);
        let run = self.prepare(&directory)?;
        block_on(train_unattended(run, directory, |_| ())).map(drop)
    }
}

/// The content of every file in a folder and below, by path.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        if path.is_dir() {
            let inside = files(&path).into_iter();
            found.extend(inside.map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

/// A copy of a folder that is removed at the end.
fn copy(initial: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files(initial) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

/// Lets every file operation of a run that starts with the files of `initial` fail in every way. Returns how many there are.
fn walk(kind: Kind, initial: &Path) -> usize {
    let undisturbed = copy(initial);
    kind.train(store(undisturbed.path())).unwrap();
    let expected = files(undisturbed.path());
    let walk = |fault: Fault| {
        for at in 1.. {
            let folder = copy(initial);
            let (failing, operations) = fault.store(folder.path(), at);
            let outcome = kind.train(failing);
            if operations.load(Ordering::Relaxed) < at {
                outcome.unwrap();
                return at - 1;
            }
            let what = format!("{kind:?}, {fault:?} at operation {at}");
            // Where only a link fails, a copy takes its place.
            if let (Err(error), Fault::Full) = (&outcome, fault) {
                assert!(error.to_string().contains("free some space"), "{what}: {error}");
            }
            let directory = RunDir::new(store(folder.path()));
            if block_on(directory.holds_run()).unwrap() {
                let (place, model) = block_on(directory.load_model()).unwrap();
                let opened = unpack(model, &place).and_then(|mut found| found.take_tokenizer(""));
                assert!(opened.is_ok(), "{what}: {opened:?}");
            }
            kind.train(store(folder.path())).unwrap_or_else(|error| panic!("{what}: {error}"));
            let found = files(folder.path());
            let names =
                |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&found), names(&expected), "{what}");
            for (name, bytes) in &expected {
                assert!(found[name] == *bytes, "{what}: {name} differs");
            }
        }
        unreachable!("a save has an end");
    };
    thread::scope(|scope| {
        let walks = [Fault::Crash, Fault::Full, Fault::Broken]
            .map(|fault| scope.spawn(move || walk(fault)));
        walks.map(|walk| walk.join().unwrap()).into_iter().max().unwrap()
    })
}

#[test]
fn a_run_survives_a_fault_at_any_file_operation() {
    let nothing = tempfile::tempdir().unwrap();
    let operations = walk(Kind { rank: 0, steps: 4 }, nothing.path());
    // Two saves, each of six files that are created, written, synced and renamed.
    assert!(operations > 2 * 6 * 4, "{operations}");
}

#[test]
fn a_run_with_adapters_survives_a_fault_at_any_file_operation() {
    let nothing = tempfile::tempdir().unwrap();
    let operations = walk(Kind { rank: 2, steps: 4 }, nothing.path());
    assert!(operations > 2 * 9 * 4, "{operations}");
}

/// The start after a crash is itself disturbed.
#[test]
fn leftovers_are_removed_whatever_happens_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    Kind { rank: 0, steps: 2 }.train(store(folder.path())).unwrap();
    let weights = fs::read(at("model.safetensors")).unwrap();
    // A save that was interrupted before its state, writes in the middle, and a link as earlier versions named it.
    fs::create_dir_all(at("checkpoints/step-00000004")).unwrap();
    fs::create_dir_all(at("checkpoints/step-00000006")).unwrap();
    for name in [
        "checkpoints/step-00000004/model.safetensors",
        "checkpoints/step-00000004/.optimizer.safetensors.12.tmp",
        "checkpoints/step-00000002/.training_state.json.12.tmp",
        ".best.json.12.tmp",
        "model.12.tmp",
    ] {
        fs::write(at(name), &weights).unwrap();
    }
    // A crash in the first publication.
    fs::remove_file(at("tokenizer.json")).unwrap();
    fs::remove_file(at(STATE)).unwrap();
    // Files of other programs stay.
    fs::create_dir_all(at("checkpoints/step-00000100")).unwrap();
    fs::write(at("checkpoints/step-00000100/pytorch_model.bin"), "theirs").unwrap();
    fs::write(at("notes.tmp"), "theirs").unwrap();

    walk(Kind { rank: 0, steps: 4 }, folder.path());
    Kind { rank: 0, steps: 4 }.train(store(folder.path())).unwrap();
    let left = files(folder.path());
    let is_left = |name: &str| left.keys().any(|file| file.starts_with(name));
    assert!(is_left("checkpoints/step-00000100/pytorch_model.bin") && is_left("notes.tmp"));
    for name in ["checkpoints/step-00000002", "checkpoints/step-00000006", "model.12.tmp"] {
        assert!(!is_left(name), "{name}: {:?}", left.keys());
    }
    assert!(!left.keys().any(|name| name.contains(".12.tmp")), "{:?}", left.keys());
    let undisturbed = tempfile::tempdir().unwrap();
    Kind { rank: 0, steps: 2 }.train(store(undisturbed.path())).unwrap();
    Kind { rank: 0, steps: 4 }.train(store(undisturbed.path())).unwrap();
    for (name, bytes) in files(undisturbed.path()) {
        assert!(left[&name] == bytes, "{name}");
    }
}
