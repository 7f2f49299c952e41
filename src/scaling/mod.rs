//! Scaling laws: how the loss depends on parameters, tokens and compute, fitted to the results of many small runs.
//!
//! - [`Law`]: Chinchilla's `L(N, D) = E + A/N^α + B/D^β` and its compute-optimal split; [`fit_law`] fits it as Hoffmann et al.
//!   2022 do in their approach 3, [`bootstrap`] adds intervals
//! - [`PowerLaw`]: Kaplan et al. 2020's `L(N)` and `L(C)`
//! - [`IsoFlops`]: parabolas through the runs of each budget (Hoffmann et al.'s approach 2), and their bias
//! - [`analyze`]: all of these; [`read_points`]: the points from a file
//! - [`divide`]: runs among workers
//!
//! docs/scaling.md has the equations and their validation.
//!
//! ```
//! use blankslate::scaling::Law;
//!
//! let best = Law::BESIROGLU.optimum(5.76e23); // Chinchilla's budget
//! assert!((60e9..90e9).contains(&best.params) && (1.1e12..1.7e12).contains(&best.tokens));
//! ```

mod analysis;
mod bootstrap;
mod grid;
mod isoflop;
mod kaplan;
mod law;
mod lbfgs;
mod point;
mod robust;

pub use analysis::{Analysis, AnalysisOptions, analyze};
pub use bootstrap::{Interval, Intervals, bootstrap};
pub use grid::{divide, tokens_for};
pub use isoflop::{Bias, IsoFlop, IsoFlops, Trend};
pub use kaplan::{PowerLaw, fit_power_law, frontier, lowest_of_each_size};
pub use law::{Law, LawFit, Optimum, fit_law};
pub use point::{FLOPS_PER_PARAMETER, Point, read_points};
