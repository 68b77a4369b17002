//! Bytes that a process has had from the device, as the kernel accounts them.

use std::fs;

use super::{cpu, error::CampaignError};

/// Of `root` and all its descendants that live: what the page cache did not have, and what was
/// read around it.
pub fn read_by_tree(root: u32) -> Result<u64, CampaignError> {
    let mut total = own(root)?;
    for child in cpu::descendants(root) {
        // One that ended since is counted no more.
        total += own(child).unwrap_or_default();
    }
    Ok(total)
}

fn own(pid: u32) -> Result<u64, CampaignError> {
    let path = format!("/proc/{pid}/io");
    let text = fs::read_to_string(&path)
        .map_err(|source| CampaignError::File { path: path.into(), source })?;
    read_bytes(&text)
        .ok_or_else(|| CampaignError::Unfit(format!("/proc/{pid}/io is not as expected")))
}

fn read_bytes(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("read_bytes: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_not_what_was_read() {
        let text = "rchar: 9000\nwchar: 1\nread_bytes: 4096\nwrite_bytes: 0\n";
        assert_eq!(read_bytes(text), Some(4096));
        assert_eq!(read_bytes("rchar: 9000\n"), None);
        assert!(read_by_tree(std::process::id()).is_ok());
    }
}
