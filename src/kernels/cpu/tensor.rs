//! Conversion between burn's CPU tensors and slices. Views become contiguous here, and nowhere else.

use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use burn::tensor::{Shape, TensorData};

/// The numbers of a tensor, row by row, as the kernels read them.
pub struct Floats(FlexTensor);

impl Floats {
    pub fn of(tensor: FlexTensor) -> Self {
        Self(tensor.to_contiguous())
    }

    pub fn get(&self) -> &[f32] {
        self.0.as_slice().expect("made contiguous; the operation checked that it is f32")
    }
}

pub fn slice(floats: &Option<Floats>) -> Option<&[f32]> {
    floats.as_ref().map(Floats::get)
}

/// Returns ids, which the operations put on the device as vectors of `i32`, or parts of such vectors.
pub fn ids(tensor: &FlexTensor) -> &[i32] {
    tensor.as_slice().expect("a contiguous vector of i32")
}

/// Creates a tensor whose numbers `fill` writes.
pub fn build(shape: impl Into<Shape>, fill: impl FnOnce(&mut [f32])) -> FlexTensor {
    let shape = shape.into();
    let mut values = vec![0.0; shape.num_elements()];
    fill(&mut values);
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// Returns rows and columns.
pub fn dims(tensor: &FlexTensor) -> [usize; 2] {
    let shape = tensor.shape();
    [shape[0], shape[1]]
}
