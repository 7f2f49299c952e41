//! Training objectives. An [`Objective`] computes a loss and named metrics from a batch and the model's residual stream.
//!
//! | objective | file | data |
//! | --- | --- | --- |
//! | [`NextToken`] | `next_token.rs` | text, conversations |
//! | [`DirectPreference`] | `preference.rs` | preference pairs |
//!
//! [`objective_for`] is the only place that lists them. `docs/extending.md` shows how to add one, and
//! `examples/custom_objective.rs` how to train with one of your own.
//!
//! ```
//! use blankslate::config::{DataKind, ObjectiveConfig};
//! use blankslate::objective::objective_for;
//!
//! let config = ObjectiveConfig::default();
//! let objective = objective_for(DataKind::Preferences, &config)?;
//! let names: Vec<&str> = objective.metrics().iter().map(|metric| metric.name).collect();
//! assert!(names.contains(&"accuracy"), "{names:?}");
//! # Ok::<(), blankslate::error::Error>(())
//! ```

mod gradients;
mod loss_scale;
mod metric;
mod next_token;
mod preference;
mod traits;

pub use gradients::{GradientOptions, MicroBatch, differentiate, loss_and_gradients};
pub use metric::{DeviceValues, Format, LOSS, Metric, Metrics, Reducer, Reduction, Sum};
pub use next_token::NextToken;
pub use preference::{DirectPreference, reference_log_probs};
pub use traits::{Forward, Objective, Outcome};

use std::sync::Arc;

use crate::config::{DataKind, ObjectiveConfig};
use crate::error::{Error, Result};

/// Returns the objective that trains on data of `kind`.
///
/// # Errors
/// [`Error::Config`] for a setting that the objective does not support.
pub fn objective_for(kind: DataKind, config: &ObjectiveConfig) -> Result<Arc<dyn Objective>> {
    Ok(match kind {
        DataKind::Text | DataKind::Conversations => Arc::new(NextToken { z_loss: config.z_loss }),
        DataKind::Preferences => Arc::new(DirectPreference::new(config)?),
    })
}

/// Refuses an objective that ranks which divide each layer into `parts` cannot train with.
///
/// # Errors
/// [`Error::Config`] if it needs a whole vocabulary.
pub fn suits_division(objective: &dyn Objective, parts: usize) -> Result<()> {
    if parts == 1 || objective.suits_divided_vocabulary() {
        return Ok(());
    }
    let problem = "ranks that divide layers (tp) have parts of the vocabulary, but this objective needs the whole, as that of \
                   preference pairs does";
    Err(Error::config("parallel", problem, "use dp and pp"))
}

/// Checks that the names of an objective's metrics differ from each other and from those of the other values of a step.
///
/// # Errors
/// [`Error::Config`] for a metric name that is reserved or taken twice.
pub fn validate(objective: &dyn Objective) -> Result<()> {
    metric::check_names(objective.metrics())
}
