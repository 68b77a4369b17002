//! How often and when an object was read: coarse, and cheap to count.

/// Reads of an object since it came into the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    /// How many; readers that meet on one object may count once.
    pub(crate) reads: u32,
    /// When the last one was, seconds since 1970; 0 is never.
    pub(crate) read_seconds: u32,
}

impl Usage {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            reads: self.reads.saturating_add(other.reads),
            read_seconds: self.read_seconds.max(other.read_seconds),
        }
    }
}
