//! The operations on GPUs.

use std::sync::Arc;

use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::{AcrossOps, AddUp, sum};

impl AcrossOps for CubeBackend {
    fn enter(x: CubeTensor, _ranks: Arc<dyn AddUp>) -> CubeTensor {
        x
    }

    fn leave(x: CubeTensor, ranks: Arc<dyn AddUp>) -> CubeTensor {
        sum::<Self>(x, &*ranks)
    }
}
