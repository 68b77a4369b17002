//! Good clients in an open loop: requests come when they are due, however long the earlier ones
//! take, and every byte of every answer is checked.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use weir_benches_content::{Content, Expected};

use super::{
    light::{Light1, Light2},
    rated::P99_MS,
};
use crate::connection::{Ask, Connection, Protocol, Server};

/// A request that has not ended by then has failed.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections that share the streams of HTTP/2 and HTTP/3.
const SHARED: usize = 8;
/// HTTP/1.1 connections at once.
const MOST: usize = 256;
/// After so many requests a connection gives way to a new one: new clients come all the time.
const REQUESTS: u64 = 500;
/// How often what is due is looked for.
const BEAT: Duration = Duration::from_millis(1);
/// Failures that are kept in words.
const WORDS: usize = 5;

/// What good clients of one protocol saw.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Requests that were due.
    pub due: u64,
    /// Of these, answered 200 and right to the last byte.
    pub ok: u64,
    /// Of the others, refused in so many words: 429 and 503.
    pub refused: u64,
    /// Body bytes that were right.
    pub bytes: u64,
    /// From the moment it was due to the first body byte, in µs, of those that are ok.
    pub first_byte: Vec<u32>,
    /// When each that is ok ended.
    pub ended: Vec<Instant>,
    /// When those were due that are not ok, or took longer than [`rated::P99_MS`](super::rated).
    pub bad: Vec<Instant>,
    /// Connections opened beside the first ones, and what that took, in µs.
    pub opened: Vec<u32>,
    /// Why some failed.
    pub words: Vec<String>,
}

impl Seen {
    /// Adds what others saw.
    pub fn merge(&mut self, other: Self) {
        self.due += other.due;
        self.ok += other.ok;
        self.refused += other.refused;
        self.bytes += other.bytes;
        self.first_byte.extend(other.first_byte);
        self.ended.extend(other.ended);
        self.bad.extend(other.bad);
        self.opened.extend(other.opened);
        for word in other.words {
            self.say(word);
        }
    }

    fn say(&mut self, word: String) {
        if self.words.len() < WORDS && !self.words.contains(&word) {
            self.words.push(word);
        }
    }

    /// Share of those due that are ok; 1 of none.
    pub fn ok_ratio(&self) -> f64 {
        if self.due == 0 { 1.0 } else { self.ok as f64 / self.due as f64 }
    }

    /// The 99th percentile of the time to the first byte, in ms. Whatever failed counts as if it
    /// had taken all of its patience.
    pub fn p99_ms(&self) -> f64 {
        let mut all = self.first_byte.clone();
        let failed = (self.due - self.ok.min(self.due)) as usize;
        all.resize(all.len() + failed, PATIENCE.as_micros() as u32);
        percentile(&mut all, 0.99)
    }
}

/// In ms, of µs; 0 of none.
pub fn percentile(all: &mut [u32], share: f64) -> f64 {
    all.sort_unstable();
    let at = ((all.len() as f64 * share).ceil() as usize).saturating_sub(1);
    all.get(at).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
}

/// A connection of one of them.
#[derive(Debug)]
enum Client {
    // A connection with its buffers is large.
    H1(Box<Light1>),
    H2(Light2),
    H3(Connection),
}

/// What one request came to.
struct Ended {
    status: Option<u16>,
    first_byte: Option<Instant>,
    /// All of it was right.
    right: bool,
    why: Option<String>,
}

impl Client {
    async fn open(server: &Arc<Server>, protocol: Protocol) -> Result<Self, String> {
        match protocol {
            Protocol::H1 => {
                Light1::open(server).await.map(Box::new).map(Self::H1).map_err(|e| e.to_string())
            }
            Protocol::H2 => Light2::open(server).await.map(Self::H2).map_err(|e| e.to_string()),
            Protocol::H3 => {
                let open = Connection::open(server, protocol).await;
                open.map(Self::H3).map_err(|error| error.to_string())
            }
        }
    }

    fn is_open(&self) -> bool {
        match self {
            Self::H1(light) => light.open,
            Self::H2(light) => light.is_open(),
            Self::H3(connection) => connection.is_open(),
        }
    }

    /// Another handle; none of what has no streams.
    fn share(&self) -> Option<Self> {
        match self {
            Self::H1(_) => None,
            Self::H2(light) => Some(Self::H2(light.clone())),
            Self::H3(connection) => connection.share().map(Self::H3),
        }
    }

    async fn get(&mut self, path: &str, content: &Content, bytes: &Bytes) -> Ended {
        let got = match self {
            Self::H1(light) => timeout(PATIENCE, light.get(path, bytes)).await,
            Self::H2(light) => timeout(PATIENCE, light.get(path, bytes)).await,
            Self::H3(connection) => {
                let ask = Ask { deadline: PATIENCE, ..Ask::path(path) };
                let exchange = connection.get(&ask.expect(Expected::all(content))).await;
                let right = exchange.verdict.is_some_and(|verdict| verdict.is_clean());
                return Ended {
                    status: exchange.status.map(|status| status.as_u16()),
                    first_byte: exchange.first_byte,
                    right: right && exchange.error.is_none(),
                    why: exchange.error,
                };
            }
        };
        match got {
            Ok(Ok(got)) => Ended {
                status: Some(got.status),
                first_byte: got.first_byte,
                right: got.right,
                why: None,
            },
            Ok(Err(error)) => Ended::broken(error.to_string()),
            Err(_) => Ended::broken(format!("no end within {PATIENCE:?}")),
        }
    }
}

impl Ended {
    fn broken(why: String) -> Self {
        Self { status: None, first_byte: None, right: false, why: Some(why) }
    }
}

/// Good clients of one protocol at one server. Connections stay between two runs.
#[derive(Debug)]
pub struct Good {
    server: Arc<Server>,
    protocol: Protocol,
    /// Paths and what they hold.
    objects: Vec<(String, Content, Bytes)>,
    /// Connections that can be used, and how often each was.
    idle: Mutex<Vec<(Client, u64)>>,
    /// HTTP/1.1 connections there may be.
    places: Arc<Semaphore>,
}

impl Good {
    /// None is connected yet.
    pub fn new(server: Arc<Server>, protocol: Protocol, objects: Vec<(String, Content)>) -> Self {
        let places = Arc::new(Semaphore::new(MOST));
        let objects = objects.into_iter();
        let objects = objects.map(|(path, content)| (path, content, content.all())).collect();
        Self { server, protocol, objects, idle: Mutex::default(), places }
    }

    /// Of which protocol they are.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Opens what is shared, so that a run does not begin with handshakes.
    pub async fn gather(&self) {
        let missing = SHARED.saturating_sub(self.idle.lock().len());
        for _ in 0..missing {
            if let Ok(Ok(open)) = timeout(PATIENCE, Client::open(&self.server, self.protocol)).await
            {
                self.idle.lock().push((open, 0));
            }
        }
    }

    /// Requests at `rate` a second for `time`, and until all of them have ended.
    pub async fn run(self: &Arc<Self>, rate: f64, time: Duration) -> Seen {
        self.gather().await;
        let seen = Arc::<Mutex<Seen>>::default();
        let mut under_way = JoinSet::new();
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let begun = Instant::now();
        let mut sent = 0_u64;
        while begun.elapsed() < time {
            beat.tick().await;
            let now = Instant::now();
            let due = (rate * (now - begun).as_secs_f64()) as u64;
            while sent < due {
                // Late by less than a beat is on time: a coarser clock is nobody's delay.
                let ideal = begun + Duration::from_secs_f64(sent as f64 / rate);
                let due_at = if now - ideal < 2 * BEAT { now } else { ideal };
                let (good, seen) = (Arc::clone(self), Arc::clone(&seen));
                under_way.spawn(async move {
                    if !good.ask(sent, due_at, &seen).await {
                        seen.lock().bad.push(due_at);
                    }
                });
                sent += 1;
            }
            while under_way.try_join_next().is_some() {}
        }
        while under_way.join_next().await.is_some() {}
        let mut seen = std::mem::take(&mut *seen.lock());
        seen.due = sent;
        seen
    }

    /// One request; whether it was served right and in time.
    async fn ask(self: &Arc<Self>, number: u64, due: Instant, seen: &Mutex<Seen>) -> bool {
        let failed = |why: String| {
            seen.lock().say(why);
            false
        };
        let count = self.objects.len() as u64;
        let (path, content, bytes) = &self.objects[(number % count) as usize];
        // The place of an HTTP/1.1 connection, while it is used.
        let _place = match self.protocol {
            Protocol::H1 => match timeout(PATIENCE, self.places.acquire()).await {
                Ok(Ok(place)) => Some(place),
                _ => return failed("no connection was free".into()),
            },
            _ => None,
        };
        let (mut connection, used) = match self.take(seen).await {
            Ok(taken) => taken,
            Err(why) => return failed(why),
        };
        let ended = connection.get(path, content, bytes).await;
        let now = Instant::now();
        let ok = ended.status == Some(200) && ended.right;
        if self.protocol == Protocol::H1 && connection.is_open() && used < REQUESTS {
            self.idle.lock().push((connection, used + 1));
        }
        let mut seen = seen.lock();
        if ok {
            let took = ended.first_byte.unwrap_or(now) - due;
            seen.ok += 1;
            seen.bytes += content.size;
            seen.first_byte.push(took.as_micros().try_into().unwrap_or(u32::MAX));
            seen.ended.push(now);
            took.as_secs_f64() * 1000.0 <= P99_MS
        } else {
            seen.refused += u64::from(matches!(ended.status, Some(429 | 503)));
            seen.say(format!(
                "{}: status {:?}, {}",
                self.protocol,
                ended.status,
                ended.why.as_deref().unwrap_or("not what it ought to be")
            ));
            false
        }
    }

    /// A connection that is open: one that waits, or a new one. Those with streams are shared.
    async fn take(self: &Arc<Self>, seen: &Mutex<Seen>) -> Result<(Client, u64), String> {
        loop {
            let known = {
                let mut idle = self.idle.lock();
                match self.protocol {
                    Protocol::H1 => idle.pop(),
                    _ => self.share(&mut idle),
                }
            };
            match known {
                Some((connection, used)) if connection.is_open() => return Ok((connection, used)),
                Some(_) => {}
                None => break,
            }
        }
        let begun = Instant::now();
        let opening = timeout(PATIENCE, Client::open(&self.server, self.protocol)).await;
        let opened = opening.map_err(|_| format!("{}: connecting took too long", self.protocol))?;
        let opened = opened.map_err(|why| format!("{}: cannot connect: {why}", self.protocol))?;
        let took = begun.elapsed().as_micros().try_into().unwrap_or(u32::MAX);
        seen.lock().opened.push(took);
        if let Some(shared) = opened.share() {
            self.idle.lock().push((shared, 0));
        }
        Ok((opened, 0))
    }

    /// The one that was used least; closed ones and those that had their share are dropped.
    fn share(&self, idle: &mut Vec<(Client, u64)>) -> Option<(Client, u64)> {
        idle.retain(|(connection, used)| connection.is_open() && *used < REQUESTS);
        if idle.len() < SHARED {
            return None;
        }
        let (connection, used) = idle.iter_mut().min_by_key(|(_, used)| *used)?;
        *used += 1;
        Some((connection.share()?, *used))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_slow() {
        let mut seen = Seen { due: 100, ok: 100, first_byte: vec![1000; 100], ..Seen::default() };
        assert_eq!((seen.p99_ms(), seen.ok_ratio()), (1.0, 1.0));
        seen.due = 110;
        assert_eq!(seen.p99_ms(), 5000.0);
        assert!(seen.ok_ratio() < 1.0);
        assert_eq!(Seen::default().ok_ratio(), 1.0);
    }
}
