//! Ranks whose tensors are sent with NCCL: sums and transfers compared with those through the host, the choice between both, and
//! failures.
//!
//! `cargo xtask cuda-test --only nccl` runs it. The library is a fake (`tests/fakes/nccl`) that is compiled here, since NCCL itself
//! requires a GPU for each rank; the GPU is real or simulated. Tests start this program or the binary with `mpirun`.

#[allow(dead_code, reason = "the tests of MPI use the rest")]
#[path = "../mpi/launch.rs"]
mod launch;
#[allow(dead_code, reason = "the tests of the command line use the rest")]
#[path = "../cli/support.rs"]
mod support;

mod choice;
mod failures;
mod fake;
mod sums;
mod training;
