//! Matrix products from NVIDIA's library cuBLASLt, on burn's tensors.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use burn::backend::ops::FloatTensorOps;
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::cuda::CudaRuntime;
use cubecl_runtime::runtime::Runtime;

use super::layout::Layout;
use super::plan::{Addresses, Key, Numbers};
use super::session::{KNOWN, Session};
use super::{times, tuned};
use crate::kernels::{Products, Projection};

/// Alignment that cuBLASLt requires of the sum before GELU: of the numbers of a row, and of the address in bytes.
const BEFORE_GELU_WIDTH: usize = 8;
const BEFORE_GELU_ALIGNMENT: u64 = 16;

/// cuBLASLt on one device. Products without a kernel are computed by burn, and reported once on standard error.
pub struct CublasLt(Mutex<Session>);

/// A product with an optional epilogue: `out = gelu(a b + added + bias)`.
struct Product {
    a: CubeTensor,
    b: CubeTensor,
    added: Option<CubeTensor>,
    bias: Option<CubeTensor>,
    before_gelu: Option<CubeTensor>,
    out: CubeTensor,
    tf32: bool,
}

impl CublasLt {
    /// Takes a prepared device.
    pub fn new(session: Session) -> Self {
        Self(Mutex::new(session))
    }

    /// Returns false if cuBLASLt does not compute the product. The first time, prints a note that names what is used `instead`.
    fn compute(&self, product: &Product, instead: &str) -> bool {
        let Some(key) = product.key() else { return false };
        // This runs on the thread that launches all kernels of this device, so nothing else is launched meanwhile.
        let outcome = product.out.client.exclusive(|| {
            let mut session = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            product.enqueue(key, &mut session)
        });
        let outcome = outcome.unwrap_or_else(|error| Err(format!("the device failed: {error:?}")));
        let Err(reason) = outcome else { return true };
        if reason != KNOWN {
            let Key { a, b, numbers, .. } = key;
            let shapes =
                format!("[{}, {}] x [{}, {}] in {numbers:?}", a.rows, a.columns, b.rows, b.columns);
            let _ = writeln!(
                io::stderr(),
                "blankslate: note: the product {shapes} is computed {instead}: {reason}",
            );
        }
        false
    }
}

impl Product {
    /// Copies operands whose memory layout cuBLASLt does not support. The added matrix must have the layout of the result.
    fn with_plain_operands(self) -> Self {
        let copy_unless = |is_plain, x| if is_plain { x } else { into_contiguous(x) };
        let factor = |x| copy_unless(layout(&x).is_some(), x);
        let summand = |x| copy_unless(layout(&x).is_some_and(|of| !of.by_column), x);
        let (a, b, added) = (factor(self.a), factor(self.b), self.added.map(summand));
        Self { a, b, added, ..self }
    }

    /// Returns the key of this product's plan, without the alignment of addresses.
    fn key(&self) -> Option<Key> {
        let numbers = match self.out.dtype {
            DType::F32 if self.tf32 => Numbers::Tf32,
            DType::F32 => Numbers::F32,
            DType::F16 => Numbers::F16,
            DType::BF16 => Numbers::Bf16,
            _ => return None,
        };
        let (a, b, out) = (layout(&self.a)?, layout(&self.b)?, layout(&self.out)?);
        let added = match &self.added {
            Some(added) => Some(layout(added)?),
            None => None,
        };
        let (bias, gelu) = (self.bias.is_some(), self.before_gelu.is_some());
        Some(Key { numbers, a, b, added, out, bias, gelu, alignment: [1; 4] })
    }

    fn enqueue(&self, key: Key, session: &mut Session) -> Result<(), String> {
        // Keeps the memory of the operands while they are enqueued.
        let mut held = Vec::new();
        let mut address = |tensor: &CubeTensor| {
            type Server = <CudaRuntime as Runtime>::Server;
            let found = tensor.client.get_resource::<Server>(tensor.handle.clone());
            let found = found.map_err(|error| format!("an operand is missing: {error:?}"))?;
            let address = found.resource().ptr;
            held.push(found);
            Ok::<u64, String>(address)
        };
        let mut optional =
            |tensor: &Option<CubeTensor>| tensor.as_ref().map_or(Ok(0), &mut address);
        let (added, bias) = (optional(&self.added)?, optional(&self.bias)?);
        let before_gelu = optional(&self.before_gelu)?;
        let (a, b, out) = (address(&self.a)?, address(&self.b)?, address(&self.out)?);
        let at = Addresses { a, b, added, out, bias, before_gelu };
        if !before_gelu.is_multiple_of(BEFORE_GELU_ALIGNMENT) {
            return Err(KNOWN.into());
        }
        let key = Key { alignment: at.alignment(), ..key };
        times::record("cublasLtMatmul", &self.out.client, || {
            // SAFETY: the layouts are those of the tensors, whose memory burn does not reuse before later launches; these wait
            // for the product.
            unsafe { session.multiply(key, &at) }
        })
    }
}

fn layout(tensor: &CubeTensor) -> Option<Layout> {
    let plain = tensor.qparams.is_none() && !tensor.meta.is_tiled();
    plain.then(|| Layout::of(tensor.meta.shape(), tensor.meta.strides()))?
}

impl Products for CublasLt {
    fn multiply(&self, a: CubeTensor, b: CubeTensor, out: CubeTensor, tf32: bool) {
        let (added, bias, before_gelu) = (None, None, None);
        let product = Product { a, b, added, bias, before_gelu, out, tf32 }.with_plain_operands();
        if !self.compute(&product, "by burn instead of cuBLASLt") {
            let Product { a, b, out, .. } = product;
            tuned::multiply(a, b, out, tf32);
        }
    }

    fn has_projections(&self) -> bool {
        true
    }

    fn project(&self, projection: Projection, tf32: bool) -> bool {
        let Projection { x, weight, bias, residual, before_gelu, out } = projection;
        if before_gelu.is_some() && !out.meta.shape()[1].is_multiple_of(BEFORE_GELU_WIDTH) {
            return false;
        }
        let bias = bias.map(into_contiguous);
        let b = CubeBackend::float_transpose(weight);
        let product = Product { a: x, b, added: residual, bias, before_gelu, out, tf32 };
        let instead = "without what is added and applied to it, which other kernels do";
        self.compute(&product.with_plain_operands(), instead)
    }
}
