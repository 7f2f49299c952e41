//! The curves and samples of a run. They travel with its downloads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, json_problem};

/// File of a download that holds them.
pub const HISTORY: &str = "history.json";

/// The curves and samples of a run, as the page shows them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct History {
    /// Figures of the training steps.
    pub curve: Curve,
    /// Samples that were generated during training.
    pub samples: Vec<LiveSample>,
}

/// Figures of training: one entry per reported step in every column. Not a number, for example the gradient norm of a
/// skipped step, is `null`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Curve {
    /// Steps in ascending order.
    pub steps: Vec<u64>,
    /// Training loss.
    pub train: Vec<Option<f64>>,
    /// Validation loss, of the evaluated steps.
    pub val: Vec<Option<f64>>,
    /// Gradient norm.
    pub norm: Vec<Option<f64>>,
    /// Learning rate.
    pub lr: Vec<Option<f64>>,
    /// The objective's metrics by name.
    #[serde(default)]
    #[cfg_attr(test, ts(type = "Record<string, Array<number | null>>"))]
    pub metrics: BTreeMap<String, Vec<Option<f64>>>,
}

/// A sample that was generated during training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LiveSample {
    /// Step of the model.
    pub step: u64,
    /// Prompt and continuation.
    pub text: String,
}

impl History {
    /// Reads [`HISTORY`].
    ///
    /// # Errors
    /// The file is not JSON of this form, or its columns do not fit together.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let wrong = |problem: String| {
            Error::malformed(HISTORY, problem, "the model is complete without its curves")
        };
        let history: Self = serde_json::from_slice(bytes).map_err(|e| wrong(json_problem(&e)))?;
        let Curve { steps, train, val, norm, lr, metrics } = &history.curve;
        let columns = [train, val, norm, lr];
        // A metric that the last steps did not report ends earlier.
        if columns.iter().any(|column| column.len() != steps.len())
            || metrics.values().any(|column| column.len() > steps.len())
        {
            return Err(wrong("its columns have different lengths".into()));
        }
        if !steps.is_sorted_by(|a, b| a < b) || !history.samples.is_sorted_by_key(|one| one.step) {
            return Err(wrong("its steps are not in order".into()));
        }
        Ok(history)
    }

    /// Returns the contents of [`HISTORY`].
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts serialize")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_that_do_not_fit_together_are_refused() {
        let curve = Curve {
            steps: vec![1, 2],
            train: vec![Some(2.0), None],
            val: vec![None, Some(3.0)],
            norm: vec![Some(f64::NAN), Some(1.0)],
            lr: vec![Some(1e-3); 2],
            metrics: [("accuracy".to_string(), vec![Some(0.5), None])].into(),
        };
        let samples = vec![LiveSample { step: 0, text: "abc".into() }];
        let whole = History { curve: curve.clone(), samples };
        let read = History::read(&whole.to_json()).unwrap();
        assert_eq!((read.curve.norm[0], &read.samples), (None, &whole.samples));

        let refused = |curve| {
            let history = History { curve, ..History::default() };
            History::read(&history.to_json()).unwrap_err().to_string()
        };
        let short = Curve { val: vec![None], ..curve.clone() };
        assert!(refused(short).contains("different lengths"));
        let backwards = Curve { steps: vec![2, 1], ..curve };
        assert!(refused(backwards).contains("not in order"));
        for broken in [&b"{"[..], b"[]", br#"{"curve": {"steps": [-1]}, "samples": []}"#] {
            let problem = History::read(broken).unwrap_err().to_string();
            assert!(problem.starts_with("history.json cannot be read: "), "{problem}");
        }
    }
}
