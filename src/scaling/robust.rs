//! The Huber loss, and least squares on a line.

/// Residual, in the logarithm of the loss, up to which the Huber loss is quadratic (Hoffmann et al. 2022, section 3.3).
pub const HUBER_DELTA: f64 = 1e-3;

/// Returns the Huber loss of a residual, divided by [`HUBER_DELTA`], and its derivative.
pub fn huber(residual: f64) -> (f64, f64) {
    let size = residual.abs();
    if size <= HUBER_DELTA {
        (0.5 * residual * residual / HUBER_DELTA, residual / HUBER_DELTA)
    } else {
        (size - 0.5 * HUBER_DELTA, residual.signum())
    }
}

/// Returns intercept and slope of the line through `(x, y)` by least squares; none if all `x` are the same.
pub fn line(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let [x, y] = [mean(|point| point.0), mean(|point| point.1)];
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if points.len() < 2 || spread <= f64::EPSILON {
        return None;
    }
    let slope = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread;
    Some((y - slope * x, slope))
}
