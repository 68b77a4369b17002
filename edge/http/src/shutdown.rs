//! The end of a server: stop taking, let the running responses end, then cut.

use std::{ops::AddAssign, time::Duration};

use tokio_util::sync::CancellationToken;

/// When `begin` is cancelled a server takes nothing new and tells its clients to go; what still
/// runs `deadline` later, or when `cut` is cancelled, is cut. Clones are one order.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// Starts the shutdown.
    pub begin: CancellationToken,
    /// From the start until everything is cut.
    pub deadline: Duration,
    /// Ends the waiting before the deadline.
    pub cut: CancellationToken,
}

impl Shutdown {
    /// A shutdown that `begin` starts and only the deadline ends.
    pub fn new(begin: CancellationToken, deadline: Duration) -> Self {
        Self { begin, deadline, cut: CancellationToken::new() }
    }
}

/// How the connections that were open when the shutdown began have ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Ended by themselves.
    pub finished: usize,
    /// Cut at the deadline.
    pub dropped: usize,
}

impl AddAssign for Drained {
    fn add_assign(&mut self, other: Self) {
        self.finished += other.finished;
        self.dropped += other.dropped;
    }
}
