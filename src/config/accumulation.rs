//! Order of gradient accumulation.

use super::declare::choices;

choices! {
    /// Order in which the terms of a sum of gradients are added up. Floating-point sums depend on it.
    pub enum Accumulation {
        /// One after the other: needs the memory of one sum.
        Chain = "chain", "chain";
        /// A balanced tree, whose result is the same on 1, 2, 4, … ranks: needs the memory of `log2(n) + 1` sums.
        Tree = "tree", "balanced tree";
    }
}
