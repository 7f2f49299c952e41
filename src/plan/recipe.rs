//! Hyperparameters that follow from compute: batch, learning rate, warm-up.

/// Returns the learning rate of AdamW for training with `flops` operations, `0.3118 C^-0.125` (Bi et al. 2024, DeepSeek LLM,
/// equation 1).
pub fn learning_rate(flops: f64) -> f64 {
    0.3118 * flops.powf(-0.1250)
}

/// Returns the tokens of a batch for training with `flops` operations, `0.2920 C^0.3271` (Bi et al. 2024, equation 1).
pub fn batch_tokens(flops: f64) -> f64 {
    0.2920 * flops.powf(0.3271)
}

/// Returns the critical batch in tokens at a loss in nats per token, `2·10⁸ L^(-1/0.21)`: beyond it, larger batches save few steps
/// (McCandlish et al. 2018; Kaplan et al. 2020, equation 5.3 and table 5).
pub fn critical_batch(loss: f64) -> f64 {
    2e8 * loss.powf(-1.0 / 0.21)
}

/// Returns the steps of warm-up: 1 % of all, as Biderman et al. 2023 (Pythia) have, but at least 100, and at most a tenth.
pub fn warmup_steps(steps: u64) -> u64 {
    (steps / 100).max(100).min(steps / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bi et al. 2024, table 2: DeepSeek LLM 7B and 67B, with 2·10¹² tokens in sequences of 4096.
    #[test]
    fn formulas_give_what_their_authors_used() {
        for (params, sequences, lr) in [(6.9e9, 2304.0, 4.2e-4), (67.4e9, 4608.0, 3.2e-4)] {
            let flops = 6.0 * params * 2e12;
            let batch = batch_tokens(flops) / (4096.0 * sequences);
            assert!((0.9..1.1).contains(&batch), "{batch}");
            assert!((learning_rate(flops) / lr - 1.0).abs() < 0.05, "{}", learning_rate(flops));
        }
    }

    /// Kaplan et al. 2020, figure 10: about 10⁶ tokens at a loss of 3, and twice as many for each 13 % that the loss falls.
    #[test]
    fn the_critical_batch_doubles_as_the_loss_falls_by_13_percent() {
        assert!((0.9e6..1.2e6).contains(&critical_batch(3.0)), "{}", critical_batch(3.0));
        let ratio = critical_batch(0.87 * 3.0) / critical_batch(3.0);
        assert!((1.9..2.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn warm_up_is_a_small_part() {
        assert_eq!([10, 500, 5000, 50_000].map(warmup_steps), [1, 50, 100, 500]);
    }
}
