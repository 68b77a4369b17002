//! What a new list of routes changes, and whether so much may change at once.

use std::{cmp::Ordering, fmt};

use super::build::{Route, RouteList};
use crate::{prefix::Prefix, snapshot::SHARE};

/// Changes that are told one by one; all are counted.
const TOLD_MAX: usize = 50;
/// Lists of fewer routes are too small for shares to mean much.
const SMALL: usize = 20;

/// What happens to a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The block.
    pub prefix: Prefix,
    /// The site whose clients alone are meant.
    pub at: Option<String>,
    /// Who had it, the best first; empty where it is new.
    pub before: Vec<String>,
    /// Who has it; empty where it goes.
    pub after: Vec<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.as_ref().map_or_else(String::new, |at| format!(" at {at}"));
        let (before, after) = (self.before.join(", "), self.after.join(", "));
        let prefix = self.prefix;
        match (self.before.is_empty(), self.after.is_empty()) {
            (true, _) => write!(f, "+ {prefix}{at} {after}"),
            (_, true) => write!(f, "- {prefix}{at} {before}"),
            _ => write!(f, "~ {prefix}{at} {before} -> {after}"),
        }
    }
}

/// What a list changes, in prefixes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteDiff {
    /// New ones.
    pub added: usize,
    /// Those that go.
    pub removed: usize,
    /// Those whose sites change, or the order of them.
    pub changed: usize,
    /// Those that stay as they are.
    pub same: usize,
    /// The first changes.
    pub told: Vec<Change>,
}

/// How much may change without anybody saying so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Share of the prefixes that may go, of [`SHARE`].
    pub removed: u16,
    /// Share of the prefixes whose sites may change.
    pub changed: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self { removed: SHARE / 10, changed: SHARE / 4 }
    }
}

/// Whether somebody has seen the difference and wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    /// Nobody has.
    No,
    /// An operator says so.
    Yes,
}

/// Why a sound list is not used. What was there stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing in it.
    #[error("it has no routes, and {had} are in use: confirm if all shall go")]
    Empty {
        /// In use now.
        had: usize,
    },
    /// Too many go.
    #[error("it takes {gone} of {had} prefixes away, more than the limit of {limit}: confirm it")]
    Shrinks {
        /// How many go.
        gone: usize,
        /// In use now.
        had: usize,
        /// How many may.
        limit: usize,
    },
    /// Too many move.
    #[error(
        "it moves {moved} of {had} prefixes to others, more than the limit of {limit}: confirm it"
    )]
    Moves {
        /// How many move.
        moved: usize,
        /// In use now.
        had: usize,
        /// How many may.
        limit: usize,
    },
}

impl RouteDiff {
    /// From `before` to `after`.
    pub fn of(before: &RouteList, after: &RouteList) -> Self {
        let (old, new) = (before.sorted(), after.sorted());
        let mut old = prefixes(&old).peekable();
        let mut new = prefixes(&new).peekable();
        let mut diff = Self::default();
        loop {
            let key = |list: &RouteList, group: &[Route]| {
                (list.at(&group[0]).map(str::to_owned), group[0].prefix)
            };
            let order = match (old.peek(), new.peek()) {
                (None, None) => return diff,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => key(before, one).cmp(&key(after, other)),
            };
            let gone = if order.is_le() { old.next() } else { None };
            let came = if order.is_ge() { new.next() } else { None };
            diff.note(before, gone, after, came);
        }
    }

    fn note(
        &mut self,
        old: &RouteList,
        gone: Option<&[Route]>,
        new: &RouteList,
        came: Option<&[Route]>,
    ) {
        let Some(one) = gone.or(came).map(|group| &group[0]) else { return };
        let before = gone.map(|group| names(old, group)).unwrap_or_default();
        let after = came.map(|group| names(new, group)).unwrap_or_default();
        let count = match (before.is_empty(), after.is_empty()) {
            _ if before == after => &mut self.same,
            (true, _) => &mut self.added,
            (_, true) => &mut self.removed,
            _ => &mut self.changed,
        };
        *count += 1;
        if before != after && self.told.len() < TOLD_MAX {
            let at = if gone.is_some() { old.at(one) } else { new.at(one) };
            let change = Change { prefix: one.prefix, at: at.map(str::to_owned), before, after };
            self.told.push(change);
        }
    }

    /// Whether so much may change.
    pub fn judge(&self, limits: Limits, confirm: Confirm) -> Result<(), Refusal> {
        let had = self.removed + self.changed + self.same;
        if confirm == Confirm::Yes || had == 0 {
            return Ok(());
        }
        if self.added + self.changed + self.same == 0 {
            return Err(Refusal::Empty { had });
        }
        if had < SMALL {
            return Ok(());
        }
        let limit = |share: u16| had * usize::from(share) / usize::from(SHARE);
        if self.removed > limit(limits.removed) {
            let limit = limit(limits.removed);
            return Err(Refusal::Shrinks { gone: self.removed, had, limit });
        }
        if self.changed > limit(limits.changed) {
            let limit = limit(limits.changed);
            return Err(Refusal::Moves { moved: self.changed, had, limit });
        }
        Ok(())
    }
}

impl fmt::Display for RouteDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, removed, changed, same, told } = self;
        writeln!(f, "{added} added, {removed} removed, {changed} changed, {same} as before")?;
        for change in told {
            writeln!(f, "  {change}")?;
        }
        let more = (added + removed + changed).saturating_sub(told.len());
        if more > 0 {
            writeln!(f, "  and {more} more")?;
        }
        Ok(())
    }
}

fn prefixes(sorted: &[Route]) -> impl Iterator<Item = &[Route]> {
    sorted.chunk_by(|a, b| (a.at, a.prefix) == (b.at, b.prefix))
}

fn names(list: &RouteList, group: &[Route]) -> Vec<String> {
    let mut names: Vec<String> = group.iter().map(|route| list.site_of(route).to_owned()).collect();
    names.dedup();
    names
}
