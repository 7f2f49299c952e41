//! Every kernel against its reference: values and all gradients, at ragged sizes, with contiguous tensors and views;
//! and that wrong arguments are refused. References run on the CPU device.

#[path = "../common/mod.rs"]
mod common;
mod harness;
mod views;

mod across;
mod activation;
mod adamw;
mod attention;
mod cross_entropy;
mod dropout;
mod embedding;
mod empty;
mod floors;
mod kv_cache;
mod linear;
mod muon;
mod norm;
mod rotary;
mod sources;
