//! A loss spike as a line of `metrics.jsonl` and as a sentence.

use serde_json::{Value, json};

use crate::run::{Spike, SpikeAction};

/// Returns the event that `metrics.jsonl` and `--json` record.
pub fn event(spike: &Spike) -> Value {
    let Spike { step, loss, grad_norm, scores, action } = spike;
    let (action, to) = match action {
        SpikeAction::Reported => ("reported", None),
        SpikeAction::Skipped => ("skipped", None),
        SpikeAction::RolledBack { to } => ("rolled_back", Some(to)),
    };
    json!({
        "type": "spike", "step": step, "loss": loss, "grad_norm": grad_norm,
        "loss_score": scores.loss, "grad_norm_score": scores.grad_norm,
        "action": action, "to": to,
    })
}

/// Returns a sentence that describes the spike and the action.
pub fn sentence(spike: &Spike) -> String {
    let Spike { step, loss, grad_norm, scores, action } = spike;
    let norm = grad_norm.map_or("too large for f16".into(), |norm| format!("{norm:.3}"));
    let action = match action {
        SpikeAction::Reported => "the step was made".into(),
        SpikeAction::Skipped => "the step is skipped: its batches do not change the weights".into(),
        SpikeAction::RolledBack { to } => format!(
            "back to the checkpoint of step {to}: the batches of the {} steps after it are passed over",
            step - to
        ),
    };
    format!(
        "step {step}: spike: loss {loss:.4} ({:.1} robust deviations above the median), gradient norm {norm} ({:.1}); {action}",
        scores.loss, scores.grad_norm,
    )
}
