//! What is told of each request: metrics, and a line of the access log when its answer is over.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use prometheus::{HistogramVec, IntCounter, IntCounterVec};
use serde::Serialize;
use tokio::time::Instant;
use weir_config_lifecycle::Clock;
use weir_config_telemetry::{AccessLog, Metrics, families::origin as families};

use super::operation::{Learnt, Trail};

/// What all requests report to.
pub(super) struct Reports {
    requests: IntCounterVec,
    sent: IntCounter,
    received: IntCounter,
    first_byte: HistogramVec,
    refused: IntCounterVec,
    access: Option<AccessLog>,
    clock: Arc<dyn Clock>,
    /// Numbers requests from the start of the process on.
    count: AtomicU64,
    began_millis: u64,
}

/// One request under way. Dropped, it is over: its line is written then.
pub(super) struct Report {
    reports: Arc<Reports>,
    pub(super) id: String,
    pub(super) trail: Trail,
    peer: SocketAddr,
    method: String,
    path: String,
    agent: Option<String>,
    begun: Instant,
    begun_millis: u64,
    received: Arc<AtomicU64>,
    status: StatusCode,
    headers_after: Duration,
    sent: u64,
    /// Whether the answer ended where it should.
    whole: bool,
}

/// One line of the access log. The query is not in it: it may carry a signature.
#[derive(Serialize)]
struct Line<'a> {
    time_ms: u64,
    request_id: &'a str,
    peer: SocketAddr,
    access_key: Option<&'a str>,
    operation: &'a str,
    method: &'a str,
    path: &'a str,
    status: u16,
    received_bytes: u64,
    sent_bytes: u64,
    headers_us: u64,
    total_us: u64,
    whole: bool,
    agent: Option<&'a str>,
}

impl Reports {
    pub(super) fn new(metrics: &Metrics, access: Option<AccessLog>, clock: Arc<dyn Clock>) -> Self {
        metrics
            .gauges(&families::BUILD_INFO)
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        Self {
            requests: metrics.counters(&families::REQUESTS),
            sent: metrics.counter(&families::SENT_BYTES),
            received: metrics.counter(&families::RECEIVED_BYTES),
            first_byte: metrics.histograms(&families::TTFB),
            refused: metrics.counters(&families::AUTH_FAILURES),
            access,
            began_millis: clock.unix_millis(),
            clock,
            count: AtomicU64::new(0),
        }
    }

    pub(super) fn begin<B>(
        self: &Arc<Self>,
        request: &http::Request<B>,
        peer: SocketAddr,
    ) -> Report {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let agent = request.headers().get(http::header::USER_AGENT);
        Report {
            id: format!("{:011X}{count:08X}", self.began_millis),
            trail: Trail::default(),
            peer,
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            agent: agent.and_then(|value| value.to_str().ok()).map(str::to_owned),
            begun: Instant::now(),
            begun_millis: self.clock.unix_millis(),
            received: Arc::default(),
            status: StatusCode::INTERNAL_SERVER_ERROR,
            headers_after: Duration::ZERO,
            sent: 0,
            whole: false,
            reports: Arc::clone(self),
        }
    }
}

impl Report {
    /// Counts the bytes of the request's body.
    pub(super) fn received(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.received)
    }

    /// The answer's headers are known.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = status;
        self.headers_after = self.begun.elapsed();
        let Learnt { operation, refusal, .. } = self.trail.learnt();
        let operation = operation.map_or("other", |operation| operation.as_str());
        let first_byte = self.reports.first_byte.with_label_values(&[operation]);
        first_byte.observe(self.headers_after.as_secs_f64());
        self.reports.requests.with_label_values(&[operation, class(status)]).inc();
        if let Some(reason) = refusal {
            self.reports.refused.with_label_values(&[reason]).inc();
        }
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    /// The answer ended where it should.
    pub(super) fn ended(&mut self) {
        self.whole = true;
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let received = self.received.load(Ordering::Relaxed);
        self.reports.sent.inc_by(self.sent);
        self.reports.received.inc_by(received);
        let Some(access) = &self.reports.access else { return };
        let learnt = self.trail.learnt();
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        access.record(&Line {
            time_ms: self.begun_millis,
            request_id: &self.id,
            peer: self.peer,
            access_key: learnt.key_id.as_deref(),
            operation: learnt.operation.map_or("other", |operation| operation.as_str()),
            method: &self.method,
            path: &self.path,
            status: self.status.as_u16(),
            received_bytes: received,
            sent_bytes: self.sent,
            headers_us: micros(self.headers_after),
            total_us: micros(self.begun.elapsed()),
            whole: self.whole,
            agent: self.agent.as_deref(),
        });
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        0..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}
