//! An upstream that is watched: what it was asked, what it answered, how it is.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use futures::{FutureExt, StreamExt, future::BoxFuture};
use parking_lot::Mutex;
use prometheus::{Histogram, IntCounter, IntCounterVec};
use tokio::{sync::Semaphore, time::Instant};
use weir_edge_fill::{
    guard::{Circuit, Guard, Sort},
    hedge::Winner,
    upstream::{Filling, Upstream, UpstreamError, UpstreamRequest, UpstreamResponse},
};
use weir_edge_http::client::{instead, leasing};

use crate::{
    journal::{Ends, Exchanges},
    traces::{self, Peer},
};

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
    /// What stands for it in the metrics.
    label: String,
    received: IntCounter,
    codes: IntCounterVec,
    ttfb: Histogram,
    withheld: IntCounter,
    hedges: IntCounterVec,
    peer: Arc<Peer>,
    exchanges: Arc<Exchanges>,
}

/// What of an upstream's metrics is its own.
#[derive(Debug)]
pub struct Told {
    pub label: String,
    pub received: IntCounter,
    pub codes: IntCounterVec,
    pub ttfb: Histogram,
    pub withheld: IntCounter,
    pub hedges: IntCounterVec,
    /// Where it is.
    pub(crate) peer: Arc<Peer>,
    /// Where each of its exchanges is noted.
    pub exchanges: Arc<Exchanges>,
}

/// One upstream of the configuration.
#[derive(Debug)]
pub struct Observed {
    upstream: Arc<dyn Upstream>,
    /// `s3` or `http`.
    pub kind: &'static str,
    pub tally: Arc<Tally>,
    guard: Arc<Guard>,
}

impl Observed {
    pub fn new(
        upstream: Arc<dyn Upstream>,
        kind: &'static str,
        guard: Arc<Guard>,
        told: Told,
    ) -> Self {
        let Told { label, received, codes, ttfb, withheld, hedges, peer, exchanges } = told;
        let tally = Tally {
            requests: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            last_error: Mutex::new(None),
            label,
            received,
            codes,
            ttfb,
            withheld,
            hedges,
            peer,
            exchanges,
        };
        Self { upstream, kind, tally: Arc::new(tally), guard }
    }

    /// What stands for it in the metrics.
    pub fn label(&self) -> &str {
        &self.tally.label
    }

    /// What is asked before it is.
    pub fn guard(&self) -> &Arc<Guard> {
        &self.guard
    }

    /// The same with its connections and counts, behind `guard`.
    pub fn under(self: &Arc<Self>, guard: Arc<Guard>) -> Arc<Self> {
        if Arc::ptr_eq(&guard, &self.guard) {
            return Arc::clone(self);
        }
        let (upstream, tally) = (Arc::clone(&self.upstream), Arc::clone(&self.tally));
        Arc::new(Self { upstream, kind: self.kind, tally, guard })
    }

    /// How its circuit stands.
    pub fn circuit(&self) -> Circuit {
        self.guard.circuit(Instant::now().into_std())
    }

    async fn ask(
        &self,
        again: bool,
        mut request: UpstreamRequest,
    ) -> Result<UpstreamResponse, UpstreamError> {
        let started = Instant::now();
        let sort = if request.body.is_some() { Sort::Upload } else { Sort::Plain };
        let leave = self.guard.ask(started.into_std(), sort, again);
        let leave = leave.inspect_err(|error| self.tally.withheld(error))?;
        // An adapter tells of a body that it could not send; why, only the body knows.
        let broke = Arc::new(OnceLock::new());
        request.body = request.body.map(|body| {
            let broke = Arc::clone(&broke);
            let note = move |piece: &Result<_, UpstreamError>| {
                if let Err(error) = piece {
                    let _only_the_first = broke.set(error.clone());
                }
            };
            body.inspect(note).boxed()
        });
        let (peer, behalf) = (&self.tally.peer, traces::current());
        let exchange = self.tally.exchanges.begin(self.id(), peer, behalf, &request);
        let ends = Ends(Arc::clone(&exchange));
        // Below the adapters, so that it goes with requests to S3, too.
        let fields = exchange.trail().map(|(trail, span)| trail.fields(span)).unwrap_or_default();
        let sent = instead(fields, self.upstream.send(request));
        let (result, leased) = leasing(sent).await;
        let result = result.map_err(|error| broke.get().cloned().unwrap_or(error));
        leave.told(Instant::now().into_std(), &result);
        self.tally.answered(&result);
        let mut response = result.inspect_err(|error| exchange.failed(error))?;
        exchange.answered(response.status.as_u16(), leased);
        // Only answers: a refused connection would make a dead origin look fast.
        self.tally.ttfb.observe(started.elapsed().as_secs_f64());
        let tally = Arc::clone(&self.tally);
        let body = response.body.inspect(move |piece| match piece {
            Ok(piece) => {
                ends.0.piece(piece.len());
                tally.bytes.fetch_add(piece.len() as u64, Relaxed);
                tally.received.inc_by(piece.len() as u64);
            }
            Err(error) => {
                ends.0.failed(error);
                tally.failed(error.to_string());
            }
        });
        response.body = body.boxed();
        Ok(response)
    }
}

impl Tally {
    /// A second upstream was asked beside this one, which took long.
    pub fn hedged(&self, winner: Winner) {
        self.hedges.with_label_values(&[&*self.label, winner.as_str()]).inc();
    }

    /// Not sent, which is no error of its own: what went before was.
    fn withheld(&self, why: &UpstreamError) {
        self.withheld.inc();
        self.failing.store(true, Relaxed);
        *self.last_error.lock() = Some(why.to_string());
    }

    fn failed(&self, why: String) {
        self.errors.fetch_add(1, Relaxed);
        self.failing.store(true, Relaxed);
        *self.last_error.lock() = Some(why);
    }

    fn answered(&self, result: &Result<UpstreamResponse, UpstreamError>) {
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
        self.codes.with_label_values(&[&self.label, code]).inc();
        match result {
            Ok(response) if response.status.is_server_error() => {
                self.failed(format!("it answered {}", response.status));
            }
            Ok(_) => self.failing.store(false, Relaxed),
            // A client's own fault says nothing of the upstream.
            Err(UpstreamError::ClientBody { .. }) => {}
            Err(error) => self.failed(error.to_string()),
        }
    }
}

impl Upstream for Observed {
    fn id(&self) -> &str {
        self.upstream.id()
    }

    fn slots(&self) -> Option<Arc<Semaphore>> {
        Some(Arc::clone(self.guard.slots()))
    }

    fn send(
        &self,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        self.ask(false, request).boxed()
    }

    fn fill(
        &self,
        filling: Filling,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        self.ask(filling.failures > 0 && !filling.earned, request).boxed()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::stream;
    use http::{HeaderMap, Method};
    use prometheus::{HistogramOpts, Opts};

    use weir_edge_fill::guard::Rules;

    use super::*;

    fn told() -> Told {
        let codes = Opts::new("codes", "of answers");
        Told {
            label: "upstream".to_owned(),
            received: IntCounter::new("received", "bytes").unwrap(),
            codes: IntCounterVec::new(codes, &["upstream", "code"]).unwrap(),
            ttfb: Histogram::with_opts(HistogramOpts::new("ttfb", "seconds")).unwrap(),
            withheld: IntCounter::new("withheld", "requests").unwrap(),
            hedges: IntCounterVec::new(Opts::new("hedges", "twice"), &["origin", "winner"])
                .unwrap(),
            peer: Arc::new(Peer { base: "http://down".into(), address: "down".into(), port: 80 }),
            exchanges: Arc::default(),
        }
    }

    /// Says that it cannot.
    #[derive(Debug)]
    struct Down(AtomicU64);

    impl Upstream for Down {
        fn id(&self) -> &'static str {
            "down"
        }

        fn send(
            &self,
            _: UpstreamRequest,
        ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
            self.0.fetch_add(1, Relaxed);
            let reason = "refused".into();
            async { Err(UpstreamError::Connect { upstream: "down".into(), reason }) }.boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_down_is_not_asked_for_a_while() {
        let down = Arc::new(Down(AtomicU64::new(0)));
        let rules = Rules::of(std::time::Duration::from_secs(1));
        let guard = Guard::new("down", 1, rules);
        let observed = Observed::new(Arc::clone(&down) as _, "http", guard, told());
        let ask = || {
            observed.send(UpstreamRequest {
                method: Method::GET,
                path_and_query: "/".into(),
                authority: None,
                headers: HeaderMap::new(),
                body: None,
                deadline: std::time::Duration::from_secs(1),
            })
        };
        for _ in 0..100 {
            assert!(ask().await.is_err());
        }
        assert_eq!((down.0.load(Relaxed), observed.circuit()), (20, Circuit::Open));
        assert_eq!(observed.tally.requests.load(Relaxed), 20);
        assert_eq!(observed.tally.withheld.get(), 80);
        assert!(matches!(ask().await, Err(UpstreamError::Withheld { .. })));
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert!(matches!(ask().await, Err(UpstreamError::Connect { .. })));
    }

    /// Reads the body and says of one that breaks what an adapter can know.
    #[derive(Debug)]
    struct Reads;

    impl Upstream for Reads {
        fn id(&self) -> &'static str {
            "reads"
        }

        fn send(
            &self,
            request: UpstreamRequest,
        ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
            async move {
                let mut body = request.body.expect("a body");
                let refused = |reason: &str| UpstreamError::Refused {
                    upstream: "reads".into(),
                    reason: reason.into(),
                };
                while let Some(piece) = body.next().await {
                    piece.map_err(|_| refused("error writing a body to connection"))?;
                }
                Err(refused("enough"))
            }
            .boxed()
        }
    }

    #[tokio::test]
    async fn a_client_that_breaks_off_is_not_the_upstreams_failure() {
        let observed = Observed::new(
            Arc::new(Reads),
            "http",
            Guard::new("reads", 1, Rules::of(std::time::Duration::from_secs(1))),
            told(),
        );
        let send = |last: Result<Bytes, UpstreamError>| {
            let pieces = stream::iter([Ok(Bytes::from_static(b"a")), last]);
            observed.send(UpstreamRequest {
                method: Method::POST,
                path_and_query: "/".into(),
                authority: None,
                headers: HeaderMap::new(),
                body: Some(pieces.boxed()),
                deadline: std::time::Duration::from_secs(1),
            })
        };
        let broken = UpstreamError::ClientBody { reason: "reset".into() };
        assert!(matches!(send(Err(broken)).await, Err(UpstreamError::ClientBody { .. })));
        assert!(!observed.tally.failing.load(Relaxed) && observed.tally.errors.load(Relaxed) == 0);
        let whole = send(Ok(Bytes::from_static(b"b"))).await;
        assert!(matches!(whole, Err(UpstreamError::Refused { .. })));
        assert!(observed.tally.failing.load(Relaxed));
    }
}
