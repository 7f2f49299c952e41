//! Memory layouts of matrices, in cuBLASLt's terms.
//!
//! cuBLASLt is column-major: the numbers of a column are adjacent, and columns are a *leading dimension* apart. Tensors are
//! row-major, so cuBLASLt sees every matrix transposed, and `out = a b` as `outᵀ = bᵀ aᵀ`. A transposed view costs nothing:
//! cuBLASLt transposes it while reading.

/// A matrix, or a batch of them at equal distances, whose rows or columns are adjacent numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    pub rows: usize,
    pub columns: usize,
    /// Numbers from one row to the next; from one column to the next if `by_column`.
    pub leading: usize,
    /// True if columns are adjacent numbers, as in a transposed view.
    pub by_column: bool,
    /// Matrices.
    pub batch: usize,
    /// Numbers from one matrix to the next; 0 if there is only one.
    pub distance: usize,
}

impl Layout {
    /// Describes a tensor of at least two dimensions, the last two of which are rows and columns; none for other layouts, such as
    /// a broadcast row.
    pub fn of(shape: &[usize], strides: &[usize]) -> Option<Self> {
        let &[ref outer @ .., rows, columns] = shape else { return None };
        let &[ref outer_strides @ .., down, right] = strides else { return None };
        let by_row = (right == 1 || columns == 1) && (down >= columns || rows == 1);
        let by_column = (down == 1 || rows == 1) && (right >= rows || columns == 1);
        let leading = match (by_row, by_column) {
            // The stride of a dimension of 1 is arbitrary.
            (true, _) if rows == 1 => columns,
            (true, _) => down,
            (false, true) if columns == 1 => rows,
            (false, true) => right,
            (false, false) => return None,
        };
        let (batch, distance) = batch(outer, outer_strides)?;
        Some(Self { rows, columns, leading, by_column: !by_row, batch, distance })
    }

    /// Rows and columns of the column-major matrix, before cuBLASLt transposes it.
    pub fn stored(&self) -> [usize; 2] {
        if self.by_column { [self.rows, self.columns] } else { [self.columns, self.rows] }
    }
}

/// Returns number and distance of the matrices of a batch with these outer dimensions; none if the distances differ.
fn batch(shape: &[usize], strides: &[usize]) -> Option<(usize, usize)> {
    let mut count = 1;
    let mut distance = None;
    for (length, stride) in shape.iter().zip(strides).rev().filter(|(length, _)| **length != 1) {
        match distance {
            None => distance = Some(*stride),
            Some(distance) if *stride == distance * count => {}
            Some(_) => return None,
        }
        count *= length;
    }
    Some((count, distance.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::Layout;

    fn layout(
        shape: &[usize],
        strides: &[usize],
    ) -> Option<([usize; 2], usize, bool, usize, usize)> {
        let found = Layout::of(shape, strides)?;
        assert_eq!([found.rows, found.columns], shape[shape.len() - 2..]);
        Some((found.stored(), found.leading, found.by_column, found.batch, found.distance))
    }

    #[test]
    fn rows_and_columns_may_have_gaps() {
        assert_eq!(layout(&[3, 5], &[5, 1]), Some(([5, 3], 5, false, 1, 0)));
        assert_eq!(layout(&[3, 5], &[128, 1]), Some(([5, 3], 128, false, 1, 0)));
        assert_eq!(layout(&[5, 3], &[1, 128]), Some(([5, 3], 128, true, 1, 0)));
    }

    #[test]
    fn strides_of_a_single_row_or_column_say_nothing() {
        assert_eq!(layout(&[1, 5], &[1, 1]), Some(([5, 1], 5, false, 1, 0)));
        assert_eq!(layout(&[3, 1], &[128, 77]), Some(([1, 3], 128, false, 1, 0)));
        assert_eq!(layout(&[1, 5], &[9, 128]), Some(([1, 5], 128, true, 1, 0)));
        assert_eq!(layout(&[1, 1], &[0, 0]), Some(([1, 1], 1, false, 1, 0)));
    }

    #[test]
    fn repeated_and_overlapping_rows_are_no_matrix() {
        assert_eq!(layout(&[3, 5], &[0, 1]), None);
        assert_eq!(layout(&[3, 5], &[2, 1]), None);
        assert_eq!(layout(&[3, 5], &[10, 2]), None);
        assert_eq!(layout(&[3, 5], &[0, 0]), None);
    }

    #[test]
    fn batches_have_one_distance() {
        assert_eq!(layout(&[4, 3, 5], &[15, 5, 1]), Some(([5, 3], 5, false, 4, 15)));
        assert_eq!(layout(&[2, 4, 3, 5], &[60, 15, 5, 1]), Some(([5, 3], 5, false, 8, 15)));
        assert_eq!(layout(&[4, 2, 3, 5], &[15, 60, 5, 1]), None);
        assert_eq!(layout(&[4, 3, 5], &[0, 5, 1]), Some(([5, 3], 5, false, 4, 0)));
    }

    #[test]
    fn a_transposed_layout_has_the_same_numbers() {
        let layout = Layout::of(&[3, 5], &[8, 1]).expect("rows");
        let view = Layout { rows: 5, columns: 3, by_column: true, ..layout };
        assert_eq!(Layout::of(&[5, 3], &[1, 8]), Some(view));
        assert_eq!(layout.stored(), view.stored());
    }
}
