//! Streams and files that fail while the program runs: it ends with a message, and nothing that was saved is lost.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::support::{Place, command, outcome};

#[test]
fn a_full_standard_error_ends_no_training() {
    let place = Place::new();
    // Without a run, and with a note on standard error at the end.
    let mut train = command(&place.train_arguments("run", "--steps 4 --stop-at 2"));
    train.stderr(OpenOptions::new().write(true).open("/dev/full").unwrap());
    assert!(train.output().unwrap().status.success());
    assert!(place.path("run/checkpoints/step-00000002/model.safetensors").is_file());
    let mut refused = command("train --steps many");
    refused.stderr(OpenOptions::new().write(true).open("/dev/full").unwrap());
    assert_eq!(refused.output().unwrap().status.code(), Some(2));
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_with_a_remedy() {
    let place = Place::new();
    let arguments = place.train_arguments("run", "--steps 2");
    let mut limited = Command::new("sh");
    limited.args(["-c", r#"ulimit -f 8; exec "$0" "$@""#, env!("CARGO_BIN_EXE_blankslate")]);
    limited.args(arguments.split_whitespace());
    outcome(limited.output().unwrap()).refuses(1, &["File too large", "`ulimit -f`", "resume"]);
}

#[test]
fn a_shard_that_is_shortened_in_training_ends_it_with_a_message() {
    let place = Place::new();
    let ids: Vec<u8> = (0..1u32 << 21).flat_map(|at| ((at % 251) as u16).to_le_bytes()).collect();
    place.write("tokens.u16", ids);
    let (out, shard) = (place.at("run"), place.at("tokens.u16"));
    let mut train = command(&format!(
        "train --device cpu --preset small --hidden-size 16 --layers 1 --heads 2 --seq-len 16 --batch-size 4 \
         --tokenizer byte --steps 1000000 --save-every 1000 --eval-every 0 --val-fraction 0 --out {out} --data {shard}"
    ));
    train.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = train.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(": saved ")));
    File::options().write(true).open(&shard).unwrap().set_len(0).unwrap();
    // Read to the end, so that the program can write.
    lines.for_each(drop);
    let ended = outcome(child.wait_with_output().unwrap());
    ended.refuses(1, &["a file became shorter while it was read", "--resume"]);
    let saved = fs::read_dir(place.path("run/checkpoints")).unwrap().count();
    assert!(saved > 0);
}
