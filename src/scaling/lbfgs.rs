//! Minimization of a smooth function by L-BFGS (Liu & Nocedal 1989).

use std::collections::VecDeque;

/// Number of remembered steps.
const MEMORY: usize = 10;
/// Maximum number of steps.
const STEPS: usize = 2000;
/// Maximum number of function values in one line search.
const TRIALS: usize = 60;
/// Relative decrease of a step below which the search starts again without memory, and ends if that does not help.
const TOLERANCE: f64 = 1e-13;
/// Share of the decrease that the slope promises, which a step must reach (Armijo).
const DECREASE: f64 = 1e-4;
/// Share of the slope that may be left after a step (weak Wolfe condition).
const SLOPE: f64 = 0.9;

/// A local minimum.
#[derive(Clone, Copy, Debug)]
pub struct Minimum<const N: usize> {
    pub at: [f64; N],
    pub value: f64,
}

#[derive(Clone, Copy)]
struct Place<const N: usize> {
    at: [f64; N],
    value: f64,
    gradient: [f64; N],
}

/// Minimizes `function`, which returns its value and gradient, from `start`.
pub fn minimize<const N: usize>(
    start: [f64; N],
    function: impl Fn(&[f64; N]) -> (f64, [f64; N]),
) -> Minimum<N> {
    let place = |at: [f64; N]| {
        let (value, gradient) = function(&at);
        Place { at, value, gradient }
    };
    let mut here = place(start);
    let mut memory: VecDeque<([f64; N], [f64; N])> = VecDeque::new();
    for _ in 0..STEPS {
        let next = search(&here, direction(&here.gradient, &memory), &place);
        let improved = next
            .as_ref()
            .is_some_and(|next| here.value - next.value > TOLERANCE * here.value.abs());
        let is_fresh = memory.is_empty();
        memory.truncate(MEMORY - 1);
        if let Some(next) = next {
            let step = difference(&next.at, &here.at);
            let change = difference(&next.gradient, &here.gradient);
            if dot(&step, &change) > 0.0 {
                memory.push_front((step, change));
            }
            here = next;
        }
        if !improved {
            if is_fresh {
                break;
            }
            memory.clear();
        }
    }
    Minimum { at: here.at, value: here.value }
}

/// Returns the direction of the next step: the negative gradient times an estimate of the inverse Hessian, by the two-loop recursion.
fn direction<const N: usize>(
    gradient: &[f64; N],
    memory: &VecDeque<([f64; N], [f64; N])>,
) -> [f64; N] {
    let mut result = gradient.map(|value| -value);
    let mut factors = [0.0; MEMORY];
    for ((step, change), factor) in memory.iter().zip(&mut factors) {
        *factor = dot(step, &result) / dot(step, change);
        add(&mut result, change, -*factor);
    }
    if let Some((step, change)) = memory.front() {
        let scale = dot(step, change) / dot(change, change);
        result = result.map(|value| value * scale);
    } else {
        // The first step is no longer than 1 in the units of the parameters.
        let norm = dot(gradient, gradient).sqrt().max(1.0);
        result = result.map(|value| value / norm);
    }
    for ((step, change), factor) in memory.iter().zip(factors).rev() {
        let correction = factor - dot(change, &result) / dot(step, change);
        add(&mut result, step, correction);
    }
    result
}

/// Returns a place along `direction` that satisfies the weak Wolfe conditions, found by bisection, which also works where the slope
/// jumps (Lewis & Overton 2013); the best place found, if none satisfies both; none if nothing is lower.
fn search<const N: usize>(
    here: &Place<N>,
    direction: [f64; N],
    place: &impl Fn([f64; N]) -> Place<N>,
) -> Option<Place<N>> {
    let slope = dot(&here.gradient, &direction);
    if slope.is_nan() || slope >= 0.0 {
        return None;
    }
    let [mut low, mut high] = [0.0, f64::INFINITY];
    let mut length = 1.0;
    let mut best: Option<Place<N>> = None;
    for _ in 0..TRIALS {
        let mut at = here.at;
        add(&mut at, &direction, length);
        let there = place(at);
        let is_lower = there.value <= here.value + DECREASE * length * slope;
        if is_lower {
            if best.as_ref().is_none_or(|best| there.value <= best.value) {
                best = Some(there);
            }
            if dot(&there.gradient, &direction) >= SLOPE * slope {
                return Some(there);
            }
            low = length;
        } else {
            high = length;
        }
        length = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * low };
    }
    best
}

fn dot<const N: usize>(a: &[f64; N], b: &[f64; N]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn difference<const N: usize>(a: &[f64; N], b: &[f64; N]) -> [f64; N] {
    std::array::from_fn(|i| a[i] - b[i])
}

fn add<const N: usize>(to: &mut [f64; N], what: &[f64; N], factor: f64) {
    for (to, what) in to.iter_mut().zip(what) {
        *to += factor * what;
    }
}

#[cfg(test)]
mod tests {
    use super::minimize;

    /// Rosenbrock's function, whose minimum lies in a curved valley.
    #[test]
    fn the_minimum_of_a_curved_valley_is_found() {
        let rosenbrock = |[x, y]: &[f64; 2]| {
            let [a, b] = [1.0 - x, y - x * x];
            (a * a + 100.0 * b * b, [-2.0 * a - 400.0 * x * b, 200.0 * b])
        };
        for start in [[-1.2, 1.0], [0.0, 0.0], [3.0, -4.0]] {
            let found = minimize(start, rosenbrock);
            assert!(found.at.iter().all(|x| (x - 1.0).abs() < 1e-6), "{found:?}");
        }
    }

    /// A sum of absolute values has kinks, where the Huber loss is nearly as sharp.
    #[test]
    fn kinks_do_not_stop_the_search() {
        let sharp = |x: &[f64; 3]| {
            let weights = [1.0, 10.0, 100.0];
            let smooth = |x: f64| (x * x + 1e-12).sqrt();
            let value = (0..3).map(|i| weights[i] * smooth(x[i] - i as f64)).sum();
            let gradient =
                std::array::from_fn(|i| weights[i] * (x[i] - i as f64) / smooth(x[i] - i as f64));
            (value, gradient)
        };
        let found = minimize([5.0, -3.0, 7.0], sharp);
        for (i, x) in found.at.iter().enumerate() {
            assert!((x - i as f64).abs() < 1e-4, "{found:?}");
        }
    }

    #[test]
    fn a_start_that_is_not_finite_is_returned() {
        let found = minimize([f64::NAN], |[x]| (x * x, [2.0 * x]));
        assert!(found.value.is_nan());
    }
}
