//! Plans of cuBLASLt products: descriptors, and the kernel that its heuristic chooses.

use std::ffi::c_void;
use std::mem::size_of;

use cudarc::cublaslt::result::{self as lt, CublasError};
use cudarc::cublaslt::sys;
use cudarc::cublaslt::sys::cublasComputeType_t::{
    CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32,
};
use cudarc::cublaslt::sys::cublasLtEpilogue_t::*;
use cudarc::cublaslt::sys::cublasLtMatmulDescAttributes_t::*;
use cudarc::cublaslt::sys::cublasLtMatmulPreferenceAttributes_t::*;
use cudarc::cublaslt::sys::cublasLtMatrixLayoutAttribute_t::*;
use cudarc::cublaslt::sys::cudaDataType;

use super::layout::Layout;

/// Workspace of kernels in bytes, as NVIDIA recommends for Hopper.
pub const WORKSPACE: usize = 32 << 20;

/// Largest alignment that affects the choice of a kernel.
const LARGEST_ALIGNMENT: u64 = 256;

/// Type of the numbers and precision of the multiplication. Accumulation is in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Numbers {
    F32,
    /// f32, whose factors are rounded to TF32.
    Tf32,
    F16,
    Bf16,
}

/// Key of a plan, which is reused for products with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub numbers: Numbers,
    /// `[M, K]`
    pub a: Layout,
    /// `[K, N]`
    pub b: Layout,
    /// Added to the product, `[M, N]`.
    pub added: Option<Layout>,
    /// The result, `[M, N]`, by rows.
    pub out: Layout,
    /// True if a vector `[N]` is added to each row.
    pub bias: bool,
    /// True if GELU is applied to the sum, which is also stored, without gaps.
    pub gelu: bool,
    /// Powers of two that divide the addresses of `a`, `b`, the added matrix, and the result.
    pub alignment: [u32; 4],
}

/// Addresses of the operands, 0 for absent ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Addresses {
    pub a: u64,
    pub b: u64,
    pub added: u64,
    pub out: u64,
    pub bias: u64,
    pub before_gelu: u64,
}

impl Addresses {
    /// Returns [`Key::alignment`].
    pub fn alignment(&self) -> [u32; 4] {
        let added = if self.added == 0 { self.out } else { self.added };
        [self.a, self.b, added, self.out]
            .map(|address| 1 << (address | LARGEST_ALIGNMENT).trailing_zeros())
    }
}

/// Descriptors and kernel of the products with one [`Key`].
pub struct Plan {
    product: sys::cublasLtMatmulDesc_t,
    /// First and second factor in cuBLASLt's order, the added matrix, and the result.
    layouts: [sys::cublasLtMatrixLayout_t; 4],
    adds: bool,
    kernel: sys::cublasLtMatmulAlgo_t,
}

impl Plan {
    /// Asks the heuristic for a kernel. Plans are kept as long as the process runs, so that nothing is destroyed.
    ///
    /// # Errors
    /// `CUBLAS_STATUS_NOT_SUPPORTED` if there is none.
    pub fn new(handle: sys::cublasLtHandle_t, key: &Key) -> Result<Self, CublasError> {
        let (compute, numbers) = match key.numbers {
            Numbers::F32 => (CUBLAS_COMPUTE_32F, cudaDataType::CUDA_R_32F),
            Numbers::Tf32 => (CUBLAS_COMPUTE_32F_FAST_TF32, cudaDataType::CUDA_R_32F),
            Numbers::F16 => (CUBLAS_COMPUTE_32F, cudaDataType::CUDA_R_16F),
            Numbers::Bf16 => (CUBLAS_COMPUTE_32F, cudaDataType::CUDA_R_16BF),
        };
        let product = lt::create_matmul_desc(compute, cudaDataType::CUDA_R_32F)?;
        // A row of ours is a column of cuBLASLt's: the second factor comes first.
        for (transpose, layout) in
            [(CUBLASLT_MATMUL_DESC_TRANSA, key.b), (CUBLASLT_MATMUL_DESC_TRANSB, key.a)]
        {
            set(product, transpose, &i32::from(layout.by_column))?;
        }
        let epilogue = match (key.bias, key.gelu) {
            (false, false) => CUBLASLT_EPILOGUE_DEFAULT,
            (true, false) => CUBLASLT_EPILOGUE_BIAS,
            (false, true) => CUBLASLT_EPILOGUE_GELU_AUX,
            (true, true) => CUBLASLT_EPILOGUE_GELU_AUX_BIAS,
        };
        set(product, CUBLASLT_MATMUL_DESC_EPILOGUE, &(epilogue as u32))?;
        if key.gelu {
            set(product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &(key.out.columns as i64))?;
        }
        let layouts = [
            layout(numbers, &key.b)?,
            layout(numbers, &key.a)?,
            layout(numbers, &key.added.unwrap_or(key.out))?,
            layout(numbers, &key.out)?,
        ];
        let kernel = choose(handle, product, layouts, key.alignment)?;
        Ok(Self { product, layouts, adds: key.added.is_some(), kernel })
    }

    /// Enqueues the product of the operands at `at`.
    ///
    /// # Safety
    /// The addresses hold operands as the key describes them until the stream has computed, `workspace` has [`WORKSPACE`] bytes, and
    /// `handle` and `stream` belong to the current context.
    pub unsafe fn enqueue(
        &self,
        handle: sys::cublasLtHandle_t,
        at: &Addresses,
        workspace: *mut c_void,
        stream: sys::cudaStream_t,
    ) -> Result<(), CublasError> {
        if at.bias != 0 {
            set(self.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &at.bias)?;
        }
        if at.before_gelu != 0 {
            set(self.product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &at.before_gelu)?;
        }
        let [first, second, added, out] = self.layouts;
        let (one, share) = (1f32, f32::from(u8::from(self.adds)));
        let address =
            |address: u64| std::ptr::with_exposed_provenance_mut::<c_void>(address as usize);
        // SAFETY: the caller's; descriptors and layouts are never destroyed, and factors are read before the call returns.
        unsafe {
            lt::matmul(
                handle,
                self.product,
                (&raw const one).cast(),
                (&raw const share).cast(),
                address(at.b),
                first,
                address(at.a),
                second,
                address(if self.adds { at.added } else { at.out }),
                added,
                address(at.out),
                out,
                &self.kernel,
                workspace,
                WORKSPACE,
                stream,
            )
        }
    }
}

fn set<T>(
    product: sys::cublasLtMatmulDesc_t,
    attribute: sys::cublasLtMatmulDescAttributes_t,
    value: &T,
) -> Result<(), CublasError> {
    let address = (&raw const *value).cast();
    // SAFETY: the descriptor is never destroyed; the value is copied.
    unsafe { lt::set_matmul_desc_attribute(product, attribute, address, size_of::<T>()) }
}

fn layout(
    numbers: cudaDataType,
    layout: &Layout,
) -> Result<sys::cublasLtMatrixLayout_t, CublasError> {
    let [rows, columns] = layout.stored().map(|length| length as u64);
    let created = lt::create_matrix_layout(numbers, rows, columns, layout.leading as i64)?;
    if layout.batch > 1 {
        let set = |attribute, address: *const c_void, bytes| {
            // SAFETY: the layout is never destroyed; the value is copied.
            unsafe { lt::set_matrix_layout_attribute(created, attribute, address, bytes) }
        };
        let (batch, distance) = (layout.batch as i32, layout.distance as i64);
        set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, (&raw const batch).cast(), size_of::<i32>())?;
        let offset = CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET;
        set(offset, (&raw const distance).cast(), size_of::<i64>())?;
    }
    Ok(created)
}

/// Returns the kernel that cuBLASLt expects to be the fastest.
fn choose(
    handle: sys::cublasLtHandle_t,
    product: sys::cublasLtMatmulDesc_t,
    [first, second, added, out]: [sys::cublasLtMatrixLayout_t; 4],
    [a, b, added_alignment, out_alignment]: [u32; 4],
) -> Result<sys::cublasLtMatmulAlgo_t, CublasError> {
    let preference = lt::create_matmul_pref()?;
    let set = |attribute, address: *const c_void, bytes| {
        // SAFETY: the preference exists until the end of this function; the value is copied.
        unsafe { lt::set_matmul_pref_attribute(preference, attribute, address, bytes) }
    };
    let bytes = WORKSPACE;
    let limit = CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
    set(limit, (&raw const bytes).cast(), size_of::<usize>())?;
    for (attribute, alignment) in [
        (CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, b),
        (CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, a),
        (CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, added_alignment),
        (CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, out_alignment),
    ] {
        set(attribute, (&raw const alignment).cast(), size_of::<u32>())?;
    }
    // SAFETY: all of them were created before.
    let found = unsafe {
        lt::get_matmul_algo_heuristic(handle, product, first, second, added, out, preference)
    };
    // SAFETY: nothing uses it any more.
    unsafe { lt::destroy_matmul_pref(preference)? };
    found.map(|found| found.algo)
}

#[cfg(test)]
mod tests {
    use super::Addresses;

    #[test]
    fn alignment_is_a_power_of_two_up_to_256() {
        let at = Addresses { a: 4096, b: 4096 + 6, out: 512 + 32, ..Addresses::default() };
        assert_eq!(at.alignment(), [256, 2, 32, 32]);
        let at = Addresses { added: 4, ..at };
        assert_eq!(at.alignment(), [256, 2, 4, 32]);
    }
}
