//! Functions of logits on the host.

/// Computes `log(sum(exp(logits)))`. A token's log-probability is its logit minus this.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    let best = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    best + logits.iter().map(|logit| (f64::from(*logit) - best).exp()).sum::<f64>().ln()
}

/// Returns the ids of the `count` largest logits in descending order; ties go to the smaller id.
pub fn top_k(logits: &[f32], count: usize) -> Vec<u32> {
    let by_logit =
        |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    let mut ids: Vec<u32> = (0..logits.len() as u32).collect();
    if count < ids.len() {
        ids.select_nth_unstable_by(count, by_logit);
        ids.truncate(count);
    }
    ids.sort_unstable_by(by_logit);
    ids
}
