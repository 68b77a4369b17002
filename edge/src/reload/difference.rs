//! What two configurations say differently, key by key, and what holds when one follows the
//! other: keys that wait for a restart keep what runs.

use std::collections::HashMap;

use weir_config::{Entry, Origin, keys::Class};
use weir_config_admin::ConfigChange;

/// What is different.
pub(super) struct Difference {
    /// Of the classes `live` and `new-connections`.
    pub(super) applied: Vec<ConfigChange>,
    /// Of the class `restart`.
    pub(super) restart: Vec<ConfigChange>,
    /// What holds afterwards.
    pub(super) entries: Vec<Entry>,
}

/// From what runs to what is said now.
pub(super) fn difference(running: &[Entry], said: Vec<Entry>) -> Difference {
    let by_key: HashMap<&str, &Entry> =
        running.iter().map(|entry| (entry.key.as_str(), entry)).collect();
    let mut found = Difference { applied: Vec::new(), restart: Vec::new(), entries: Vec::new() };
    let mut seen = HashMap::new();
    for entry in said {
        let before = by_key.get(entry.key.as_str()).copied();
        seen.insert(entry.key.clone(), ());
        let same = before.is_some_and(|before| before.value == entry.value);
        // A default is nothing that somebody said.
        let was = before.filter(|before| before.origin != Origin::Default);
        let silent = was.is_none() && entry.origin == Origin::Default;
        if !same && !silent {
            let list = match entry.class {
                Class::Restart => &mut found.restart,
                Class::Live | Class::NewConnections => &mut found.applied,
            };
            list.push(change(before, Some(&entry)));
        }
        match (entry.class, before) {
            (Class::Restart, Some(before)) => found.entries.push(before.clone()),
            (Class::Restart, None) => {}
            (Class::Live | Class::NewConnections, _) => found.entries.push(entry),
        }
    }
    for entry in running.iter().filter(|entry| !seen.contains_key(&entry.key)) {
        let silent = entry.origin == Origin::Default;
        match entry.class {
            Class::Restart => {
                found.entries.push(entry.clone());
                found.restart.extend((!silent).then(|| change(Some(entry), None)));
            }
            Class::Live | Class::NewConnections => {
                found.applied.extend((!silent).then(|| change(Some(entry), None)));
            }
        }
    }
    found
}

fn change(from: Option<&Entry>, to: Option<&Entry>) -> ConfigChange {
    let either = to.or(from);
    ConfigChange {
        key: either.map_or_else(String::new, |entry| entry.key.clone()),
        from: from.map(|entry| entry.value.clone()),
        to: to.map(|entry| entry.value.clone()),
        origin: to.map(|entry| entry.origin.to_string()),
        class: either.map_or("", |entry| entry.class.as_str()).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &str, value: &str, class: Class) -> Entry {
        let origin = match value.strip_prefix('~') {
            Some(_) => Origin::Default,
            None => Origin::Environment("X".into()),
        };
        Entry { key: key.into(), value: value.into(), origin, class }
    }

    #[test]
    fn what_waits_for_a_restart_stays_as_it_runs() {
        let running = [
            entry("a", "1", Class::Live),
            entry("b", "1", Class::Restart),
            entry("c", "~1", Class::Live),
            entry("gone", "1", Class::Restart),
            entry("went", "1", Class::Live),
        ];
        let said = vec![
            entry("a", "2", Class::Live),
            entry("b", "2", Class::Restart),
            entry("c", "~1", Class::Live),
            entry("new", "1", Class::NewConnections),
            entry("late", "1", Class::Restart),
        ];
        let found = difference(&running, said.clone());
        let keys = |list: &[ConfigChange]| list.iter().map(|c| c.key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&found.applied), ["a", "new", "went"]);
        assert_eq!(keys(&found.restart), ["b", "late", "gone"]);
        let holds: Vec<_> = found.entries.iter().map(|e| (&*e.key, &*e.value)).collect();
        assert_eq!(holds, [("a", "2"), ("b", "1"), ("c", "~1"), ("new", "1"), ("gone", "1")]);
        // Said again, it still waits; nothing else is different any more.
        let again = difference(&found.entries, said);
        assert!(again.applied.is_empty(), "{:?}", again.applied);
        assert_eq!(keys(&again.restart), ["b", "late", "gone"]);
    }
}
