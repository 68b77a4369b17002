//! Content that proves itself: every 32-byte cell names its object, its version and its
//! place, under a keyed hash. A checker without a reference copy can therefore tell a wrong
//! object, a wrong range, a stale version, two versions in one body, flipped, missing and
//! surplus bytes.
//!
//! It leaves to others: how bytes travel, and which versions may still be served.

mod cell;
mod check;
mod content;
mod verdict;

pub use cell::{CELL, Cell};
pub use check::{Checker, Expected};
pub use content::{Content, NameError};
pub use verdict::{Class, Verdict};
