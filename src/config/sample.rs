//! How text is sampled from a trained model.

use super::declare::settings;
use super::range::Range;
use super::setting::{Kind, Settings};
use crate::error::Result;

settings! {
    /// How the next token is chosen from the logits, and when to stop.
    pub struct SampleConfig ("Sampling") {
        /// Largest number of tokens to generate.
        max_new_tokens: usize = 200 => { label: "Length", unit: "tokens", basic: true },
        /// Low values make the text predictable, high values make it varied: the logits are divided by it. 0 always takes
        /// the most likely token.
        temperature: f64 = 0.8 => {
            label: "Temperature",
            range: Range::at_least(0.0),
            step: Some(0.1),
            basic: true,
            usual: "0.7 to 1; above 1.2 text becomes incoherent",
            formula: "p ∝ exp(z ∕ τ)",
            source: "Ackley et al. 1985",
        },
        /// Samples from the k most likely tokens only. 0 keeps all.
        top_k: usize = 0 => { label: "Top-k", unit: "tokens", usual: "0 or 40 to 100", source: "Fan et al. 2018" },
        /// Samples from the smallest set of tokens whose probabilities add up to this value. 1 keeps all.
        top_p: f64 = 0.95 => {
            label: "Top-p",
            range: Range::above(0.0).at_most(1.0),
            step: Some(0.05),
            usual: "0.9 to 1",
            formula: "fewest tokens with Σ p ≥ P",
            source: "Holtzman et al. 2020",
        },
        /// Drops tokens whose probability is below this share of the most likely token's. 0 keeps all.
        min_p: f64 = 0.0 => {
            label: "Min-p",
            range: Range::at_least(0.0).at_most(1.0),
            step: Some(0.01),
            usual: "0, or 0.05 to 0.1",
            formula: "p ≥ m · max p",
            source: "Nguyen et al. 2024",
        },
        /// Makes tokens that already occur less likely: divides their positive logits and multiplies their negative ones.
        /// 1 turns it off.
        repetition_penalty: f64 = 1.0 => {
            label: "Repetition penalty",
            range: Range::above(0.0),
            step: Some(0.05),
            usual: "1 to 1.3",
            formula: "z ∕ θ, or z · θ below zero",
            source: "Keskar et al. 2019 (CTRL)",
        },
        /// Stops before this text. Several can be given.
        stop: Vec<String> = Vec::new() => { label: "Stop at", kind: Kind::Texts },
        /// Seed of the random numbers. The same seed gives the same text.
        seed: u64 = 42 => { label: "Sampling seed" },
    }
}

impl SampleConfig {
    /// Refuses settings from which nothing could be sampled.
    ///
    /// # Errors
    /// The first setting out of range.
    pub fn validate(&self) -> Result<()> {
        self.validate_ranges()
    }
}
