//! **blankslate**: a language model from a blank slate, in a browser tab or natively, out of one crate.
//!
//! A [`run`] is prepared from settings and text, trained, and saved in the layout of Hugging Face's transformers:
//!
//! ```
//! use blankslate::config::{SampleConfig, preset};
//! use blankslate::platform::{Store, block_on, open_device};
//! use blankslate::run::data::Examples;
//! use blankslate::run::directory::RunDir;
//! use blankslate::run::{Run, RunConfig, TrainEvent, train_unattended};
//! use blankslate::sample::Generator;
//! use blankslate::tokenizer::{Tokenizer, run_sequentially};
//!
//! fn main() -> blankslate::error::Result<()> {
//!     block_on(async {
//!         let text = "the cat sat on the mat. ".repeat(100);
//!         let examples = Examples::of_text("the text", &text)?;
//!         let mut config = RunConfig::from_preset("cats", preset("tiny")?);
//!         config.tokenizer = "byte".into();
//!         config.train.steps = 20;
//!
//!         let (device, _) = open_device("cpu").await?;
//!         let mut run = Run::fresh(config, Tokenizer::byte(&[])?, &device)?;
//!         let data = run.encode(&examples, run_sequentially)?;
//!         run.begin(data).await?;
//!
//!         let directory = RunDir::new(Store::open("target/cats").await?);
//!         let (run, _) = train_unattended(run, directory, |event| {
//!             if let TrainEvent::Step { figures, .. } = event {
//!                 println!("step {}: loss {:.3}", figures.step, figures.loss);
//!             }
//!         })
//!         .await?;
//!
//!         let sample = SampleConfig { max_new_tokens: 20, ..SampleConfig::default() };
//!         let mut generator = Generator::new(run.model(), &run.tokenizer, "the cat", &sample)?;
//!         while let Some(piece) = generator.next().await? {
//!             print!("{}", piece.text);
//!         }
//!         Ok(())
//!     })
//! }
//! ```
//!
//! The parts can be used on their own: text becomes tokens ([`tokenizer`]), tokens become batches ([`data`]), and
//! [`train::Trainer::step`], the only training step there is, trains a [`model::Decoder`] (GPT-2 or LLaMA by
//! [`config::ModelConfig`]) on them. [`checkpoint`] converts between a model and its files, [`sample`] generates text.
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
pub mod parallel;
pub mod plan;
pub mod platform;
pub mod protocol;
pub mod run;
pub mod sample;
pub mod scaling;
pub mod tokenizer;
pub mod train;

#[cfg(all(feature = "cli", not(target_family = "wasm")))]
pub mod cli;
#[cfg(target_family = "wasm")]
mod web;

/// True if a run can have several ranks. In the page it has one, and the wasm omits the code for others.
pub(crate) const HAS_RANKS: bool = cfg!(not(target_family = "wasm"));

/// True if data can be a mixture of several sources. The page has one text, and the wasm omits the code for others.
pub(crate) const HAS_MIXTURES: bool = cfg!(not(target_family = "wasm"));
/// True if a run may last for weeks unattended. In the page it may not, and the wasm omits the code for such runs.
pub(crate) const HAS_LONG_RUNS: bool = cfg!(not(target_family = "wasm"));
/// True if a device may have matrix products of its own, as CUDA's does. The wasm omits the code for them.
pub(crate) const HAS_OWN_PRODUCTS: bool = cfg!(not(target_family = "wasm"));

/// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
