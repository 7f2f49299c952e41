//! Connections between the ranks of a native run: MPI between processes (feature `mpi`), with NCCL between their GPUs (feature
//! `nccl`), and channels between threads.

mod choice;
mod joined;
mod launcher;
#[cfg(feature = "mpi")]
mod mpi;
#[cfg(feature = "nccl")]
mod nccl;
mod operations;
mod overlap;
mod reply;
mod staged;
mod threads;
mod transport;
mod wire;
#[cfg(not(feature = "nccl"))]
mod without_nccl;

pub use choice::{Choice, Connection};
pub use joined::Joined;
pub use launcher::{launched, local_ranks};
pub use threads::threads;

use std::time::Duration;

use crate::error::{Error, Result};
use crate::platform::list_devices;
use launcher::local_rank;

/// Joins the processes that a launcher such as `mpirun` started together with this one. Without a launcher, this process is
/// the only rank. `ranks` is the required number of processes, if any. Operations whose partners do not answer within
/// `timeout` fail.
///
/// # Errors
/// The number of processes is not `ranks`; the program was built without MPI.
pub fn join(ranks: Option<usize>, timeout: Duration) -> Result<Joined> {
    let launched = launched();
    let processes = launched.unwrap_or(1);
    require_mpi(processes.max(ranks.unwrap_or(1)), cfg!(feature = "mpi"))?;
    match ranks {
        Some(ranks) if launched.is_some() && ranks != processes => Err(Error::config(
            "parallel",
            format!("{ranks} ranks are needed, but the launcher started {processes}"),
            format!("start {ranks} processes, or omit the flag"),
        )),
        Some(ranks) if ranks > processes => Err(Error::config(
            "parallel",
            format!("{ranks} ranks are needed, but this process was started alone"),
            format!("start it with `mpirun -n {ranks} --bind-to none blankslate train …`"),
        )),
        _ if processes == 1 => Ok(Joined::alone()),
        _ => connect(timeout),
    }
}

/// Returns the device that this rank opens for `choice`. For `auto` and `cuda`, local rank `i` gets NVIDIA GPU `i` modulo the
/// number of GPUs.
pub async fn device_of_rank(choice: &str) -> String {
    let Some(local) = local_rank().filter(|_| matches!(choice, "auto" | "cuda")) else {
        return choice.into();
    };
    let names = list_devices().await.into_iter().map(|info| info.name);
    let gpus: Vec<String> = names.filter(|name| name.starts_with("cuda:")).collect();
    gpu_in_turn(local, &gpus).unwrap_or(choice).into()
}

fn gpu_in_turn(local: usize, gpus: &[String]) -> Option<&str> {
    gpus.get(local.checked_rem(gpus.len())?).map(String::as_str)
}

fn require_mpi(processes: usize, has_mpi: bool) -> Result<()> {
    if processes == 1 || has_mpi {
        return Ok(());
    }
    Err(Error::config(
        "parallel",
        format!("{processes} processes cannot train together: this program was built without MPI"),
        "build it with `cargo build --release --features mpi`",
    ))
}

#[cfg(feature = "mpi")]
fn connect(timeout: Duration) -> Result<Joined> {
    Ok(Joined::several(staged::Staged::start(mpi::Mpi::new, timeout)?))
}

#[cfg(not(feature = "mpi"))]
fn connect(_timeout: Duration) -> Result<Joined> {
    unreachable!("several processes need MPI")
}

#[cfg(test)]
mod tests {
    use super::{gpu_in_turn, require_mpi};

    #[test]
    fn the_ranks_of_a_machine_get_its_gpus_in_turn() {
        let gpus = ["cuda:0", "cuda:1"].map(String::from);
        for (local, gpu) in [(0, "cuda:0"), (1, "cuda:1"), (2, "cuda:0")] {
            assert_eq!(gpu_in_turn(local, &gpus), Some(gpu));
        }
        assert_eq!(gpu_in_turn(1, &[]), None);
    }

    #[test]
    fn several_processes_need_mpi() {
        assert!(require_mpi(1, false).is_ok() && require_mpi(2, true).is_ok());
        let message = require_mpi(2, false).unwrap_err().to_string();
        let words = ["2 processes", "built without MPI", "--features mpi"];
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
}
