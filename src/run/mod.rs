//! One training run, independent of the edge that drives it: the terminal or the page's worker.

pub mod directory;
