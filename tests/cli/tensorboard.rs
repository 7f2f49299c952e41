//! TensorBoard event files, read by TensorBoard's own loader and by an independent reader.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::missing::{Need, missing};
use crate::support::{Place, run};

/// Scalars by tag: step and value, in order.
type Scalars = BTreeMap<String, Vec<(u64, f32)>>;

/// One event.
#[derive(Debug, Default)]
struct Event {
    wall_time: f64,
    step: u64,
    file_version: String,
    scalars: Vec<(String, f32)>,
    starts_session: bool,
}

/// Reads the records of a file, and checks both checksums of each.
fn records(bytes: &[u8]) -> Vec<&[u8]> {
    // The table of CRC-32C, with its reversed polynomial.
    let table: Vec<u32> = (0..256u32)
        .map(|byte| {
            (0..8)
                .fold(byte, |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 })
        })
        .collect();
    let masked = |data: &[u8]| {
        let step =
            |crc: u32, byte: &u8| (crc >> 8) ^ table[((crc ^ u32::from(*byte)) & 255) as usize];
        let crc = !data.iter().fold(u32::MAX, step);
        crc.rotate_left(17).wrapping_add(0xa282_ead8)
    };
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
    let mut found = Vec::new();
    let mut left = bytes;
    while !left.is_empty() {
        let length = u64::from_le_bytes(left[..8].try_into().unwrap()) as usize;
        assert_eq!(number(&left[8..12]), masked(&left[..8]), "checksum of a length");
        let data = &left[12..12 + length];
        assert_eq!(number(&left[12 + length..16 + length]), masked(data), "checksum of a record");
        found.push(data);
        left = &left[16 + length..];
    }
    found
}

/// The fields of a message: number, and bytes of the value, eight of them for a varint.
fn fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(message: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = message[0];
            *message = &message[1..];
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let length = match key & 7 {
            0 => {
                found.push((key >> 3, varint(&mut message).to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            2 => varint(&mut message) as usize,
            5 => 4,
            kind => panic!("wire type {kind}"),
        };
        found.push((key >> 3, message[..length].to_vec()));
        message = &message[length..];
    }
    found
}

fn event(record: &[u8]) -> Event {
    let mut event = Event::default();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    for (field, bytes) in fields(record) {
        match field {
            1 => event.wall_time = f64::from_le_bytes(bytes.try_into().unwrap()),
            2 => event.step = u64::from_le_bytes(bytes.try_into().unwrap()),
            3 => event.file_version = text(bytes),
            5 => {
                for (field, value) in fields(&bytes) {
                    assert_eq!(field, 1);
                    let mut value = fields(&value).into_iter();
                    let (Some((1, tag)), Some((2, number))) = (value.next(), value.next()) else {
                        panic!()
                    };
                    event.scalars.push((text(tag), f32::from_le_bytes(number.try_into().unwrap())));
                }
            }
            7 => {
                assert_eq!(fields(&bytes), [(1, 1u64.to_le_bytes().to_vec())], "SessionLog.START");
                event.starts_session = true;
            }
            other => panic!("field {other}"),
        }
    }
    event
}

/// Reads a folder of event files by name, as TensorBoard does: a new session hides earlier events from its step on.
fn read(folder: &str) -> Scalars {
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut found = Scalars::new();
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("events.out.tfevents."), "{name}");
        let bytes = fs::read(&path).unwrap();
        let events: Vec<Event> = records(&bytes).into_iter().map(event).collect();
        assert_eq!(events[0].file_version, "brain.Event:2");
        for event in events {
            assert!((1.7e9..1e11).contains(&event.wall_time));
            if event.starts_session {
                found.values_mut().for_each(|values| values.retain(|(step, _)| *step < event.step));
            }
            for (tag, value) in event.scalars {
                found.entry(tag).or_default().push((event.step, value));
            }
        }
    }
    found
}

/// The numbers of `metrics.jsonl`.
fn expected(place: &Place, out: &str) -> Scalars {
    let mut found = Scalars::new();
    for line in String::from_utf8(place.read(&format!("{out}/metrics.jsonl"))).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let group = match event["type"].as_str().unwrap() {
            "step" => "train",
            "eval" => "val",
            other => other,
        };
        for (key, value) in event.as_object().unwrap() {
            if let (Some(value), false) =
                (value.as_f64(), ["step", "steps"].contains(&key.as_str()))
            {
                let values = found.entry(format!("{group}/{key}")).or_default();
                values.push((event["step"].as_u64().unwrap(), value as f32));
            }
        }
    }
    found
}

/// Prints the scalars that TensorBoard's own loader finds in the folder, as JSON.
const LOADER: &str = r"
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0})
events.Reload()
tags = events.Tags()['scalars']
print(json.dumps({tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in tags}))
";

fn read_with_tensorboard(folder: &str) -> Option<Scalars> {
    let python = std::env::var("PYTHON").unwrap_or("python3".into());
    let mut command = Command::new(python);
    if let Some(installed) = std::env::var_os("BLANKSLATE_TENSORBOARD") {
        command.env("PYTHONPATH", installed);
    }
    let output = command.args(["-c", LOADER, folder]).output().ok()?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        // The package is missing; any other error is a failure of our files.
        assert!(error.contains("ModuleNotFoundError"), "{error}");
        return None;
    }
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn every_figure_is_in_the_event_files_once() {
    let place = Place::new();
    let logs = place.at("logs");
    // Steps 5 and 6 are repeated, since the checkpoint of step 6 is lost.
    place
        .train(
            "run",
            &format!("--steps 9 --save-every 2 --eval-every 2 --stop-at 6 --log-to {logs}"),
        )
        .ok();
    fs::remove_dir_all(place.path("run/checkpoints/step-00000006")).unwrap();
    fs::remove_file(place.path("run/training_state.json")).unwrap();
    place.resume("run", &format!("--log-to {logs}:tensorboard")).ok();
    assert_eq!(fs::read_dir(&logs).unwrap().count(), 2);
    let (found, expected) = (read(&logs), expected(&place, "run"));
    let steps: Vec<u64> = found["train/loss"].iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, (1..=9).collect::<Vec<u64>>());
    assert_eq!(found["val/loss"].len(), 5);
    assert_eq!(found, expected);
    match read_with_tensorboard(&logs) {
        Some(theirs) => assert_eq!(theirs, expected),
        None => missing(Need::TensorBoard, &"python has no package tensorboard"),
    }
}

#[test]
fn other_trackers_are_refused_with_a_way_to_them() {
    let place = Place::new();
    let train =
        |kind: &str| place.train("run", &format!("--steps 1 --log-to {}:{kind}", place.at("logs")));
    train("wandb").refuses(2, &["--log-to", "wandb sync"]);
    train("trackio").refuses(2, &["--log-to", "import_tf_events"]);
    train("mlflow").refuses(2, &["--log-to", "DIR:tensorboard"]);
    place.write("file", "");
    let file = place.at("file");
    run(&place.train_arguments("other", &format!("--steps 1 --log-to {file}")))
        .refuses(1, &[&file]);
}
