//! Counters for the hot path: each thread adds to a cache line of its own.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

const STRIPES: usize = 32;

thread_local! {
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
}
static NEXT: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU64);

/// A count that many threads add to and few read. 4 KiB.
#[derive(Debug, Default)]
pub(crate) struct Counter([Line; STRIPES]);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        let stripe = STRIPE.with(|cell| {
            if cell.get() == usize::MAX {
                cell.set(NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES);
            }
            cell.get()
        });
        self.0[stripe].0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().map(|line| line.0.load(Ordering::Relaxed)).sum()
    }
}
