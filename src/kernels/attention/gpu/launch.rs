//! Shared by the portable kernels and by those for tensor cores.

use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::scores::{DivisionLaunch, ParamsLaunch, RandomLaunch};
use crate::HAS_RANKS;
use crate::kernels::attention::{HeadDivision, Options, Saved, WeightDropout};
use crate::kernels::device::PerDevice;
use crate::kernels::gpu::empty_of;

/// Kernels of a kind of device, which replace the portable ones.
#[derive(Clone, Copy)]
pub struct Kernels {
    /// Returns true if they can compute attention of this `qkv`.
    pub supports: fn(qkv: &CubeTensor, options: &Options) -> bool,
    pub forward: fn(CubeTensor, Option<CubeTensor>, &Options) -> (CubeTensor, CubeTensor),
    pub backward: fn(Saved<CubeBackend>, CubeTensor) -> CubeTensor,
}

/// Devices with such kernels. Pointers to functions, so that programs for other devices do not carry them.
pub static REPLACEMENTS: PerDevice<Kernels> = PerDevice::new();

/// Returns the kernels that replace the portable ones for this `qkv`.
pub fn replacement(qkv: &CubeTensor, options: &Options) -> Option<Kernels> {
    REPLACEMENTS.get(&qkv.device).filter(|kernels| (kernels.supports)(qkv, options))
}

/// Allocates one f32 per query of every head, `[B H T]`.
pub fn per_query(options: &Options, like: &CubeTensor) -> CubeTensor {
    empty_of(DType::F32, [options.batch * options.heads * options.tokens], like)
}

/// Options in the form kernels take.
pub fn params(options: &Options) -> ParamsLaunch {
    let random = options.dropout.map(|WeightDropout { dropout, .. }| {
        let key = dropout.seed.wrapping_mul(0x9E37_79B9);
        RandomLaunch::new(dropout.threshold(), key, dropout.scale())
    });
    let division = options.dropout.and_then(|of| of.division).filter(|_| HAS_RANKS);
    let division = division.map(|HeadDivision { before, all }| {
        let heads = options.heads;
        DivisionLaunch::new(heads as u32, before as u32, (all - heads) as u32)
    });
    ParamsLaunch::new(
        options.tokens,
        options.scale,
        options.soft_cap.into(),
        options.window.into(),
        random.into(),
        division.into(),
        options.causal,
    )
}
