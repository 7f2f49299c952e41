//! The program under `mpirun`, with two and four ranks on one machine, and on two hosts that are network namespaces.
//!
//! Tests that do not need several processes are in `tests/parallel/`.

#[path = "../common/missing.rs"]
mod missing;
#[allow(dead_code, reason = "the tests of the command line use the rest")]
#[path = "../cli/support.rs"]
mod support;

mod failures;
mod hosts;
mod kills;
mod launch;
mod refused;
mod same_bytes;
mod scaling;
mod tensor;
