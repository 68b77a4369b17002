//! The object-store port and its local directory adapter.

pub mod port;

pub use port::*;
