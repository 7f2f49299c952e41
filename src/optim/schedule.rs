//! Learning-rate schedules as pure functions of the step.

use crate::config::{ScheduleKind, TrainConfig};

/// Returns AdamW's learning rate at `step`, counted from 1.
pub fn learning_rate(c: &TrainConfig, step: u64) -> f64 {
    c.optimizer.lr * schedule_factor(c, step)
}

/// Returns the learning rate at `step`, counted from 1, as a fraction of its peak: linear warm-up, then the schedule.
///
/// Warm-up is `step / (warmup_steps + 1)`, as in nanoGPT. Decays reach `min_lr / lr` at the last step.
pub fn schedule_factor(c: &TrainConfig, step: u64) -> f64 {
    if step <= c.schedule.warmup_steps {
        return step as f64 / (c.schedule.warmup_steps as f64 + 1.0);
    }
    let floor = if c.optimizer.lr > 0.0 { c.schedule.min_lr / c.optimizer.lr } else { 0.0 };
    // Completed fraction of a decay that starts after step `first` and ends with the last step.
    let progress = |first: u64| {
        let span = c.steps.saturating_sub(first).max(1) as f64;
        (step.saturating_sub(first) as f64 / span).clamp(0.0, 1.0)
    };
    match c.schedule.kind {
        ScheduleKind::Constant => 1.0,
        ScheduleKind::Cosine => {
            let cosine = (std::f64::consts::PI * progress(c.schedule.warmup_steps)).cos();
            floor + (1.0 - floor) * 0.5 * (1.0 + cosine)
        }
        ScheduleKind::Linear => 1.0 - (1.0 - floor) * progress(c.schedule.warmup_steps),
        ScheduleKind::WarmupStableDecay => {
            let first = c.steps.saturating_sub(c.schedule.decay_steps).max(c.schedule.warmup_steps);
            1.0 - (1.0 - floor) * progress(first)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{OptimizerConfig, ScheduleConfig};

    #[test]
    fn the_longest_warm_up_stays_near_zero() {
        let schedule = ScheduleConfig::with_warmup(u64::MAX);
        let config = TrainConfig { schedule, ..Default::default() };
        for step in [0, 1, 1000] {
            let factor = schedule_factor(&config, step);
            assert!((0.0..1e-15).contains(&factor), "{factor} at step {step}");
        }
        assert_eq!(schedule_factor(&config, u64::MAX), 1.0);
    }

    #[test]
    fn schedules_have_the_expected_values() {
        let config = |schedule| TrainConfig {
            steps: 100,
            optimizer: OptimizerConfig::with_lr(1.0),
            schedule: ScheduleConfig {
                min_lr: 0.1,
                warmup_steps: 9,
                decay_steps: 20,
                kind: schedule,
            },
            ..Default::default()
        };
        use ScheduleKind::*;
        for (schedule, points) in [
            (Constant, [(1, 0.1), (9, 0.9), (10, 1.0), (100, 1.0)]),
            (Cosine, [(1, 0.1), (9, 0.9), (100, 0.1), (200, 0.1)]),
            (Linear, [(5, 0.5), (9, 0.9), (100, 0.1), (200, 0.1)]),
            (WarmupStableDecay, [(9, 0.9), (80, 1.0), (90, 0.55), (100, 0.1)]),
        ] {
            for (step, expected) in points {
                let factor = schedule_factor(&config(schedule), step);
                assert!((factor - expected).abs() < 1e-12, "{schedule:?} at {step}: {factor}");
            }
        }
    }
}
