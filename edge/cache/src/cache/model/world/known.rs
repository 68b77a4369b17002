//! What the map says of a key.

/// What was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) generation: u64,
    pub(super) size: u64,
    pub(super) revalidated: u64,
    pub(super) pinned: bool,
    /// Pinned, and the store has every chunk: none of them may be missed.
    pub(super) whole: bool,
}

/// A key's state now, and those that a crash may bring back.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) now: Option<Version>,
    /// Since the last flush, and as it was then.
    pub(super) possible: Vec<Option<Version>>,
    /// What was pinned was given up: the next one is pinned, unless there is a restart before.
    pub(super) awaited: bool,
}

impl Known {
    /// Nothing was ever put.
    pub(super) fn empty() -> Self {
        Self { now: None, possible: vec![None], awaited: false }
    }

    /// What comes in the place of a pinned one is pinned. One that is awaited is where there is
    /// room for its pin again, `pinned_again`. Where the state file cannot be read, nobody may
    /// have `known` that there was a pin.
    pub(super) fn comes(&mut self, version: Version, whole: bool, pinned_again: bool, known: bool) {
        let awaited = std::mem::take(&mut self.awaited) && pinned_again;
        let carried = self.now.is_some_and(|now| now.pinned) && (known || pinned_again);
        let pinned = carried || awaited;
        self.becomes(Some(Version { pinned, whole: pinned && whole, ..version }));
    }

    pub(super) fn becomes(&mut self, version: Option<Version>) {
        self.now = version;
        self.possible.push(version);
    }

    pub(super) fn is_durable(&mut self) {
        self.possible = vec![self.now];
    }
}
