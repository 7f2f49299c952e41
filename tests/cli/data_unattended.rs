//! Long preparations: kills, Ctrl-C, memory.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::data_support::{json_lines, place_with_tokenizer, prepare, require_same};
use crate::support::{Place, command, outcome, run, run_with};

/// Number of kills of each kind of preparation, unless `BLANKSLATE_KILLS` is another.
const KILLS: usize = 4;

/// Starts a preparation with standard input open.
fn start(arguments: &str) -> Child {
    let mut command = command(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until the journal of `out` has grown beyond `length`, or the program has ended.
fn wait_for_commit(place: &Place, out: &str, length: u64, child: &mut Child) {
    while journal(place, out) <= length && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(2));
    }
}

fn journal(place: &Place, out: &str) -> u64 {
    let path = place.path(&format!("{out}/.prepare/journal.jsonl"));
    std::fs::metadata(path).map_or(0, |file| file.len())
}

#[test]
fn kills_at_any_time_leave_the_same_shards() {
    let place = place_with_tokenizer();
    place.write("a.jsonl", json_lines(0..150_000));
    place.write("b.jsonl", json_lines(140_000..200_000));
    let inputs = format!("{} {}", place.at("a.jsonl"), place.at("b.jsonl"));
    let kills = std::env::var("BLANKSLATE_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    for (kind, rules) in [
        ("ordered", "--dedup exact --shard-tokens 200k"),
        ("shuffled", "--shuffle-documents --dedup minhash --shard-tokens 300k"),
    ] {
        let rules = format!("--val-fraction 0.05 {rules} {inputs}");
        run(&prepare(&place, &format!("{kind}-once"), &rules)).ok();
        let mut continued = 0;
        let mut rounds = 0;
        for kill in 0..kills {
            let out = format!("{kind}-{rounds}");
            let before = journal(&place, &out);
            let mut child = start(&prepare(&place, &out, &rules));
            // Some kills are soon after a commit, others between two.
            if kill % 3 > 0 {
                wait_for_commit(&place, &out, before, &mut child);
            }
            sleep(Duration::from_millis(kill as u64 * 37 % 211));
            child.kill().unwrap();
            let ended = child.wait().unwrap();
            continued += usize::from(before > 0);
            if ended.signal().is_none() {
                assert!(ended.success());
                require_same(&place, &format!("{kind}-once"), &out);
                rounds += 1;
            }
        }
        let out = format!("{kind}-{rounds}");
        run(&prepare(&place, &out, &rules)).ok();
        require_same(&place, &format!("{kind}-once"), &out);
        println!("{kind}: {kills} kills, {continued} continued, {} runs", rounds + 1);
    }
}

#[test]
fn ctrl_c_saves_and_the_same_command_continues() {
    let place = place_with_tokenizer();
    let text = json_lines(0..30_000);
    for rules in ["--dedup exact", "--shuffle-documents"] {
        let rules = format!("{rules} --format jsonl --shard-tokens 50k -");
        let [once, twice] = ["once", "twice"].map(|name| format!("{name}{}", rules.len()));
        run_with(&prepare(&place, &once, &rules), text.as_bytes()).ok();
        let arguments = prepare(&place, &twice, &rules);
        let mut child = start(&arguments);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&text.as_bytes()[..text.len() / 2]).unwrap();
        wait_for_commit(&place, &twice, 0, &mut child);
        sleep(Duration::from_millis(300));
        // Standard input is still open, but has no more data.
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let stopped = outcome(child.wait_with_output().unwrap());
        drop(stdin);
        assert_eq!(stopped.code, Some(130), "{}", stopped.stderr);
        for words in ["saving what is done", "the same command continues"] {
            assert!(stopped.stderr.contains(words), "{}", stopped.stderr);
        }
        assert!(place.path(&format!("{twice}/.prepare")).exists());
        // Different data on standard input is detected.
        run_with(&arguments, json_lines(1..30_000).as_bytes())
            .refuses(1, &["standard input", "not what the preparation began with"]);
        run_with(&arguments, text.as_bytes()).ok();
        require_same(&place, &once, &twice);
    }
}

#[test]
fn two_processes_cannot_prepare_in_one_folder() {
    let place = place_with_tokenizer();
    let arguments = prepare(&place, "out", "--format jsonl -");
    let mut child = start(&arguments);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(json_lines(0..10).as_bytes()).unwrap();
    wait_for_commit(&place, "out", 0, &mut child);
    run(&arguments).refuses(2, &["another process is preparing data in"]);
    drop(stdin);
    outcome(child.wait_with_output().unwrap()).ok();
}

/// Maximum resident memory of a program in bytes.
#[cfg(target_os = "linux")]
#[expect(clippy::zombie_processes, reason = "`wait4` waits for it")]
fn peak(arguments: &str) -> u64 {
    let child = command(arguments).stdout(Stdio::null()).spawn().unwrap();
    let (mut status, mut usage) = (0, no_usage());
    // SAFETY: the process is a child that nobody else waits for, and both pointers are valid.
    let found = unsafe { libc::wait4(child.id() as i32, &mut status, 0, &mut usage) };
    assert_eq!((found, status), (child.id() as i32, 0));
    1024 * usage.ru_maxrss as u64
}

#[cfg(target_os = "linux")]
fn no_usage() -> libc::rusage {
    // SAFETY: all fields are numbers, for which zero is valid.
    unsafe { std::mem::zeroed() }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_stays_within_the_limit_whatever_the_size() {
    let place = Place::new();
    let tokenizer = place.at("tokenizer.json");
    run(&format!(
        "tokenizer train --kind byte --special-token <|endoftext|> --out {tokenizer} {}",
        place.at("text.txt")
    ))
    .ok();
    // One line of a text that is a single document, and records: both larger than the limit of 256 MiB.
    let mut text = std::fs::File::create(place.path("large.txt")).unwrap();
    let mut records = std::fs::File::create(place.path("large.jsonl")).unwrap();
    let line = "she sells sea shells by the sea shore ".repeat(1 << 10);
    for number in 0..8000 {
        writeln!(text, "{number}{line}").unwrap();
        writeln!(records, "{{\"text\": \"{number}{line}\"}}").unwrap();
    }
    assert!(text.metadata().unwrap().len() > 290 << 20);
    place.write("small.txt", "small");
    let measured = |input: &str| {
        let rules = "--memory 256M --workers 8 --dedup exact --shuffle-documents";
        let peak = peak(&prepare(
            &place,
            &format!("out-{input}"),
            &format!("{rules} {}", place.at(input)),
        ));
        println!("{input}: {} MiB", peak >> 20);
        std::fs::remove_dir_all(place.path(&format!("out-{input}"))).unwrap();
        peak
    };
    let small = measured("small.txt");
    for large in ["large.txt", "large.jsonl"] {
        let more = measured(large) - small;
        assert!(more < 256 << 20, "{large} takes {} MiB more than nothing", more >> 20);
    }
}
