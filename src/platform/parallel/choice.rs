//! Choice of the transport of tensors between ranks: from GPU to GPU with NCCL, or through host memory with MPI; and its reason.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::staged::Staged;
use crate::error::{Error, Result};
use crate::parallel::Collective;

/// Constructor of a collective that sends tensors with NCCL, for ranks that are connected through their hosts.
pub type Way = Box<dyn FnOnce(Arc<Staged>) -> Arc<dyn Collective>>;

/// First version of NCCL that can let ranks share a GPU, 2.30.0, in NCCL's numbers.
const SHARES_GPUS: i32 = 23_000;

/// Requested transport of tensors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Choice {
    /// NCCL if every rank has the library and an NVIDIA GPU of its own, MPI otherwise.
    #[default]
    Auto,
    /// MPI, through host memory.
    Mpi,
    /// NCCL, or an error that names what is missing.
    Nccl,
}

impl Choice {
    /// All choices.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Mpi, Self::Nccl];
}

impl fmt::Display for Choice {
    /// Writes the value of `--collective`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Mpi => "mpi",
            Self::Nccl => "nccl",
        })
    }
}

/// Transport of tensors between the ranks of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Version of NCCL; none for MPI.
    pub nccl: Option<String>,
    /// Reason for MPI although there are NVIDIA GPUs, and its remedy.
    pub reason: Option<String>,
}

impl Connection {
    /// Returns a connection through MPI, with an optional reason.
    fn hosts(reason: Option<String>) -> Self {
        Self { nccl: None, reason }
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.nccl, &self.reason) {
            (Some(version), _) => write!(f, "NCCL {version}"),
            (None, None) => f.write_str("MPI through the host"),
            (None, Some(reason)) => write!(f, "MPI through the host, since {reason}"),
        }
    }
}

/// NCCL capabilities of a rank. All ranks exchange them, and so make the same decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Transport that this rank requests.
    pub choice: Choice,
    /// Name of its device in messages.
    pub device: String,
    /// Its machine, and the bus address of its NVIDIA GPU; none for other devices.
    pub gpu: Option<[String; 2]>,
    /// The version of NCCL, in numbers and as text.
    pub version: Option<(i32, String)>,
    /// True if NCCL may let ranks share a GPU.
    pub shares: bool,
    /// Reason why it cannot use NCCL, and its remedy.
    pub problem: Option<[String; 2]>,
}

/// Chooses the transport, given the offers of all ranks in order.
///
/// # Errors
/// The ranks request different transports; NCCL is requested and cannot be used.
pub fn decide(offers: &[Offer]) -> Result<Connection> {
    let choice = offers[0].choice;
    if let Some(rank) = offers.iter().position(|offer| offer.choice != choice) {
        let problem = format!("rank {rank} has {}, but rank 0 has {choice}", offers[rank].choice);
        return Err(Error::config("collective", problem, "start all ranks with the same flags"));
    }
    if choice == Choice::Mpi {
        return Ok(Connection::hosts(None));
    }
    match (obstacle(offers), choice) {
        (None, _) => {
            let version = offers[0].version.as_ref().map(|(_, text)| text.clone());
            Ok(Connection { nccl: version, reason: None })
        }
        (Some([problem, remedy]), Choice::Nccl) => {
            Err(Error::config("collective", format!("NCCL cannot be used: {problem}"), remedy))
        }
        // Without GPUs, NCCL is not expected, so MPI needs no reason.
        _ if offers.iter().all(|offer| offer.gpu.is_none()) => Ok(Connection::hosts(None)),
        (Some([problem, remedy]), _) => Ok(Connection::hosts(Some(format!("{problem}: {remedy}")))),
    }
}

/// Returns the reason why the ranks cannot use NCCL, and its remedy.
fn obstacle(offers: &[Offer]) -> Option<[String; 2]> {
    if let Some(rank) = offers.iter().position(|offer| offer.gpu.is_none()) {
        let problem =
            format!("the device of rank {rank}, {}, is no NVIDIA GPU", offers[rank].device);
        return Some([problem, "start as many ranks as there are NVIDIA GPUs".into()]);
    }
    if let Some(problem) = offers.iter().find_map(|offer| offer.problem.clone()) {
        return Some(problem);
    }
    let first = offers[0].version.as_ref();
    if let Some(rank) = offers.iter().position(|offer| offer.version.as_ref() != first) {
        let [there, here] = [rank, 0].map(|rank| {
            offers[rank].version.as_ref().map_or("none", |(_, text)| text.as_str()).to_string()
        });
        let problem = format!("rank {rank} has NCCL {there}, but rank 0 has {here}");
        return Some([problem, "install the same version on all machines".into()]);
    }
    let may_share = first.is_some_and(|(version, _)| *version >= SHARES_GPUS)
        && offers.iter().all(|offer| offer.shares);
    let mut pairs = (0..offers.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
    let same = pairs.find(|(a, b)| offers[*a].gpu == offers[*b].gpu);
    let (a, b) = same.filter(|_| !may_share)?;
    let problem =
        format!("ranks {a} and {b} have the same GPU, {}, which NCCL refuses", offers[a].device);
    Some([problem, "start as many ranks as there are GPUs".into()])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ranks of one machine with a GPU each, and NCCL 2.27.5.
    fn ranks(size: usize, choice: Choice) -> Vec<Offer> {
        let offer = |rank: usize| Offer {
            choice,
            device: format!("cuda:{rank}"),
            gpu: Some(["node".into(), format!("0000:{rank:02x}:00.0")]),
            version: Some((22_705, "2.27.5".into())),
            shares: false,
            problem: None,
        };
        (0..size).map(offer).collect()
    }

    /// Asserts that there is an obstacle with these words: a reason for MPI, or an error if NCCL is requested.
    #[track_caller]
    fn require_obstacle(mut offers: Vec<Offer>, words: &[&str]) {
        let reason = decide(&offers).unwrap().to_string();
        offers.iter_mut().for_each(|offer| offer.choice = Choice::Nccl);
        let error = decide(&offers).unwrap_err().to_string();
        for word in words {
            assert!(reason.contains(word) && error.contains(word), "{word}: {reason}; {error}");
        }
        assert!(reason.starts_with("MPI through the host, since "), "{reason}");
    }

    #[test]
    fn nccl_is_used_where_every_rank_has_it() {
        for choice in [Choice::Auto, Choice::Nccl] {
            assert_eq!(decide(&ranks(3, choice)).unwrap().to_string(), "NCCL 2.27.5");
        }
        assert_eq!(decide(&ranks(3, Choice::Mpi)).unwrap().to_string(), "MPI through the host");
    }

    #[test]
    fn what_one_rank_lacks_is_the_reason() {
        let mut missing = ranks(2, Choice::Auto);
        missing[1].version = None;
        missing[1].problem = Some(["libnccl.so.2 was not found".into(), "install it".into()]);
        require_obstacle(missing, &["libnccl.so.2 was not found", "install it"]);
        let mut other = ranks(2, Choice::Auto);
        other[1].version = Some((22_803, "2.28.3".into()));
        require_obstacle(other, &["rank 1 has NCCL 2.28.3, but rank 0 has 2.27.5"]);
        let mut mixed = ranks(2, Choice::Auto);
        (mixed[1].gpu, mixed[1].device) = (None, "cpu".into());
        require_obstacle(mixed, &["the device of rank 1, cpu, is no NVIDIA GPU"]);
    }

    #[test]
    fn ranks_share_a_gpu_only_where_nccl_lets_them() {
        let mut shared = ranks(3, Choice::Auto);
        shared[2].gpu = shared[1].gpu.clone();
        require_obstacle(shared.clone(), &["ranks 1 and 2 have the same GPU, cuda:1"]);
        shared.iter_mut().for_each(|offer| offer.shares = true);
        require_obstacle(shared.clone(), &["which NCCL refuses"]);
        shared.iter_mut().for_each(|offer| offer.version = Some((23_003, "2.30.3".into())));
        assert_eq!(decide(&shared).unwrap().to_string(), "NCCL 2.30.3");
        // The same bus address on two machines is another GPU.
        let mut machines = ranks(2, Choice::Nccl);
        machines[1].gpu = Some(["other".into(), "0000:00:00.0".into()]);
        assert!(decide(&machines).is_ok());
    }

    #[test]
    fn without_gpus_there_is_no_reason_to_give() {
        let mut offers = ranks(2, Choice::Auto);
        offers.iter_mut().for_each(|offer| offer.gpu = None);
        assert_eq!(decide(&offers).unwrap(), Connection { nccl: None, reason: None });
        offers.iter_mut().for_each(|offer| offer.choice = Choice::Nccl);
        assert!(decide(&offers).unwrap_err().to_string().contains("is no NVIDIA GPU"));
    }

    #[test]
    fn ranks_must_ask_for_the_same() {
        let mut offers = ranks(2, Choice::Auto);
        offers[1].choice = Choice::Mpi;
        let error = decide(&offers).unwrap_err().to_string();
        assert!(error.contains("rank 1 has mpi, but rank 0 has auto"), "{error}");
    }
}
