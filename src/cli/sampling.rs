//! Flags of sampling that `sample` and `chat` share.

use clap::Args;

use super::failure::{CliResult, usage};
use super::flags::Overrides;
use crate::config::{SampleConfig, overridden};

/// Flags of [`SampleConfig`].
#[derive(Args)]
pub struct SamplingFlags {
    #[command(flatten)]
    given: Overrides<SampleConfig>,
}

impl SamplingFlags {
    /// Returns the default settings, overridden by the given ones.
    ///
    /// # Errors
    /// A setting is out of range.
    pub fn config(&self) -> CliResult<SampleConfig> {
        let config = overridden(&SampleConfig::default(), self.given.given()).map_err(usage)?;
        config.validate().map_err(usage)?;
        Ok(config)
    }
}
