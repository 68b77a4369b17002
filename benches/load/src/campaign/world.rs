//! What is published, in which versions, and which of them may still be served: so that clients
//! can tell a stale or torn answer from a right one while objects change under their names.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use weir_benches_content::{Content, Verdict};
use weir_benches_testbed::Origin;

use super::admin::Operator;

const CHUNK: u64 = 1 << 20;
/// Where chunks begin and end, things break; several objects share a page, others a chunk.
const SIZES: [u64; 10] = [
    1,
    4_000,
    50_000,
    CHUNK - 1,
    CHUNK,
    CHUNK + 1,
    CHUNK + 300_000,
    2 * CHUNK + 500_000,
    3 * CHUNK,
    5 * CHUNK,
];
/// What short-lived objects are fresh for.
const BRIEF: Duration = Duration::from_secs(2);
/// On top of it before an old version counts as stale: clocks, and the way of a request.
const SLACK: Duration = Duration::from_secs(1);
/// Completed downloads that are remembered.
const REMEMBERED: usize = 4096;
/// A version that appears while a request is under way may be served.
const AHEAD: u64 = 4;
/// Findings kept to be shown.
const FINDINGS: usize = 40;

/// How a new version becomes the only one that may be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// It is fresh for an hour, and purged when it changes: once that is acknowledged, the old
    /// one may never come again.
    ByPurge,
    /// It is fresh for two seconds.
    ByTime,
}

/// One object.
#[derive(Debug)]
pub struct Item {
    /// Its first version.
    pub content: Content,
    /// Where the origin serves it.
    pub path: String,
    ends: Ends,
    history: Mutex<History>,
}

#[derive(Debug)]
struct History {
    newest: u64,
    /// From that moment on, requests may get this version or a newer one only.
    floors: Vec<(Instant, u64)>,
}

impl Item {
    /// The oldest version that a request sent at `begun` may get.
    pub fn oldest(&self, begun: Instant) -> u64 {
        let history = self.history.lock();
        let floors = history.floors.iter().filter(|(from, _)| *from <= begun);
        floors.map(|(_, version)| *version).max().unwrap_or(1)
    }

    /// The newest that can come while a request sent now is under way.
    pub fn newest(&self) -> u64 {
        self.history.lock().newest + AHEAD
    }

    /// The version in an entity tag as the origin makes them.
    pub fn version_of(&self, etag: &str) -> Option<u64> {
        let rest = etag.strip_prefix(&format!("\"{:x}-v", self.content.object))?;
        rest.strip_suffix('"')?.parse().ok()
    }
}

/// The objects of one campaign, the origin that serves them, and what clients saw.
#[derive(Debug)]
pub struct World {
    /// Every object.
    pub items: Vec<Item>,
    origin: Arc<Origin>,
    seen: Mutex<Seen>,
}

/// What clients saw, all together.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Exchanges that got a head.
    pub answers: u64,
    /// Exchanges that ended early or without a head: cut by a kill, mostly.
    pub cut: u64,
    /// Answers with another status than 200, 206 and 304.
    pub refused: u64,
    /// 304s.
    pub unchanged: u64,
    /// Body bytes that were checked.
    pub checked: u64,
    /// Answers from the cache.
    pub hits: u64,
    /// Bytes that were wrong and passed off as right.
    pub wrong: Verdict,
    /// One line for each of the first findings.
    pub findings: Vec<String>,
    /// From when on a 200 from the disk tier is waited for, and when its first body byte came.
    awaited: Option<(Instant, Option<Instant>)>,
    completed: VecDeque<(Instant, usize)>,
}

impl World {
    /// `count` objects of mixed sizes whose ids begin at `first`; every third lives for two
    /// seconds where things `change`.
    pub fn new(origin: Arc<Origin>, first: u64, count: usize, change: bool) -> Arc<Self> {
        let items = (0..count).map(|number| {
            let size = SIZES[number % SIZES.len()];
            let content = Content::new(first + number as u64, 1, size);
            let path = format!("/{}", content.name());
            let brief = change && number % 3 == 2;
            if brief {
                let field = format!("public, max-age={}", BRIEF.as_secs());
                origin.set_header(&path, "cache-control", &field);
            }
            let history = Mutex::new(History { newest: 1, floors: Vec::new() });
            let ends = if brief { Ends::ByTime } else { Ends::ByPurge };
            Item { content, path, ends, history }
        });
        let items = items.collect();
        Arc::new(Self { items, origin, seen: Mutex::default() })
    }

    /// Publishes another version of object `number`, and has it purged where it would be
    /// fresh for long. A purge that was not acknowledged, because the server was killed, proves
    /// nothing about later answers.
    pub async fn publish(&self, number: usize, operator: &impl Purge) {
        let item = &self.items[number];
        let version = {
            let mut history = item.history.lock();
            history.newest += 1;
            self.origin.set_version(&item.path, history.newest);
            history.newest
        };
        let from = match item.ends {
            Ends::ByTime => Instant::now() + BRIEF + SLACK,
            Ends::ByPurge if operator.purge(&item.path).await => Instant::now(),
            Ends::ByPurge => return,
        };
        item.history.lock().floors.push((from, version));
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        self.seen.lock().clone()
    }

    /// Changes what was seen.
    pub(super) fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock());
    }

    /// Watches for the first right 200 from the disk tier whose body begins at `since` or later.
    pub fn await_first_200(&self, since: Instant) {
        self.seen.lock().awaited = Some((since, None));
    }

    /// How long after `since` it began; none while there was none.
    pub fn first_200(&self) -> Option<Duration> {
        let (since, first) = self.seen.lock().awaited?;
        first.map(|first| first - since)
    }

    /// Objects of which all was downloaded before `at`, without those that were forgotten.
    pub fn completed_before(&self, at: Instant) -> Vec<usize> {
        let seen = self.seen.lock();
        let before = seen.completed.iter().filter(|(when, _)| *when <= at);
        let mut numbers: Vec<usize> = before.map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Body bytes that the origin sent of an object so far.
    pub fn sent(&self, number: usize) -> u64 {
        self.origin.counts(&self.items[number].path).body_bytes
    }
}

impl Seen {
    /// All of object `number` came at `at`.
    pub(super) fn complete(&mut self, number: usize, at: Instant) {
        if self.completed.len() == REMEMBERED {
            self.completed.pop_front();
        }
        self.completed.push_back((at, number));
    }

    /// A right 200 from the disk tier began at `at`.
    pub(super) fn hit_disk(&mut self, at: Instant) {
        if let Some((since, first)) = &mut self.awaited
            && at >= *since
        {
            *first = Some(first.map_or(at, |first| first.min(at)));
        }
    }

    /// Keeps a line to be shown.
    pub(super) fn find(&mut self, line: String) {
        if self.findings.len() < FINDINGS {
            self.findings.push(line);
        }
    }
}

/// Whoever can have an object removed from the cache under test.
pub trait Purge: Sync {
    /// Whether it was acknowledged.
    fn purge(&self, path: &str) -> impl Future<Output = bool> + Send;
}

impl Purge for Operator {
    async fn purge(&self, path: &str) -> bool {
        Self::purge(self, path).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Says(bool);

    impl Purge for Says {
        async fn purge(&self, _: &str) -> bool {
            self.0
        }
    }

    #[tokio::test]
    async fn only_an_acknowledged_purge_ends_a_version_at_once() {
        let origin = Arc::new(Origin::start().await.expect("a free port"));
        let world = World::new(origin, 7, 3, true);
        let before = Instant::now();
        world.publish(0, &Says(false)).await;
        assert_eq!(world.items[0].oldest(Instant::now()), 1);
        world.publish(0, &Says(true)).await;
        assert_eq!(world.items[0].oldest(Instant::now()), 3);
        assert_eq!(world.items[0].oldest(before), 1, "a request from before may have got it");
        world.publish(2, &Says(false)).await;
        assert_eq!(world.items[2].oldest(Instant::now()), 1, "it is fresh for a while");
        assert_eq!(world.items[2].oldest(Instant::now() + BRIEF + 2 * SLACK), 2);
    }

    #[tokio::test]
    async fn tags_tell_versions() {
        let origin = Arc::new(Origin::start().await.expect("a free port"));
        let world = World::new(origin, 0xab, 1, false);
        let item = &world.items[0];
        assert_eq!(item.version_of("\"ab-v12\""), Some(12));
        assert_eq!(item.version_of("\"ac-v12\""), None);
        assert_eq!(item.version_of("W/\"ab-v12\""), None);
    }
}
