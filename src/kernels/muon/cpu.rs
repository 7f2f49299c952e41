//! Stacks of matrices on the CPU, in burn's own operations: a call or more per matrix.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{Shape, Slice};

use super::{MuonKernels, Stack};

impl MuonKernels for Flex {
    fn gather(matrices: Vec<FlexTensor>, stack: &Stack) -> FlexTensor {
        let Stack { rows, columns, tall } = stack;
        let place = |(matrix, tall): (FlexTensor, &bool)| {
            if *tall {
                let matrix = Self::float_reshape(matrix, Shape::new([1, *columns, *rows]));
                Self::float_swap_dims(matrix, 1, 2)
            } else {
                Self::float_reshape(matrix, Shape::new([1, *rows, *columns]))
            }
        };
        Self::float_cat(matrices.into_iter().zip(tall).map(place).collect(), 0)
    }

    fn descend(
        matrices: Vec<FlexTensor>,
        directions: FlexTensor,
        stack: &Stack,
        keep: f32,
        rates: &[f32],
    ) -> Vec<FlexTensor> {
        let Stack { rows, columns, tall } = stack;
        let step = |(i, matrix): (usize, FlexTensor)| {
            let one = [Slice::from(i..i + 1), Slice::full(), Slice::full()];
            let direction = Self::float_slice(directions.clone(), &one);
            let direction =
                if tall[i] { Self::float_swap_dims(direction, 1, 2) } else { direction };
            let direction = Self::float_reshape(direction, Shape::new([rows * columns]));
            let kept = Self::float_mul_scalar(matrix, keep.into());
            Self::float_sub(kept, Self::float_mul_scalar(direction, rates[i].into()))
        };
        matrices.into_iter().enumerate().map(step).collect()
    }
}
