//! The beginning and the end of what ranks that divide a layer compute together.

use std::sync::Arc;

use blankslate::kernels::across::{AddUp, enter, leave};
use burn::tensor::{DType, Tensor};

use crate::harness::{Harness, everywhere, floats};

/// Two ranks that compute the same.
#[derive(Debug)]
struct Twice;

impl AddUp for Twice {
    fn add_up(&self, x: Tensor<1>) -> Tensor<1> {
        assert_eq!(x.dtype(), DType::F32);
        x * 2.0
    }
}

fn sums(harness: &mut Harness) {
    let device = harness.device.clone().autodiff();
    let x = || Tensor::<2>::from_floats([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]], &device);
    let results = |across: fn(Tensor<2>, Arc<dyn AddUp>) -> Tensor<2>| {
        let x = x().require_grad();
        let y = across(x.clone() * 3.0, Arc::new(Twice));
        let gradients = (y.clone() * y.clone().detach()).sum().backward();
        let gradient = x.grad(&gradients).expect("it is tracked");
        (floats(y.inner()), floats(gradient))
    };
    let scaled = |factor: f32| -> Vec<f32> {
        [1.0, -2.0, 3.0, 0.5, 4.0, -1.0].iter().map(|x| x * factor).collect()
    };
    let (y, gradient) = results(leave);
    assert_eq!((y, gradient), (scaled(6.0), scaled(18.0)), "the sum, and its gradient");
    let (y, gradient) = results(enter);
    assert_eq!((y, gradient), (scaled(3.0), scaled(18.0)), "the same, and the sum of gradients");
    // Without differentiation.
    let plain = leave(x().inner(), Arc::new(Twice));
    assert_eq!(floats(plain), scaled(2.0));
    assert_eq!(floats(enter(x().inner(), Arc::new(Twice))), scaled(1.0));
    harness.refuses("leave: `x` has shape [0, 3]: it is empty", || {
        leave(Tensor::<2>::zeros([0, 3], &device.clone().inner()), Arc::new(Twice))
    });
}

#[test]
fn what_enters_and_leaves_is_added_up_once() {
    everywhere(sums);
}
