//! Newton-Schulz orthogonalization (Jordan et al. 2024, "Muon").

use burn::tensor::Tensor;

/// Coefficients of the quintic that pushes every singular value towards one fastest.
const QUINTIC: (f64, f64, f64) = (3.4445, -4.7750, 2.0315);
const ITERATIONS: usize = 5;

/// The nearest semi-orthogonal matrix, roughly: all singular values near one. `[R, C] -> [R, C]`.
pub fn orthogonalize(matrix: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = matrix.dims();
    let tall = rows > columns;
    let x = if tall { matrix.transpose() } else { matrix };
    let norm = (x.clone() * x.clone()).sum().sqrt().add_scalar(1e-7);
    let mut x = x / norm.unsqueeze::<2>();
    let (a, b, c) = QUINTIC;
    for _ in 0..ITERATIONS {
        let gram = x.clone().matmul(x.clone().transpose());
        let poly = gram.clone().mul_scalar(b) + gram.clone().matmul(gram).mul_scalar(c);
        x = x.clone().mul_scalar(a) + poly.matmul(x);
    }
    if tall { x.transpose() } else { x }
}
