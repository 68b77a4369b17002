//! Random interleavings of readers, purges, time, changes at the origin and its faults, each
//! from a seed, held to what must always be true: no wrong byte, no two versions in one body,
//! nothing that a purge or its age has made unfit, an answer in time, and nothing left behind.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::join_all;
use http::{StatusCode, header};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::Instant;
use weir_benches_content::{Checker, Content, Expected};
use weir_config_lifecycle::Clock;
use weir_edge_fill::{Answer, upstream::UpstreamError};

use crate::script::{MIB, Origin, Reply, Seen, Step, World, drain, good, truncated};

const SEEDS: u64 = 2_500;
const OBJECTS: usize = 3;
/// As the origin says (`good`).
const FRESH_MILLIS: u64 = 60_000;
/// More than that.
const JUMP_MILLIS: u64 = 70_000;
/// The deadline of [`World::ask`], and what rounding adds.
const DEADLINE: Duration = Duration::from_millis(2_010);
/// No body of these origins takes longer, resumed or not.
const BODY: Duration = Duration::from_secs(30);

/// One object at the origin.
struct Held {
    now: Content,
    /// When each version but the last was replaced, Unix milliseconds.
    replaced: Vec<u64>,
    /// The oldest version that may still be served, by purges.
    floor: u64,
}

impl Held {
    /// The oldest version that a request which begins at `millis` may get.
    fn oldest(&self, millis: u64) -> u64 {
        let aged = self.replaced.iter().take_while(|at| **at + FRESH_MILLIS < millis).count();
        self.floor.max(aged as u64 + 1)
    }
}

type Site = Arc<Mutex<Vec<Held>>>;

fn index_of(path: &str) -> usize {
    path[1..].parse().unwrap()
}

/// What an origin in a bad mood makes of a good answer.
fn spoil(rng: &mut StdRng, content: &Content, seen: &Seen) -> Result<Reply, UpstreamError> {
    let mut reply = good(content, seen);
    reply.wait = Duration::from_millis(rng.random_range(0..400));
    if rng.random_ratio(1, 3) {
        reply.declared = None;
    }
    if rng.random_ratio(1, 4) {
        reply.headers.remove(header::ETAG);
    }
    let at = rng.random_range(0..=reply.steps.len());
    match rng.random_range(0..24) {
        0 => return Err(truncated(0)),
        1 => reply.wait = Duration::from_secs(100),
        2 => {
            reply.status = StatusCode::SERVICE_UNAVAILABLE;
            // With a lifetime it is an answer to keep, else it is not.
            if rng.random_ratio(3, 4) {
                reply.headers.remove(header::CACHE_CONTROL);
            }
        }
        // An end that is no end must be seen: without a length only an error tells.
        3 if reply.declared.is_some() => reply.steps.truncate(at),
        4 => {
            reply.steps.truncate(at);
            reply.steps.push(Step::Fail(truncated(0)));
        }
        5 => reply.steps.insert(at, Step::Wait(Duration::from_secs(100))),
        6..10 => {
            reply.steps.insert(at, Step::Wait(Duration::from_millis(rng.random_range(1..900))));
        }
        10 if reply.declared.is_some() => reply.steps.push(Step::Send(Bytes::from_static(&[7; 9]))),
        11 => {
            reply.headers.insert(header::CACHE_CONTROL, "private".parse().unwrap());
        }
        12 => {
            let upstream = "origin".into();
            reply.steps.truncate(at);
            let silent = UpstreamError::Refused { upstream, reason: "gone".into() };
            reply.steps.push(Step::Fail(silent));
        }
        13 => {
            // Everything, whatever was asked for.
            let all = Seen { range: None, ..seen.clone() };
            reply = Reply { wait: reply.wait, ..good(content, &all) };
        }
        14 => {
            let place = "bytes 0-0/1".parse().unwrap();
            reply.headers.insert(header::CONTENT_RANGE, place);
        }
        _ => {}
    }
    Ok(reply)
}

struct Play {
    world: World,
    /// When the clock jumped.
    jumps: Mutex<Vec<Instant>>,
    site: Site,
    seed: u64,
}

impl Play {
    fn new(seed: u64) -> (Self, StdRng) {
        let mut rng = StdRng::seed_from_u64(seed);
        let big = rng.random_ratio(1, 25);
        let most = if big { 3 * MIB } else { 40_000 };
        let held = (0..OBJECTS).map(|object| {
            let size = rng.random_range(0..most);
            let now = Content::new(seed * 10 + object as u64, 1, size);
            Held { now, replaced: Vec::new(), floor: 1 }
        });
        let site: Site = Arc::new(Mutex::new(held.collect()));
        let mood = Mutex::new(StdRng::seed_from_u64(seed ^ 0xbad));
        let origin = {
            let site = Arc::clone(&site);
            Origin::new(move |_, seen| {
                let content = site.lock()[index_of(&seen.path)].now;
                spoil(&mut mood.lock(), &content, seen)
            })
        };
        // Sometimes so little that chunks leave while they are read.
        let memory = if big && rng.random_ratio(1, 2) { 2 * MIB } else { 32 * MIB };
        let world = World::with_memory(origin, memory);
        (Self { world, jumps: Mutex::default(), site, seed }, rng)
    }

    fn jump(&self) {
        self.world.clock.advance_millis(JUMP_MILLIS);
        self.jumps.lock().push(Instant::now());
    }

    /// The time by which age is judged: a request that was under way at a jump, and whoever
    /// joined it, may be answered as before.
    fn settled_millis(&self) -> u64 {
        let recent = |at: &&Instant| at.elapsed() <= DEADLINE;
        let jumps = self.jumps.lock().iter().filter(recent).count() as u64;
        self.world.clock.unix_millis() - jumps * JUMP_MILLIS
    }

    /// One request, checked against what the origin had between its begin and its end.
    async fn get(&self, object: usize, part: Option<(u64, u64)>) {
        let path = format!("/{object}");
        let (size, oldest) = {
            let site = self.site.lock();
            (site[object].now.size, site[object].oldest(self.settled_millis()))
        };
        let part = part.map(|(first, length)| (first % size.max(1), length));
        let part = part.filter(|(first, _)| *first < size);
        let ask = match part {
            Some((first, length)) => self.world.ask_range(&path, first, first + length),
            None => self.world.ask(&path),
        };
        let wanted = match part {
            Some((first, length)) => first..(first + length + 1).min(size),
            None => 0..size,
        };
        let mut started = Instant::now();
        let answer = self.world.engine.resolve(&ask).await;
        let (bytes, end, range) = match answer {
            Err(_) => {
                self.in_time(started, DEADLINE);
                return;
            }
            Ok(Answer::Passed(passed)) => {
                let response = passed.response;
                self.in_time(started, DEADLINE);
                if response.status != StatusCode::OK {
                    return;
                }
                let declared = response.content_length;
                let (bytes, end) = drain(response.body).await;
                // Whose length a client is told notices by itself when it is not kept.
                let kept = declared.is_none_or(|length| length == bytes.len() as u64);
                if !kept && end.is_ok() {
                    return;
                }
                // Gaps in it are its upstream's to watch, and this one does not.
                started = Instant::now();
                (bytes, end, 0..size)
            }
            // An error that was kept: its body is no part of the content.
            Ok(Answer::Object(found)) if found.object().status != StatusCode::OK => return,
            Ok(Answer::Object(found)) => {
                let range = found.size().and(part.is_some().then(|| wanted.clone()));
                let asked = range.clone().unwrap_or(0..size);
                let opened = self.world.engine.open(&ask, &found, range).await;
                self.in_time(started, DEADLINE);
                let Ok(reader) = opened else { return };
                let (bytes, end) = drain(reader.into_stream()).await;
                (bytes, end, asked)
            }
        };
        self.in_time(started, DEADLINE + BODY);
        let now = self.site.lock()[object].now;
        let newest = now.version;
        let expected = Expected::range(&now, range).versions(oldest, newest);
        let verdict = Checker::check(expected, &bytes);
        assert_eq!(verdict.delivered(), 0, "seed {}: {verdict}", self.seed);
        assert!(end.is_err() || verdict.is_clean(), "seed {}: {verdict}", self.seed);
    }

    fn in_time(&self, started: Instant, most: Duration) {
        let took = started.elapsed();
        assert!(took <= most, "seed {}: {took:?} of {most:?}", self.seed);
    }

    fn change(&self, object: usize) {
        let held = &mut self.site.lock()[object];
        held.replaced.push(self.world.clock.unix_millis());
        held.now = held.now.at_version(held.now.version + 1);
    }

    fn purge(&self, object: usize) {
        self.world.purge(&self.world.ask(&format!("/{object}")));
        let held = &mut self.site.lock()[object];
        held.floor = held.now.version;
    }
}

async fn play(seed: u64) {
    let (play, mut rng) = Play::new(seed);
    let steps: Vec<_> = (0..rng.random_range(5..40))
        .map(|_| {
            let after = Duration::from_millis(rng.random_range(0..3_000));
            let object = rng.random_range(0..OBJECTS);
            let part = (rng.random_range(0..4 * MIB), rng.random_range(0..MIB));
            (after, object, part, rng.random_range(0..20))
        })
        .collect();
    let play = &play;
    join_all(steps.into_iter().map(|(after, object, part, what)| async move {
        tokio::time::sleep(after).await;
        match what {
            0..10 => play.get(object, None).await,
            10..16 => play.get(object, Some(part)).await,
            16 => play.purge(object),
            17 => play.jump(),
            _ => play.change(object),
        }
    }))
    .await;
    // Fills outlive their readers, but not for ever.
    tokio::time::sleep(BODY).await;
    assert_eq!(play.world.engine.under_way(), 0, "seed {seed}");
    assert_eq!(play.world.engine.slots_free(), 64, "seed {seed}");
}

#[test]
fn random_interleavings() {
    // One alone, to look into it.
    let only = std::env::var("WEIR_SEED").ok().map(|seed| seed.parse().unwrap());
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    for seed in only.map_or(0..SEEDS, |seed: u64| seed..seed + 1) {
        runtime.block_on(play(seed));
    }
}
