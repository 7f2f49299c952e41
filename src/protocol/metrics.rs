//! Metrics of training steps and evaluations, by name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::objective::{Format, Metric, Metrics};

/// Metrics of a training step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct StepEvent {
    /// Completed steps, including this one.
    pub step: u64,
    /// Total number of steps.
    pub steps: u64,
    /// Mean loss of the step's batch over the objective's terms: nats per token, or per preference pair.
    pub loss: f64,
    /// Metrics by name; [`MetricInfo`] describes them.
    pub metrics: BTreeMap<String, f64>,
    /// Global gradient norm before clipping; none if gradients overflowed in f16 and the step was skipped.
    pub grad_norm: Option<f64>,
    /// Learning rate.
    pub lr: f64,
    /// Training tokens processed since the start of the run.
    pub tokens: u64,
    /// Recent tokens per second.
    pub tokens_per_second: f64,
    /// Estimated seconds until the last step.
    pub seconds_left: f64,
    /// Fraction of recent time in which the GPU computed, by its timestamps; none if it was not measured.
    pub busy: Option<f64>,
}

/// Description of a metric that a run reports beside its loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MetricInfo {
    /// Key of the metric in [`StepEvent::metrics`].
    pub name: String,
    /// Words to show beside the value.
    pub label: String,
    /// What is measured and how to read it.
    pub description: String,
    /// How to print the value.
    pub format: Format,
}

impl From<&Metric> for MetricInfo {
    fn from(metric: &Metric) -> Self {
        Self {
            name: metric.name.into(),
            label: metric.label.into(),
            description: metric.description.into(),
            format: metric.format,
        }
    }
}

/// Metrics as an event carries them.
pub fn by_name(metrics: &Metrics) -> BTreeMap<String, f64> {
    metrics.iter().map(|(name, value)| (name.to_string(), value)).collect()
}
