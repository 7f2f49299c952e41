//! The part of a tensor that each rank owns.

use std::ops::Range;

/// Bounds of the parts of a tensor `[n]`, one part for each rank, in order. A part may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds(Vec<usize>);

impl Bounds {
    /// Cuts `len` numbers into parts that differ by at most one number.
    pub fn even(len: usize, ranks: usize) -> Self {
        Self::blocks(len, 1, 0, ranks)
    }

    /// Cuts `len` numbers at multiples of `block`. Parts differ by at most one block. `shift` rotates the ranks that get the
    /// larger parts, so that many small tensors with consecutive shifts are spread evenly.
    pub fn blocks(len: usize, block: usize, shift: usize, ranks: usize) -> Self {
        let blocks = len.div_ceil(block.max(1));
        let cut = |rank: usize| (rank * blocks + shift % ranks) / ranks * block;
        Self((0..=ranks).map(|rank| cut(rank).min(len)).collect())
    }

    /// Gives all `len` numbers to the rank `owner`.
    pub fn whole(len: usize, owner: usize, ranks: usize) -> Self {
        Self((0..=ranks).map(|rank| if rank > owner { len } else { 0 }).collect())
    }

    /// Cuts a tensor into parts of the lengths `lens`, one for each rank.
    pub fn of_lens(lens: impl IntoIterator<Item = usize>) -> Self {
        let mut bounds = vec![0];
        for len in lens {
            bounds.push(bounds[bounds.len() - 1] + len);
        }
        Self(bounds)
    }

    /// Returns the part of `rank`.
    pub fn of(&self, rank: usize) -> Range<usize> {
        self.0[rank]..self.0[rank + 1]
    }

    /// Returns the parts in the order of their ranks.
    pub fn parts(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.0.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// Returns the same parts counted in blocks of `block` numbers, at which they must be cut.
    pub fn in_blocks(&self, block: usize) -> Self {
        Self(self.0.iter().map(|bound| bound.div_ceil(block)).collect())
    }

    /// Returns the length of the whole tensor.
    pub fn len(&self) -> usize {
        self.0[self.0.len() - 1]
    }

    /// Returns true if the whole tensor is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::Bounds;

    #[test]
    fn parts_cover_everything_once_and_differ_by_a_block() {
        for (len, block) in [(0, 4), (1, 1), (1, 4), (7, 3), (100, 7), (64, 64), (65, 64)] {
            for ranks in 1..6 {
                for shift in 0..7 {
                    let bounds = Bounds::blocks(len, block, shift, ranks);
                    assert_eq!((bounds.parts().count(), bounds.len()), (ranks, len));
                    assert_eq!(bounds.of(0).start, 0);
                    for (rank, part) in bounds.parts().enumerate() {
                        assert_eq!(bounds.of(rank), part);
                        assert!(part.start % block == 0 || part.start == len);
                        assert!(part.len() <= len / ranks + block, "{bounds:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_whole_tensor_has_one_owner() {
        for owner in 0..3 {
            let parts: Vec<_> = Bounds::whole(5, owner, 3).parts().map(|part| part.len()).collect();
            assert_eq!((parts[owner], parts.iter().sum::<usize>()), (5, 5));
        }
    }

    #[test]
    fn parts_have_the_lengths_that_were_given() {
        let bounds = Bounds::of_lens([2, 0, 3]);
        assert_eq!(bounds.parts().collect::<Vec<_>>(), [0..2, 2..2, 2..5]);
        assert_eq!(bounds, Bounds::of_lens(bounds.parts().map(|part| part.len())));
    }

    #[test]
    fn small_tensors_go_to_every_rank_in_turn() {
        let owner = |shift| Bounds::blocks(5, 8, shift, 3).parts().position(|part| part == (0..5));
        let mut owners: Vec<_> = (0..3).map(|shift| owner(shift).unwrap()).collect();
        owners.sort_unstable();
        assert_eq!(owners, [0, 1, 2]);
    }
}
