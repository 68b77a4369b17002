//! A client that asks for everything in every way, as long as it is let: whole objects, ranges,
//! conditions; and holds each answer against what may be served.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::time::{sleep, timeout};
use weir_benches_content::{Class, Expected, Verdict};

use super::world::{Item, World};
use crate::connection::{Ask, Connection, Exchange, Protocol, Server};

/// One exchange and one handshake; a server that was killed leaves QUIC clients waiting.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts to connect to a server that is not there.
const RETRY: Duration = Duration::from_millis(10);

/// Whom to ask, and how paths look there.
#[derive(Debug, Clone)]
pub struct Way {
    /// The server.
    pub server: Arc<Server>,
    /// What is spoken.
    pub protocol: Protocol,
    /// Before every path of the origin.
    pub prefix: String,
}

/// One client.
#[derive(Debug)]
pub struct Viewer {
    way: Way,
    world: Arc<World>,
    rng: SmallRng,
    connection: Option<Connection>,
    /// Validators it has seen.
    tags: HashMap<usize, String>,
    /// Between two requests; zero asks at once again.
    pause: Duration,
}

/// What a request says besides its path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Whole,
    Range(Range<u64>),
    /// If-None-Match.
    Unless(String),
    /// If-Range.
    IfStill(String, Range<u64>),
}

impl Viewer {
    /// Its choices follow from `seed`.
    pub fn new(way: Way, world: Arc<World>, seed: u64, pause: Duration) -> Self {
        let rng = SmallRng::seed_from_u64(seed);
        Self { way, world, rng, connection: None, tags: HashMap::new(), pause }
    }

    /// Asks until `stop` is set.
    pub async fn watch(mut self, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::Relaxed) {
            // Some are asked for far more often than others.
            let share = self.rng.random::<f64>();
            let count = self.world.items.len();
            let number = ((share * share * count as f64) as usize).min(count - 1);
            let kind = self.kind(number);
            self.ask(number, kind).await;
            if !self.pause.is_zero() {
                sleep(self.pause).await;
            }
        }
    }

    /// Asks for all of object `number`; whether it came whole and right.
    pub async fn whole(&mut self, number: usize) -> bool {
        let before = Instant::now();
        self.ask(number, Kind::Whole).await.is_some_and(|exchange| {
            let right = exchange.verdict.is_some_and(|verdict| verdict.is_clean());
            exchange.begun >= before && exchange.status == Some(StatusCode::OK) && right
        })
    }

    /// Asks for a part of object `number`; none where no connection could be had.
    pub async fn part(&mut self, number: usize, range: Range<u64>) -> Option<Exchange> {
        self.ask(number, Kind::Range(range)).await
    }

    fn kind(&mut self, number: usize) -> Kind {
        let size = self.world.items[number].content.size;
        let start = self.rng.random_range(0..size);
        let range = start..self.rng.random_range(start..size) + 1;
        let tag = self.tags.get(&number).cloned();
        match (self.rng.random_range(0..10), tag) {
            (0..=3, _) => Kind::Whole,
            (8, Some(tag)) => Kind::Unless(tag),
            (9, Some(tag)) => Kind::IfStill(tag, range),
            _ => Kind::Range(range),
        }
    }

    async fn ask(&mut self, number: usize, kind: Kind) -> Option<Exchange> {
        let world = Arc::clone(&self.world);
        let item = &world.items[number];
        if !self.connection.as_ref().is_some_and(Connection::is_open) {
            self.connection = None;
            let opening = Connection::open(&self.way.server, self.way.protocol);
            match timeout(PATIENCE, opening).await {
                Ok(Ok(connection)) => self.connection = Some(connection),
                _ => {
                    sleep(RETRY).await;
                    return None;
                }
            }
        }
        let connection = self.connection.as_mut().expect("it was opened above");
        let exchange = connection.get(&request(item, &self.way.prefix, &kind)).await;
        if exchange.error.is_some() {
            self.connection = None;
        }
        let tag = exchange.headers.get("etag").and_then(|tag| tag.to_str().ok());
        if let Some(tag) = tag {
            self.tags.insert(number, tag.to_owned());
        }
        let oldest = item.oldest(exchange.begun);
        let lied = lies(item, &kind, &exchange, oldest);
        world.note(|seen| {
            let status = exchange.status.map(|status| status.as_u16());
            seen.answers += u64::from(status.is_some());
            seen.cut += u64::from(exchange.error.is_some());
            seen.unchanged += u64::from(status == Some(304));
            if exchange.verdict.is_some() {
                seen.checked += exchange.bytes;
            }
            let hit = said(&exchange, "hit");
            seen.hits += u64::from(hit);
            seen.wrong.merge(&lied);
            let known = status.is_none_or(|status| matches!(status, 200 | 206 | 304));
            seen.refused += u64::from(!known);
            if !lied.is_clean() || !known {
                seen.find(format!(
                    "{} {} {kind:?} got {status:?} tag {tag:?} ({oldest} or newer): {lied}; \
                     error {:?}; cache-status {:?}",
                    self.way.protocol,
                    item.path,
                    exchange.error,
                    exchange.headers.get("cache-status")
                ));
            }
            if status == Some(200) && exchange.error.is_none() && lied.is_clean() {
                seen.complete(number, exchange.ended);
                // What is in memory was brought there after the restart.
                let from_disk = hit && said(&exchange, "disk");
                if let Some(first) = exchange.first_byte.filter(|_| from_disk) {
                    seen.hit_disk(first);
                }
            }
        });
        Some(exchange)
    }
}

fn request(item: &Item, prefix: &str, kind: &Kind) -> Ask {
    let ask = Ask { deadline: PATIENCE, ..Ask::path(format!("{prefix}{}", item.path)) };
    let (range, field) = match kind {
        Kind::Whole => (None, None),
        Kind::Range(range) => (Some(range.clone()), None),
        Kind::Unless(tag) => (None, Some(("if-none-match", tag))),
        Kind::IfStill(tag, range) => (Some(range.clone()), Some(("if-range", tag))),
    };
    let place = range.clone().unwrap_or(0..item.content.size);
    // What may be served is known better when the answer is there: only tearing, other
    // objects and damage are told by the checker itself.
    let expected = Expected::range(&item.content, place).versions(1, item.newest());
    let headers = field.map(|(name, tag)| (name.to_owned(), tag.clone()));
    Ask { range, headers: headers.into_iter().collect(), ..ask }.expect(expected)
}

/// Wrong bytes that the server passed off as right, with those that only the head shows to be
/// wrong: a body under another version's validator, an old version, a false 304.
fn lies(item: &Item, kind: &Kind, exchange: &Exchange, oldest: u64) -> Verdict {
    let mut lied = exchange.lied();
    let tag = exchange.headers.get("etag").and_then(|tag| tag.to_str().ok());
    let tagged = tag.and_then(|tag| item.version_of(tag));
    let mut tell = |class, bytes: u64| lied.add(class, 0, bytes.max(1));
    match (exchange.status.map(|status| status.as_u16()), kind) {
        // It says: the version of this tag is what I would serve.
        (Some(304), Kind::Unless(asked)) => match item.version_of(asked) {
            Some(version) if version < oldest => tell(Class::Stale, item.content.size),
            _ => {}
        },
        (Some(304), _) => tell(Class::Short, item.content.size),
        (Some(status @ (200 | 206)), _) => {
            let body = exchange.verdict.and_then(|verdict| verdict.version);
            if body.is_some() && tagged.is_some() && body != tagged {
                tell(Class::Torn, exchange.bytes);
            }
            if body.or(tagged).is_some_and(|version| version < oldest) {
                tell(Class::Stale, exchange.bytes);
            }
            // RFC 9110 §13.1.5: a part only under the validator that was asked about.
            if let (206, Kind::IfStill(asked, _)) = (status, kind)
                && tag.is_some_and(|tag| tag != asked)
            {
                tell(Class::Torn, exchange.bytes);
            }
        }
        _ => {}
    }
    lied
}

/// Whether `Cache-Status` says so.
pub fn said(exchange: &Exchange, word: &str) -> bool {
    let field = exchange.headers.get("cache-status").and_then(|value| value.to_str().ok());
    field.is_some_and(|value| value.contains(word))
}
