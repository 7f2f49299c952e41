//! Steps that wait for their loss: a spike is skipped, or causes a rollback to the last checkpoint.

use super::control::{Control, Spike, SpikeAction, TrainEvent};
use super::ranks::Ranks;
use super::spikes::{Figures, Scores};
use crate::config::OnSpike;
use crate::error::Result;
use crate::train::{StepFigures, StepReport};

/// Outcome of a step.
pub enum Outcome {
    /// It was made.
    Made(StepReport),
    /// It was not, since it is a spike.
    Passed(Spike),
}

/// Makes the next step unless it is a spike.
///
/// # Errors
/// As [`Trainer::step`](crate::train::Trainer::step); the last checkpoint cannot be loaded; there were too many rollbacks to it.
pub async fn step_unless_spike<C: Control>(
    control: &C,
    ranks: &mut Ranks,
) -> std::result::Result<Outcome, C::Failure> {
    let held = ranks.measure(|| control.with_run(|run| run.trainer()?.hold_step()))?;
    let (loss, grad_norm) = held.read().await?;
    let (step, scores, on_spike) = control.with_run(|run| {
        let step = run.step() + 1;
        let scores = run.long_run_mut().judge(Figures { loss, grad_norm });
        Ok((step, scores, run.long_run().config.on_spike))
    })?;
    // While there are too few steps to compare with, a loss that is not finite is read as usual and ends the run.
    let is_spike = ranks.decide(step, "whether to skip it", scores.is_some())?;
    if !is_spike {
        let report = control.with_run(|run| run.trainer()?.make_held(held))?;
        return Ok(Outcome::Made(report));
    }
    // Rank 0 decides, and another processor may round to the other side of the threshold.
    let scores = scores.unwrap_or(Scores { loss: 0.0, grad_norm: 0.0 });
    if on_spike == OnSpike::Rollback
        && let Some(step) = control.saved(true)?
    {
        // The checkpoint that was being written is the last one.
        control.emit(TrainEvent::Saved { step })?;
    }
    let saved = control.with_run(|run| Ok(run.saved))?;
    let action = match (on_spike, saved) {
        (OnSpike::Rollback, Some(to)) => {
            // Freed before the checkpoint takes memory.
            drop(held);
            let loaded = control.load(to).await?;
            SpikeAction::RolledBack { to: control.with_run(|run| run.roll_back(loaded, step))? }
        }
        _ => {
            control.with_run(|run| {
                run.trainer()?.skip_held(held);
                run.long_run_mut().skipped.push(step);
                Ok(())
            })?;
            SpikeAction::Skipped
        }
    };
    Ok(Outcome::Passed(Spike { step, loss, grad_norm, scores, action }))
}

/// Compares the figures of a completed step with those before.
///
/// # Errors
/// There is no run.
pub fn look_for_spike<C: Control>(control: &C, figures: &StepFigures) -> Result<Option<Spike>> {
    let StepFigures { step, loss, grad_norm, .. } = *figures;
    let scores =
        control.with_run(|run| Ok(run.long_run_mut().judge(Figures { loss, grad_norm })))?;
    let action = SpikeAction::Reported;
    Ok(scores.map(|scores| Spike { step, loss, grad_norm, scores, action }))
}
