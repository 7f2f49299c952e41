//! Statistics of weights and gradients.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::{Decoder, NamedGradients, for_each_param, read_floats};

/// Bins of a histogram.
const BINS: usize = 64;

/// Statistics of one parameter and its gradient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TensorReport {
    /// Name of the parameter.
    pub name: String,
    /// Shape of the parameter.
    pub shape: Vec<usize>,
    /// Statistics of the weights.
    pub weights: TensorStats,
    /// Statistics of the gradients on the run's next batch; none without training data.
    pub gradients: Option<TensorStats>,
}

/// Statistics of a tensor's elements. All but `zeros` and `finite` consider only finite elements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct TensorStats {
    /// Mean.
    pub mean: f32,
    /// Standard deviation.
    pub std: f32,
    /// Minimum.
    pub min: f32,
    /// Maximum.
    pub max: f32,
    /// Fraction of exact zeros.
    pub zeros: f32,
    /// True if all elements are finite.
    pub finite: bool,
    /// Histogram with equal bins over `[min, max]`.
    pub bins: Vec<u32>,
}

impl TensorStats {
    /// Computes the statistics of `values`.
    pub fn of(values: &[f32]) -> Self {
        let finite = || values.iter().copied().filter(|x| x.is_finite());
        let count = finite().count();
        let over_count = |sum: f64| if count > 0 { sum / count as f64 } else { 0.0 };
        let mean = over_count(finite().map(f64::from).sum());
        let variance = over_count(finite().map(|x| (f64::from(x) - mean).powi(2)).sum());
        let min = finite().reduce(f32::min).unwrap_or(0.0);
        let max = finite().reduce(f32::max).unwrap_or(0.0);
        // In f64 the difference of two f32 cannot overflow.
        let width = f64::from(max) - f64::from(min);
        let mut bins = vec![0; BINS];
        for x in finite() {
            // If min equals max, this is 0 / 0, and NaN casts to 0.
            let place = (f64::from(x) - f64::from(min)) / width;
            bins[((place * BINS as f64) as usize).min(BINS - 1)] += 1;
        }
        let zeros = values.iter().filter(|x| **x == 0.0).count();
        Self {
            mean: mean as f32,
            std: variance.sqrt() as f32,
            min,
            max,
            zeros: zeros as f32 / values.len().max(1) as f32,
            finite: count == values.len(),
            bins,
        }
    }
}

/// Reports on every parameter in the model's order, with the available `gradients`.
///
/// # Errors
/// Returns an error if the device was lost.
pub async fn report_tensors(
    model: &Decoder,
    mut gradients: NamedGradients,
) -> Result<Vec<TensorReport>> {
    let mut params = Vec::new();
    for_each_param(model, &mut |name, shape, value| {
        params.push((name.to_string(), shape.to_vec(), value));
    });
    let mut reports = Vec::with_capacity(params.len());
    for (name, shape, value) in params {
        let weights = TensorStats::of(&read_floats(value).await?);
        let gradients = match gradients.remove(&name) {
            Some(gradient) => Some(TensorStats::of(&read_floats(gradient).await?)),
            None => None,
        };
        reports.push(TensorReport { name, shape, weights, gradients });
    }
    Ok(reports)
}
