//! Locks and flags of what several threads decide together, under one name: the interleaving
//! tests compile the same files against a scheduler's own.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use parking_lot::Mutex;
