//! What a request had its upstreams asked, until it is known whether it is told: the request may
//! end before what it began, and the other way round.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use tokio::time::Instant;
use weir_config_telemetry::traces::{Span, SpanId};

use super::{Root, Traces, spans};
use crate::journal::Exchange;

/// Exchanges of one request that wait for its end; further ones are told where they end after it.
const WAITING: usize = 32;

/// Of one request that had an upstream asked.
#[derive(Debug)]
pub struct Trail {
    traces: Arc<Traces>,
    pub(crate) root: Root,
    /// When the request began, by the clock of its phases and in Unix milliseconds.
    began: (Instant, u64),
    parts: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// The request goes on.
    Open(Vec<Arc<Exchange>>),
    /// It is over, and told or not.
    Decided(bool),
}

impl Trail {
    pub(crate) fn new(traces: &Arc<Traces>, root: Root, began: (Instant, u64)) -> Arc<Self> {
        Arc::new(Self {
            traces: Arc::clone(traces),
            root,
            began,
            // The first ones are phases.
            parts: AtomicU64::new(spans::PHASES),
            state: Mutex::new(State::Open(Vec::new())),
        })
    }

    /// A span for an exchange that begins.
    pub(crate) fn span(&self) -> SpanId {
        self.root.part(self.parts.fetch_add(1, Relaxed))
    }

    /// What goes with it.
    pub(crate) fn fields(&self, span: SpanId) -> Vec<(HeaderName, Option<HeaderValue>)> {
        self.root.fields(span)
    }

    /// An exchange has begun.
    pub(crate) fn began(&self, exchange: &Arc<Exchange>) {
        if let State::Open(waiting) = &mut *self.state.lock()
            && waiting.len() < WAITING
        {
            waiting.push(Arc::clone(exchange));
        }
    }

    /// An exchange is over.
    pub(crate) fn ended(&self, exchange: &Exchange) {
        let told = matches!(*self.state.lock(), State::Decided(true));
        if told && let Some(span) = self.once(exchange) {
            self.traces.push(vec![span]);
        }
    }

    /// The request is over, and told or not: spans of what ended before it.
    pub(super) fn decide(&self, told: bool) -> Vec<Span> {
        let before = std::mem::replace(&mut *self.state.lock(), State::Decided(told));
        match before {
            State::Open(waiting) if told => {
                waiting.iter().filter_map(|exchange| self.once(exchange)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Its span, where it is over and was not told yet.
    fn once(&self, exchange: &Exchange) -> Option<Span> {
        exchange.told_once().then(|| spans::exchange(exchange, &self.root, self.began)).flatten()
    }
}
