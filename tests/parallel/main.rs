//! Training on several ranks: the same bits as on one, whatever the number of ranks and whatever they divide.
//!
//! Most tests connect threads of one process (`platform::parallel::threads`), which needs no MPI. Those in `mpi/` start
//! `mpirun` and are compiled with the feature `mpi` only.

#[path = "../common/mod.rs"]
mod common;

mod backward;
mod elastic;
mod overlap;
mod pairs;
mod pipeline;
mod refused;
mod replicas;
mod same_bits;
mod sharding;
mod support;
mod tensor;
