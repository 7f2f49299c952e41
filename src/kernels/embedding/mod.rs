//! Embedding lookup.
//!
//! Shapes: `V` rows of `C` channels in the table, `N` ids.

mod cpu;
mod gpu;
pub mod reference;

use std::ops::Range;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::autodiff::{Rule, record};
use super::check::Check;
use super::cost::Costs;
use crate::error::{Error, Result};

/// Row indices on a device, with the order that groups equal ones. Made by [`Ids::new`], which checks them.
#[derive(Clone, Debug)]
pub struct Ids {
    /// `[N]`: other numbers than those of the table's rows stand for rows of zeros.
    ids: Tensor<1, Int>,
    /// `[N]`: positions in `ids`, sorted by the id there; equal ids keep their order.
    order: Tensor<1, Int>,
    /// Rows a table must have.
    rows: usize,
}

impl Ids {
    /// Puts `ids` for tables of at least `rows` rows on `device`.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`] for an id that is `rows` or more.
    pub fn new(ids: &[u32], rows: usize, device: &Device) -> Result<Self> {
        if let Some(id) = ids.iter().find(|id| **id as usize >= rows) {
            return Err(Error::TokenOutOfRange { id: u64::from(*id), vocab_size: rows });
        }
        let mut order: Vec<i32> = (0..ids.len() as i32).collect();
        order.sort_by_key(|place| ids[*place as usize]);
        let ids: Vec<i32> = ids.iter().map(|id| *id as i32).collect();
        let tensor = |values: Vec<i32>| {
            let len = values.len();
            Tensor::from_data(TensorData::new(values, [len]), (device, DType::I32))
        };
        Ok(Self { ids: tensor(ids), order: tensor(order), rows })
    }

    /// Returns ids for a table that has only the rows `range` of a larger one. A row that it does not have counts as zeros.
    ///
    /// # Panics
    /// If the range is empty.
    #[track_caller]
    pub fn within(self, range: Range<usize>) -> Self {
        let Range { start, end } = range;
        Check("within").require(start < end, || format!("`range` is {range:?}: it is empty"));
        let rows = end - start;
        let ids = self.ids.sub_scalar(start as i32);
        // Beyond every table. The order of all ids stays.
        let is_beyond = ids.clone().greater_equal_elem(rows as i32);
        Self { ids: ids.mask_fill(is_beyond, i32::MAX), order: self.order, rows }
    }
}

/// Returns rows `ids [N]` of `table [V, C]`: `[N, C]`. In the backward pass, each row of the table receives the sum of
/// the gradients of its uses, in their order.
///
/// # Panics
/// If `table` or `ids` is empty, or the table has fewer rows than the ids were checked for, or is on another device.
///
/// ```
/// use blankslate::kernels::embedding::{Ids, embedding};
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// let table = Tensor::<2>::from_data([[0.0, 1.0], [2.0, 3.0]], &device);
/// let ids = Ids::new(&[1, 1, 0], 2, &device)?;
/// let rows = embedding(table, ids);
/// assert_eq!(rows.into_data().to_vec::<f32>().unwrap(), [2.0, 3.0, 2.0, 3.0, 0.0, 1.0]);
/// assert!(Ids::new(&[2], 2, &device).is_err());
/// # Ok::<(), blankslate::error::Error>(())
/// ```
#[track_caller]
pub fn embedding(table: Tensor<2>, ids: Ids) -> Tensor<2> {
    let check = Check("embedding");
    let Ids { ids, order, rows } = ids;
    check.float("table", &table);
    check.not_empty("table", &table);
    check.not_empty("ids", &ids);
    check.same_device(&table, "ids", &ids);
    let found = table.dims()[0];
    check.require(found >= rows, || {
        format!(
            "`table` has {found} rows, expected at least the {rows} that the ids were checked for"
        )
    });
    Tensor::from_dispatch(Dispatch::look_up(
        table.into_dispatch(),
        ids.into_dispatch(),
        order.into_dispatch(),
    ))
}

/// Returns the costs of looking up `N` rows of `C` numbers of `size` bytes in a table of `V` rows. The gradient of the table is
/// written as a whole.
pub fn costs([n, c]: [usize; 2], v: usize, size: usize) -> Costs {
    let [n, c, v] = [n, c, v].map(|length| length as f64);
    Costs::moved(2.0 * n * c, n * c + v * c, size)
}

/// The operation on every backend, autodiff included.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait EmbeddingOps: Backend {
    /// See [`embedding`](fn@embedding).
    fn look_up(
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
        order: IntTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// The gradients, which each backend implements.
pub trait EmbeddingKernels: EmbeddingOps {
    /// Returns the gradient of the table, `[V, C]`.
    fn look_up_backward(saved: Saved<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// State of the forward pass that the backward pass needs.
#[derive(Debug)]
pub struct Saved<B: Backend> {
    pub(super) ids: IntTensor<B>,
    pub(super) order: IntTensor<B>,
    pub(super) vocab: usize,
}

// Derived, it would ask for `B: Clone`.
impl<B: Backend> Clone for Saved<B> {
    fn clone(&self) -> Self {
        Self { ids: self.ids.clone(), order: self.order.clone(), vocab: self.vocab }
    }
}

impl<B: EmbeddingKernels> Rule<B> for Saved<B> {
    fn gradients(self, grad: FloatTensor<B>, _: &[bool]) -> Vec<Option<FloatTensor<B>>> {
        vec![Some(B::look_up_backward(self, grad))]
    }
}

impl<B: EmbeddingKernels, S: CheckpointStrategy> EmbeddingOps for Autodiff<B, S> {
    fn look_up(
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
        order: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        use burn::backend::TensorMetadata;
        let (table, node) = table.into_parts();
        let saved = Saved { ids: ids.clone(), order: order.clone(), vocab: table.shape()[0] };
        record::<B, S, _>(vec![node], B::look_up(table, ids, order), || saved)
    }
}
