//! Named metrics: what an objective measures beside its loss.

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::model::read_floats;
use crate::parallel::{Bounds, Collective, all_reduce};

/// Name of the value that every objective reports: what training minimizes.
pub const LOSS: &str = "loss";

/// Names in the records of steps and evaluations that no metric may have.
const RESERVED: [&str; 12] = [
    "type",
    "step",
    "steps",
    LOSS,
    "grad_norm",
    "loss_scale",
    "lr",
    "tokens",
    "tokens_per_second",
    "seconds_left",
    "busy",
    "sources",
];

/// Description of a metric, for people who read its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Key in `metrics.jsonl`, in events and in [`Metrics`]; snake_case.
    pub name: &'static str,
    /// Words to print before the value.
    pub label: &'static str,
    /// Description in one or two sentences: what is measured, and how to read it.
    pub description: &'static str,
    /// Rule that combines the values of several batches.
    pub reduction: Reduction,
    /// Format in which the value is printed.
    pub format: Format,
}

/// Rule that combines the sums of several batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The mean: the sum over all terms divided by their number.
    Mean,
    /// `exp` of the mean, as for a perplexity.
    ExpMean,
    /// The mean of values in nats, converted to bits.
    MeanBits,
}

impl Reduction {
    fn of(self, mean: f64) -> f64 {
        match self {
            Self::Mean => mean,
            Self::ExpMean => mean.exp(),
            Self::MeanBits => mean / std::f64::consts::LN_2,
        }
    }
}

/// Format of a metric's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A number with this many decimals.
    Decimals(u8),
    /// A share of 1, as a percentage.
    Percent,
}

impl Metric {
    /// Formats the label and a value: `margin 0.512`, `accuracy 75 %`.
    pub fn describe(&self, value: f64) -> String {
        match self.format {
            Format::Decimals(decimals) => {
                format!("{} {value:.*}", self.label, usize::from(decimals))
            }
            Format::Percent => format!("{} {:.0} %", self.label, 100.0 * value),
        }
    }
}

/// Metrics on the host: names and values, in the order in which the objective reports them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(Vec<(&'static str, f64)>);

impl Metrics {
    /// The value of the metric `name`, if it was measured.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> + '_ {
        self.0.iter().copied()
    }

    /// Formats the metrics that `known` describes, in its order: `, margin 0.512, accuracy 75 %`; empty for none.
    pub fn describe(&self, known: &[Metric]) -> String {
        let found = known.iter().filter_map(|metric| Some(metric.describe(self.get(metric.name)?)));
        found.map(|text| format!(", {text}")).collect()
    }

    /// Removes a value.
    pub(crate) fn take(&mut self, name: &str) -> Option<f64> {
        let place = self.0.iter().position(|(own, _)| *own == name)?;
        Some(self.0.remove(place).1)
    }
}

impl FromIterator<(&'static str, f64)> for Metrics {
    fn from_iter<I: IntoIterator<Item = (&'static str, f64)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

/// Named values on the device, each `[1]`, that are read back together.
#[derive(Clone, Debug, Default)]
pub struct DeviceValues(Vec<(&'static str, Tensor<1>)>);

impl DeviceValues {
    /// Adds a value under a new name.
    pub fn push(&mut self, name: &'static str, value: Tensor<1>) {
        self.0.push((name, value));
    }

    /// Names, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().map(|(name, _)| *name)
    }

    /// Applies a function to every value.
    pub fn map(self, change: impl Fn(Tensor<1>) -> Tensor<1>) -> Self {
        Self(self.0.into_iter().map(|(name, value)| (name, change(value))).collect())
    }

    /// Adds to each value the one of the same name.
    ///
    /// # Errors
    /// [`Error::Config`] if the two do not have the same names.
    pub fn plus(self, other: Self) -> Result<Self> {
        self.require_names(&other.names().collect::<Vec<_>>())?;
        let sums = self.0.into_iter().zip(other.0);
        Ok(Self(sums.map(|((name, a), (_, b))| (name, a + b)).collect()))
    }

    /// Refuses values that differ from those of another micro-batch, which have these names.
    fn require_names(&self, names: &[&'static str]) -> Result<()> {
        if self.names().eq(names.iter().copied()) {
            return Ok(());
        }
        let own = self.names().collect::<Vec<_>>().join(", ");
        let problem = format!("one micro-batch has the values {own}, another {}", names.join(", "));
        Err(Error::config("objective", problem, "return the same metrics for every batch"))
    }

    /// Adds to each value those of the other ranks. `label` names the operation in errors.
    ///
    /// # Errors
    /// A rank does not answer.
    pub fn over_ranks(self, ranks: &Arc<dyn Collective>, label: &str) -> Result<Self> {
        if ranks.size() == 1 {
            return Ok(self);
        }
        let (names, values): (Vec<_>, Vec<_>) = self.0.into_iter().unzip();
        let sums = all_reduce(ranks, label, vec![Tensor::cat(values, 0)])?.remove(0);
        let value = |(i, name)| (name, sums.clone().narrow(0, i, 1));
        Ok(Self(names.into_iter().enumerate().map(value).collect()))
    }

    /// Returns the names of the values of the last stage, which alone has any, on all stages of a pipeline. `known` describes the
    /// metrics that there may be.
    ///
    /// # Errors
    /// A rank does not answer.
    pub fn names_of_last_stage(
        values: Option<&Self>,
        pipeline: &dyn Collective,
        known: &[Metric],
        label: &str,
    ) -> Result<Vec<&'static str>> {
        let own: Vec<&str> = values.into_iter().flat_map(Self::names).collect();
        let found = pipeline.exchange(label, own.join("\n").into_bytes())?;
        let name_of = |found: &[u8]| {
            let known = known.iter().map(|metric| metric.name);
            known.chain([LOSS]).find(|known| known.as_bytes() == found)
        };
        let of_last = &found[pipeline.size() - 1];
        Ok(of_last.split(|byte| *byte == b'\n').filter_map(name_of).collect())
    }

    /// Gives the values of the last stage, which alone has any, to all stages of a pipeline. `names` are those of
    /// [`Self::names_of_last_stage`] in an earlier step or in this one.
    ///
    /// # Errors
    /// The values have other names; a rank does not answer.
    pub fn from_last_stage(
        values: Option<Self>,
        pipeline: &dyn Collective,
        device: &Device,
        names: &[&'static str],
        label: &str,
    ) -> Result<Self> {
        let own = match values {
            None => Tensor::empty([0], (device, DType::F32)),
            Some(values) => {
                values.require_names(names)?;
                Tensor::cat(values.0.into_iter().map(|(_, value)| value).collect(), 0)
            }
        };
        let bounds = vec![Bounds::whole(names.len(), pipeline.size() - 1, pipeline.size())];
        let values = pipeline.all_gather(label, vec![own], bounds).wait()?.remove(0);
        let value = |(i, name): (usize, &&'static str)| (*name, values.clone().narrow(0, i, 1));
        Ok(Self(names.iter().enumerate().map(value).collect()))
    }

    /// Waits for the device and reads all values at once.
    ///
    /// # Errors
    /// A lost device.
    pub async fn read(self) -> Result<Metrics> {
        let (names, values): (Vec<_>, Vec<_>) = self.0.into_iter().unzip();
        let values = read_floats(Tensor::cat(values, 0)).await?;
        Ok(names.into_iter().zip(values.into_iter().map(f64::from)).collect())
    }
}

/// A metric's sum over some terms of an evaluation, and what to divide it by.
#[derive(Clone, Debug)]
pub struct Sum {
    /// Name of the metric, or [`LOSS`].
    pub name: &'static str,
    /// Values to add up, of any length `[n]`, on the device.
    pub values: Tensor<1>,
    /// Weight of the batch: its number of terms, tokens or bytes. The sum of all batches is divided by the sum of weights.
    pub weight: f64,
}

/// Sums up the metrics of several batches, on the host and in f64.
#[derive(Clone, Debug, Default)]
pub struct Reducer(Vec<(&'static str, f64, f64)>);

impl Reducer {
    /// Adds one batch's sum and weight.
    pub fn add(&mut self, name: &'static str, sum: f64, weight: f64) {
        match self.0.iter_mut().find(|(own, ..)| *own == name) {
            Some((_, sums, weights)) => {
                *sums += sum;
                *weights += weight;
            }
            None => self.0.push((name, sum, weight)),
        }
    }

    /// Adds the sums and weights of another part of the data.
    pub fn add_all(&mut self, other: Self) {
        for (name, sum, weight) in other.0 {
            self.add(name, sum, weight);
        }
    }

    /// Reduces the sums as `known` describes; the loss is a mean.
    ///
    /// # Errors
    /// [`Error::Config`] if a name is neither [`LOSS`] nor in `known`.
    pub fn reduce(self, known: &[Metric]) -> Result<Metrics> {
        let value = |(name, sum, weight): (&'static str, f64, f64)| {
            let mean = sum / weight.max(1.0);
            if name == LOSS {
                return Ok((name, mean));
            }
            let metric = known.iter().find(|metric| metric.name == name);
            let metric = metric.ok_or_else(|| undeclared(name))?;
            Ok((name, metric.reduction.of(mean)))
        };
        self.0.into_iter().map(value).collect()
    }
}

/// Checks the descriptions of an objective's metrics.
///
/// # Errors
/// [`Error::Config`] for a name that is reserved or taken twice.
pub(super) fn check_names(metrics: &[Metric]) -> Result<()> {
    for (place, Metric { name, .. }) in metrics.iter().enumerate() {
        let problem = if RESERVED.contains(name) {
            "is the name of another value of a step"
        } else if metrics[..place].iter().any(|other| other.name == *name) {
            "is the name of two metrics"
        } else {
            continue;
        };
        let problem = format!("`{name}` {problem}");
        return Err(Error::config("objective", problem, "choose another name for the metric"));
    }
    Ok(())
}

/// The error for a value whose name no metric of the objective has.
pub(super) fn undeclared(name: &str) -> Error {
    let problem = format!("it returned the metric `{name}`, which it does not describe");
    Error::config("objective", problem, "describe it in `Objective::metrics`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &'static str, reduction: Reduction, format: Format) -> Metric {
        Metric { name, label: name, description: "", reduction, format }
    }

    #[test]
    fn sums_of_batches_reduce_to_weighted_means() {
        let known = [
            metric("share", Reduction::Mean, Format::Percent),
            metric("bits", Reduction::MeanBits, Format::Decimals(3)),
            metric("perplexity", Reduction::ExpMean, Format::Decimals(2)),
        ];
        let mut sums = Reducer::default();
        for (sum, weight) in [(3.0, 4.0), (0.0, 8.0)] {
            sums.add(LOSS, sum, weight);
            sums.add("share", sum, weight);
            sums.add("bits", sum * std::f64::consts::LN_2, weight);
            sums.add("perplexity", sum, weight);
        }
        let found = sums.reduce(&known).unwrap();
        assert_eq!(found.get(LOSS), Some(0.25));
        assert_eq!(found.get("perplexity"), Some(0.25f64.exp()));
        assert!((found.get("bits").unwrap() - 0.25).abs() < 1e-15);
        assert_eq!(found.get("other"), None);
        assert_eq!(found.describe(&known), ", share 25 %, bits 0.250, perplexity 1.28");
        let json = serde_json::to_string(&found).unwrap();
        assert!(json.starts_with(r#"{"loss":0.25,"share":0.25,"bits":0.2"#), "{json}");
    }

    #[test]
    fn a_sum_without_weight_is_no_division_by_zero() {
        let mut sums = Reducer::default();
        sums.add(LOSS, 0.0, 0.0);
        assert_eq!(sums.reduce(&[]).unwrap().get(LOSS), Some(0.0));
    }

    #[test]
    fn an_undescribed_metric_is_an_error() {
        let mut sums = Reducer::default();
        sums.add("surprise", 1.0, 1.0);
        let error = sums.reduce(&[]).unwrap_err().to_string();
        assert!(error.contains("`surprise`") && error.contains("Objective::metrics"), "{error}");
    }
}
