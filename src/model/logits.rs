//! What logits say, on the host.

/// The logarithm of what the exponentials of `logits` sum to: a token's log-probability is its logit less
/// this.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    let best = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    best + logits.iter().map(|logit| (f64::from(*logit) - best).exp()).sum::<f64>().ln()
}

/// The `count` likeliest tokens, likeliest first; ties go to the smaller id.
pub fn likeliest(logits: &[f32], count: usize) -> Vec<u32> {
    let likelier =
        |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    let mut ids: Vec<u32> = (0..logits.len() as u32).collect();
    if count < ids.len() {
        ids.select_nth_unstable_by(count, likelier);
        ids.truncate(count);
    }
    ids.sort_unstable_by(likelier);
    ids
}
