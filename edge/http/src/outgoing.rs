//! What of a connection's bytes has not come to its client's host: asked by whoever wants to know,
//! measured when the connection is flushed the next time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Nobody knows.
const UNKNOWN: u64 = u64::MAX;

/// What a connection has written and its client has not acknowledged.
#[derive(Debug)]
pub struct Outgoing {
    asked: AtomicBool,
    bytes: AtomicU64,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self { asked: AtomicBool::new(false), bytes: AtomicU64::new(UNKNOWN) }
    }
}

impl Outgoing {
    /// As it was when the connection was last flushed after this was asked, if nothing was written
    /// since; and has it measured anew. Always none over HTTP/3, whose acknowledgements are the
    /// engine's own.
    pub fn unacknowledged(&self) -> Option<u64> {
        self.asked.store(true, Relaxed);
        Some(self.bytes.load(Relaxed)).filter(|bytes| *bytes != UNKNOWN)
    }

    /// Something was written, or could not be.
    pub(crate) fn changed(&self) {
        self.bytes.store(UNKNOWN, Relaxed);
    }

    /// All that was to be written is with the stream.
    pub(crate) fn flushed(&self, measure: impl FnOnce() -> u64) {
        if self.asked.swap(false, Relaxed) {
            self.bytes.store(measure(), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outgoing;

    #[test]
    fn measured_once_for_each_question_and_forgotten_with_each_write() {
        let outgoing = Outgoing::default();
        outgoing.flushed(|| unreachable!("nobody has asked"));
        assert_eq!(outgoing.unacknowledged(), None, "asked for the first time");
        outgoing.flushed(|| 7);
        outgoing.flushed(|| unreachable!("told already"));
        assert_eq!(outgoing.unacknowledged(), Some(7));
        outgoing.changed();
        assert_eq!(outgoing.unacknowledged(), None, "written since");
        outgoing.flushed(|| 0);
        assert_eq!(outgoing.unacknowledged(), Some(0));
    }
}
