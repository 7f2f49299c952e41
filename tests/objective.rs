//! Objectives: next-token prediction, preference pairs, and the ones of a library's user.

mod common;

#[path = "objective/custom.rs"]
mod custom;
#[path = "objective/preference.rs"]
mod preference;
