//! Micro-benchmarks; nothing here ships.
