//! What a run came to, in numbers and as JSON.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value, json};
use weir_benches_content::{Class, Verdict};

use crate::connection::{Exchange, Protocol};

/// Times kept for quantiles; a longer run keeps its first so many.
const TIMES: usize = 1 << 20;
/// Different errors told apart; more are counted under `other`.
const ERRORS: usize = 32;

/// Sums over a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// The protocol that was spoken.
    pub protocol: Protocol,
    /// Exchanges that began.
    pub requests: u64,
    /// Body bytes that came.
    pub bytes: u64,
    /// Exchanges by status; 0 for none.
    pub statuses: BTreeMap<u16, u64>,
    /// Exchanges that ended early, by reason.
    pub errors: BTreeMap<String, u64>,
    /// Wrong bytes that were passed off as right.
    pub wrong: Verdict,
    /// Responses with `Cache-Status` saying hit.
    pub hits: u64,
    /// How long it took.
    pub elapsed: Duration,
    first_bytes: Vec<Duration>,
    totals: Vec<Duration>,
}

impl Report {
    /// Nothing yet.
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            requests: 0,
            bytes: 0,
            statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
            wrong: Verdict::default(),
            hits: 0,
            elapsed: Duration::ZERO,
            first_bytes: Vec::new(),
            totals: Vec::new(),
        }
    }

    /// Adds one exchange.
    pub fn add(&mut self, exchange: &Exchange) {
        self.requests += 1;
        self.bytes += exchange.bytes;
        let status = exchange.status.map_or(0, |status| status.as_u16());
        *self.statuses.entry(status).or_default() += 1;
        if let Some(error) = &exchange.error {
            self.error(error);
        }
        self.wrong.merge(&exchange.lied());
        let said = exchange.headers.get("cache-status").and_then(|value| value.to_str().ok());
        self.hits += u64::from(said.is_some_and(|value| value.contains("hit")));
        if self.totals.len() < TIMES {
            self.first_bytes.extend(exchange.first_byte_after());
            self.totals.push(exchange.ended - exchange.begun);
        }
    }

    /// Counts an error that has no exchange, such as a refused connection.
    pub fn error(&mut self, error: &str) {
        let known = self.errors.len() < ERRORS || self.errors.contains_key(error);
        let name = if known { error } else { "other" };
        *self.errors.entry(name.to_owned()).or_default() += 1;
    }

    /// Adds another stream's sums.
    pub fn merge(&mut self, other: Self) {
        self.requests += other.requests;
        self.bytes += other.bytes;
        self.hits += other.hits;
        self.wrong.merge(&other.wrong);
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (error, count) in other.errors {
            *self.errors.entry(error).or_default() += count;
        }
        self.first_bytes.extend(other.first_bytes);
        self.totals.extend(other.totals);
    }

    /// All errors together.
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// One object for machines. Times are milliseconds.
    pub fn to_json(&self) -> Value {
        let wrong: Map<String, Value> = Class::ALL
            .into_iter()
            .map(|class| (class.as_str().to_owned(), self.wrong.count(class).into()))
            .collect();
        let seconds = self.elapsed.as_secs_f64();
        json!({
            "protocol": self.protocol.as_str(),
            "requests": self.requests,
            "bytes": self.bytes,
            "seconds": seconds,
            "gbit_per_s": self.bytes as f64 * 8.0 / 1e9 / seconds.max(1e-9),
            "requests_per_s": self.requests as f64 / seconds.max(1e-9),
            "hits": self.hits,
            "statuses": self.statuses,
            "errors": self.errors,
            "wrong_bytes": wrong,
            "first_wrong": self.wrong.first.map(|_| self.wrong.to_string()),
            "first_body_byte_ms": quantiles(&self.first_bytes),
            "whole_ms": quantiles(&self.totals),
        })
    }
}

fn quantiles(times: &[Duration]) -> Value {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = |share: f64| {
        let place = (sorted.len().saturating_sub(1)) as f64 * share;
        sorted.get(place.round() as usize).map(|time| time.as_secs_f64() * 1000.0)
    };
    json!({ "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p99_9": at(0.999), "max": at(1.0) })
}
