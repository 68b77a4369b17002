//! What an attack sent, and what it was answered.

use std::{collections::BTreeMap, fmt, sync::Arc};

use parking_lot::Mutex;

/// Counts by name. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    counts: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Tally {
    /// Adds to a count.
    pub fn add(&self, what: &str, count: u64) {
        let mut counts = self.counts.lock();
        if let Some(known) = counts.get_mut(what) {
            *known += count;
        } else {
            counts.insert(what.to_owned(), count);
        }
    }

    /// A count; 0 of what never was.
    pub fn get(&self, what: &str) -> u64 {
        self.counts.lock().get(what).copied().unwrap_or_default()
    }

    /// Adds everything that another one counted.
    pub fn merge(&self, other: &Self) {
        let theirs = other.counts.lock().clone();
        for (what, count) in theirs {
            self.add(&what, count);
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.counts.lock();
        let all: Vec<String> =
            counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
        f.write_str(&all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_shared_and_merged() {
        let (one, other) = (Tally::default(), Tally::default());
        one.clone().add("sent", 2);
        other.add("sent", 3);
        other.add("answered", 1);
        one.merge(&other);
        assert_eq!((one.get("sent"), one.get("nothing")), (5, 0));
        assert_eq!(one.to_string(), "answered 1, sent 5");
    }
}
