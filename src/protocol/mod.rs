//! Messages between the page and the engine: commands in, events out, queries and answers.
//!
//! `www/types.ts` is generated from these structs (`cargo xtask types`), and a test fails when the two
//! differ. Nothing here depends on JavaScript: `web/` only converts.

mod command;
mod data;
mod event;
mod explanation;
mod form;
mod history;
mod metrics;
mod names;
mod presets;
mod query;
mod report;
mod runs;

pub use command::{Command, Draft, NamedFile, Speculation};
pub use data::FoundText;
pub use event::Event;
pub use explanation::{Explanation, explanations};
pub use form::FormSettings;
pub use history::{Curve, HISTORY, History, LiveSample};
pub use metrics::{MetricInfo, StepEvent, by_name};
pub use names::page_message;
pub use presets::{ExampleInfo, PresetInfo};
pub use query::{Answer, Query};
pub use report::{
    ActivationReport, AnswerReport, CacheReport, Candidate, Circuit, Drawn, Inspection, LensCell,
    Likely, Merge, NeuronReport, PairReport, Part, Promoted, Stage, TensorReport, TensorStats,
    Token, TokenizerReport,
};
pub use runs::{RunInfo, RunSummary};

pub use crate::run::{GivenSettings, RunConfig};

#[cfg(test)]
mod settings;
#[cfg(test)]
mod types;
