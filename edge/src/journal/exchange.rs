//! What upstreams were asked lately, with the time of each step: a bounded ring for a node, and
//! never on the path of a hit.

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use weir_config_admin::TraceExchange;
use weir_config_telemetry::{
    RequestId,
    traces::{SpanId, TraceId},
};
use weir_edge_cache::ObjectId;
use weir_edge_fill::upstream::{UpstreamError, UpstreamRequest};
use weir_edge_http::client::Leased;

use super::{finished::cut, millis};
use crate::traces::{Behalf, Peer, Trail};

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
    pub(crate) upstream: String,
    pub(crate) peer: Arc<Peer>,
    pub(crate) method: http::Method,
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) started: Instant,
    /// What it is about; none where nobody said.
    object: Option<ObjectId>,
    /// Who began it; none where the node did by itself.
    request: Option<RequestId>,
    /// Its trace, and its span there.
    trail: Option<(Arc<Trail>, SpanId)>,
    /// Its span was told.
    told: AtomicBool,
    leased: OnceLock<Leased>,
    /// Microseconds from the start; 0 where it did not come to it.
    head: AtomicU64,
    first: AtomicU64,
    ended: AtomicU64,
    status: OnceLock<u16>,
    bytes: AtomicU64,
    error: OnceLock<(&'static str, String)>,
}

/// How far one came, each step from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Steps {
    pub(crate) span: Option<SpanId>,
    pub(crate) connected: Option<Duration>,
    pub(crate) reused: bool,
    pub(crate) head: Option<Duration>,
    pub(crate) first: Option<Duration>,
    pub(crate) ended: Option<Duration>,
    pub(crate) status: Option<u16>,
    pub(crate) bytes: u64,
    /// Of which kind its error is.
    pub(crate) error: Option<&'static str>,
}

impl Exchanges {
    /// Begins one; the oldest is forgotten.
    pub(crate) fn begin(
        &self,
        upstream: &str,
        peer: &Arc<Peer>,
        behalf: Option<Behalf>,
        request: &UpstreamRequest,
    ) -> Arc<Exchange> {
        let object = behalf.as_ref().map(|behalf| behalf.object);
        let asker = behalf.as_ref().and_then(|behalf| behalf.request);
        let trail = behalf.and_then(|behalf| behalf.trail).map(|trail| {
            let span = trail.span();
            (trail, span)
        });
        let text = |value: &http::HeaderValue| value.to_str().unwrap_or("?").to_owned();
        let mut path = weir_edge_token::redact(&request.path_and_query).into_owned();
        cut(&mut path, super::TEXT_MAX);
        let exchange = Arc::new(Exchange {
            upstream: upstream.to_owned(),
            peer: Arc::clone(peer),
            method: request.method.clone(),
            path,
            range: request.headers.get(http::header::RANGE).map(text),
            started: Instant::now(),
            object,
            request: asker,
            trail,
            told: AtomicBool::new(false),
            leased: OnceLock::new(),
            head: AtomicU64::new(0),
            first: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            status: OnceLock::new(),
            bytes: AtomicU64::new(0),
            error: OnceLock::new(),
        });
        if let Some((trail, _)) = &exchange.trail {
            trail.began(&exchange);
        }
        let mut all = self.0.lock();
        if all.len() >= EXCHANGES {
            all.pop_front();
        }
        all.push_back(Arc::clone(&exchange));
        exchange
    }

    /// Those about `object` that were under way between the two times, as told from `from` on.
    pub fn during(&self, object: ObjectId, from: Instant, to: Instant) -> Vec<TraceExchange> {
        let all = self.0.lock();
        let of = all.iter().filter(|one| one.is_of(object, from, to));
        of.take(TOLD).map(|one| one.told(from)).collect()
    }

    /// Spans of the same that belong to other traces.
    pub(crate) fn others(
        &self,
        object: ObjectId,
        trace: TraceId,
        from: Instant,
        to: Instant,
    ) -> Vec<(TraceId, SpanId)> {
        let all = self.0.lock();
        let span = |one: &Arc<Exchange>| {
            let (trail, span) = one.trail.as_ref()?;
            (trail.root.trace != trace).then_some((trail.root.trace, *span))
        };
        all.iter().filter(|one| one.is_of(object, from, to)).filter_map(span).take(TOLD).collect()
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
        if let Some((trail, _)) = &self.trail {
            trail.ended(self);
        }
    }

    /// It is over, and not well.
    pub fn failed(&self, error: &UpstreamError) {
        let mut text = error.to_string();
        cut(&mut text, super::TEXT_MAX);
        let _once = self.error.set((kind(error), text));
        self.ended();
    }

    fn is_of(&self, object: ObjectId, from: Instant, to: Instant) -> bool {
        self.object == Some(object)
            && self.started <= to
            && self.ended_at().is_none_or(|end| end >= from)
    }

    /// Whether it is over and its span was not asked for yet.
    pub(crate) fn told_once(&self) -> bool {
        self.ended.load(Relaxed) > 0 && !self.told.swap(true, Relaxed)
    }

    /// The span that upstream knows it by, and the trace it belongs to.
    pub(crate) fn trail(&self) -> Option<(&Trail, SpanId)> {
        self.trail.as_ref().map(|(trail, span)| (&**trail, *span))
    }

    pub(crate) fn steps(&self) -> Steps {
        let step = |cell: &AtomicU64| match cell.load(Relaxed) {
            0 => None,
            micros => Some(Duration::from_micros(micros)),
        };
        Steps {
            span: self.trail.as_ref().map(|(_, span)| *span),
            connected: self.leased.get().map(|leased| leased.waited),
            reused: self.leased.get().is_some_and(|leased| leased.reused),
            head: step(&self.head),
            first: step(&self.first),
            ended: step(&self.ended),
            status: self.status.get().copied(),
            bytes: self.bytes.load(Relaxed),
            error: self.error.get().map(|(kind, _)| *kind),
        }
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
        let steps = self.steps();
        let ms = |step: Option<Duration>| step.map(|after| after.as_micros() as f64 / 1e3);
        TraceExchange {
            upstream: self.upstream.clone(),
            method: self.method.to_string(),
            path: self.path.clone(),
            range: self.range.clone(),
            at_ms: millis(at),
            request: self.request.map(|id| id.to_string()),
            connected_ms: self.leased.get().map(|leased| millis(leased.waited.as_secs_f64())),
            reused: self.leased.get().map(|leased| leased.reused),
            head_ms: ms(steps.head),
            first_ms: ms(steps.first),
            ended_ms: ms(steps.ended),
            status: steps.status,
            bytes: steps.bytes,
            error: self.error.get().map(|(_, text)| text.clone()),
        }
    }
}

/// One of few words for an error.
fn kind(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Connect { .. } => "connect",
        UpstreamError::Silent { .. } => "timeout",
        UpstreamError::Truncated { .. } => "truncated",
        UpstreamError::Dripping { .. } => "too_slow",
        UpstreamError::Overlong { .. } => "overlong",
        UpstreamError::Contradiction { .. } => "contradiction",
        UpstreamError::Protocol { .. } => "protocol",
        UpstreamError::Refused { .. } => "refused",
        UpstreamError::Withheld { .. } => "withheld",
        UpstreamError::Status { .. } => "status",
        UpstreamError::ClientBody { .. } => "client_body",
        UpstreamError::NoSlot => "no_slot",
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
