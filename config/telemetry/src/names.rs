//! Names that somebody outside gives, upstreams' and disks' and certificates', on their way into
//! labels. Each makes series of its own that live as long as the process, and a configuration can
//! be reloaded with other names for years: so there is a bound.

use std::collections::HashSet;

use parking_lot::Mutex;
use prometheus::IntCounter;

/// Names of one kind that are kept apart. An edge of 24 disks has room for its spare ones, and
/// all series of a node stay below 3,000 (a test counts them).
pub const NAMES_MAX: usize = 31;

/// What stands for every name beyond.
pub const OTHER: &str = "other";

/// Names of one kind: the first ones that come keep their own label.
#[derive(Debug)]
pub struct Names {
    max: usize,
    known: Mutex<HashSet<Box<str>>>,
    beyond: IntCounter,
}

impl Names {
    /// At most `max` names, each kept as long as this is; `beyond` counts what found no room.
    pub fn new(max: usize, beyond: IntCounter) -> Self {
        Self { max, known: Mutex::new(HashSet::new()), beyond }
    }

    /// The label of a name: itself, or [`OTHER`].
    pub fn label<'n>(&self, name: &'n str) -> &'n str {
        let mut known = self.known.lock();
        if known.contains(name) {
            return name;
        }
        if known.len() < self.max && name != OTHER {
            known.insert(name.into());
            return name;
        }
        self.beyond.inc();
        OTHER
    }
}

#[cfg(test)]
mod tests {
    use super::{IntCounter, Names};

    #[test]
    fn what_comes_late_is_other() {
        let beyond = IntCounter::new("beyond", "names").unwrap();
        let names = Names::new(2, beyond.clone());
        let check = |name, expected| assert_eq!(names.label(name), expected);
        check("a", "a");
        check("b", "b");
        check("c", "other");
        check("a", "a");
        assert_eq!(beyond.get(), 1);
        // Whoever is called so shares it, and takes no room.
        check("other", "other");
        assert_eq!(beyond.get(), 2);
    }
}
