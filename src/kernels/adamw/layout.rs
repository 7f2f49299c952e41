//! Where the moments of many parameters stand in few buffers.
//!
//! A buffer is `[clip factor, loss scale, steps it fitted, 0, first moments, second moments]`, so that a kernel
//! needs a single binding for the state of all parameters it works on. A clip factor below zero says that there
//! is nothing to update by; a loss scale of zero, that there is none.

/// Numbers before the moments. Everything starts at a multiple of it, to be read four at a time.
const HEAD: usize = 4;

/// Place of the loss scale, and behind it of the number of steps it fitted.
pub const LOSS_SCALE: usize = 1;

/// Where a parameter's moments begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Which buffer.
    pub buffer: usize,
    /// Place of the first moments in it.
    pub first: usize,
    /// Place of the second moments in it.
    pub second: usize,
}

/// The places for a list of parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    slots: Vec<Slot>,
    sizes: Vec<usize>,
    lengths: Vec<usize>,
}

impl Layout {
    /// For parameters of `sizes`, in buffers of at most `largest` numbers, as few as possible.
    pub fn new(sizes: &[usize], largest: usize) -> Self {
        // Numbers of first moments in each buffer.
        let mut totals = vec![0];
        let starts: Vec<(usize, usize)> = sizes
            .iter()
            .map(|size| {
                let size = size.next_multiple_of(HEAD);
                let used = totals[totals.len() - 1];
                if used > 0 && HEAD + 2 * (used + size) > largest {
                    totals.push(0);
                }
                let buffer = totals.len() - 1;
                let start = totals[buffer];
                totals[buffer] += size;
                (buffer, start)
            })
            .collect();
        let slot = |(buffer, start): (usize, usize)| {
            let first = HEAD + start;
            Slot { buffer, first, second: first + totals[buffer] }
        };
        Self {
            slots: starts.into_iter().map(slot).collect(),
            sizes: sizes.to_vec(),
            lengths: totals.iter().map(|total| HEAD + 2 * total).collect(),
        }
    }

    /// Place and size of parameter `i`.
    pub fn slot(&self, i: usize) -> (Slot, usize) {
        (self.slots[i], self.sizes[i])
    }

    /// All places, in the order of the parameters.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Lengths of the buffers.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }
}
