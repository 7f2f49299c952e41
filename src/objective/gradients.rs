//! An objective's loss, metrics and gradients on one batch.

use burn::tensor::Tensor;

use super::loss_scale::LossScaling;
use super::metric::undeclared;
use super::{DeviceValues, Forward, LOSS, Objective};
use crate::data::Batch;
use crate::error::Result;
use crate::model::{Decoder, Kept, NamedGradients, Part, PassOptions, TokenIds, Upstream};

/// Options of [`loss_and_gradients`].
#[derive(Clone, Debug)]
pub struct GradientOptions {
    /// Weight of each term; one over their number gives the mean.
    pub scale: f64,
    /// Options of the pass through the model.
    pub pass: PassOptions,
    /// Factor on the gradients, but not on the loss, for f16: `[1]` on the device.
    pub loss_scale: Option<Tensor<1>>,
}

impl GradientOptions {
    /// Options of a pass in f32 without dropout.
    pub fn scaled(scale: f64) -> Self {
        Self { scale, pass: PassOptions::default(), loss_scale: None }
    }
}

/// Returns the loss (as [`LOSS`]) and the metrics of a batch, and the gradients of all parameters. `model` must be on
/// an autodiff device.
///
/// # Errors
/// As [`differentiate`].
pub fn loss_and_gradients(
    objective: &dyn Objective,
    model: &Decoder,
    batch: &Batch,
    options: &GradientOptions,
) -> Result<(DeviceValues, NamedGradients)> {
    let mut gradients = NamedGradients::new();
    let values =
        differentiate(objective, model, batch, options, &mut |found| gradients.extend(found))?;
    Ok((values, gradients))
}

/// As [`loss_and_gradients`], but passes gradients to `ready` as soon as they are complete; see
/// [`Decoder::differentiate`].
///
/// # Errors
/// A token or target outside the vocabulary; more tokens than the model's context; a metric that the objective does
/// not describe; any other error of the objective.
pub fn differentiate(
    objective: &dyn Objective,
    model: &Decoder,
    batch: &Batch,
    options: &GradientOptions,
    ready: &mut dyn FnMut(NamedGradients),
) -> Result<DeviceValues> {
    let micro = MicroBatch { objective, model, batch, options };
    let kept = micro.forward(&Part::whole(model.config()), None)?;
    Ok(micro.backward_from_loss(kept, ready)?.0)
}

/// A batch during its pass through a model, or through a rank's part of it.
#[derive(Clone, Copy, Debug)]
pub struct MicroBatch<'a> {
    /// The objective, whose loss is differentiated.
    pub objective: &'a dyn Objective,
    /// The model, on an autodiff device.
    pub model: &'a Decoder,
    /// The batch.
    pub batch: &'a Batch,
    /// Options of both passes.
    pub options: &'a GradientOptions,
}

impl MicroBatch<'_> {
    /// Runs `part` forward: see [`Decoder::run_part`].
    ///
    /// # Errors
    /// As [`differentiate`].
    pub fn forward(&self, part: &Part, input: Option<Tensor<2>>) -> Result<Kept> {
        let Self { objective, model, batch, options } = *self;
        let ids = TokenIds::from_batch(batch, model.config().vocab_size, &model.device())?;
        let mut pass = options.pass;
        pass.dropout_seed = pass.dropout_seed.filter(|_| objective.uses_dropout());
        model.run_part(part, ids, pass, input)
    }

    /// Returns loss and metrics, and runs the last part backward: see [`Decoder::differentiate_last`].
    ///
    /// # Errors
    /// As [`differentiate`].
    pub fn backward_from_loss(
        &self,
        kept: Kept,
        ready: &mut dyn FnMut(NamedGradients),
    ) -> Result<(DeviceValues, Option<Upstream>)> {
        let Self { objective, model, batch, options } = *self;
        let (scaling, scale) = LossScaling::new(options.loss_scale.clone(), options.scale);
        let known = objective.metrics();
        let head = |residual| {
            let outcome = objective.loss(Forward { model, residual, batch }, scale)?;
            let scaled = scaling.apply(&outcome.loss);
            let mut values = DeviceValues::default();
            values.push(LOSS, outcome.loss.without_autodiff());
            for (name, value) in outcome.metrics {
                if !known.iter().any(|metric| metric.name == name) {
                    return Err(undeclared(name));
                }
                values.push(name, value.without_autodiff());
            }
            Ok((scaled, values.map(|value| scaling.undo(value))))
        };
        model.differentiate_last(kept, head, ready)
    }
}
