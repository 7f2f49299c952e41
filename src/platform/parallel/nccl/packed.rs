//! Parts of several tensors in one buffer, so that a bucket is sent in one operation.

use std::ops::Range;

use crate::parallel::Bounds;

/// Alignment of each rank's parts, in numbers, if all ranks have the same space: 16 bytes of f32.
const ALIGNED: usize = 4;
/// All ranks get the same space if that adds at most one in this many numbers: one operation of NCCL then processes all parts.
const SLACK: usize = 8;

/// A buffer with the parts of all tensors that belong to rank 0, then those of rank 1, and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    bounds: Vec<Bounds>,
    /// Number of numbers of each rank.
    lens: Vec<usize>,
    /// Space of each rank, if all have the same.
    stride: Option<usize>,
}

impl Packed {
    /// Lays out tensors that are cut at `bounds`.
    pub fn new(bounds: Vec<Bounds>, ranks: usize) -> Self {
        let len = |rank: usize| bounds.iter().map(|bounds| bounds.of(rank).len()).sum();
        let lens: Vec<usize> = (0..ranks).map(len).collect();
        let (longest, sum) = (lens.iter().max().copied().unwrap_or(0), lens.iter().sum::<usize>());
        let stride =
            if longest * ranks == sum { longest } else { longest.next_multiple_of(ALIGNED) };
        let stride = (stride * ranks <= sum + sum / SLACK).then_some(stride);
        Self { bounds, lens, stride }
    }

    /// Returns the numbers of the buffer.
    pub fn len(&self) -> usize {
        self.stride.map_or_else(|| self.lens.iter().sum(), |stride| stride * self.lens.len())
    }

    /// Returns true if no tensor has a number.
    pub fn is_empty(&self) -> bool {
        self.lens.iter().all(|len| *len == 0)
    }

    /// Returns the space of each rank, if all have the same.
    pub fn stride(&self) -> Option<usize> {
        self.stride
    }

    /// Returns the range of a rank's parts.
    pub fn of(&self, rank: usize) -> Range<usize> {
        let start = match self.stride {
            Some(stride) => rank * stride,
            None => self.lens[..rank].iter().sum(),
        };
        start..start + self.lens[rank]
    }

    /// Returns true if there is only one tensor, which is used as the buffer.
    pub fn is_tensor(&self) -> bool {
        let has_gaps = self.len() != self.lens.iter().sum::<usize>();
        self.bounds.len() == 1 && !has_gaps
    }

    /// Returns, for each part of `rank` that is not empty, its tensor, its range in the tensor and its start in the buffer.
    pub fn parts(&self, rank: usize) -> impl Iterator<Item = (usize, Range<usize>, usize)> + '_ {
        let mut start = self.of(rank).start;
        let part = move |(tensor, bounds): (usize, &Bounds)| {
            let part = bounds.of(rank);
            let place = start;
            start += part.len();
            (tensor, part, place)
        };
        self.bounds.iter().enumerate().map(part).filter(|(_, part, _)| !part.is_empty())
    }

    /// Returns the number of ranks.
    pub fn ranks(&self) -> usize {
        self.lens.len()
    }

    /// Returns the lengths of the whole tensors.
    pub fn whole(&self) -> Vec<usize> {
        self.bounds.iter().map(Bounds::len).collect()
    }

    /// Returns the lengths of the parts of `rank`.
    pub fn own(&self, rank: usize) -> Vec<usize> {
        self.bounds.iter().map(|bounds| bounds.of(rank).len()).collect()
    }

    /// Returns the numbers that `rank` sends in a ring reduce-scatter or all-gather.
    pub fn sent(&self, rank: usize) -> usize {
        self.lens.iter().sum::<usize>() - self.lens[rank]
    }
}

#[cfg(test)]
mod tests {
    use super::{Bounds, Packed};

    /// Every number of every tensor has a place of its own, in the room of its rank.
    fn check(bounds: Vec<Bounds>, ranks: usize) -> Packed {
        let packed = Packed::new(bounds.clone(), ranks);
        let mut used = vec![false; packed.len()];
        let mut found: Vec<Vec<bool>> =
            bounds.iter().map(|bounds| vec![false; bounds.len()]).collect();
        for rank in 0..ranks {
            for (tensor, part, place) in packed.parts(rank) {
                assert!(packed.of(rank).start <= place);
                assert!(place + part.len() <= packed.of(rank).end);
                for (i, at) in part.enumerate() {
                    assert!(!std::mem::replace(&mut used[place + i], true));
                    found[tensor][at] = true;
                }
            }
        }
        assert!(found.concat().iter().all(|found| *found));
        packed
    }

    #[test]
    fn nearly_even_parts_get_the_same_room() {
        let packed = check(vec![Bounds::even(100, 3), Bounds::even(7, 3)], 3);
        assert_eq!(packed.stride(), Some(36));
        assert!(!packed.is_tensor());
        let packed = check(vec![Bounds::even(12, 3)], 3);
        assert_eq!((packed.stride(), packed.is_tensor(), packed.sent(1)), (Some(4), true, 8));
    }

    #[test]
    fn uneven_parts_have_no_gaps() {
        let packed = check(vec![Bounds::whole(64, 1, 4), Bounds::whole(3, 0, 4)], 4);
        assert_eq!((packed.stride(), packed.len(), packed.of(1)), (None, 67, 3..67));
        assert_eq!((packed.whole(), packed.own(1)), (vec![64, 3], vec![64, 0]));
        let one = check(vec![Bounds::whole(64, 1, 4)], 4);
        assert!(one.is_tensor() && !one.is_empty());
        assert!(check(vec![Bounds::even(0, 2)], 2).is_empty());
    }
}
