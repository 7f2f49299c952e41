//! The worker's session, natively: what the page asks for and what it is told.

#[path = "session/adjust.rs"]
mod adjust;
#[path = "session/chat.rs"]
mod chat;
#[path = "session/generate.rs"]
mod generate;
#[path = "session/lora.rs"]
mod lora;
#[path = "session/preferences.rs"]
mod preferences;
#[path = "session/runs.rs"]
mod runs;
#[path = "session/speed.rs"]
mod speed;
#[path = "session/storage.rs"]
mod storage;
#[path = "session/support.rs"]
mod support;
#[path = "session/tokenizers.rs"]
mod tokenizers;
