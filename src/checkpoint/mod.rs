//! Checkpoints: conversion between named files in memory and a model in training.
//!
//! A checkpoint is a directory, or a zip of one. `config.json`, `model.safetensors`, `tokenizer.json` and
//! `tokenizer_config.json` are in the format of transformers. `training_state.json` and `optimizer.safetensors` hold what
//! exact resumption needs, and `adapter.rs` describes the files of LoRA adapters. This module does not access the file
//! system.
//!
//! ```
//! use blankslate::checkpoint::{pack, unpack};
//! use blankslate::config::ModelConfig;
//! use blankslate::model::{Decoder, random_source};
//! use blankslate::platform::{block_on, open_device};
//!
//! # fn main() -> blankslate::error::Result<()> {
//! block_on(async {
//!     let (device, _) = open_device("cpu").await?;
//!     let config = ModelConfig::gpt2(256).with_context(16).with_hidden_size(32).with_layers(1).with_heads(2);
//!     let model = Decoder::new(&config, &device, &mut random_source(0))?;
//!
//!     let files = pack(&model, None, None).await?;
//!     assert!(files.contains_key("model.safetensors"));
//!
//!     let mut checkpoint = unpack(files, "a checkpoint in memory")?;
//!     assert_eq!(checkpoint.config, config);
//!     let model = checkpoint.model(&device)?;
//!     assert_eq!(model.config().num_hidden_layers, 1);
//!     Ok(())
//! })
//! # }
//! ```

mod adapter;
mod adjust;
mod archive;
mod chat;
mod companions;
mod files;
mod frozen;
mod gguf;
mod hf_config;
mod layout;
mod loaded;
mod read;
mod reference;
mod state;
mod tensors;
mod tokenizer_config;
mod unreadable;
mod write;

pub use adapter::{
    ADAPTER, ADAPTER_CONFIG, ADAPTER_WEIGHTS, BASE_WEIGHTS, adapt, from_peft, to_peft,
};
pub use archive::{find_checkpoint, is_foreign, pack_zip, unpack_zip};
pub use chat::{prepare_for_chat, supports_chat};
pub use companions::{Companions, OTHER_TEMPLATE};
pub use files::{
    ADDED_TOKENS, AVERAGE, CHAT_TEMPLATE_FILE, CONFIG, Files, GENERATION_CONFIG, MERGES, OPTIMIZER,
    SPECIAL_TOKENS_MAP, STATE, TOKENIZER, TOKENIZER_CONFIG, VOCAB, WEIGHTS, WEIGHTS_INDEX,
};
pub use frozen::{FROZEN, add_frozen, frozen_parameters, parameters};
pub use gguf::{EXTENSION as GGUF_EXTENSION, read_gguf};
pub use hf_config::{from_hf, to_hf};
pub use layout::Architecture;
pub use loaded::{Checkpoint, OptimizerState, missing_tokenizer_error};
pub use read::{shard_names, unpack};
pub use reference::ReferenceRecord;
pub use state::{CorpusRecord, TrainingState};
pub use tensors::{
    HostTensor, HostTensors, bytes_of, from_file_layout, read_float_tensors, read_ids, read_params,
    read_safetensors, tensor_source, to_file_layout, write_safetensors,
};
pub use tokenizer_config::has_chat_template;
pub use unreadable::{PEFT_CONFIG, is_other_weights};
pub use write::{pack, pack_average};
