//! One seeded script of misbehaviour, played against a server with clients that wait for it,
//! and judged.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use weir_benches_content::{Content, Expected, Verdict};
use weir_benches_testbed::{
    Act, Fault, Origin,
    origin::BadHead,
    seeded::{self, Kind},
};

use crate::connection::{Ask, Connection, Exchange, Protocol, Server};

/// Longer than the server's deadlines and resumes together.
pub const RELEASED: Duration = Duration::from_secs(20);
/// Requests after the origin healed until the object must be right.
const HEALED: usize = 3;
const CHUNK: u64 = 1 << 20;
/// Where chunks begin and end, things break.
const SIZES: [u64; 8] =
    [1, 31, 50_000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 500_000, 5 * CHUNK];

/// Whom clients of each protocol ask, and how paths look there.
pub trait Target: Send + Sync {
    /// Protocols that it speaks.
    fn servers(&self) -> &[(Protocol, Arc<Server>)];
    /// Path for what the origin serves as `path`.
    fn path(&self, path: &str) -> String;
    /// How long it may go on with a fill in silence after its clients have gone.
    fn silence(&self) -> Duration;
}

/// What a script, or many, came to.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Scripts played.
    pub scripts: u64,
    /// Clients that waited.
    pub waiters: u64,
    /// Waiters that were not released in time.
    pub hung: u64,
    /// Waiters that got the whole.
    pub served: u64,
    /// Wrong bytes passed off as right, to waiters and after healing.
    pub wrong: Verdict,
    /// Scripts after which bytes that never came whole, or that came from a response that
    /// contradicted itself, were not fetched again.
    pub kept: u64,
    /// Scripts after which the object was not served right within three requests.
    pub unhealed: u64,
    /// For each kind: scripts, waiters, and waiters that got the whole.
    pub kinds: BTreeMap<Kind, [u64; 3]>,
    /// One line for each finding.
    pub findings: Vec<String>,
}

impl Outcome {
    /// Adds another's counts.
    pub fn merge(&mut self, other: Self) {
        self.scripts += other.scripts;
        self.waiters += other.waiters;
        self.hung += other.hung;
        self.served += other.served;
        self.wrong.merge(&other.wrong);
        self.kept += other.kept;
        self.unhealed += other.unhealed;
        for (kind, counts) in other.kinds {
            let mine = self.kinds.entry(kind).or_default();
            for (mine, count) in mine.iter_mut().zip(counts) {
                *mine += count;
            }
        }
        self.findings.extend(other.findings);
    }
}

/// A script and who waits for it.
#[derive(Debug, Clone)]
struct Script {
    content: Content,
    acts: Vec<Act>,
    waiters: Vec<(Protocol, Option<Range<u64>>)>,
}

impl Script {
    fn new(kind: Kind, seed: u64, protocols: &[Protocol]) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed.wrapping_mul(31) ^ kind as u64);
        let size = *SIZES.choose(&mut rng).expect("not empty");
        let object = (seed << 8) + kind as u64 + 1;
        let content = Content::new(object, seeded::published(kind), size);
        let waiters = (0..rng.random_range(1..=4)).map(|_| {
            let protocol = *protocols.choose(&mut rng).expect("not empty");
            let ranged = kind == Kind::WrongRange || rng.random_bool(0.25);
            let range = ranged.then(|| {
                let start = rng.random_range(0..size);
                start..rng.random_range(start..size) + 1
            });
            (protocol, range)
        });
        let waiters = waiters.collect();
        Self { content, acts: seeded::acts(kind, seed, size), waiters }
    }

    fn ask(&self, target: &dyn Target, range: Option<Range<u64>>) -> Ask {
        let place = range.clone().unwrap_or(0..self.content.size);
        // While it changes, either version is right; a mixture never is.
        let expected = Expected::range(&self.content, place).versions(1, self.content.version);
        Ask {
            range,
            deadline: RELEASED,
            ..Ask::path(target.path(&format!("/{}", self.content.name()))).expect(expected)
        }
    }

    /// Whether these acts, which are all that the server saw, leave nothing that may be kept.
    fn contradicts(&self, requests: u64) -> bool {
        // Only then is every answer a part, whose length its Content-Range declares.
        let ranged = self.waiters.iter().all(|(_, range)| range.is_some());
        let acts = self.acts.iter().take(usize::try_from(requests).unwrap_or(usize::MAX));
        acts.into_iter().all(|act| match act.fault {
            // Behind a Content-Length the surplus is no part of the body (RFC 9112 §6.3).
            Some(Fault::Long { .. }) => act.chunked && ranged,
            Some(Fault::Understated { .. }) => ranged,
            Some(Fault::Head(BadHead::Informational | BadHead::Nul)) => false,
            Some(Fault::Head(_)) => true,
            _ => false,
        })
    }

    /// The most that can be kept of `sent` bytes: whole chunks, and the object's last one,
    /// which is shorter, where somebody asked for a range.
    fn keepable(&self, sent: u64) -> u64 {
        let sent = sent.min(self.content.size);
        let last = self.content.size % CHUNK;
        let ranged = self.waiters.iter().any(|(_, range)| range.is_some());
        sent / CHUNK * CHUNK + if ranged && sent >= last { last } else { 0 }
    }
}

/// What [`play`] would do over all protocols, for a person to read.
pub fn describe(kind: Kind, seed: u64) -> impl std::fmt::Debug {
    Script::new(kind, seed, &Protocol::ALL)
}

/// Plays the script of `kind` and `seed`: waiters at once, then the origin heals, then one
/// asks again.
pub async fn play(target: &dyn Target, origin: &Origin, kind: Kind, seed: u64) -> Outcome {
    let protocols: Vec<Protocol> = target.servers().iter().map(|(protocol, _)| *protocol).collect();
    let script = Script::new(kind, seed, &protocols);
    let path = format!("/{}", script.content.name());
    origin.set_version(&path, script.content.version);
    origin.script(&path, script.acts.iter().cloned());
    let mut outcome = Outcome { scripts: 1, ..Outcome::default() };
    let find = |what: String| format!("{} seed {seed}: {what}", kind.as_str());
    let mut waiting = JoinSet::new();
    for (protocol, range) in &script.waiters {
        let ask = script.ask(target, range.clone());
        waiting.spawn(get(server(target, *protocol), *protocol, ask));
    }
    while let Some(exchange) = waiting.join_next().await {
        outcome.waiters += 1;
        let Ok(Some(exchange)) = exchange else {
            outcome.hung += 1;
            outcome.findings.push(find("a waiter was not released".into()));
            continue;
        };
        let lied = exchange.lied();
        outcome.wrong.merge(&lied);
        outcome.served += u64::from(whole(&exchange));
        if !lied.is_clean() {
            let status = exchange.status.map(|status| status.as_u16());
            outcome.findings.push(find(format!("a waiter got {status:?}: {lied}")));
        }
    }
    settled(origin, &path, target.silence()).await;
    origin.heal(&path);
    let before = origin.counts(&path);
    let ask = script.ask(target, None);
    let mut healed = false;
    for attempt in 0..HEALED {
        let protocol = protocols[attempt % protocols.len()];
        let Some(exchange) = get(server(target, protocol), protocol, ask.clone()).await else {
            outcome.findings.push(find("hangs after healing".into()));
            continue;
        };
        let lied = exchange.lied();
        outcome.wrong.merge(&lied);
        if !lied.is_clean() {
            outcome.findings.push(find(format!("wrong after healing: {lied}")));
        }
        healed = whole(&exchange) && lied.is_clean();
        if healed {
            break;
        }
    }
    if !healed {
        outcome.unhealed += 1;
        outcome.findings.push(find(format!("not right within {HEALED} requests after healing")));
    }
    outcome.kinds.insert(kind, [1, outcome.waiters, outcome.served]);
    // What the origin had sent by then can be kept in whole chunks only.
    let after = origin.counts(&path);
    let all_bad = before.requests <= script.acts.len() as u64;
    let contradicts = script.contradicts(before.requests);
    let keepable = if contradicts { 0 } else { script.keepable(before.body_bytes) };
    let due = script.content.size.saturating_sub(keepable);
    let whole_came = !contradicts && before.body_bytes >= script.content.size;
    if all_bad && !whole_came && bodies_broke(&script, before.requests) {
        let again = after.body_bytes - before.body_bytes;
        if again < due {
            outcome.kept += 1;
            outcome.findings.push(find(format!(
                "{again} bytes were fetched again where at least {due} were never sound"
            )));
        }
    }
    outcome
}

/// Waits until a fill that outlives its clients has come to an end: what it brings later was
/// asked for by the script's own requests.
async fn settled(origin: &Origin, path: &str, silence: Duration) {
    let mut last = origin.counts(path);
    let mut since = Instant::now();
    while since.elapsed() < silence {
        sleep(silence / 10).await;
        let now = origin.counts(path);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}

/// Whether every act that was consumed ended its body early or was refused: only then is it
/// known what can have been kept.
fn bodies_broke(script: &Script, requests: u64) -> bool {
    let consumed = script.acts.iter().take(usize::try_from(requests).unwrap_or(usize::MAX));
    requests > 0
        && consumed.into_iter().all(|act| {
            matches!(
                act.fault,
                Some(
                    Fault::Reset { .. }
                        | Fault::Short { .. }
                        | Fault::SilentBeforeHead
                        | Fault::SilentInHead
                        | Fault::SilentInBody { .. }
                        | Fault::CloseBeforeHead
                )
            ) || act.status.is_some()
                || script.contradicts(requests)
        })
}

fn server(target: &dyn Target, protocol: Protocol) -> Arc<Server> {
    let found = target.servers().iter().find(|(known, _)| *known == protocol);
    Arc::clone(&found.expect("protocols come from the target").1)
}

/// One exchange on a connection of its own; none when it does not end.
async fn get(server: Arc<Server>, protocol: Protocol, ask: Ask) -> Option<Exchange> {
    let exchange = async {
        let mut connection = Connection::open(&server, protocol).await.ok()?;
        Some(connection.get(&ask).await)
    };
    let exchange = timeout(RELEASED + Duration::from_secs(5), exchange).await.ok()??;
    let hung = exchange.ended - exchange.begun >= RELEASED;
    (!hung).then_some(exchange)
}

fn whole(exchange: &Exchange) -> bool {
    let success = exchange.status.is_some_and(|status| status.is_success());
    success && exchange.error.is_none() && exchange.verdict.is_some()
}
