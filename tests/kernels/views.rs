//! Matrices on the host, and the memory layouts in which they reach a kernel.

use burn::tensor::{Device, FloatDType, Tensor, TensorData};

/// A matrix on the host.
#[derive(Clone)]
pub struct Array {
    pub shape: [usize; 2],
    pub values: Vec<f32>,
    /// True if its gradient is computed.
    pub tracked: bool,
}

impl Array {
    pub fn times(mut self, factor: f32) -> Self {
        self.values.iter_mut().for_each(|x| *x *= factor);
        self
    }

    pub fn put(&self, device: &Device) -> Tensor<2> {
        Tensor::from_data(TensorData::new(self.values.clone(), self.shape), device)
    }

    /// Rounds to numbers that `dtype` can represent.
    pub fn round(mut self, dtype: FloatDType) -> Self {
        self.values.iter_mut().for_each(|x| {
            *x = match dtype {
                FloatDType::F16 => half::f16::from_f32(*x).to_f32(),
                FloatDType::BF16 => half::bf16::from_f32(*x).to_f32(),
                _ => *x,
            }
        });
        self
    }

    /// Creates a leaf for differentiation, of another type.
    pub fn put_as(&self, dtype: FloatDType, device: &Device) -> Tensor<2> {
        Tensor::from_inner(self.put(&device.clone().inner()).cast(dtype))
    }

    fn transpose(&self) -> Self {
        let [rows, columns] = self.shape;
        let place = |i: usize| i % rows * columns + i / rows;
        let values = (0..rows * columns).map(|i| self.values[place(i)]).collect();
        Self { shape: [columns, rows], values, ..*self }
    }

    /// Surrounds the matrix with NaN, which shows in whatever reads beyond it.
    fn pad(&self) -> Self {
        let [rows, columns] = self.shape;
        let width = columns + PADDING[1] + 2;
        let mut values = vec![f32::NAN; (rows + PADDING[0] + 1) * width];
        for (row, from) in self.values.chunks_exact(columns).enumerate() {
            let start = (row + PADDING[0]) * width + PADDING[1];
            values[start..start + columns].copy_from_slice(from);
        }
        Self { shape: [rows + PADDING[0] + 1, width], values, ..*self }
    }

    fn first_row(&self) -> Self {
        let columns = self.shape[1];
        Self { shape: [1, columns], values: self.values[..columns].to_vec(), ..*self }
    }

    /// Replaces every row by the first.
    pub fn repeat_first_row(&self) -> Self {
        let [rows, columns] = self.shape;
        Self { values: self.values[..columns].repeat(rows), ..*self }
    }
}

/// Rows above and columns left of a padded matrix.
const PADDING: [usize; 2] = [1, 3];

/// Memory layout of the tensors that a kernel receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Views {
    Contiguous,
    /// Inputs and the output's gradient are transposed views.
    Transposed,
    /// The output's gradient is a single number, expanded.
    ExpandedGradient,
    /// Inputs are parts of larger tensors, whose other elements are NaN.
    Narrowed,
    /// Inputs are single rows, expanded.
    Expanded,
}

/// The layouts of cases. In [`Views::Expanded`] all rows are the same, so it is for [`Harness::check_all_views`] only.
pub const CASE_VIEWS: [Views; 4] =
    [Views::Contiguous, Views::Transposed, Views::ExpandedGradient, Views::Narrowed];

impl Views {
    /// Returns the matrix that is put on the device for an input.
    pub fn store(self, input: &Array) -> Array {
        match self {
            Self::Transposed => input.transpose(),
            Self::Narrowed => input.pad(),
            Self::Expanded => input.first_row(),
            Self::Contiguous | Self::ExpandedGradient => input.clone(),
        }
    }

    /// Returns the view of a stored matrix that has the shape of the input.
    pub fn view(self, stored: Tensor<2>, [rows, columns]: [usize; 2]) -> Tensor<2> {
        match self {
            Self::Transposed => stored.transpose(),
            Self::Narrowed => stored.narrow(0, PADDING[0], rows).narrow(1, PADDING[1], columns),
            Self::Expanded => stored.expand([rows, columns]),
            Self::Contiguous | Self::ExpandedGradient => stored,
        }
    }
}

/// Returns `values` as a view in the middle of a larger vector of NaN.
pub fn narrowed(values: &[f32], device: &Device) -> Tensor<1> {
    let padding = [f32::NAN; 3];
    let all = [&padding, values, &padding].concat();
    let len = all.len();
    Tensor::<1>::from_data(TensorData::new(all, [len]), device).narrow(0, 3, values.len())
}
