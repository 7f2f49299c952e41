//! Rotary position embedding, applied while queries, keys and values are packed side by side for attention.
//!
//! Shapes: `N` rows (tokens of one sequence after the other), `T` positions in the table, `H` query heads, `K` key and
//! value heads, `D` numbers per head. Row `n` has position `n mod T`.
//!
//! ```
//! use blankslate::kernels::rotary::{Heads, pack};
//! use burn::tensor::{Device, Tensor};
//!
//! let device = Device::flex();
//! let row = |values: [f32; 2]| Tensor::<2>::from_data([values], &device); // N = 1, D = 2
//! let quarter_turn = (Tensor::from_data([[0.0]], &device), Tensor::from_data([[1.0]], &device));
//! let heads = Heads { query: 1, kv: 1, dim: 2 };
//! let packed = pack(row([1.0, 0.0]), row([0.0, 1.0]), row([5.0, 6.0]), Some(quarter_turn), heads);
//! assert_eq!(packed.into_data().to_vec::<f32>().unwrap(), [0.0, 1.0, -1.0, 0.0, 5.0, 6.0]);
//! ```

mod cpu;
mod gpu;
pub mod reference;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use super::autodiff::{Rule, record};
use super::check::Check;
use super::cost::Costs;
use super::dispatch::{Optional, optional};

/// Numbers of heads and their size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// `H`, query heads.
    pub query: usize,
    /// `K`, key and value heads.
    pub kv: usize,
    /// `D`, numbers per head.
    pub dim: usize,
}

impl Heads {
    /// Numbers in a packed row, `(H + 2 K) D`.
    pub(super) fn width(self) -> usize {
        (self.query + 2 * self.kv) * self.dim
    }
}

/// Cosines and sines of the positions' angles, `[T, D / 2]` each.
pub type Table = (Tensor<2>, Tensor<2>);

/// Packs `q [N, H D]`, `k [N, K D]` and `v [N, K D]` side by side, `[N, (H + 2 K) D]`, rotating the two halves of each
/// query and key head against each other (Su et al. 2021; halves as in Hugging Face's Llama). Without a table, nothing
/// is rotated. The table is not differentiated.
///
/// # Panics
/// If a tensor is empty, shapes do not fit, the tensors differ in device or dtype (the table's may differ), `N` is not a multiple of `T`,
/// or `D` is odd and there is a table.
#[track_caller]
pub fn pack(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    table: Option<Table>,
    heads: Heads,
) -> Tensor<2> {
    let check = Check("rotary::pack");
    check.heads(heads.query, heads.kv, heads.dim);
    check.float("q", &q);
    check.not_empty("q", &q);
    let rows = q.dims()[0];
    check.shape("q", &q, "[N, H D]", [rows, heads.query * heads.dim]);
    for (name, part) in [("k", &k), ("v", &v)] {
        check.shape(name, part, "[N, K D]", [rows, heads.kv * heads.dim]);
        check.alike(&q, name, part);
    }
    if let Some(table) = &table {
        check_table(check, &q, table, heads);
    }
    let (cos, sin) = table.unzip();
    Tensor::from_dispatch(Dispatch::rotary_pack(
        q.into_dispatch(),
        k.into_dispatch(),
        v.into_dispatch(),
        optional(cos),
        optional(sin),
        heads,
    ))
}

/// Rotates the queries and keys of `qkv [N, (H + 2 K) D]`, packed as by [`pack`].
///
/// # Panics
/// As [`pack`].
#[track_caller]
pub fn rotate(qkv: Tensor<2>, table: Table, heads: Heads) -> Tensor<2> {
    let check = Check("rotary::rotate");
    check.heads(heads.query, heads.kv, heads.dim);
    check.float("qkv", &qkv);
    check.not_empty("qkv", &qkv);
    check.shape("qkv", &qkv, "[N, (H + 2 K) D]", [qkv.dims()[0], heads.width()]);
    check_table(check, &qkv, &table, heads);
    let (cos, sin) = table;
    Tensor::from_dispatch(Dispatch::rotary_rotate(
        qkv.into_dispatch(),
        cos.into_dispatch(),
        sin.into_dispatch(),
        heads,
        false,
    ))
}

/// Returns the costs of [`pack`] or [`rotate`] on `n` rows of numbers of `size` bytes; the table is negligible.
pub fn costs(n: usize, heads: Heads, size: usize) -> Costs {
    let numbers = n as f64 * heads.width() as f64;
    Costs::moved(2.0 * numbers, 2.0 * numbers, size)
}

#[track_caller]
fn check_table(check: Check, x: &Tensor<2>, (cos, sin): &Table, heads: Heads) {
    let positions = cos.dims()[0];
    check.require(heads.dim.is_multiple_of(2), || {
        format!("heads of {} numbers cannot be rotated, expected an even number", heads.dim)
    });
    for (name, angles) in [("cos", cos), ("sin", sin)] {
        check.shape(name, angles, "[T, D / 2]", [positions, heads.dim / 2]);
        check.same_device(x, name, angles);
        check.float(name, angles);
    }
    check.alike(cos, "sin", sin);
    let rows = x.dims()[0];
    check.require(positions > 0 && rows.is_multiple_of(positions), || {
        format!("{rows} rows are not a multiple of the table's {positions} positions")
    });
}

/// The operation on every backend, autodiff included.
#[backend_extension(Cube, Flex, Autodiff)]
pub trait RotaryOps: Backend {
    /// See [`pack`].
    fn rotary_pack(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        #[extension_type] cos: Optional<Self>,
        #[extension_type] sin: Optional<Self>,
        heads: Heads,
    ) -> FloatTensor<Self>;

    /// See [`rotate`]; `inverse` rotates back.
    fn rotary_rotate(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        heads: Heads,
        inverse: bool,
    ) -> FloatTensor<Self>;
}

/// The gradients, which each backend implements.
pub trait RotaryKernels: RotaryOps {
    /// Returns the gradients of queries, keys and values from that of [`pack`]'s result.
    fn rotary_unpack(
        qkv: FloatTensor<Self>,
        table: Option<(FloatTensor<Self>, FloatTensor<Self>)>,
        heads: Heads,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// State of the forward passes that the backward passes need.
#[derive(Debug)]
struct Saved<B: Backend> {
    table: Option<(FloatTensor<B>, FloatTensor<B>)>,
    heads: Heads,
    packed: bool,
    inverse: bool,
}

// Derived, it would ask for `B: Clone`.
impl<B: Backend> Clone for Saved<B> {
    fn clone(&self) -> Self {
        Self { table: self.table.clone(), ..*self }
    }
}

impl<B: RotaryKernels> Rule<B> for Saved<B> {
    fn gradients(self, grad: FloatTensor<B>, _: &[bool]) -> Vec<Option<FloatTensor<B>>> {
        match (self.packed, self.table) {
            // The transpose of a rotation is its inverse.
            (true, Some((cos, sin))) => {
                vec![Some(B::rotary_rotate(grad, cos, sin, self.heads, !self.inverse))]
            }
            (_, table) => {
                let (q, k, v) = B::rotary_unpack(grad, table, self.heads);
                vec![Some(q), Some(k), Some(v)]
            }
        }
    }
}

impl<B: RotaryKernels, S: CheckpointStrategy> RotaryOps for Autodiff<B, S> {
    fn rotary_pack(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        cos: Optional<Self>,
        sin: Optional<Self>,
        heads: Heads,
    ) -> FloatTensor<Self> {
        let (q, q_node) = q.into_parts();
        let (k, k_node) = k.into_parts();
        let (v, v_node) = v.into_parts();
        let cos = cos.into_option().map(|cos| cos.into_primitive());
        let sin = sin.into_option().map(|sin| sin.into_primitive());
        let table = cos.clone().zip(sin.clone());
        let [cos, sin] = [cos, sin].map(Optional::from_option);
        let packed = B::rotary_pack(q, k, v, cos, sin, heads);
        record::<B, S, _>(vec![q_node, k_node, v_node], packed, || Saved {
            table,
            heads,
            packed: false,
            inverse: false,
        })
    }

    fn rotary_rotate(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        heads: Heads,
        inverse: bool,
    ) -> FloatTensor<Self> {
        let (qkv, node) = qkv.into_parts();
        let (cos, sin) = (cos.into_primitive(), sin.into_primitive());
        let table = Some((cos.clone(), sin.clone()));
        let turned = B::rotary_rotate(qkv, cos, sin, heads, inverse);
        record::<B, S, _>(vec![node], turned, || Saved { table, heads, packed: true, inverse })
    }
}
