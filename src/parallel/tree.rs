//! The order in which the terms of a sum are added up. Floating-point sums depend on it.

use crate::config::Accumulation;

/// A sum whose terms are added in a fixed order.
///
/// In [`Accumulation::Tree`], the first `2^k` terms are one subtree, the next `2^k` another, and so on. Ranks that have `2^k` terms
/// each therefore have whole subtrees, and adding up their sums with another tree gives the bits of a single rank.
#[derive(Clone, Debug)]
pub struct Tree<T> {
    order: Accumulation,
    /// Partial sums with the number of terms in each. In a tree, the numbers are decreasing powers of two.
    sums: Vec<(u64, T)>,
}

impl<T> Tree<T> {
    /// Creates an empty sum.
    pub fn new(order: Accumulation) -> Self {
        Self { order, sums: Vec::new() }
    }

    /// Creates an empty sum in [`Accumulation::Tree`].
    pub fn balanced() -> Self {
        Self::new(Accumulation::Tree)
    }

    /// Adds a term. `add` returns the sum of its two arguments, the earlier one first.
    ///
    /// # Errors
    /// Any error of `add`.
    pub fn push<E>(&mut self, term: T, mut add: impl FnMut(T, T) -> Result<T, E>) -> Result<(), E> {
        let mut sum = (1, term);
        while let Some((terms, earlier)) =
            self.sums.pop_if(|(terms, _)| self.order == Accumulation::Chain || *terms == sum.0)
        {
            sum = (terms + sum.0, add(earlier, sum.1)?);
        }
        self.sums.push(sum);
        Ok(())
    }

    /// Returns the sum of all terms; none if there are no terms.
    ///
    /// # Errors
    /// Any error of `add`.
    pub fn total<E>(self, mut add: impl FnMut(T, T) -> Result<T, E>) -> Result<Option<T>, E> {
        let mut sums = self.sums.into_iter().map(|(_, sum)| sum).rev();
        let Some(mut total) = sums.next() else { return Ok(None) };
        for earlier in sums {
            total = add(earlier, total)?;
        }
        Ok(Some(total))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn add(a: String, b: String) -> Result<String, Infallible> {
        Ok(format!("({a}{b})"))
    }

    fn sum(order: Accumulation, terms: impl IntoIterator<Item = String>) -> String {
        let mut tree = Tree::new(order);
        for term in terms {
            let Ok(()) = tree.push(term, add);
        }
        let Ok(total) = tree.total(add);
        total.unwrap_or_default()
    }

    fn digits(from: usize, to: usize) -> impl Iterator<Item = String> {
        (from..to).map(|digit| digit.to_string())
    }

    #[test]
    fn the_order_is_the_one_of_its_name() {
        assert_eq!(sum(Accumulation::Chain, digits(0, 4)), "(((01)2)3)");
        assert_eq!(sum(Accumulation::Tree, digits(0, 4)), "((01)(23))");
        assert_eq!(sum(Accumulation::Tree, digits(0, 7)), "(((01)(23))((45)6))");
        assert_eq!(sum(Accumulation::Tree, []), "");
    }

    #[test]
    fn ranks_with_a_power_of_two_of_terms_add_up_to_the_same_tree() {
        for (terms, ranks) in [(4, 1), (4, 2), (4, 4), (6, 3), (8, 4), (5, 5), (12, 3)] {
            let each = terms / ranks;
            let parts = (0..ranks)
                .map(|rank| sum(Accumulation::Tree, digits(rank * each, (rank + 1) * each)))
                .collect::<Vec<_>>();
            assert_eq!(sum(Accumulation::Tree, parts), sum(Accumulation::Tree, digits(0, terms)));
        }
    }
}
