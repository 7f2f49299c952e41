//! Disks that are full or read-only.

use std::fs;
use std::process::{Command, Stdio};

use crate::data_support::{json_lines, place_with_tokenizer, prepare, require_same};
use crate::missing::{Need, missing};
use crate::support::{Place, command, outcome, run};

/// A small file system in memory; unmounted at the end.
struct Mount(String);

impl Mount {
    /// None, after [`missing`], without the right to mount.
    fn new(path: &str, options: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        if as_root(&["mount", "-t", "tmpfs", "-o", options, "tmpfs", path]) {
            return Some(Self(path.into()));
        }
        missing(Need::Mount, &format!("cannot mount a tmpfs ({options})"));
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        as_root(&["umount", &self.0]);
    }
}

/// Runs a command, if necessary with sudo; returns whether it succeeded.
fn as_root(words: &[&str]) -> bool {
    let succeeds = |words: &[&str]| {
        let status = Command::new(words[0]).args(&words[1..]).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    succeeds(words) || succeeds(&[&["sudo", "-n"], words].concat())
}

#[test]
fn a_full_disk_keeps_what_was_saved() {
    let place = Place::new();
    let (disk, data) = (place.at("disk"), place.at("text.txt"));
    let Some(_mount) = Mount::new(&disk, "size=2m") else { return };
    let arguments = format!("train --preset tiny --device cpu --data {data} --out {disk}/run");
    let ended = run(&format!("{arguments} --steps 5 --save-every 1"));
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    // Without free space, training continues and checks it before each save, but ends with an error if the last step is not
    // saved.
    for (line, step) in lines.iter().zip(2..=5) {
        assert!(line.contains(&format!("step {step} is not saved")), "{line}");
        assert!(line.contains("are free; free some space: training continues"), "{line}");
    }
    assert_eq!(lines.len(), 5, "{}", ended.stderr);
    for words in ["no storage space", "free some space", "--resume continues a run"] {
        assert!(lines[4].contains(words), "{}", lines[4]);
    }
    assert!(!ended.stdout.contains("saved run/checkpoints/step-00000002"), "{}", ended.stdout);
    let saved = fs::read_dir(format!("{disk}/run/checkpoints")).unwrap().count();
    assert_eq!(saved, 1, "the broken checkpoint was not removed");
    run(&format!("sample --model {disk}/run --device cpu --max-new-tokens 2")).ok();
}

#[test]
fn preparation_continues_after_a_full_disk() {
    let place = place_with_tokenizer();
    place.write("a.jsonl", json_lines(0..40_000));
    let disk = place.at("disk");
    let Some(_mount) = Mount::new(&disk, "size=2m") else { return };
    let input = place.at("a.jsonl");
    for (whole, rules) in [("ordered", "--shard-tokens 300k"), ("shuffled", "--shuffle-documents")]
    {
        let rules = format!("--val-fraction 0.1 {rules}");
        run(&prepare(&place, whole, &format!("{rules} {input}"))).ok();
        let out = format!("disk/{whole}");
        let command = prepare(&place, &out, &format!("{rules} {input}"));
        run(&command)
            .refuses(1, &["No space left", "free some space", "the same command continues"]);
        assert!(as_root(&["mount", "-o", "remount,size=64m", &disk]));
        run(&command).ok();
        require_same(&place, whole, &out);
        fs::remove_dir_all(place.path(&out)).unwrap();
        assert!(as_root(&["mount", "-o", "remount,size=2m", &disk]));
    }
}

#[test]
fn a_full_device_is_reported() {
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = command("info --preset tiny");
    let output = command.stdout(full()).stderr(Stdio::piped()).output().unwrap();
    outcome(output).refuses(1, &["standard output", "No space left"]);
    let place = Place::new();
    run(&format!("tokenizer train --kind byte --out /dev/full {}", place.at("text.txt")))
        .refuses(1, &["/dev/full", "No space left"]);
}

#[test]
fn training_outlives_a_full_standard_output() {
    let place = Place::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = command(&place.train_arguments("run", "--steps 5"));
    let ended = outcome(command.stdout(full).stderr(Stdio::piped()).output().unwrap());
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    for words in ["training continues without it", "blankslate: standard output: No space left"] {
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
    assert!(place.path("run/checkpoints/step-00000005/training_state.json").exists());
}

#[test]
fn a_read_only_directory_is_reported_before_training() {
    let place = Place::new();
    place.write("file", "");
    place.train("file/run", "--steps 1").refuses(1, &["file", "Not a directory"]);
    let Some(_mount) = Mount::new(&place.at("disk"), "ro") else { return };
    place.train("disk/run", "--steps 1").refuses(1, &["Read-only", "choose a writable directory"]);
}
