//! What is to be written to the state file.

use std::collections::HashSet;

use futures::channel::oneshot;

use super::MARKS_MAX;

#[derive(Debug, Default)]
pub(super) struct Todo {
    pub(super) marks: HashSet<u128>,
    /// Write the whole table.
    pub(super) all: bool,
    /// To another file first: this one is broken.
    pub(super) broken: bool,
    /// The ledger has something to be written, now or when it is tried again.
    pub(super) orders: bool,
    pub(super) orders_again: bool,
    pub(super) flushes: Vec<oneshot::Sender<()>>,
    pub(super) closing: bool,
}

impl Todo {
    pub(super) fn is_empty(&self) -> bool {
        self.marks.is_empty() && !self.all && !self.orders_again && !self.is_urgent()
    }

    /// Whether somebody waits for it.
    pub(super) fn is_urgent(&self) -> bool {
        self.orders || self.closing || !self.flushes.is_empty()
    }

    pub(super) fn mark(&mut self, ids: impl IntoIterator<Item = u128>) {
        if self.all {
            return;
        }
        self.marks.extend(ids);
        if self.marks.len() > MARKS_MAX {
            self.marks = HashSet::new();
            self.all = true;
        }
    }
}
