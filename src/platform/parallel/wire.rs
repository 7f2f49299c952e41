//! Conversion between tensors and the messages that hold parts of them.

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::error::{Error, Result};
use crate::parallel::Bounds;

/// Type and device of the tensors of a message.
#[derive(Clone, Debug)]
pub struct Kind {
    dtype: DType,
    /// None if there are no tensors.
    device: Option<Device>,
}

impl Kind {
    /// Returns the common kind of `tensors`.
    pub fn of(tensors: &[Tensor<1>]) -> Self {
        let dtype = tensors.first().map_or(DType::F32, Tensor::dtype);
        Self { dtype, device: tensors.first().map(Tensor::device) }
    }

    /// Returns the kind of tensors of `dtype` on `device`.
    pub fn new(dtype: DType, device: &Device) -> Self {
        Self { dtype, device: Some(device.clone()) }
    }

    /// Returns the size of a number in bytes.
    pub fn width(&self) -> usize {
        self.dtype.size()
    }

    /// Creates a tensor `[n]` from its bytes.
    pub fn tensor(&self, bytes: &[u8]) -> Tensor<1> {
        let shape = [bytes.len() / self.width()];
        let data = match self.dtype {
            DType::F64 => TensorData::new(bytemuck::pod_collect_to_vec::<u8, f64>(bytes), shape),
            _ => TensorData::new(bytemuck::pod_collect_to_vec::<u8, f32>(bytes), shape),
        };
        let device = self.device.as_ref().expect("there is a tensor");
        Tensor::from_data(data, (device, self.dtype))
    }

    /// Creates tensors of `lens` numbers from their concatenated bytes.
    pub fn tensors(&self, mut bytes: &[u8], lens: &[usize]) -> Vec<Tensor<1>> {
        let tensor = |len: &usize| {
            let (own, others) = bytes.split_at(len * self.width());
            bytes = others;
            self.tensor(own)
        };
        lens.iter().map(tensor).collect()
    }
}

/// Concatenates the bytes of tensors.
pub fn joined(tensors: &[TensorData]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(tensors.iter().map(|tensor| tensor.as_bytes().len()).sum());
    tensors.iter().for_each(|tensor| bytes.extend_from_slice(tensor.as_bytes()));
    bytes
}

/// Copies tensors from their device, as bytes.
pub fn bytes_of(tensors: Vec<Tensor<1>>) -> Result<Vec<TensorData>> {
    let read = |tensor: Tensor<1>| {
        tensor.try_into_data().map_err(|error| Error::Device {
            device: "in use".into(),
            problem: format!("{error:?}"),
            remedy: "resume from the last checkpoint".into(),
        })
    };
    tensors.into_iter().map(read).collect()
}

/// Returns, for each rank, its parts of all tensors, concatenated.
pub fn cut(tensors: &[TensorData], bounds: &[Bounds], width: usize, ranks: usize) -> Vec<Vec<u8>> {
    let part = |rank: usize| {
        let mut bytes = Vec::with_capacity(part_len(bounds, rank) * width);
        for (tensor, bounds) in tensors.iter().zip(bounds) {
            let part = bounds.of(rank);
            bytes.extend_from_slice(&tensor.as_bytes()[part.start * width..part.end * width]);
        }
        bytes
    };
    (0..ranks).map(part).collect()
}

/// Returns the whole tensors, as bytes, from the parts of all ranks.
pub fn join(parts: &[Vec<u8>], bounds: &[Bounds], width: usize) -> Vec<Vec<u8>> {
    let mut whole: Vec<Vec<u8>> =
        bounds.iter().map(|bounds| Vec::with_capacity(bounds.len() * width)).collect();
    for (rank, part) in parts.iter().enumerate() {
        let mut rest = &part[..];
        for (tensor, bounds) in whole.iter_mut().zip(bounds) {
            let (own, others) = rest.split_at(bounds.of(rank).len() * width);
            tensor.extend_from_slice(own);
            rest = others;
        }
    }
    whole
}

/// Returns the total length of the parts of `rank`.
pub fn part_len(bounds: &[Bounds], rank: usize) -> usize {
    bounds.iter().map(|bounds| bounds.of(rank).len()).sum()
}

/// Adds f32 numbers to others, in place.
pub fn add(mut sums: Vec<f32>, terms: Vec<f32>) -> Vec<f32> {
    sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
    sums
}
