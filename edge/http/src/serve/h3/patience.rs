//! What one HTTP/3 connection may do that is allowed and costs us more than the client. Each kind
//! has a bucket; the connection whose bucket is empty ends with H3_EXCESSIVE_LOAD (RFC 9114 §8.1,
//! §10.5).

use std::sync::{Arc, OnceLock};

use h3::error::Code;
use parking_lot::Mutex;
use quinn::FrameStats;
use tokio::time::{Duration, Instant};

use super::adapter::var_int;
use crate::{
    counters::Counters,
    gate::{Bucket, Refill},
    message::Excess,
};

/// Tokens a second, and how many seconds' are saved up.
fn refill(of: Excess) -> Refill {
    let (second, seconds) = match of {
        // A player takes a request back when it seeks or changes the rendition.
        Excess::Resets => (20, 10),
        // Nobody's do, but a bug's.
        Excess::Malformed => (5, 10),
        // A PRIORITY_UPDATE or two for each request, where a page asks for a hundred at once.
        Excess::Control => (100, 10),
        // A cancellation for each request that is taken back.
        Excess::Instructions => (100, 10),
        // To keep us tolerant: a few of each.
        Excess::Frames => (20, 10),
        Excess::Streams => (2, 20),
        // Keep-alive, probes of a path, streams that wait for room; see `frames`.
        Excess::Transport => (200, 10),
    };
    Refill::of(second, seconds)
}

/// Of one connection.
pub(super) struct Patience {
    connection: quinn::Connection,
    counters: Arc<Counters>,
    since: Instant,
    buckets: Mutex<[Bucket; Excess::ALL.len()]>,
    /// Frames of QUIC that were counted already.
    seen: Mutex<u64>,
    ended: OnceLock<Excess>,
}

impl Patience {
    pub(super) fn new(connection: quinn::Connection, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self {
            connection,
            counters,
            since: Instant::now(),
            buckets: Mutex::default(),
            seen: Mutex::new(0),
            ended: OnceLock::new(),
        })
    }

    fn now(&self) -> Duration {
        self.since.elapsed()
    }

    /// False when it has come to an end; the connection is closed then.
    pub(super) fn spend(&self, of: Excess, times: u64) -> bool {
        let (refill, now) = (refill(of), self.now());
        let left = {
            let mut buckets = self.buckets.lock();
            (0..times).all(|_| buckets[of as usize].take(refill, now))
        };
        if !left && self.ended.set(of).is_ok() {
            self.counters.exceeded(of);
            let code = var_int(Code::H3_EXCESSIVE_LOAD.value());
            self.connection.close(code, of.to_string().as_bytes());
        }
        left
    }

    /// Looks at what the transport has counted. `requests`: those that began so far.
    pub(super) fn look(&self, requests: u64) -> bool {
        let stats = self.connection.stats();
        let beyond = frames(&stats.frame_rx, requests, stats.udp_tx.bytes);
        let new = {
            let mut seen = self.seen.lock();
            let new = beyond.saturating_sub(*seen);
            *seen = (*seen).max(beyond);
            new
        };
        // As many as no bucket holds are too many, whatever the number.
        self.spend(Excess::Transport, new.min(1 << 16))
    }
}

/// Frames of QUIC beyond those that there is a reason for: some for each request, and one for each
/// kilobyte that was sent, since a client that reads moves its windows.
fn frames(rx: &FrameStats, requests: u64, sent: u64) -> u64 {
    let all = [
        rx.ping,
        rx.path_challenge,
        rx.path_response,
        rx.new_connection_id,
        rx.retire_connection_id,
        rx.crypto,
        rx.data_blocked,
        rx.stream_data_blocked,
        rx.streams_blocked_bidi,
        rx.streams_blocked_uni,
        rx.reset_stream,
        rx.stop_sending,
        rx.max_data,
        rx.max_stream_data,
    ];
    let all = all.into_iter().fold(0, u64::saturating_add);
    all.saturating_sub(requests.saturating_mul(8)).saturating_sub(sent / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_reason_for_some_frames() {
        let check = |ping, moved, requests, sent, expected| {
            let mut rx = FrameStats::default();
            (rx.ping, rx.max_stream_data) = (ping, moved);
            assert_eq!(frames(&rx, requests, sent), expected, "{ping} {moved} {requests} {sent}");
        };
        check(0, 0, 0, 0, 0);
        check(3, 0, 0, 0, 3);
        check(3, 0, 1, 0, 0);
        check(0, 10_000, 10, 100 << 20, 0);
        check(0, 10_000, 10, 1 << 20, 8896);
        check(u64::MAX, u64::MAX, 1, 0, u64::MAX - 8);
    }
}
