//! Measures matrix multiplication to choose between devices.

use burn::tensor::{Device, Distribution, Tensor};

use super::now_ms;
use crate::kernels::linear::linear;

/// Rows and columns of the matrices: large enough to favor a GPU, small enough for slow devices.
const SIDE: usize = 256;
/// Duration of the measurement, after a first product has compiled the kernels.
const BUDGET_MS: f64 = 250.0;

/// Measures the speed in GFLOP/s; none if the device fails.
pub async fn gflops(device: &Device) -> Option<f64> {
    let random = || Tensor::<2>::random([SIDE, SIDE], Distribution::Default, device);
    let a = random();
    let b = random();
    multiply(&a, &b, 1).await?;
    let start = now_ms();
    let mut best = 0f64;
    let mut times = 1;
    while now_ms() - start < BUDGET_MS {
        let before = now_ms();
        multiply(&a, &b, times).await?;
        let seconds = (now_ms() - before).max(0.1) / 1e3;
        best = best.max(times as f64 * 2.0 * (SIDE as f64).powi(3) / seconds / 1e9);
        times *= 2;
    }
    Some(best)
}

/// Multiplies `times` times and waits for the result.
async fn multiply(a: &Tensor<2>, b: &Tensor<2>, times: usize) -> Option<()> {
    let mut product = a.clone();
    for _ in 0..times {
        // Scaled so that the repeated product stays finite.
        product = linear(product, b.clone(), None, None).mul_scalar(2.0 / SIDE as f64);
    }
    product.slice([0..1, 0..1]).into_data_async().await.ok().map(|_| ())
}

/// Returns the reason for choosing the faster of two devices.
pub fn explain_choice(chosen: f64, other: &str, theirs: f64) -> String {
    format!("measured {chosen:.1} GFLOP/s here against {theirs:.1} on {other}")
}
