use blankslate::kernels::adamw::{CALM, Moments, Step};
use burn::tensor::{Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::harness::{Harness, everywhere, floats};
use crate::views::narrowed;

fn adamw_cases(harness: &mut Harness) {
    let many: Vec<usize> = [1, 3, 64, 1000, 5].repeat(8);
    for sizes in [&[1, 3, 64, 1000][..], &[64, 1000, 4], &[1000], &many[..]] {
        let first = adamw_case(harness, sizes);
        let second = adamw_case(harness, sizes);
        harness.compare_bits("adamw", &first, &second);
    }
}

/// Returns the hyperparameters of step `t` and the maximum norm of its gradients.
fn schedule(t: i32) -> (Step, Option<f32>) {
    let (beta1, beta2) = (0.9f32, 0.99f32);
    let step = Step {
        lr: 0.05,
        beta1,
        beta2,
        eps: 1e-3,
        weight_decay: 0.1,
        correction1: (1.0 - f64::from(beta1).powi(t)) as f32,
        correction2: (1.0 - f64::from(beta2).powi(t)) as f32,
    };
    (step, [Some(1.0), None, Some(1e6)][t as usize % 3])
}

/// Makes ten steps and returns parameters and moments.
fn adamw_case(harness: &mut Harness, sizes: &[usize]) -> Vec<Vec<f32>> {
    harness.rng = ChaCha8Rng::seed_from_u64(sizes.len() as u64);
    let device = harness.device.clone();
    let put = |values: &Vec<f32>| {
        Tensor::<1>::from_data(TensorData::new(values.clone(), [values.len()]), &device)
    };
    let start: Vec<Vec<f32>> = sizes.iter().map(|size| harness.draw(1, *size).values).collect();
    let decays: Vec<bool> = (0..sizes.len()).map(|i| i % 2 == 0).collect();
    let mut params: Vec<_> = start.iter().map(put).collect();
    let mut moments = Moments::zeros(sizes, &device);
    let mut host = HostAdamw::new(&start);

    for t in 1..=10 {
        let values: Vec<Vec<f32>> =
            sizes.iter().map(|size| harness.draw(1, *size).values).collect();
        let gradients: Vec<_> = values.iter().map(put).collect();
        let (step, max_norm) = schedule(t);
        let norm = floats(moments.clip(&gradients, max_norm));
        let expected = host.step(&values, &decays, step, max_norm);
        harness.compare("adamw", &format!("{sizes:?}, norm {t}"), &norm, &[expected as f32]);
        params = if t == 5 {
            let kept = (params.clone(), moments.clone());
            let before = everything(&kept.0, &kept.1);
            let params = moments.update(params, gradients, &decays, step);
            harness.compare_bits(
                "a clone before an update",
                &everything(&kept.0, &kept.1),
                &before,
            );
            params
        } else {
            moments.update(params, gradients, &decays, step)
        };
    }

    let found = everything(&params, &moments);
    for (place, (found, expected)) in found.iter().zip(host.everything()).enumerate() {
        harness.compare("adamw", &format!("{sizes:?}, {place}"), found, &expected);
    }
    let mut copy = Moments::zeros(sizes, &device);
    (0..sizes.len()).for_each(|i| copy.set(i, moments.get(i)));
    harness.compare_bits("moments that were set", &everything(&params, &copy), &found);

    // Both continue alike, and a clone keeps its clip factor.
    let gradients: Vec<_> = start.iter().map(put).collect();
    let (step, _) = schedule(11);
    moments.clip(&gradients, Some(0.5));
    copy.clip(&gradients, Some(0.5));
    let mut clone = moments.clone();
    moments.clip(&gradients, None);
    let [clone, copy] = [&mut clone, &mut copy].map(|moments| {
        let params = moments.update(params.clone(), gradients.clone(), &decays, step);
        everything(&params, moments)
    });
    harness.compare_bits("moments that went on", &clone, &copy);
    harness.compare_bits("parameters that were cloned", &everything(&params, &moments), &found);
    found
}

/// Compares AdamW on scaled gradients with AdamW on the same gradients unscaled; then gradients that overflow, and a scale
/// that is due to grow.
fn loss_scale_cases(harness: &mut Harness) {
    let sizes = [3, 64, 1000];
    let device = harness.device.clone();
    let put = |values: &[f32]| {
        Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), &device)
    };
    let start: Vec<_> = sizes.iter().map(|size| harness.draw(1, *size).values).collect();
    let params = || start.iter().map(|values| put(values)).collect::<Vec<_>>();
    let (mut plain, mut scaled) = (params(), params());
    let (mut moments, mut scaled_moments) =
        (Moments::zeros(&sizes, &device), Moments::zeros(&sizes, &device));
    assert!(moments.loss_scale().is_none());
    scaled_moments.set_loss_scale(put(&[1024.0, (CALM - 4) as f32]));
    let scale_now = |moments: &Moments| floats(moments.loss_scale().expect("it was set"));

    for (t, overflows) in (1..).zip([false, false, true, false, false]) {
        let values: Vec<_> = sizes.iter().map(|size| harness.draw(1, *size).values).collect();
        let (step, max_norm) = schedule(t);
        let scale = scale_now(&scaled_moments)[0];
        let times = |factor: f32| {
            let times = |values: &Vec<f32>| values.iter().map(|x| x * factor).collect::<Vec<_>>();
            values.iter().map(times).collect::<Vec<_>>()
        };
        if overflows {
            for lost in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
                let before = everything(&scaled, &scaled_moments);
                let scale = scale_now(&scaled_moments)[0];
                let mut gradients = times(scale);
                gradients[1][5] = lost;
                let gradients: Vec<_> = gradients.iter().map(|values| put(values)).collect();
                let norm = floats(scaled_moments.clip(&gradients, max_norm));
                scaled = scaled_moments.update(scaled, gradients, &[true; 3], step);
                if norm[0].is_finite() || scale_now(&scaled_moments) != [scale / 2.0, 0.0] {
                    harness.failures.push(format!("loss scale: {lost} was not seen"));
                }
                let after = everything(&scaled, &scaled_moments);
                harness.compare_bits("a step that was skipped", &after, &before);
            }
            scaled_moments.set_loss_scale(put(&[128.0, (CALM - 1) as f32]));
            continue;
        }
        let [gradients, large] = [1.0, scale]
            .map(|factor| times(factor).iter().map(|values| put(values)).collect::<Vec<_>>());
        let norm = floats(moments.clip(&gradients, max_norm));
        let scaled_norm = floats(scaled_moments.clip(&large, max_norm));
        harness.compare("loss scale", &format!("norm {t}"), &scaled_norm, &norm);
        plain = moments.update(plain, gradients, &[true; 3], step);
        scaled = scaled_moments.update(scaled, large, &[true; 3], step);
    }
    // One step after it was due to grow, and one more.
    let expected = [256.0, 1.0];
    if scale_now(&scaled_moments) != expected {
        harness.failures.push(format!("loss scale: {:?}", scale_now(&scaled_moments)));
    }
    let found = everything(&scaled, &scaled_moments);
    for (found, expected) in found.iter().zip(everything(&plain, &moments)) {
        harness.compare("loss scale", "after all", found, &expected);
    }
}

/// Returns the parameters, then the moments of each.
fn everything(params: &[Tensor<1>], moments: &Moments) -> Vec<Vec<f32>> {
    let params_read = params.iter().cloned().map(floats);
    let moments = (0..params.len()).flat_map(|i| moments.get(i)).map(floats);
    params_read.chain(moments).collect()
}

/// PyTorch's AdamW, with `clip_grad_norm_`.
struct HostAdamw {
    params: Vec<Vec<f64>>,
    moments: Vec<[Vec<f64>; 2]>,
}

impl HostAdamw {
    fn new(params: &[Vec<f32>]) -> Self {
        let wide = |values: &Vec<f32>| values.iter().map(|x| f64::from(*x)).collect();
        let zeros = |values: &Vec<f32>| [vec![0.0; values.len()], vec![0.0; values.len()]];
        Self {
            params: params.iter().map(wide).collect(),
            moments: params.iter().map(zeros).collect(),
        }
    }

    /// Returns the norm of the gradients.
    fn step(
        &mut self,
        gradients: &[Vec<f32>],
        decays: &[bool],
        step: Step,
        max_norm: Option<f32>,
    ) -> f64 {
        let squares = gradients.iter().flatten().map(|g| f64::from(*g).powi(2));
        let norm = squares.sum::<f64>().sqrt();
        let clip = max_norm.map_or(1.0, |most| (f64::from(most) / (norm + 1e-6)).min(1.0));
        let [lr, beta1, beta2] = [step.lr, step.beta1, step.beta2].map(f64::from);
        for (i, params) in self.params.iter_mut().enumerate() {
            let [first, second] = &mut self.moments[i];
            for (j, w) in params.iter_mut().enumerate() {
                let g = f64::from(gradients[i][j]) * clip;
                if decays[i] {
                    *w *= 1.0 - lr * f64::from(step.weight_decay);
                }
                first[j] = beta1 * first[j] + (1.0 - beta1) * g;
                second[j] = beta2 * second[j] + (1.0 - beta2) * g * g;
                let root = second[j].sqrt() / f64::from(step.correction2).sqrt();
                let rate = lr / f64::from(step.correction1);
                *w -= rate * first[j] / (root + f64::from(step.eps));
            }
        }
        norm
    }

    /// In the order of [`everything`].
    fn everything(&self) -> Vec<Vec<f32>> {
        let lists = self.params.iter().chain(self.moments.iter().flatten());
        lists.map(|list| list.iter().map(|x| *x as f32).collect()).collect()
    }
}

/// Parameters, gradients and moments may be views; an expanded gradient is a single number.
fn adamw_views(harness: &mut Harness) {
    let sizes = [8, 5];
    let device = harness.device.clone();
    let [start, gradients] =
        [(); 2].map(|()| sizes.map(|size| harness.draw(1, size).values).to_vec());
    let mut gradients = gradients;
    gradients[1] = vec![0.25; 5];
    let views = |lists: &[Vec<f32>]| -> Vec<Tensor<1>> {
        lists.iter().map(|values| narrowed(values, &device)).collect()
    };
    let mut moments = Moments::zeros(&sizes, &device);
    let state = harness.draw(1, 8).values.iter().map(|x| x.abs()).collect::<Vec<_>>();
    moments.set(0, [narrowed(&state, &device), narrowed(&state, &device)]);
    let mut host = HostAdamw::new(&start);
    host.moments[0] = [(); 2].map(|()| state.iter().map(|x| f64::from(*x)).collect());

    let (step, max_norm) = schedule(3);
    let mut given = views(&gradients);
    given[1] = Tensor::<1>::from_floats([0.25], &device).expand([5]);
    let norm = floats(moments.clip(&given, max_norm));
    let params = moments.update(views(&start), given, &[true, false], step);
    let expected = host.step(&gradients, &[true, false], step, max_norm);
    harness.compare("adamw", "norm of views", &norm, &[expected as f32]);
    let found = everything(&params, &moments);
    for (found, expected) in found.iter().zip(host.everything()) {
        harness.compare("adamw", "views", found, &expected);
    }
}

fn adamw_refusals(harness: &mut Harness) {
    let device = harness.device.clone();
    let vectors = |sizes: &[usize]| -> Vec<Tensor<1>> {
        sizes.iter().map(|size| Tensor::zeros([*size], &device)).collect()
    };
    let moments = Moments::zeros(&[3, 4], &device);
    let (step, _) = schedule(1);
    let update = |params: &[usize], grads: &[usize], decays: &[bool]| {
        moments.clone().update(vectors(params), vectors(grads), decays, step)
    };
    update(&[3, 4], &[3, 4], &[true; 2]);
    harness.refuses("Moments::update: `params[1]` has shape [5], expected [size] = [4]", || {
        update(&[3, 5], &[3, 4], &[true; 2])
    });
    harness.refuses("`grads[0]` has shape [4]", || update(&[3, 4], &[4, 4], &[true; 2]));
    harness.refuses("1 `params`, expected 2", || update(&[3], &[3, 4], &[true; 2]));
    harness.refuses("1 values of `decays` for 2 parameters", || update(&[3, 4], &[3, 4], &[true]));
    harness.refuses("Moments::clip: 1 `grads`, expected at least 2", || {
        moments.clone().clip(&vectors(&[3]), None)
    });
    harness.refuses("`moment` has shape [3]", || {
        moments.clone().set(1, [3, 4].map(|size| Tensor::zeros([size], &device)))
    });
    harness.refuses("`scale` has shape [1]", || {
        moments.clone().set_loss_scale(Tensor::zeros([1], &device))
    });
}

#[test]
fn adamw_agrees_with_its_formula() {
    everywhere(adamw_cases);
}

#[test]
fn the_loss_scale_follows_overflow() {
    everywhere(loss_scale_cases);
}

#[test]
fn adamw_takes_views() {
    everywhere(adamw_views);
}

#[test]
fn adamw_refuses_wrong_arguments() {
    everywhere(adamw_refusals);
}
