//! Planner: memory and step time of a training run on many devices, from the shapes of the model and the speed of the devices.
//!
//! The equations, their sources, and the comparison with published and measured runs are in docs/plan.md:
//!
//! - parameters, floating-point operations and kept activations: [`Costs`](crate::config::Costs)
//! - memory of a device: [`StepMemory`](crate::config::StepMemory), [`memory_of`], [`saving_of`]
//! - time of a step: [`StepTime`]
//! - a run for a budget of compute: [`Recipe`]; its energy and cost: [`Expense`]
//! - the shape of a model of a number of parameters: [`model_of`]; batch, learning rate and warm-up: [`batch_tokens`],
//!   [`critical_batch`], [`learning_rate`], [`warmup_steps`]
//!
//! blankslate trains with data parallelism, ZeRO levels 0 to 2, pipeline and tensor parallelism. [`Layout::is_trainable`] is
//! false for combinations that are planned: adapters with tensor or pipeline parallelism, and Muon or preference pairs with
//! tensor parallelism.
//!
//! ```
//! use blankslate::config::preset;
//! use blankslate::plan::{Hardware, Program, Search, Work, plan};
//!
//! let preset = preset("gpt2-xl")?;
//! let work = Work { model: &preset.model, train: &preset.train, seq_len: 1024, rows: 1, global_batch: 1024 };
//! let plans = plan(&work, &Hardware::named("h100")?, &Program::BLANKSLATE, &Search::all(8))?;
//! assert!(plans[0].missing.is_none(), "the fastest plan that fits comes first");
//! assert_eq!(plans[0].layout.devices(), 8);
//! # Ok::<(), blankslate::error::Error>(())
//! ```

mod budget;
mod hardware;
mod layout;
mod memory;
#[cfg(test)]
mod published;
mod recipe;
mod search;
mod shape;
mod time;

pub use budget::{Expense, Recipe, Wish};
pub use hardware::{DEVICES, Hardware};
pub use layout::{Layout, Work};
pub use memory::{memory_of, saving_of};
pub use recipe::{batch_tokens, critical_batch, learning_rate, warmup_steps};
pub use search::{Plan, Search, plan};
pub use shape::{SIZE_SETTINGS, model_of};
pub use time::{Program, StepTime};
