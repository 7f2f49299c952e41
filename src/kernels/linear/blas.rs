//! Products of many rows on GPUs: burn's, or the device's own (see [`set_products`](crate::kernels::set_products)), which may
//! also compute a whole projection in one operation.

use burn_cubecl::kernel::matmul::{MatmulStrategy, matmul};
use burn_cubecl::tensor::CubeTensor;

use crate::kernels::gpu::{dims, empty};
use crate::kernels::{Products, Projection, device, precision};

/// Returns `a b` of matrices or batches of them, without gaps between rows: on CUDA, burn would allocate rows a multiple of
/// 512 bytes apart.
pub(super) fn multiply(a: CubeTensor, b: CubeTensor) -> CubeTensor {
    let mut shape = a.meta.shape().clone();
    let last = shape.len() - 1;
    shape[last] = b.meta.shape()[last];
    let out = empty(shape, &a);
    match device::products(&a.device) {
        Some(products) => products.multiply(a, b, out.clone(), precision::rounds_to_tf32()),
        None => {
            let dtype = a.dtype;
            matmul(a, b, Some(out.clone()), MatmulStrategy::default(), dtype)
                .expect("the shapes were checked by the caller");
        }
    }
    out
}

/// Returns `x Wᵀ + bias + residual` if the device computes it in one operation. A plain product is left to [`multiply`].
pub(super) fn project(
    x: &CubeTensor,
    weight: &CubeTensor,
    bias: Option<&CubeTensor>,
    residual: Option<&CubeTensor>,
) -> Option<CubeTensor> {
    let is_more = bias.is_some() || residual.is_some();
    let products = projections(x).filter(|_| is_more)?;
    let out = empty([dims(x)[0], dims(weight)[0]], x);
    let projection = Projection {
        x: x.clone(),
        weight: weight.clone(),
        bias: bias.cloned(),
        residual: residual.cloned(),
        before_gelu: None,
        out: out.clone(),
    };
    products.project(projection, precision::rounds_to_tf32()).then_some(out)
}

/// Returns GELU of `x Wᵀ + bias`, and the sum itself, if the device computes them in one operation.
pub(super) fn project_gelu(
    x: &CubeTensor,
    weight: &CubeTensor,
    bias: Option<&CubeTensor>,
) -> Option<(CubeTensor, CubeTensor)> {
    let products = projections(x)?;
    let shape = [dims(x)[0], dims(weight)[0]];
    let (out, sum) = (empty(shape, x), empty(shape, x));
    let projection = Projection {
        x: x.clone(),
        weight: weight.clone(),
        bias: bias.cloned(),
        residual: None,
        before_gelu: Some(sum.clone()),
        out: out.clone(),
    };
    products.project(projection, precision::rounds_to_tf32()).then_some((out, sum))
}

/// Returns the products of the device of `x` if they compute projections in one operation.
fn projections(x: &CubeTensor) -> Option<&'static dyn Products> {
    device::products(&x.device).filter(|products| products.has_projections())
}
