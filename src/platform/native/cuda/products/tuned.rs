//! Matrix products on CUDA, from burn's kernel library. Which kernel is fastest depends on GPU and shapes, so the candidates
//! are timed at the first product of its kind, and the choice is kept.
//!
//! burn's own choice for f32 includes tensor cores, which round the factors to 10 bits of mantissa (TF32). Here they are
//! candidates only where that is permitted.

use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::DType;
use burn_cubecl::CubeTuneId;
use burn_cubecl::tensor::CubeTensor;
use cubecl::tune::{LocalTuner, Tunable, TunableSet, local_tuner};
use cubek::matmul::definition::{MatmulElems, MatmulGlobalElems};
use cubek::matmul::launch::launch_ref;
use cubek::matmul::multi_level::Strategy;
use cubek::matmul::multi_level::components::tile::TileMatmulKind;
use cubek::matmul::multi_level::routines::TileSizeSelection::{self, MaxTileSize, MinTileSize};
use cubek::matmul::multi_level::routines::batch::double_buffering::DoubleBufferingArgs;
use cubek::matmul::multi_level::routines::batch::double_unit::DoubleUnitSelectionArgs;
use cubek::matmul::multi_level::routines::batch::ordered_double_buffering::OrderedSelectionArgs;
use cubek::matmul::multi_level::routines::batch::simple::SimpleArgs;
use cubek::matmul::multi_level::routines::batch::simple_unit::SimpleUnitSelectionArgs;
use cubek::matmul::routine::BlueprintStrategy::Inferred;
use cubek::matmul::tune_key::MatmulAutotuneKey;
use cubek::std::InputBinding;

/// Factors and product.
type Operands = (CubeTensor, CubeTensor, CubeTensor);

type Tuner = LocalTuner<MatmulAutotuneKey, CubeTuneId>;

/// Writes `a b` to `out`. See [`Products::multiply`](crate::kernels::Products::multiply).
pub fn multiply(a: CubeTensor, b: CubeTensor, out: CubeTensor, tf32: bool) {
    static EXACT: Tuner = local_tuner!("exact");
    static TENSOR_CORES: Tuner = local_tuner!("tensor-cores");
    let client = a.client.clone();
    let id = CubeTuneId::new(&client, &a.device);
    if a.dtype == DType::F32 && !tf32 {
        let set = EXACT.init(&id, || candidates(exact()));
        EXACT.execute(&id, &client, set, (a, b, out));
    } else {
        let set = TENSOR_CORES
            .init(&id, || candidates(exact().into_iter().take(1).chain(tensor_cores())));
        TENSOR_CORES.execute(&id, &client, set, (a, b, out));
    }
}

/// Kernels that compute in the type of their factors. The first works for all shapes.
fn exact() -> Vec<Strategy> {
    let simple = |tile_size| Strategy::SimpleUnit(Inferred(SimpleUnitSelectionArgs { tile_size }));
    let double = |tile_size| Strategy::DoubleUnit(Inferred(DoubleUnitSelectionArgs { tile_size }));
    let sizes: [TileSizeSelection; 2] = [MaxTileSize, MinTileSize];
    sizes.map(simple).into_iter().chain(sizes.map(double)).collect()
}

/// Kernels for tensor cores.
fn tensor_cores() -> Vec<Strategy> {
    let simple = |multi_rows| SimpleArgs { multi_rows, tile_matmul: TileMatmulKind::Cmma };
    let double = |tile_matmul| DoubleBufferingArgs { specialized: false, tile_matmul };
    let ordered = |row_count| OrderedSelectionArgs {
        partition_k: Some(2),
        row_count: Some(row_count),
        rows_per_plane: Some(2),
        tile_matmul: TileMatmulKind::Mma,
    };
    vec![
        Strategy::SimpleCyclicCmma(Inferred(simple(false))),
        Strategy::SimpleCyclicCmma(Inferred(simple(true))),
        Strategy::DoubleCyclicCmma(Inferred(double(TileMatmulKind::Cmma))),
        Strategy::DoubleCyclicMma(Inferred(double(TileMatmulKind::Mma))),
        Strategy::OrderedDoubleMma(Inferred(ordered(4))),
        Strategy::OrderedDoubleMma(Inferred(ordered(8))),
    ]
}

fn candidates(
    strategies: impl IntoIterator<Item = Strategy>,
) -> TunableSet<MatmulAutotuneKey, Operands, ()> {
    strategies.into_iter().fold(TunableSet::new(key, rehearsal), |set, strategy| {
        let name = strategy.to_string();
        // A choice is cached for shapes of a kind, and the kernel may not support all of them.
        let launch = move |operands: Operands| {
            launch(&strategy, operands.clone()).or_else(|_| launch(&exact()[0], operands))
        };
        set.with(Tunable::new(&name, launch))
    })
}

/// Returns the operands of a timed run, which writes to a product of its own.
fn rehearsal(_: &MatmulAutotuneKey, (a, b, out): &Operands) -> Operands {
    (a.clone(), b.clone(), out.copy())
}

/// Autotune key: products with the same key use the same kernel.
fn key((a, b, out): &Operands) -> MatmulAutotuneKey {
    MatmulAutotuneKey::from_parts(
        a.meta.shape(),
        b.meta.shape(),
        a.meta.strides(),
        b.meta.strides(),
        a.meta.tiling,
        b.meta.tiling,
        dtype_to_storage_type(a.dtype),
        dtype_to_storage_type(b.dtype),
        dtype_to_storage_type(out.dtype),
        None,
        None,
    )
}

fn launch(strategy: &Strategy, (a, b, out): Operands) -> Result<(), String> {
    let [lhs, rhs, product] = [&a, &b, &out].map(|tensor| dtype_to_storage_type(tensor.dtype));
    let mut types = MatmulElems::from_globals(&MatmulGlobalElems { lhs, rhs, out: product });
    let [a, b] = [(a, lhs), (b, rhs)].map(|(x, dtype)| InputBinding::new(x.binding(), dtype));
    let client = out.client.clone();
    launch_ref(&strategy.clone().into(), &client, a, b, out.binding(), &mut types)
        .map_err(|error| format!("{error:?}"))
}
