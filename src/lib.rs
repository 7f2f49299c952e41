//! wip
#![warn(missing_docs)]

pub mod check;
pub mod checkpoint;
pub mod config;
pub mod data;
pub mod error;
pub mod eval;
pub mod inspect;
pub mod model;
pub mod optim;
pub mod platform;
pub mod protocol;
pub mod runs;
pub mod sample;
pub mod session;
pub mod tokenizer;
pub mod train;
#[cfg(not(target_family = "wasm"))]
pub mod cli;
#[cfg(target_family = "wasm")]
mod web;
