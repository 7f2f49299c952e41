//! Explanations of the settings, for the page's tooltips.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::config::{all_settings, label};
use crate::error::name_settings;

/// Explanation of a setting.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Explanation {
    /// What it does, and its usual values.
    pub tip: String,
    /// A formula in which it stands; may be empty.
    pub formula: &'static str,
    /// Where it, or its usual value, was first described; may be empty.
    pub source: &'static str,
}

/// Returns the explanations of all settings by label, since two have the key `seed`. Other settings are named by their labels.
pub fn explanations() -> BTreeMap<&'static str, Explanation> {
    let explained = all_settings().map(|setting| {
        let tip = name_settings(&setting.description(), label);
        (setting.label, Explanation { tip, formula: setting.formula, source: setting.source })
    });
    explained.collect()
}

#[cfg(test)]
mod tests {
    use super::explanations;

    #[test]
    fn tooltips_name_labels() {
        let all = explanations();
        let context = &all["Context length"];
        assert!(context.tip.contains("At least Sequence length. Usually"), "{}", context.tip);
        assert_ne!(all["Seed"].tip, all["Sampling seed"].tip);
        assert!(context.formula.contains("KV cache") && context.source.contains("Radford"));
    }
}
