//! Principal component analysis: projection to two dimensions.

use burn::tensor::{Tensor, TensorData};

use crate::error::Result;
use crate::kernels::linear;
use crate::model::read_floats;

/// Maximum number of iterations, enough for a plot even if two eigenvalues are close.
const ITERATIONS: usize = 500;

/// Points in the plane of the first two principal components.
#[derive(Clone, Debug, PartialEq)]
pub struct PrincipalPlane {
    /// Coordinates of each row; the mean of the fitted rows is 0.
    pub points: Vec<[f32; 2]>,
    /// Fraction of the variance along each axis.
    pub explained: [f32; 2],
}

/// Projects the rows of `x [N, C]` to the first two principal components of the first `fitted` rows. The result is
/// deterministic; each axis is oriented such that its largest component is positive.
///
/// # Errors
/// Returns an error if the device was lost.
pub async fn project_to_plane(x: Tensor<2>, fitted: usize) -> Result<PrincipalPlane> {
    let [rows, width] = x.dims();
    let device = x.device();
    let first = x.clone().slice_dim(0, 0..fitted);
    let mean = first.clone().mean_dim(0);
    let first = first - mean.clone();
    let covariance = linear::product(first.clone().transpose(), first).div_scalar(fitted as f64);
    let covariance = read_floats(covariance.reshape([width * width])).await?;
    let covariance: Vec<f64> = covariance.into_iter().map(f64::from).collect();

    let axes = leading_axes(&covariance, width);
    let total: f64 = covariance.iter().step_by(width + 1).sum();
    let explained = axes.each_ref().map(|axis| {
        let variance = dot(axis, &product(&covariance, axis));
        if total > 0.0 { (variance / total) as f32 } else { 0.0 }
    });
    let axes: Vec<f32> = axes.iter().flatten().map(|x| *x as f32).collect();
    let axes = Tensor::from_data(TensorData::new(axes, [2, width]), &device);
    let centered = x - mean;
    let points =
        read_floats(linear::product(centered, axes.transpose()).reshape([rows * 2])).await?;
    Ok(PrincipalPlane {
        points: points.chunks(2).map(|point| [point[0], point[1]]).collect(),
        explained,
    })
}

/// Computes the eigenvectors of the two largest eigenvalues of a covariance matrix `[C, C]` by orthogonal iteration
/// (Golub and Van Loan 2013, section 8.2.4). In fewer than two dimensions the missing ones are zero.
fn leading_axes(matrix: &[f64], width: usize) -> [Vec<f64>; 2] {
    // Start vectors that are unlikely to be orthogonal to the eigenvectors.
    let mut axes = [0.0, 1.0].map(|axis: f64| {
        (0..width).map(|i| (12.9898 * i as f64 + axis + 1.0).sin()).collect::<Vec<_>>()
    });
    for _ in 0..ITERATIONS {
        let mut next = axes.each_ref().map(|axis| product(matrix, axis));
        normalize(&mut next[0], 0.0);
        let [first, second] = &mut next;
        let length = dot(second, second).sqrt();
        let along = dot(first, second);
        second.iter_mut().zip(first).for_each(|(x, first)| *x -= along * *first);
        // If the second vector was parallel to the first, only rounding error is left.
        normalize(second, 1e-9 * length);
        let pairs = axes.iter().flatten().zip(next.iter().flatten());
        let moved = pairs.map(|(old, new)| (old - new).abs()).fold(0.0, f64::max);
        axes = next;
        if moved < 1e-10 {
            break;
        }
    }
    axes.map(|axis| {
        let largest = axis.iter().copied().reduce(|a, b| if b.abs() > a.abs() { b } else { a });
        let sign = largest.map_or(1.0, f64::signum);
        axis.into_iter().map(|x| x * sign).collect()
    })
}

/// Multiplies `matrix [C, C]` by `vector [C]`.
fn product(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    matrix.chunks(vector.len()).map(|row| dot(row, vector)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Scales a vector to length 1, or to zero if its length is at most `noise`.
fn normalize(vector: &mut [f64], noise: f64) {
    let length = dot(vector, vector).sqrt();
    let scale = if length > noise { 1.0 / length } else { 0.0 };
    vector.iter_mut().for_each(|x| *x *= scale);
}
