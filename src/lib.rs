//! **blankslate**: a language model from a blank slate, in a browser tab or natively, out of one crate.
//!
//! Text becomes tokens ([`tokenizer`]), tokens become batches ([`data`]), and [`train::Trainer::step`], the
//! only training loop there is, makes a [`model::Decoder`] (GPT-2 or LLaMA by [`config::ModelConfig`]) of
//! them. [`checkpoint`] keeps everything as Hugging Face's transformers expects it.
//!
//! ```
//! use blankslate::config::{DataConfig, ModelConfig, OptimizerConfig, SampleConfig, TrainConfig};
//! use blankslate::data::{Corpus, Tokens, Windows};
//! use blankslate::model::{Decoder, random_source};
//! use blankslate::platform::{block_on, open_device};
//! use blankslate::sample::Generator;
//! use blankslate::tokenizer::Tokenizer;
//! use blankslate::train::Trainer;
//!
//! # fn main() -> blankslate::error::Result<()> {
//! block_on(async {
//!     let (device, info) = open_device("cpu").await?;
//!     println!("training on {}", info.adapter);
//!
//!     let text = "the cat sat on the mat. ".repeat(40);
//!     let tokenizer = Tokenizer::byte(&[])?;
//!     let corpus = Corpus::new(Tokens::from_ids(tokenizer.encode(&text)?));
//!
//!     let config = ModelConfig::gpt2(tokenizer.vocab_size()).with_context(16).with_hidden_size(32).with_layers(1).with_heads(2);
//!     let optimizer = OptimizerConfig::with_lr(1e-2);
//!     let train = TrainConfig { steps: 20, optimizer, ..TrainConfig::default() };
//!     let data = DataConfig { seq_len: 16, ..DataConfig::default() };
//!     let windows = Windows::new(corpus, &data, train.batch_size, train.seed)?;
//!     let model = Decoder::new(&config, &device.autodiff(), &mut random_source(train.seed))?;
//!
//!     let mut trainer = Trainer::new(model, &train, windows)?;
//!     for _ in 0..train.steps {
//!         let report = trainer.step()?;
//!         println!("{:?}", report.read("nothing was saved").await?);
//!     }
//!
//!     let sample = SampleConfig { max_new_tokens: 10, ..SampleConfig::default() };
//!     let mut generator = Generator::new(trainer.model(), &tokenizer, "the cat", &sample)?;
//!     while let Some(piece) = generator.next().await? {
//!         print!("{}", piece.text);
//!     }
//!     Ok(())
//! })
//! # }
//! ```
#![warn(missing_docs)]

/// The tensor library, in the version that objectives and models here are written with.
pub use burn;

pub mod check;
pub mod checkpoint;
pub mod config;
pub mod data;
pub mod engine;
pub mod error;
pub mod eval;
pub mod inspect;
pub mod kernels;
pub mod model;
pub mod objective;
pub mod optim;
pub mod platform;
pub mod protocol;
pub mod run;
pub mod sample;
pub mod tokenizer;
pub mod train;

#[cfg(all(feature = "cli", not(target_family = "wasm")))]
pub mod cli;
#[cfg(target_family = "wasm")]
mod web;

/// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
