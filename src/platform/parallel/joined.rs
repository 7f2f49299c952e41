//! Processes that a launcher started together, before the transport of tensors between them is chosen.

use std::sync::Arc;

use super::choice::{Choice, Connection, Offer, decide};
#[cfg(feature = "nccl")]
use super::nccl::offer;
use super::staged::Staged;
#[cfg(not(feature = "nccl"))]
use super::without_nccl::offer;
use crate::error::{Error, Result};
use crate::parallel::{Alone, Collective};

/// First operation of the ranks, as named in errors.
const LABEL: &str = "choosing between MPI and NCCL";

/// The processes that were started together.
pub struct Joined(Option<Arc<Staged>>);

impl Joined {
    /// A process alone.
    pub(super) fn alone() -> Self {
        Self(None)
    }

    /// Ranks that can exchange tensors through their hosts.
    #[cfg(feature = "mpi")]
    pub(super) fn several(ranks: Staged) -> Self {
        Self(Some(Arc::new(ranks)))
    }

    /// Returns the number of this rank, from 0.
    pub fn rank(&self) -> usize {
        self.0.as_ref().map_or(0, |ranks| ranks.rank())
    }

    /// Returns the number of ranks.
    pub fn size(&self) -> usize {
        self.0.as_ref().map_or(1, |ranks| ranks.size())
    }

    /// Connects the ranks through the memory of their hosts.
    pub fn through_hosts(self) -> Arc<dyn Collective> {
        match self.0 {
            None => Arc::new(Alone),
            Some(ranks) => ranks,
        }
    }

    /// Connects the ranks with the transport that `choice` selects, and returns it. This rank opens `device` if it is an NVIDIA
    /// GPU. All ranks must call it.
    ///
    /// # Errors
    /// The requested transport cannot be used; the ranks request different ones; a rank does not answer.
    pub async fn connect(
        self,
        choice: Choice,
        device: &str,
    ) -> Result<(Arc<dyn Collective>, Option<Connection>)> {
        let Some(ranks) = self.0 else {
            if choice == Choice::Nccl {
                let problem = "NCCL connects ranks, and this process is the only one";
                let remedy = "start several with `mpirun`, or leave it out";
                return Err(Error::config("collective", problem, remedy));
            }
            return Ok((Arc::new(Alone), None));
        };
        let (offer, way) = offer(choice, device).await?;
        let bytes = serde_json::to_vec(&offer).map_err(|error| unreadable(&error))?;
        let read =
            |bytes: Vec<u8>| serde_json::from_slice(&bytes).map_err(|error| unreadable(&error));
        let offers: Vec<Offer> =
            ranks.exchange(LABEL, bytes)?.into_iter().map(read).collect::<Result<_>>()?;
        let connection = decide(&offers)?;
        let ranks: Arc<dyn Collective> = match way.filter(|_| connection.nccl.is_some()) {
            Some(way) => way(ranks),
            None => ranks,
        };
        Ok((ranks, Some(connection)))
    }
}

/// Returns the error of a rank whose offer the others cannot parse.
fn unreadable(error: &serde_json::Error) -> Error {
    Error::collective(LABEL, format!("a rank runs another version of the program: {error}"))
}
