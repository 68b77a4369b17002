//! Sizes, rates and durations as an operator writes them.
