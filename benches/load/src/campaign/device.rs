//! Bytes between a process and the device, as the kernel accounts them.

use std::fs;

use super::{cpu, error::CampaignError};

/// What a process has read from the device and given it to write, so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// What the page cache did not have, and what was read around it.
    pub read: u64,
    /// Written around the page cache, or into it and not taken back.
    pub written: u64,
}

impl Traffic {
    /// Of `root` and all its descendants that live.
    pub fn of_tree(root: u32) -> Result<Self, CampaignError> {
        let mut total = Self::of(root)?;
        for child in cpu::descendants(root) {
            // One that ended since is counted no more.
            let own = Self::of(child).unwrap_or_default();
            total = Self { read: total.read + own.read, written: total.written + own.written };
        }
        Ok(total)
    }

    fn of(pid: u32) -> Result<Self, CampaignError> {
        let path = format!("/proc/{pid}/io");
        let text = fs::read_to_string(&path)
            .map_err(|source| CampaignError::File { path: path.into(), source })?;
        Self::parse(&text)
            .ok_or_else(|| CampaignError::Unfit(format!("/proc/{pid}/io is not as expected")))
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| -> Option<u64> {
            text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
        };
        let (written, taken_back) = (field("write_bytes: ")?, field("cancelled_write_bytes: ")?);
        Some(Self { read: field("read_bytes: ")?, written: written.saturating_sub(taken_back) })
    }

    /// What came since an earlier look.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        let read = self.read.saturating_sub(earlier.read);
        Self { read, written: self.written.saturating_sub(earlier.written) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_not_what_was_moved() {
        let text = "rchar: 9000\nwchar: 1\nread_bytes: 4096\nwrite_bytes: 8192\n\
                    cancelled_write_bytes: 4096\n";
        let traffic = Traffic { read: 4096, written: 4096 };
        assert_eq!(Traffic::parse(text), Some(traffic));
        assert_eq!(Traffic::parse("rchar: 9000\n"), None);
        assert_eq!(traffic.since(Traffic { read: 96, written: 5000 }).read, 4000);
        assert!(Traffic::of_tree(std::process::id()).is_ok());
    }
}
