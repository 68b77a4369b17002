//! An upstream that is watched: what it was asked, what it answered, how it is.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use futures::{FutureExt, StreamExt, future::BoxFuture};
use parking_lot::Mutex;
use prometheus::{Histogram, IntCounter, IntCounterVec};
use tokio::time::Instant;
use weir_edge_fill::upstream::{Upstream, UpstreamError, UpstreamRequest, UpstreamResponse};

/// Counters of one upstream since start.
#[derive(Debug)]
pub struct Tally {
    pub requests: AtomicU64,
    /// No answer, or one of 500 and above.
    pub errors: AtomicU64,
    pub bytes: AtomicU64,
    /// Whether the last request failed.
    pub failing: AtomicBool,
    pub last_error: Mutex<Option<String>>,
    received: IntCounter,
    codes: IntCounterVec,
    ttfb: Histogram,
}

/// One upstream of the configuration.
#[derive(Debug)]
pub struct Observed {
    upstream: Arc<dyn Upstream>,
    /// `s3` or `http`.
    pub kind: &'static str,
    pub tally: Arc<Tally>,
}

impl Observed {
    pub fn new(
        upstream: Arc<dyn Upstream>,
        kind: &'static str,
        received: IntCounter,
        codes: IntCounterVec,
        ttfb: Histogram,
    ) -> Self {
        let tally = Tally {
            requests: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            last_error: Mutex::new(None),
            received,
            codes,
            ttfb,
        };
        Self { upstream, kind, tally: Arc::new(tally) }
    }
}

impl Tally {
    fn failed(&self, why: String) {
        self.errors.fetch_add(1, Relaxed);
        self.failing.store(true, Relaxed);
        *self.last_error.lock() = Some(why);
    }

    fn answered(&self, id: &str, result: &Result<UpstreamResponse, UpstreamError>) {
        self.requests.fetch_add(1, Relaxed);
        let code = match result {
            Ok(response) => match response.status.as_u16() {
                0..200 => "1xx",
                200..300 => "2xx",
                300..400 => "3xx",
                400..500 => "4xx",
                _ => "5xx",
            },
            Err(_) => "none",
        };
        // Once for each upstream request, far from the path of a hit.
        self.codes.with_label_values(&[id, code]).inc();
        match result {
            Ok(response) if response.status.is_server_error() => {
                self.failed(format!("it answered {}", response.status));
            }
            Ok(_) => self.failing.store(false, Relaxed),
            Err(error) => self.failed(error.to_string()),
        }
    }
}

impl Upstream for Observed {
    fn id(&self) -> &str {
        self.upstream.id()
    }

    fn send(
        &self,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        async move {
            let started = Instant::now();
            let result = self.upstream.send(request).await;
            self.tally.answered(self.id(), &result);
            let mut response = result?;
            // Only answers: a refused connection would make a dead origin look fast.
            self.tally.ttfb.observe(started.elapsed().as_secs_f64());
            let tally = Arc::clone(&self.tally);
            let body = response.body.inspect(move |piece| match piece {
                Ok(piece) => {
                    tally.bytes.fetch_add(piece.len() as u64, Relaxed);
                    tally.received.inc_by(piece.len() as u64);
                }
                Err(error) => tally.failed(error.to_string()),
            });
            response.body = body.boxed();
            Ok(response)
        }
        .boxed()
    }
}
