//! Layout of the moments of many parameters in few buffers.
//!
//! A buffer is `[clip factor, loss scale, steps without overflow, 0, first moments, second moments]`, so that a kernel
//! needs one binding for the state of all its parameters. A negative clip factor means that the step is skipped, a loss
//! scale of zero that there is none.

/// Numbers before the moments. Every parameter starts at a multiple of it, to be read in vectors of four.
const HEAD: usize = 4;

/// Index of the loss scale; the number of steps without overflow follows it.
pub const LOSS_SCALE: usize = 1;

/// Position of a parameter's moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Index of the buffer.
    pub buffer: usize,
    /// Start of the first moments in it.
    pub first: usize,
    /// Start of the second moments in it.
    pub second: usize,
}

/// The positions for a list of parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    slots: Vec<Slot>,
    sizes: Vec<usize>,
    lengths: Vec<usize>,
}

impl Layout {
    /// Creates a layout for parameters of `sizes` in as few buffers as possible, of at most `largest` numbers.
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

    /// Position and size of parameter `i`.
    pub fn slot(&self, i: usize) -> (Slot, usize) {
        (self.slots[i], self.sizes[i])
    }

    /// All positions, in the order of the parameters.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Lengths of the buffers.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }
}
