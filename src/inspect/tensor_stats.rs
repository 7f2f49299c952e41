//! Statistics of weights and gradients.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::model::{Decoder, NamedGradients, for_each_param, read_floats};

/// Bins of a histogram.
const BINS: usize = 64;
/// Share of the values that may be outside the histogram on each side.
const TAIL: f64 = 1e-3;
/// Number of values from which one may be outside.
const MANY: usize = 50;

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
    /// Lower end of the histogram: above `min` if few values are so far out that the others would share a few bins.
    pub low: f32,
    /// Upper end of the histogram, chosen likewise.
    pub high: f32,
    /// Histogram with equal bins over `[low, high]`. The first and the last bin also count the values beyond them.
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
        let [low, high] = ends_of_histogram(finite, [f64::from(min), f64::from(max)]);
        let zeros = values.iter().filter(|x| **x == 0.0).count();
        Self {
            mean: mean as f32,
            std: variance.sqrt() as f32,
            min,
            max,
            zeros: zeros as f32 / values.len().max(1) as f32,
            finite: count == values.len(),
            low: low as f32,
            high: high as f32,
            bins: histogram(finite(), low, high),
        }
    }
}

/// Counts values in equal bins over `[low, high]`.
fn histogram(values: impl Iterator<Item = f32>, low: f64, high: f64) -> Vec<u32> {
    let mut bins = vec![0; BINS];
    for x in values {
        // If low equals high, this is 0 / 0, and NaN casts to 0, as negative numbers do.
        let place = (f64::from(x) - low) / (high - low);
        bins[((place * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    bins
}

/// Returns the ends of a histogram that outliers do not reduce to a few bins: as long as a quarter of the bins holds all
/// values but the tails, the ends move to these bins. Exact zeros, which may be almost all of a gradient, do not count.
fn ends_of_histogram<I: Iterator<Item = f32>>(values: impl Fn() -> I, ends: [f64; 2]) -> [f64; 2] {
    let [mut low, mut high] = ends;
    let other_than_zero = || values().filter(|x| *x != 0.0);
    let count = other_than_zero().count();
    let tail = ((TAIL * count as f64) as u64).max(u64::from(count >= MANY));
    // Each round narrows the ends to a quarter or less; the last one cuts what is left beside the tails.
    let mut narrowed = false;
    for _ in 0..6 {
        let bins = histogram(other_than_zero(), low, high);
        let first = beyond(bins.iter(), tail).unwrap_or(0);
        let last = BINS - 1 - beyond(bins.iter().rev(), tail).unwrap_or(0);
        let width = (high - low) / BINS as f64;
        let inner = [low + first as f64 * width, low + (last + 1) as f64 * width];
        let narrow = last >= first && 4 * (last + 1 - first) <= BINS && inner[0] < inner[1];
        if narrow || narrowed && inner[0] < inner[1] {
            [low, high] = inner;
        }
        if !narrow {
            break;
        }
        narrowed = true;
    }
    [low, high]
}

/// Returns the number of bins before the one with which their sum exceeds `tail`.
fn beyond<'a>(mut bins: impl Iterator<Item = &'a u32>, tail: u64) -> Option<usize> {
    let mut sum = 0;
    bins.position(|n| {
        sum += u64::from(*n);
        sum > tail
    })
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
