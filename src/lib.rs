//! wip
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
pub mod sample;
pub mod tokenizer;
pub mod train;
