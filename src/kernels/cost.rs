//! Floors of the operations' times: bytes and floating-point operations that no kernel can do without.
//!
//! The functions `costs` beside the operations count each number of inputs and results once, as if everything in between
//! stayed in registers, and the multiplications and additions of matrix products. Other arithmetic is left out: it is done
//! while the memory is busy.
//!
//! ```
//! use blankslate::kernels::norm;
//!
//! // 4 rows of 8 numbers of 2 bytes are read and written.
//! let forward = norm::costs([4, 8], 2).forward;
//! assert_eq!((forward.bytes, forward.flops), (128.0, 0.0));
//! assert_eq!(forward.floor(64.0, 1e12), 2.0);
//! ```

use std::ops::Add;

/// Work of one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Bytes read and written.
    pub bytes: f64,
    /// Floating-point operations of matrix products: a multiplication and an addition are two.
    pub flops: f64,
}

impl Cost {
    /// Returns the seconds that the work takes at least on a device with this bandwidth and this peak: the larger of
    /// `bytes / bandwidth` and `flops / peak`.
    pub fn floor(self, bytes_per_second: f64, flops_per_second: f64) -> f64 {
        (self.bytes / bytes_per_second).max(self.flops / flops_per_second)
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, flops: self.flops + other.flops }
    }
}

/// Work of both passes of an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Costs {
    /// From the inputs to the result.
    pub forward: Cost,
    /// From the gradient of the result to those of the inputs.
    pub backward: Cost,
}

impl Costs {
    /// Returns the costs of an operation without matrix products that moves `forward` and `backward` numbers of
    /// `size` bytes in these passes.
    pub(super) fn moved(forward: f64, backward: f64, size: usize) -> Self {
        let cost = |numbers: f64| Cost { bytes: numbers * size as f64, flops: 0.0 };
        Self { forward: cost(forward), backward: cost(backward) }
    }

    /// Returns the work of both passes together.
    pub fn sum(self) -> Cost {
        self.forward + self.backward
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Estimate, HiddenAct, TrainConfig, preset};
    use crate::kernels::{attention, cross_entropy, linear};

    /// The products of all operations of a model, on one sequence.
    fn products(name: &str, causal: bool) -> Costs {
        let preset = preset(name).unwrap();
        let (c, t) = (preset.model, preset.data.seq_len);
        let (d, q, kv, ff) = (c.hidden_size, c.q_size(), c.kv_size(), c.intermediate_size);
        let ups = if c.hidden_act == HiddenAct::Swiglu { 2 } else { 1 };
        let mut all = vec![linear::costs([t, d, q + 2 * kv], 2), linear::costs([t, q, d], 2)];
        all.extend(vec![linear::costs([t, d, ff], 2); ups]);
        all.push(linear::costs([t, ff, d], 2));
        let options = attention::Options {
            batch: 1,
            tokens: t,
            heads: c.num_attention_heads,
            kv_heads: c.num_key_value_heads,
            head_dim: c.head_dim,
            causal,
            scale: 1.0,
            soft_cap: None,
            window: None,
            dropout: None,
        };
        all.push(options.costs(2));
        let mut all = all.repeat(c.num_hidden_layers);
        all.push(cross_entropy::costs([t, d], c.vocab_size, 2));
        all.into_iter().fold(Costs::default(), |sum, costs| Costs {
            forward: sum.forward + costs.forward,
            backward: sum.backward + costs.backward,
        })
    }

    /// The estimate follows PaLM, which counts the keys after a token, too, and no scores computed again.
    #[test]
    fn the_products_of_a_step_add_up_to_the_estimate() {
        for name in ["gpt2", "llama-130m"] {
            let preset = preset(name).unwrap();
            let t = preset.data.seq_len;
            let estimate = Estimate::new(&preset.model, &TrainConfig::default(), t);
            let all = products(name, false);
            assert_eq!(all.forward.flops, (t as u64 * estimate.forward_flops_per_token) as f64);
            let seen = products(name, true);
            let attention = all.forward.flops - seen.forward.flops;
            let c = &preset.model;
            let q = (c.num_hidden_layers * c.q_size()) as f64;
            assert_eq!(attention, 4.0 * q * (t * (t - 1) / 2) as f64);
            // Twice the forward pass, and the scores of attention again.
            let scores = 2.0 * q * (t * t) as f64;
            assert_eq!(all.backward.flops, 2.0 * all.forward.flops + scores);
        }
    }

    #[test]
    fn only_keys_inside_the_window_are_counted() {
        let options = |window, causal| attention::Options {
            batch: 1,
            tokens: 5,
            heads: 1,
            kv_heads: 1,
            head_dim: 1,
            causal,
            scale: 1.0,
            soft_cap: None,
            window,
            dropout: None,
        };
        for (window, causal) in
            [(None, true), (None, false), (Some(2), true), (Some(2), false), (Some(9), true)]
        {
            let sees = |query: usize, key: usize| {
                (!causal || key <= query)
                    && window.is_none_or(|window| query.abs_diff(key) < window)
            };
            let pairs = (0..25).filter(|pair| sees(pair / 5, pair % 5)).count();
            let flops = options(window, causal).costs(4).forward.flops;
            assert_eq!(flops, 4.0 * pairs as f64, "window {window:?}, causal {causal}");
        }
    }

    #[test]
    fn the_floor_is_the_slower_of_memory_and_arithmetic() {
        let cost = Cost { bytes: 6.0, flops: 8.0 };
        assert_eq!(cost.floor(2.0, 8.0), 3.0);
        assert_eq!(cost.floor(6.0, 2.0), 4.0);
        assert_eq!(cost.floor(2.0, f64::INFINITY), 3.0);
    }
}
