//! Position encodings without parameters: rotary (RoPE) and sinusoidal.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use crate::config::{ModelConfig, RopeScaling, RopeType};
use crate::kernels::embedding::{Ids, embedding};
use crate::kernels::rotary::Table;

/// Cosines and sines of all positions, `[max_position_embeddings, D / 2]` each.
#[derive(Module, Debug)]
pub struct RotaryTable {
    cos: Tensor<2>,
    sin: Tensor<2>,
}

impl RotaryTable {
    /// Computes the table in f32 like Hugging Face's `LlamaRotaryEmbedding`: at long contexts more exact angles would
    /// differ from those that published models were trained with.
    pub fn new(c: &ModelConfig, device: &Device) -> Self {
        let half = c.head_dim / 2;
        let frequencies: Vec<f32> = (0..half)
            .map(|i| {
                let exponent = (2 * i) as f32 / c.head_dim as f32;
                let frequency = 1.0 / (c.rope_theta as f32).powf(exponent);
                c.rope_scaling.map_or(frequency, |scaling| scale_frequency(frequency, scaling))
            })
            .collect();
        let positions = c.max_position_embeddings;
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f32> = (0..positions)
                .flat_map(|t| frequencies.iter().map(move |w| f(f64::from(t as f32 * w)) as f32))
                .collect();
            Tensor::from_data(TensorData::new(values, [positions, half]), device)
        };
        Self { cos: table(f64::cos), sin: table(f64::sin) }
    }

    /// Returns the cosines and sines of the positions `start..end`, `[T, D / 2]` each.
    pub fn rows(&self, start: usize, end: usize) -> Table {
        let rows = |table: &Tensor<2>| table.clone().slice_dim(0, start..end);
        (rows(&self.cos), rows(&self.sin))
    }

    /// Returns the cosines and sines of `N` positions, `[N, D / 2]` each.
    pub fn at(&self, positions: &Ids) -> Table {
        let rows = |table: &Tensor<2>| embedding(table.clone(), positions.clone());
        (rows(&self.cos), rows(&self.sin))
    }
}

/// Applies RoPE scaling to one frequency (`_compute_llama3_parameters` and `_compute_linear_scaling_rope_parameters` in
/// Hugging Face's `modeling_rope_utils.py`).
pub fn scale_frequency(frequency: f32, scaling: RopeScaling) -> f32 {
    let factor = scaling.factor as f32;
    if scaling.rope_type == RopeType::Linear {
        return frequency / factor;
    }
    let original = scaling.original_max_position_embeddings as f32;
    let low = scaling.low_freq_factor as f32;
    let high = scaling.high_freq_factor as f32;
    let wavelength = std::f32::consts::TAU / frequency;
    if wavelength < original / high {
        frequency
    } else if wavelength > original / low {
        frequency / factor
    } else {
        let smooth = (original / wavelength - low) / (high - low);
        (1.0 - smooth) * frequency / factor + smooth * frequency
    }
}

/// Computes sinusoidal position embeddings `[positions, width]` (Vaswani et al. 2017, section 3.5): sines in even
/// columns, cosines in odd ones.
pub fn sinusoids(positions: usize, width: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = (0..positions)
        .flat_map(|t| {
            (0..width).map(move |i| {
                let angle = t as f64 / 10_000f64.powf((i - i % 2) as f64 / width as f64);
                if i % 2 == 0 { angle.sin() as f32 } else { angle.cos() as f32 }
            })
        })
        .collect();
    Tensor::from_data(TensorData::new(values, [positions, width]), device)
}
