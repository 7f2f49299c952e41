//! How fast a device multiplies matrices, to choose between two.

use burn::tensor::{Device, Distribution, Tensor};

use super::now_ms;
use crate::kernels::linear::linear;

/// Side of the matrices: large enough to tell a GPU from a processor, small enough for the slowest.
const SIDE: usize = 256;
/// How long to measure, after the first product has compiled what it needs.
const BUDGET_MS: f64 = 250.0;

/// Measured speed in GFLOP/s; none if the device fails.
pub async fn gflops(device: &Device) -> Option<f64> {
    let random = || Tensor::<2>::random([SIDE, SIDE], Distribution::Default, device);
    let (a, b) = (random(), random());
    multiply(&a, &b, 1).await?;
    let (start, mut best, mut times) = (now_ms(), 0f64, 1);
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
        // Scaled so that powers of a matrix stay finite.
        product = linear(product, b.clone(), None, None).mul_scalar(2.0 / SIDE as f64);
    }
    product.slice([0..1, 0..1]).into_data_async().await.ok().map(|_| ())
}

/// Why the faster of two was chosen.
pub fn because(chosen: f64, other: &str, theirs: f64) -> String {
    format!("measured {chosen:.1} GFLOP/s here against {theirs:.1} on {other}")
}
