//! Which objects are asked for most just now: space-saving counters (Metwally et al., 2005) over
//! windows of five seconds. Whatever is asked for, it takes the same room.

use xxhash_rust::xxh3::xxh3_64;

/// Objects that are counted at once, for each worker.
const PLACES: usize = 64;
/// Milliseconds.
const WINDOW: u64 = 5000;
/// Bytes of a name.
const NAME_MAX: usize = 256;

/// The counters of a window.
#[derive(Debug)]
struct Counters {
    /// What each place counts; apart, so that looking through them reads little.
    hashes: [u64; PLACES],
    counts: [Count; PLACES],
    used: usize,
}

#[derive(Debug, Clone, Default)]
struct Count {
    requests: u64,
    /// Of these, those that may have been another object's, whose place it took.
    doubtful: u64,
    bytes: u64,
    /// Written down when it comes the second time: most of what comes once never does.
    name: Option<Box<str>>,
}

/// One worker's counters.
#[derive(Debug, Default)]
pub(super) struct Hot {
    window: u64,
    current: Box<Counters>,
    last: Box<Counters>,
}

/// An object and how it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub hash: u64,
    /// Host and path.
    pub name: Box<str>,
    /// At least so many.
    pub requests: u64,
    pub bytes: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self { hashes: [0; PLACES], counts: std::array::from_fn(|_| Count::default()), used: 0 }
    }
}

impl Counters {
    fn count(&mut self, hash: u64, bytes: u64, name: impl FnOnce() -> Box<str>) {
        let found = self.hashes[..self.used].iter().position(|known| *known == hash);
        let place = found.unwrap_or_else(|| self.place(hash));
        let count = &mut self.counts[place];
        count.requests += 1;
        count.bytes += bytes;
        if found.is_some() && count.name.is_none() {
            count.name = Some(name());
        }
    }

    /// A free place, or that of what was asked for least.
    fn place(&mut self, hash: u64) -> usize {
        let place = if self.used < PLACES {
            self.used += 1;
            self.used - 1
        } else {
            let least = (0..PLACES).min_by_key(|place| self.counts[*place].requests);
            least.unwrap_or_default()
        };
        let before = self.counts[place].requests;
        self.hashes[place] = hash;
        self.counts[place] = Count { requests: before, doubtful: before, bytes: 0, name: None };
        place
    }

    fn told(&self, into: &mut Vec<Asked>) {
        let places = self.hashes.iter().zip(&self.counts).take(self.used);
        into.extend(places.filter_map(|(hash, count)| {
            let (name, requests) = (count.name.clone()?, count.requests - count.doubtful);
            Some(Asked { hash: *hash, name, requests, bytes: count.bytes })
        }));
    }
}

impl Hot {
    /// An object was asked for.
    pub(super) fn count(&mut self, now_millis: u64, host: &str, path: &str, bytes: u64) {
        let window = now_millis / WINDOW;
        if window > self.window {
            self.turn(window);
        }
        let path = path.split('?').next().unwrap_or(path);
        let hash = xxh3_64(path.as_bytes()) ^ xxh3_64(host.as_bytes()).rotate_left(32);
        self.current.count(hash, bytes, || {
            let mut name = format!("{host}{path}");
            super::finished::cut(&mut name, NAME_MAX);
            name.into()
        });
    }

    fn turn(&mut self, window: u64) {
        if window == self.window + 1 {
            std::mem::swap(&mut self.current, &mut self.last);
        } else {
            self.last.used = 0;
        }
        self.current.used = 0;
        self.window = window;
    }

    /// What was asked for in this window and the last one.
    pub(super) fn told(&mut self, now_millis: u64, into: &mut Vec<Asked>) {
        if now_millis / WINDOW > self.window {
            self.turn(now_millis / WINDOW);
        }
        self.last.told(into);
        self.current.told(into);
    }
}

/// How long what is told reaches back.
pub(super) fn over_millis(now_millis: u64) -> u64 {
    WINDOW + now_millis % WINDOW
}

/// The hottest of all workers', hottest first.
pub(super) fn merged(mut all: Vec<Asked>, most: usize) -> Vec<Asked> {
    all.sort_by_key(|one| one.hash);
    all.dedup_by(|later, first| {
        let same = later.hash == first.hash;
        if same {
            first.requests += later.requests;
            first.bytes += later.bytes;
        }
        same
    });
    all.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.name.cmp(&b.name)));
    all.truncate(most);
    all
}

#[cfg(test)]
mod tests {
    use super::{Asked, Hot, merged};

    fn told(hot: &mut Hot, now: u64) -> Vec<(String, u64)> {
        let mut all = Vec::new();
        hot.told(now, &mut all);
        let named = |one: Asked| (one.name.into(), one.requests);
        merged(all, 3).into_iter().map(named).collect()
    }

    #[test]
    fn a_hot_one_is_found_among_many() {
        let mut hot = Hot::default();
        for number in 0..20_000_u64 {
            let path = if number % 4 == 0 { "/hot?x".to_owned() } else { format!("/{number}") };
            hot.count(10_000, "h", &path, 10);
        }
        assert_eq!(told(&mut hot, 10_000).first(), Some(&("h/hot".to_owned(), 5000)));
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let mut hot = Hot::default();
        let mut count = |now, path: &str, times| {
            (0..times).for_each(|_| hot.count(now, "h", path, 1));
        };
        count(10_000, "/a", 3);
        count(15_000, "/b", 2);
        count(15_000, "/once", 1);
        let both = [("h/a".to_owned(), 3), ("h/b".to_owned(), 2)];
        assert_eq!(told(&mut hot, 19_999), both);
        assert_eq!(told(&mut hot, 20_000), both[1..]);
        assert!(told(&mut hot, 30_000).is_empty());
    }

    #[test]
    fn workers_are_added_up() {
        let asked = |hash, requests| Asked { hash, name: "h/a".into(), requests, bytes: 1 };
        let all = merged(vec![asked(1, 2), asked(2, 4), asked(1, 3)], 9);
        assert_eq!((all[0].requests, all[0].bytes, all.len()), (5, 2, 2));
    }
}
