//! Matrices of one shape side by side, so that what Muon does to one is done to all of them at once.

pub(super) mod gpu;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Cube, DispatchKindConversion, DispatchTensor, Flex};
use burn::tensor::{Shape, Slice, Tensor};

use super::lists::{Kind, kind, unwrap, wrap};

/// Which matrices lie in a stack: `[rows, columns]` or, where `tall`, `[columns, rows]`, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Rows of a matrix in the stack, no more than columns.
    pub rows: usize,
    /// Columns of a matrix in the stack.
    pub columns: usize,
    /// Which matrices are transposed there.
    pub tall: Vec<bool>,
}

impl Stack {
    /// `matrices`, flat, as one tensor `[N, rows, columns]`.
    pub fn gather(&self, matrices: Vec<Tensor<1>>) -> Tensor<3> {
        match kind(&matrices[0]) {
            Kind::Gpu => gather::<Cube>(matrices, self),
            Kind::Cpu => gather::<Flex>(matrices, self),
        }
    }

    /// `keep * matrix - rate * direction` for each of `matrices`, flat, its direction in
    /// `directions [N, rows, columns]` and its rate. Matrices that nobody else holds are changed in place.
    pub fn descend(
        &self,
        matrices: Vec<Tensor<1>>,
        directions: Tensor<3>,
        keep: f32,
        rates: &[f32],
    ) -> Vec<Tensor<1>> {
        match kind(&directions) {
            Kind::Gpu => descend::<Cube>(matrices, directions, self, keep, rates),
            Kind::Cpu => descend::<Flex>(matrices, directions, self, keep, rates),
        }
    }
}

/// What a backend brings along for it; here in burn's own operations, a launch or more for each matrix.
pub(super) trait MuonKernels: Backend {
    /// See [`Stack::gather`].
    fn gather(matrices: Vec<FloatTensor<Self>>, stack: &Stack) -> FloatTensor<Self> {
        let Stack { rows, columns, tall } = stack;
        let place = |(matrix, tall): (FloatTensor<Self>, &bool)| match tall {
            false => Self::float_reshape(matrix, Shape::new([1, *rows, *columns])),
            true => {
                let matrix = Self::float_reshape(matrix, Shape::new([1, *columns, *rows]));
                Self::float_swap_dims(matrix, 1, 2)
            }
        };
        Self::float_cat(matrices.into_iter().zip(tall).map(place).collect(), 0)
    }

    /// See [`Stack::descend`].
    fn descend(
        matrices: Vec<FloatTensor<Self>>,
        directions: FloatTensor<Self>,
        stack: &Stack,
        keep: f32,
        rates: &[f32],
    ) -> Vec<FloatTensor<Self>> {
        let Stack { rows, columns, tall } = stack;
        let step = |(i, matrix): (usize, FloatTensor<Self>)| {
            let one = [Slice::from(i..i + 1), Slice::full(), Slice::full()];
            let direction = Self::float_slice(directions.clone(), &one);
            let direction = match tall[i] {
                false => direction,
                true => Self::float_swap_dims(direction, 1, 2),
            };
            let direction = Self::float_reshape(direction, Shape::new([rows * columns]));
            let kept = Self::float_mul_scalar(matrix, keep.into());
            Self::float_sub(kept, Self::float_mul_scalar(direction, rates[i].into()))
        };
        matrices.into_iter().enumerate().map(step).collect()
    }
}

fn gather<B: MuonKernels>(matrices: Vec<Tensor<1>>, stack: &Stack) -> Tensor<3>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    wrap::<B, 3>(B::gather(matrices.into_iter().map(unwrap::<B, 1>).collect(), stack))
}

fn descend<B: MuonKernels>(
    matrices: Vec<Tensor<1>>,
    directions: Tensor<3>,
    stack: &Stack,
    keep: f32,
    rates: &[f32],
) -> Vec<Tensor<1>>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let matrices = matrices.into_iter().map(unwrap::<B, 1>).collect();
    let done = B::descend(matrices, unwrap::<B, 3>(directions), stack, keep, rates);
    done.into_iter().map(wrap::<B, 1>).collect()
}
