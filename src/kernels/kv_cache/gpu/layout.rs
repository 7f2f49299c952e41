//! Shapes of a launch: the cache, its tiles, and the queries that share a key head.

use cubecl::prelude::*;

use crate::kernels::kv_cache::Place;

/// Compile-time constants of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// `H`.
    pub heads: usize,
    /// `K`.
    pub kv_heads: usize,
    /// Vectors in a row of `D` numbers.
    pub width: usize,
    /// Queries served at once: tokens multiplied by the heads that share a key head.
    pub rows: usize,
    /// Keys in a tile.
    pub keys: usize,
    /// True if the units of a cube share a tile, one key each.
    pub shared: bool,
}

impl Layout {
    /// For rows moved as vectors of `vector` numbers, on a software adapter if `serial`.
    pub fn new(place: Place, vector: usize, serial: bool) -> Self {
        // See the parent module.
        let (most_rows, keys) = if serial { (4, 16) } else { (8, 64) };
        Self {
            heads: place.heads,
            kv_heads: place.kv_heads,
            width: place.dim / vector,
            rows: (place.group() * place.tokens).next_power_of_two().min(most_rows),
            keys,
            shared: !serial,
        }
    }

    /// Query heads that share a key head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Vectors in a row of `qkv`.
    pub fn packed(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.width
    }

    /// Vectors of a row that the units of a cube take at once.
    pub fn columns(&self) -> usize {
        self.width.min(self.keys)
    }
}

/// Shape and position in a cache `[2, B, K, S, D]`.
#[derive(CubeType, CubeLaunch)]
pub struct Span {
    /// `B`.
    pub batch: usize,
    /// `S`.
    pub capacity: usize,
    /// Position of the first new token.
    pub start: usize,
}

/// The tiles of a launch.
#[derive(CubeType, CubeLaunch)]
pub struct Tiles {
    /// The first key that any query sees.
    pub first: usize,
    pub count: usize,
    /// Tiles that the results have room for.
    pub room: usize,
}

#[cube]
impl Span {
    /// Returns the offset, in vectors, of the keys (part 0) or values (part 1) of a head of a sequence.
    pub fn head(&self, part: usize, pair: usize, #[comptime] layout: Layout) -> usize {
        let pairs = self.batch * layout.kv_heads;
        (part * pairs + pair) * self.capacity * layout.width
    }
}

/// Queries that share a key head: offsets in `qkv`, rows in the results, and positions in the sequence.
#[derive(CubeType)]
pub struct Queries {
    pub from: Sequence<usize>,
    pub rows: Sequence<usize>,
    pub positions: Sequence<usize>,
}

/// The queries of a chunk. The last one is repeated to fill the chunk: it writes the same numbers to the same place.
#[cube]
pub fn queries(
    pair: usize,
    chunk: usize,
    tokens: usize,
    span: &Span,
    tiles: &Tiles,
    #[comptime] layout: Layout,
) -> Queries {
    let group = comptime!(layout.group());
    let sequence = pair / layout.kv_heads;
    let kv_head = pair % layout.kv_heads;
    let mut from = Sequence::new();
    let mut rows = Sequence::new();
    let mut positions = Sequence::new();
    #[unroll]
    for r in 0..layout.rows {
        let i = min(chunk * layout.rows + r, tokens * group - 1);
        let token = sequence * tokens + i / group;
        let head = kv_head * group + i % group;
        from.push(token * comptime!(layout.packed()) + head * layout.width);
        rows.push((token * layout.heads + head) * tiles.room);
        positions.push(span.start + i / group);
    }
    Queries { from, rows, positions }
}
