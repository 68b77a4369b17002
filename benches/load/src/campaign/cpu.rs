//! CPU time of a process and its children, as the kernel accounts it.

use std::{fs, time::Duration};

use super::error::CampaignError;

/// `USER_HZ` is 100 on every Linux that Debian ships.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of `root`, its threads, and all its descendants that live.
pub fn of_tree(root: u32) -> Result<Duration, CampaignError> {
    let mut total = own(root)?;
    for child in descendants(root) {
        // One that ended since is counted no more.
        total += own(child).unwrap_or_default();
    }
    Ok(total)
}

/// The same of `pid` alone.
pub fn own(pid: u32) -> Result<Duration, CampaignError> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path)
        .map_err(|source| CampaignError::File { path: path.into(), source })?;
    ticks(&text)
        .map(|ticks| TICK * ticks)
        .ok_or_else(|| CampaignError::Unfit(format!("/proc/{pid}/stat is not as expected")))
}

/// Fields 14 and 15 of proc(5), counted from behind the name, which may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

pub(super) fn descendants(root: u32) -> Vec<u32> {
    let children = format!("/proc/{root}/task/{root}/children");
    let text = fs::read_to_string(children).unwrap_or_default();
    let mut all: Vec<u32> = text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    for at in 0..all.len() {
        all.extend(descendants(all[at]));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 12 30 0 0 20 0 3 0 99 1 2";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("7 (a) S 1"), None);
    }

    #[test]
    fn this_process_has_used_some() {
        assert!(of_tree(std::process::id()).is_ok());
        assert!(of_tree(u32::MAX).is_err());
    }
}
