//! The engine, natively: the page's commands and questions, and the events and answers that follow.

#[path = "engine/adjust.rs"]
mod adjust;
#[path = "engine/chat.rs"]
mod chat;
#[path = "engine/generate.rs"]
mod generate;
#[path = "engine/lora.rs"]
mod lora;
#[path = "engine/preferences.rs"]
mod preferences;
#[path = "engine/runs.rs"]
mod runs;
#[path = "engine/speed.rs"]
mod speed;
#[path = "engine/storage.rs"]
mod storage;
#[path = "engine/support.rs"]
mod support;
#[path = "engine/tokenizers.rs"]
mod tokenizers;
