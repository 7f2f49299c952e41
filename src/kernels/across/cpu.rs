//! The operations on the CPU.

use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;

use super::{AcrossOps, AddUp, sum};

impl AcrossOps for Flex {
    fn enter(x: FlexTensor, _ranks: Arc<dyn AddUp>) -> FlexTensor {
        x
    }

    fn leave(x: FlexTensor, ranks: Arc<dyn AddUp>) -> FlexTensor {
        sum::<Self>(x, &*ranks)
    }
}
