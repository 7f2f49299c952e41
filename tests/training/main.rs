//! Training steps on packed windows, preference pairs, adapters, and objectives of a library's user.

#[path = "../common/mod.rs"]
mod common;

mod average;
mod crash;
mod custom;
mod lora;
mod packing;
mod preference;
mod spikes;
