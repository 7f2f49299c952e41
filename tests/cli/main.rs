//! The program from outside: what it prints, writes, refuses, and with which exit status.

mod chat;
mod commands;
mod disk;
mod lora;
mod parity;
mod preferences;
mod refused;
mod support;
mod train;
