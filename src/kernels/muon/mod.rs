//! Stacks of equally shaped matrices, so that Muon orthogonalizes all of them at once.
//!
//! The reference is the CPU's implementation, which consists of burn's own operations.
//!
//! ```
//! use blankslate::kernels::muon::Stack;
//! use burn::tensor::{Device, Tensor};
//!
//! let device = Device::flex();
//! let row = |values: [f32; 2]| Tensor::<1>::from_data(values, &device);
//! let matrices = vec![row([1.0, 2.0]), row([3.0, 4.0])]; // [1, 2] and [2, 1]
//! let stack = Stack { rows: 1, columns: 2, tall: vec![false, true] };
//! let directions = stack.gather(matrices.clone());
//! assert_eq!(directions.dims(), [2, 1, 2]);
//! let moved = stack.descend(matrices, directions, 1.0, &[1.0, 0.5]);
//! assert_eq!(moved[1].clone().into_data().to_vec::<f32>().unwrap(), [1.5, 2.0]);
//! ```

mod cpu;
mod gpu;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Cube, DispatchKindConversion, DispatchTensor, Flex};
use burn::tensor::Tensor;

use super::check::Check;
use super::dispatch::{Kind, kind, unwrap, wrap};

/// Shape of a stack: its matrices are `[rows, columns]` or, where `tall`, `[columns, rows]`, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Rows of a matrix in the stack, at most as many as columns.
    pub rows: usize,
    /// Columns of a matrix in the stack.
    pub columns: usize,
    /// True for each matrix that is transposed in the stack.
    pub tall: Vec<bool>,
}

impl Stack {
    /// Returns flat `matrices` as one tensor `[N, rows, columns]`.
    ///
    /// # Panics
    /// If number, sizes, devices or dtypes of the matrices do not fit.
    #[track_caller]
    pub fn gather(&self, matrices: Vec<Tensor<1>>) -> Tensor<3> {
        self.check(Check("Stack::gather"), &matrices);
        match kind(&matrices[0]) {
            Kind::Gpu => gather::<Cube>(matrices, self),
            Kind::Cpu => gather::<Flex>(matrices, self),
        }
    }

    /// Returns `keep * matrix - rate * direction` for each of the flat `matrices`, with its direction in
    /// `directions [N, rows, columns]` and its rate in `rates`. Matrices that are not shared are changed in place.
    ///
    /// # Panics
    /// If numbers, sizes, devices or dtypes do not fit.
    #[track_caller]
    pub fn descend(
        &self,
        matrices: Vec<Tensor<1>>,
        directions: Tensor<3>,
        keep: f32,
        rates: &[f32],
    ) -> Vec<Tensor<1>> {
        let check = Check("Stack::descend");
        let count = self.tall.len();
        self.check(check, &matrices);
        check.shape(
            "directions",
            &directions,
            "[N, rows, columns]",
            [count, self.rows, self.columns],
        );
        check.alike(&matrices[0], "directions", &directions);
        check
            .require(rates.len() == count, || format!("{} `rates`, expected {count}", rates.len()));
        match kind(&directions) {
            Kind::Gpu => descend::<Cube>(matrices, directions, self, keep, rates),
            Kind::Cpu => descend::<Flex>(matrices, directions, self, keep, rates),
        }
    }
}

impl Stack {
    #[track_caller]
    fn check(&self, check: Check, matrices: &[Tensor<1>]) {
        let count = self.tall.len();
        check.require(matrices.len() == count && count > 0, || {
            format!("{} `matrices`, expected {count}, and at least one", matrices.len())
        });
        check.float("matrices", &matrices[0]);
        for (i, matrix) in matrices.iter().enumerate() {
            check.shape(
                &format!("matrices[{i}]"),
                matrix,
                "[rows * columns]",
                [self.rows * self.columns],
            );
            check.alike(&matrices[0], "matrices", matrix);
        }
    }
}

/// The operations, which each backend implements.
pub(super) trait MuonKernels: Backend {
    /// See [`Stack::gather`].
    fn gather(matrices: Vec<FloatTensor<Self>>, stack: &Stack) -> FloatTensor<Self>;

    /// See [`Stack::descend`].
    fn descend(
        matrices: Vec<FloatTensor<Self>>,
        directions: FloatTensor<Self>,
        stack: &Stack,
        keep: f32,
        rates: &[f32],
    ) -> Vec<FloatTensor<Self>>;
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
