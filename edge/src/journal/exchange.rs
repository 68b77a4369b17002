//! What upstreams were asked lately, with the time of each step: a bounded ring for a node, and
//! never on the path of a hit.

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use weir_config_admin::TraceExchange;
use weir_edge_fill::upstream::UpstreamRequest;
use weir_edge_http::client::Leased;
use xxhash_rust::xxh3::xxh3_64;

use super::{finished::cut, millis};

/// Exchanges that are remembered.
const EXCHANGES: usize = 512;
/// Told of one request at most.
const TOLD: usize = 32;

/// The last requests to upstreams.
#[derive(Debug, Default)]
pub struct Exchanges(Mutex<VecDeque<Arc<Exchange>>>);

/// One of them; its steps are filled in as they come.
#[derive(Debug)]
pub struct Exchange {
    upstream: String,
    method: http::Method,
    path: String,
    /// Of the whole path and query.
    hash: u64,
    range: Option<String>,
    started: Instant,
    leased: OnceLock<Leased>,
    /// Microseconds from the start; 0 where it did not come to it.
    head: AtomicU64,
    first: AtomicU64,
    ended: AtomicU64,
    status: OnceLock<u16>,
    bytes: AtomicU64,
    error: OnceLock<String>,
}

/// What finds the exchanges of a request.
pub fn hash(path_and_query: &str) -> u64 {
    xxh3_64(path_and_query.as_bytes())
}

impl Exchanges {
    /// Begins one; the oldest is forgotten.
    pub fn begin(&self, upstream: &str, request: &UpstreamRequest) -> Arc<Exchange> {
        let text = |value: &http::HeaderValue| value.to_str().unwrap_or("?").to_owned();
        let mut path = weir_edge_token::redact(&request.path_and_query).into_owned();
        cut(&mut path, super::TEXT_MAX);
        let exchange = Arc::new(Exchange {
            upstream: upstream.to_owned(),
            method: request.method.clone(),
            path,
            hash: hash(&request.path_and_query),
            range: request.headers.get(http::header::RANGE).map(text),
            started: Instant::now(),
            leased: OnceLock::new(),
            head: AtomicU64::new(0),
            first: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            status: OnceLock::new(),
            bytes: AtomicU64::new(0),
            error: OnceLock::new(),
        });
        let mut all = self.0.lock();
        if all.len() >= EXCHANGES {
            all.pop_front();
        }
        all.push_back(Arc::clone(&exchange));
        exchange
    }

    /// Those for `hash` that were under way between the two times, as told from `from` on.
    pub fn during(&self, hash: u64, from: Instant, to: Instant) -> Vec<TraceExchange> {
        let all = self.0.lock();
        let of = |one: &&Arc<Exchange>| {
            one.hash == hash && one.started <= to && one.ended_at().is_none_or(|end| end >= from)
        };
        all.iter().filter(of).take(TOLD).map(|one| one.told(from)).collect()
    }
}

impl Exchange {
    fn step(&self, cell: &AtomicU64) {
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        // The first counts.
        let _later = cell.compare_exchange(0, micros.max(1), Relaxed, Relaxed);
    }

    /// Its head is there, on this connection.
    pub fn answered(&self, status: u16, leased: Option<Leased>) {
        self.step(&self.head);
        let _once = self.status.set(status);
        if let Some(leased) = leased {
            let _once = self.leased.set(leased);
        }
    }

    /// A piece of its body came.
    pub fn piece(&self, bytes: usize) {
        if self.bytes.fetch_add(bytes as u64, Relaxed) == 0 {
            self.step(&self.first);
        }
    }

    /// It is over, or nobody reads on.
    pub fn ended(&self) {
        self.step(&self.ended);
    }

    /// It is over, and not well.
    pub fn failed(&self, error: &impl ToString) {
        let mut text = error.to_string();
        cut(&mut text, super::TEXT_MAX);
        let _once = self.error.set(text);
        self.ended();
    }

    fn ended_at(&self) -> Option<Instant> {
        match self.ended.load(Relaxed) {
            0 => None,
            micros => Some(self.started + Duration::from_micros(micros)),
        }
    }

    fn told(&self, from: Instant) -> TraceExchange {
        let at = match self.started.checked_duration_since(from) {
            Some(after) => after.as_secs_f64(),
            None => -(from - self.started).as_secs_f64(),
        };
        let step = |cell: &AtomicU64| match cell.load(Relaxed) {
            0 => None,
            micros => Some(micros as f64 / 1e3),
        };
        TraceExchange {
            upstream: self.upstream.clone(),
            method: self.method.to_string(),
            path: self.path.clone(),
            range: self.range.clone(),
            at_ms: millis(at),
            connected_ms: self.leased.get().map(|leased| millis(leased.waited.as_secs_f64())),
            reused: self.leased.get().map(|leased| leased.reused),
            head_ms: step(&self.head),
            first_ms: step(&self.first),
            ended_ms: step(&self.ended),
            status: self.status.get().copied(),
            bytes: self.bytes.load(Relaxed),
            error: self.error.get().cloned(),
        }
    }
}

/// Ends an exchange when its body is let go of, whole or not.
#[derive(Debug)]
pub struct Ends(pub Arc<Exchange>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.ended();
    }
}
