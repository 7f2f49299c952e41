//! Choice of the transport of tensors, and its reason.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use blankslate::platform::parallel::Choice;

use crate::fake::{connect, empty_library, look_in, role, run, with_fake, without_fake};
use crate::launch::turn;
use crate::support::Place;

/// Transport that the ranks of [`printed`] request.
const ASKED: &str = "BLANKSLATE_TEST_COLLECTIVE";

/// Role of a rank: prints the transport, or fails.
#[test]
fn rank_chooses() {
    let asked = std::env::var(ASKED).unwrap_or_default();
    let choice = Choice::ALL.into_iter().find(|choice| choice.to_string() == asked);
    let Some(found) = connect(choice.unwrap_or_default(), Duration::from_secs(60)) else { return };
    let (ranks, connection) = match found {
        Ok(found) => found,
        Err(error) => panic!("refused: {error}"),
    };
    println!("rank {}: {}.", ranks.rank(), connection.unwrap());
    ranks.leave().unwrap();
}

/// Returns the output of two ranks that request `choice`.
fn printed(mut command: Command, choice: Choice) -> String {
    let found = run({
        command.env(ASKED, choice.to_string());
        command
    });
    assert_eq!(found.code == Some(0), !found.stderr.contains("refused"), "{}", found.stderr);
    found.stdout + &found.stderr
}

/// Asserts that NCCL is not used: the words are the reason for MPI, and an error if NCCL is requested.
#[track_caller]
fn require_reason(command: impl Fn() -> Command, words: &str) {
    let text = printed(command(), Choice::Auto);
    assert!(text.contains(&format!("MPI through the host, since {words}")), "{words}: {text}");
    let text = printed(command(), Choice::Nccl);
    assert!(text.contains(&format!("NCCL cannot be used: {words}")), "{words}: {text}");
    let text = printed(command(), Choice::Mpi);
    assert!(text.contains("rank 1: MPI through the host."), "{text}");
}

fn chooses() -> String {
    role(2, "choice::rank_chooses")
}

#[test]
fn nccl_is_used_where_it_can_be() {
    let _turn = turn();
    let place = Place::new();
    let command = || with_fake(&chooses(), &place.path(""));
    for choice in [Choice::Auto, Choice::Nccl] {
        let text = printed(command(), choice);
        assert!(
            ["rank 0", "rank 1"].iter().all(|rank| text.contains(&format!("{rank}: NCCL 2.30.3.")))
        );
    }
    assert!(printed(command(), Choice::Mpi).contains("rank 0: MPI through the host."));
}

#[test]
fn ranks_that_share_a_gpu_use_mpi_and_say_so() {
    let _turn = turn();
    let place = Place::new();
    let not_asked = || {
        let mut command = with_fake(&chooses(), &place.path(""));
        command.env_remove("NCCL_MULTI_RANK_GPU_ENABLE");
        command
    };
    require_reason(not_asked, "ranks 0 and 1 have the same GPU, cuda, which NCCL refuses");
    let older = || {
        let mut command = with_fake(&chooses(), &place.path(""));
        command.env("FAKE_NCCL_VERSION", "22705");
        command
    };
    require_reason(older, "ranks 0 and 1 have the same GPU, cuda, which NCCL refuses");
}

#[test]
fn a_missing_library_is_the_reason() {
    let _turn = turn();
    // Its functions are looked up when it is loaded.
    let folder = empty_library();
    let empty = || {
        let mut command = without_fake(&chooses());
        look_in(&mut command, &folder);
        command
    };
    require_reason(empty, "libnccl.so.2 has no ncclGetVersion");
    let installed = Command::new("ldconfig").arg("-p").output().map(|found| found.stdout);
    if !String::from_utf8_lossy(&installed.unwrap_or_default()).contains("libnccl.so.2") {
        require_reason(|| without_fake(&chooses()), "libnccl.so.2 was not found");
    }
    assert!(Path::new(&folder).join("libnccl.so.2").is_file());
}
