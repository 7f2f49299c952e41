//! Loss and metrics of a step, added up over micro-batches and ranks.

use super::Trainer;
use crate::error::Result;
use crate::objective::DeviceValues;
use crate::parallel::Tree;

impl Trainer {
    /// Adds up the loss and the metrics of all micro-batches of all replicas, which the last stage of a pipeline computes.
    pub(super) fn sum_values(
        &self,
        values: Vec<DeviceValues>,
        label: &str,
    ) -> Result<DeviceValues> {
        let mut sum = Tree::new(self.config.accumulation);
        values.into_iter().try_for_each(|values| sum.push(values, DeviceValues::plus))?;
        let sum = sum.total(DeviceValues::plus)?;
        let sum = sum.map(|sum| sum.over_ranks(&self.mesh.replicas, label)).transpose()?;
        if !self.mesh.has_pipeline() {
            return Ok(sum.unwrap_or_default());
        }
        let (device, pipeline) = (self.device().inner(), &*self.mesh.pipeline);
        let names = match self.names.get() {
            Some(names) => names,
            None => {
                let known = self.objective.metrics();
                let names =
                    DeviceValues::names_of_last_stage(sum.as_ref(), pipeline, known, label)?;
                self.names.get_or_init(|| names)
            }
        };
        DeviceValues::from_last_stage(sum, pipeline, &device, names, label)
    }
}
