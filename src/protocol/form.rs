//! The page's form, as the engine fills it in.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::page_message;
use crate::config::{DataKind, Estimate, PRESETS, preset};
use crate::error::Result;
use crate::platform::DeviceInfo;
use crate::run::{GivenSettings, RunConfig, require_memory_alone};

/// What the page's form shows and what a run with its settings would need.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct FormSettings {
    /// The base with the given settings and those that follow from them.
    pub config: RunConfig,
    /// Value that each given setting would have if it were not given, by key.
    #[cfg_attr(test, ts(type = "Record<string, unknown>"))]
    pub defaults: Map<String, Value>,
    /// Keys of the settings for experts that do not follow from the preset and the basic settings.
    pub unusual: Vec<String>,
    /// Configuration of a fresh run with these settings.
    pub fresh: RunConfig,
    /// Estimated costs of that run.
    pub estimate: Estimate,
    /// Why that run cannot be trained on the device, in one line; none if it can.
    pub problem: Option<String>,
}

impl FormSettings {
    /// Fills in the form: lays `given` over `base`. `preset_name` is the preset that was chosen; if it is empty, the first
    /// one defines what is unusual. The fresh run is for data of `kind`, a vocabulary of `vocab_size` tokens and `device`, if
    /// one is open.
    ///
    /// # Errors
    /// A value of the wrong type; an unknown preset.
    pub fn new(
        base: &RunConfig,
        given: &GivenSettings,
        preset_name: &str,
        kind: DataKind,
        vocab_size: usize,
        device: Option<&DeviceInfo>,
    ) -> Result<Self> {
        let config = base.of_form(given)?;
        let preset_name = if preset_name.is_empty() { PRESETS[0] } else { preset_name };
        let usual = RunConfig::form_base(preset(preset_name)?);
        let unusual = config.unusual_settings(&usual)?.into_iter().map(String::from).collect();
        let fresh = config.clone().for_fresh_run(kind, vocab_size);
        let fits = || match device.and_then(|device| device.room) {
            Some(room) => require_memory_alone(&fresh, &room),
            None => Ok(()),
        };
        let problem = fresh.validate_fresh().and_then(|()| fits()).err();
        Ok(Self {
            defaults: base.form_defaults(given)?,
            unusual,
            estimate: Estimate::of_run(&fresh.model, &fresh.train, &fresh.data),
            problem: problem.map(|error| page_message(&error)),
            fresh,
            config,
        })
    }
}
