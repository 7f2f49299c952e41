//! Principal components: many dimensions in the plane.

use burn::tensor::{Tensor, TensorData};

use crate::error::Result;
use crate::model::read_floats;

/// Enough for a plot, also where two eigenvalues are close.
const ITERATIONS: usize = 500;

/// Points in the plane of their first two principal components.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// A place for each row, around zero.
    pub points: Vec<[f32; 2]>,
    /// The share of the variance that each axis holds.
    pub explained: [f32; 2],
}

/// Puts the rows of `x [N, C]` where they are seen best: on the two axes along which they differ most. The
/// same rows give the same axes; each points to where its largest component is positive.
///
/// # Errors
/// A lost device.
pub async fn principal_plane(x: Tensor<2>) -> Result<Plane> {
    let [rows, width] = x.dims();
    let device = x.device();
    let centered = x.clone() - x.mean_dim(0);
    let covariance = centered.clone().transpose().matmul(centered.clone()).div_scalar(rows as f64);
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
    let points = read_floats(centered.matmul(axes.transpose()).reshape([rows * 2])).await?;
    Ok(Plane { points: points.chunks(2).map(|point| [point[0], point[1]]).collect(), explained })
}

/// The eigenvectors of the two largest eigenvalues of a covariance matrix `[C, C]`, by orthogonal iteration
/// (Golub and Van Loan 2013, section 8.2.4). Zero where there is none: in less than two dimensions.
fn leading_axes(matrix: &[f64], width: usize) -> [Vec<f64>; 2] {
    // Anywhere but at right angles to what is looked for.
    let mut axes = [0.0, 1.0].map(|axis: f64| {
        (0..width).map(|i| (12.9898 * i as f64 + axis + 1.0).sin()).collect::<Vec<_>>()
    });
    for _ in 0..ITERATIONS {
        let mut next = axes.each_ref().map(|axis| product(matrix, axis));
        normalize(&mut next[0], 0.0);
        let [first, second] = &mut next;
        let (length, along) = (dot(second, second).sqrt(), dot(first, second));
        second.iter_mut().zip(first).for_each(|(x, first)| *x -= along * *first);
        // What is left of a vector that lay along the first is only rounding.
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

/// `matrix [C, C]` times `vector [C]`.
fn product(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    matrix.chunks(vector.len()).map(|row| dot(row, vector)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Scales a vector to length one, or to nothing if it is no longer than `noise`.
fn normalize(vector: &mut [f64], noise: f64) {
    let length = dot(vector, vector).sqrt();
    let scale = if length > noise { 1.0 / length } else { 0.0 };
    vector.iter_mut().for_each(|x| *x *= scale);
}
