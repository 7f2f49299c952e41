//! Logits to tokens, without a model: pure functions.

use crate::config::SampleConfig;
use crate::model::{likeliest, log_sum_exp};

/// What a model predicts, and what a sampler makes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    logits: Vec<f32>,
    /// Their [`log_sum_exp`].
    normalizer: f64,
    /// As [`distribution`] gives them, but normalized.
    drawable: Vec<(u32, f64)>,
}

impl Prediction {
    /// Of the token after `history`, from its logits `[vocab]`.
    pub fn new(logits: Vec<f32>, history: &[u32], config: &SampleConfig) -> Self {
        let mut drawable = distribution(&logits, history, config);
        let total: f64 = drawable.iter().map(|(_, p)| p).sum();
        for (_, p) in &mut drawable {
            *p /= total;
        }
        Self { normalizer: log_sum_exp(&logits), logits, drawable }
    }

    /// The next token; `random` is uniform in `[0, 1)`.
    pub fn choose(&self, random: f64) -> u32 {
        let mut rest = random;
        for (id, p) in &self.drawable {
            rest -= p;
            if rest < 0.0 {
                return *id;
            }
        }
        self.drawable.last().map_or(0, |(id, _)| *id)
    }

    /// The model's probability of a token; 0 for one it does not have.
    pub fn probability(&self, id: u32) -> f64 {
        let logit = self.logits.get(id as usize);
        logit.map_or(0.0, |logit| (f64::from(*logit) - self.normalizer).exp())
    }

    /// The probability with which the sampler draws a token; 0 if it is cut off.
    pub fn drawn(&self, id: u32) -> f64 {
        self.drawable.iter().find(|(other, _)| *other == id).map_or(0.0, |(_, p)| *p)
    }

    /// How many tokens may be drawn.
    pub fn kept(&self) -> usize {
        self.drawable.len()
    }

    /// The `count` tokens that the model finds likeliest, in this order.
    pub fn top(&self, count: usize) -> Vec<u32> {
        likeliest(&self.logits, count)
    }
}

/// The tokens that may be drawn with their unnormalized probabilities, most likely first.
///
/// The order is Hugging Face's: repetition penalty over `history`, temperature, top-k, top-p, min-p.
pub fn distribution(logits: &[f32], history: &[u32], config: &SampleConfig) -> Vec<(u32, f64)> {
    let mut scores: Vec<f64> = logits.iter().map(|logit| f64::from(*logit)).collect();
    if config.repetition_penalty != 1.0 {
        let mut seen = history.to_vec();
        seen.sort_unstable();
        seen.dedup();
        for id in seen {
            if let Some(score) = scores.get_mut(id as usize) {
                let penalty = config.repetition_penalty;
                *score = if *score > 0.0 { *score / penalty } else { *score * penalty };
            }
        }
    }
    let mut order: Vec<(u32, f64)> =
        scores.into_iter().enumerate().map(|(id, score)| (id as u32, score)).collect();
    // Ties go to the smaller id, as argmax does it elsewhere.
    let likelier = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    let most = if config.temperature == 0.0 { 1 } else { config.top_k };
    if (1..order.len()).contains(&most) {
        // Sorting a large vocabulary takes as long as a small model.
        order.select_nth_unstable_by(most - 1, likelier);
        order.truncate(most);
    }
    order.sort_unstable_by(likelier);
    let best = order.first().map_or(0.0, |(_, score)| *score);
    let temperature = if config.temperature == 0.0 { 1.0 } else { config.temperature };
    for (_, score) in &mut order {
        *score = ((*score - best) / temperature).exp();
    }
    if config.top_p < 1.0 {
        let mut left = order.iter().map(|(_, p)| p).sum::<f64>() * config.top_p;
        let kept = order
            .iter()
            .position(|(_, p)| {
                left -= p;
                left <= 0.0
            })
            .map_or(order.len(), |last| last + 1);
        order.truncate(kept);
    }
    if config.min_p > 0.0 {
        // The best has probability one here, before normalization.
        order.retain(|(_, p)| *p >= config.min_p);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> SampleConfig {
        SampleConfig { temperature: 1.0, top_p: 1.0, ..Default::default() }
    }

    fn kept(config: &SampleConfig, history: &[u32]) -> Vec<u32> {
        let logits = [1.0f32, 3.0, 2.0, -1.0].map(|l| l * std::f32::consts::LN_2); // 2, 8, 4, 0.5
        distribution(&logits, history, config).into_iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn each_cut_keeps_what_its_definition_says() {
        assert_eq!(kept(&config(), &[]), [1, 2, 0, 3]);
        assert_eq!(kept(&SampleConfig { temperature: 0.0, ..config() }, &[]), [1]);
        assert_eq!(kept(&SampleConfig { top_k: 2, ..config() }, &[]), [1, 2]);
        // Probabilities 8, 4, 2, 0.5 of 14.5: 0.552, 0.828, 0.966.
        assert_eq!(kept(&SampleConfig { top_p: 0.55, ..config() }, &[]), [1]);
        assert_eq!(kept(&SampleConfig { top_p: 0.56, ..config() }, &[]), [1, 2]);
        assert_eq!(kept(&SampleConfig { min_p: 0.24, ..config() }, &[]), [1, 2, 0]);
        // 3 ln 2 / 4 falls below 1 ln 2.
        assert_eq!(kept(&SampleConfig { repetition_penalty: 4.0, ..config() }, &[1]), [2, 0, 1, 3]);
    }

    #[test]
    fn draws_follow_the_distribution() {
        let logits = [1.0f32, 3.0, 2.0].map(|l| l * std::f32::consts::LN_2); // 2, 8, 4 of 14
        let prediction = Prediction::new(logits.to_vec(), &[], &config());
        let mut counts = [0; 3];
        for i in 0..1400 {
            counts[prediction.choose((f64::from(i) + 0.5) / 1400.0) as usize] += 1;
        }
        assert_eq!(counts, [200, 800, 400]);
    }

    #[test]
    fn a_prediction_tells_the_model_from_the_sampler() {
        let logits = [1.0f32, 3.0, 2.0, -1.0].map(|l| l * std::f32::consts::LN_2); // 2, 8, 4, 0.5
        let cut = SampleConfig { top_k: 2, temperature: 0.5, ..config() };
        let prediction = Prediction::new(logits.to_vec(), &[], &cut);
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found}");
        assert_eq!((prediction.top(3), prediction.kept()), (vec![1, 2, 0], 2));
        assert_eq!(prediction.top(9), [1, 2, 0, 3]);
        near(prediction.probability(1), 8.0 / 14.5);
        near(prediction.probability(3), 0.5 / 14.5);
        near(prediction.drawn(1), 64.0 / 80.0);
        near(prediction.drawn(2), 16.0 / 80.0);
        assert_eq!((prediction.drawn(0), prediction.probability(4)), (0.0, 0.0));
    }
}
