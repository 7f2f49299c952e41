//! Sampling from logits.

use crate::config::SampleConfig;
use crate::model::{log_sum_exp, top_k};

/// The distribution of the next token: the model's, and the one that the sampler draws from.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    logits: Vec<f32>,
    /// [`log_sum_exp`] of the logits.
    normalizer: f64,
    /// Candidates from [`distribution`] with normalized probabilities.
    candidates: Vec<(u32, f64)>,
}

impl Prediction {
    /// Computes both distributions from the logits `[vocab_size]` after the tokens `history`.
    pub fn new(logits: Vec<f32>, history: &[u32], config: &SampleConfig) -> Self {
        let mut candidates = distribution(&logits, history, config);
        let total: f64 = candidates.iter().map(|(_, p)| p).sum();
        for (_, p) in &mut candidates {
            *p /= total;
        }
        Self { normalizer: log_sum_exp(&logits), logits, candidates }
    }

    /// Draws the next token; `random` is uniform in `[0, 1)`.
    pub fn draw(&self, random: f64) -> u32 {
        let mut rest = random;
        for (id, p) in &self.candidates {
            rest -= p;
            if rest < 0.0 {
                return *id;
            }
        }
        self.candidates.last().map_or(0, |(id, _)| *id)
    }

    /// Returns the model's probability of a token; 0 for an id outside the vocabulary.
    pub fn probability(&self, id: u32) -> f64 {
        let logit = self.logits.get(id as usize);
        logit.map_or(0.0, |logit| (f64::from(*logit) - self.normalizer).exp())
    }

    /// Returns the probability that the sampler draws a token; 0 if the token was filtered out.
    pub fn sampling_probability(&self, id: u32) -> f64 {
        self.candidates.iter().find(|(other, _)| *other == id).map_or(0.0, |(_, p)| *p)
    }

    /// Returns the number of tokens left after filtering.
    pub fn candidates(&self) -> usize {
        self.candidates.len()
    }

    /// Returns the model's `count` most likely tokens, most likely first.
    pub fn top(&self, count: usize) -> Vec<u32> {
        top_k(&self.logits, count)
    }
}

/// Returns the candidates for the next token with their unnormalized probabilities, most likely first.
///
/// Filters in Hugging Face's order: repetition penalty over `history`, temperature, top-k, top-p, min-p.
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
    // Ties go to the smaller id, as with argmax.
    let by_score = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    let most = if config.temperature == 0.0 { 1 } else { config.top_k };
    if (1..order.len()).contains(&most) {
        // Sorting a large vocabulary would take as long as a forward pass of a small model.
        order.select_nth_unstable_by(most - 1, by_score);
        order.truncate(most);
    }
    order.sort_unstable_by(by_score);
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
        // Before normalization the most likely token has probability 1.
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
    fn each_filter_keeps_the_tokens_of_its_definition() {
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
            counts[prediction.draw((f64::from(i) + 0.5) / 1400.0) as usize] += 1;
        }
        assert_eq!(counts, [200, 800, 400]);
    }

    #[test]
    fn a_prediction_separates_the_model_from_the_sampler() {
        let logits = [1.0f32, 3.0, 2.0, -1.0].map(|l| l * std::f32::consts::LN_2); // 2, 8, 4, 0.5
        let cut = SampleConfig { top_k: 2, temperature: 0.5, ..config() };
        let prediction = Prediction::new(logits.to_vec(), &[], &cut);
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found}");
        assert_eq!((prediction.top(3), prediction.candidates()), (vec![1, 2, 0], 2));
        assert_eq!(prediction.top(9), [1, 2, 0, 3]);
        near(prediction.probability(1), 8.0 / 14.5);
        near(prediction.probability(3), 0.5 / 14.5);
        near(prediction.sampling_probability(1), 64.0 / 80.0);
        near(prediction.sampling_probability(2), 16.0 / 80.0);
        assert_eq!((prediction.sampling_probability(0), prediction.probability(4)), (0.0, 0.0));
    }
}
