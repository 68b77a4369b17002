//! A request from top to bottom: admit, authorize, lookup, fill, deliver, record.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode, header, request::Parts};
use tokio::time::Instant;
use weir_edge_cache::{ObjectId, StoredObject};
use weir_edge_fill::{Answer, Ask, Found, Passed, Place, upstream::UpstreamError};
use weir_edge_freshness::{self as freshness, CacheStatus, Forward, PassReason};
use weir_edge_http::{ConnectionInfo, Handler, Request, RequestBody, Response, ResponseBody};

use crate::{
    admit::{self, Admitted},
    authorize,
    deliver::{self, Portion, Story},
    journal::Phase,
    lookup,
    node::Node,
    parts,
    record::{Outcome, Record},
    refuse::Refusal,
    service::{Cors, Preset},
};

/// How often an object that changes while it is being read is asked for anew, before the
/// first byte left.
const ANEW: usize = 3;

/// Answers the requests of one node.
#[derive(Debug)]
pub struct Edge {
    node: Arc<Node>,
}

impl Edge {
    pub fn new(node: Arc<Node>) -> Self {
        Self { node }
    }
}

impl Handler for Edge {
    async fn handle(&self, request: Request, connection: &Arc<ConnectionInfo>) -> Response {
        let mut record = Record::begin(&self.node, connection, &request);
        let services = self.node.services.load();
        record.client = services.clients().address(connection.peer.ip(), request.headers());
        record.traced(request.headers(), services.clients().trusts(connection.peer.ip()));
        // Before anything that costs.
        let client = services.clients().client(record.client);
        let placed = self.node.load.enter(client).map_err(Refusal::Shed);
        let admitted = placed.and_then(|place| {
            record.place = Some(place);
            admit::admit(&services, &request)
        });
        record.mark(Phase::Admit);
        let response = match admitted {
            Ok(admitted) => {
                drop(services);
                record.host(&admitted.host);
                record.service = Some(Arc::clone(&admitted.service.id));
                self.serve(&mut record, &admitted, request, connection.worker).await
            }
            Err(refusal) => {
                self.node.metrics.failed(refusal.fault());
                let mut response = refusal.response(&self.node.name);
                // It found no service, so whichever lets pages read it may: it holds nothing
                // but what was wrong with the request.
                if let Some(cors) = services.all().iter().find_map(|s| s.cors.as_ref()) {
                    cors.decorate(request.headers(), response.headers_mut());
                }
                response
            }
        };
        record.attach(response)
    }
}

impl Edge {
    /// Everything after admission, whatever comes of it, under the service's CORS rules.
    async fn serve(
        &self,
        record: &mut Record,
        admitted: &Admitted,
        request: Request,
        worker: usize,
    ) -> Response {
        let (head, body) = request.into_parts();
        let cors = admitted.service.cors.as_ref();
        if let Some(cors) = cors
            && head.method == Method::OPTIONS
            && Cors::is_preflight(&head.headers)
        {
            return cors.preflight(&head.headers, admitted.service.preset);
        }
        let now = self.node.clock.unix_seconds();
        let authorized = authorize::authorize(admitted, now, worker);
        record.mark(Phase::Authorize);
        let answered = match authorized {
            Ok(sid) => {
                record.sid = sid;
                self.answer(record, admitted, &head, body).await
            }
            Err(refusal) => Err(refusal),
        };
        let mut response = answered.unwrap_or_else(|refusal| {
            self.note(record, admitted, &refusal);
            refusal.response(&self.node.name)
        });
        if admitted.service.server_timing {
            record.timing(response.headers_mut());
        }
        if let Some(cors) = cors {
            cors.decorate(&head.headers, response.headers_mut());
        }
        response
    }

    fn note(&self, record: &mut Record, admitted: &Admitted, refusal: &Refusal) {
        self.node.metrics.failed(refusal.fault());
        match refusal {
            Refusal::Upstream(error) => {
                record.outcome = Outcome::Error;
                // Each is logged once, here, where it becomes an answer.
                tracing::warn!(service = %admitted.service.id, path = %admitted.path, %error,
                               "no answer from upstream");
            }
            Refusal::Busy | Refusal::Shed(_) | Refusal::Body(_) => record.outcome = Outcome::Error,
            Refusal::Token(reject) => self.node.metrics.token_rejected(*reject),
            Refusal::TokenMissing => self.node.metrics.token_missing(),
            _ => {}
        }
    }

    async fn answer(
        &self,
        record: &mut Record,
        admitted: &Admitted,
        head: &Parts,
        body: RequestBody,
    ) -> Result<Response, Refusal> {
        admit::check_method(&admitted.service, &head.method)?;
        if head.method == Method::OPTIONS && admitted.service.preset == Preset::Media {
            return Ok(options());
        }
        // RFC 9111 §4 [reuse.method, reuse.unsafe]
        if head.method != Method::GET && head.method != Method::HEAD {
            return self.forward(record, admitted, head, body).await;
        }
        let key = lookup::key(admitted);
        let id = ObjectId::of(&key);
        let control = lookup::control(&admitted.service, &head.headers);
        let engine = &self.node.engine;
        if let Some(object) = engine.fresh(&id, &key, &control)
            && let Some(response) = self.at_hand(record, admitted, head, &object)?
        {
            return Ok(response);
        }
        let ask = lookup::ask(admitted, Place { id, key: key.into() }, &head.headers);
        let mut fresh = engine.fresh_for(&ask);
        if let Some(object) = &fresh
            && let Some(response) = self.at_hand(record, admitted, head, object)?
        {
            return Ok(response);
        }
        let mut ask = if head.method == Method::HEAD { ask.head() } else { ask };
        fresh = fresh.or_else(|| engine.fresh_for(&ask));
        // RFC 9111 §5.2.1.7 [request.only-if-cached]
        if control.only_if_cached && fresh.is_none() {
            return Err(Refusal::OnlyIfCached);
        }
        record.mark(Phase::Lookup);
        // What is here is served first, and what somebody fetches anyhow.
        if fresh.is_none() && !engine.has_or_fetches(&ask) {
            self.node.load.fetch().map_err(Refusal::Shed)?;
        }
        record.asks(id, &mut ask);
        self.fetch(record, admitted, head, &ask).await
    }

    /// The hot path: everything the answer needs is in RAM.
    fn at_hand(
        &self,
        record: &mut Record,
        admitted: &Admitted,
        head: &Parts,
        object: &StoredObject,
    ) -> Result<Option<Response>, Refusal> {
        let stored = object.headers();
        let size = Some(object.size);
        let portion = deliver::portion(&head.method, &head.headers, object.status, &stored, size)?;
        let bodiless = head.method == Method::HEAD || portion == Portion::NotModified;
        let engine = &self.node.engine;
        let body = match &portion {
            _ if bodiless => ResponseBody::empty(),
            Portion::Parts(several) => {
                let pieces = |range| engine.at_hand(object, &parts::offsets(range));
                let pieces: Option<Vec<_>> = several.ranges.iter().map(pieces).collect();
                let Some(pieces) = pieces else { return Ok(None) };
                parts::at_hand(&several.frame(), pieces)
            }
            Portion::Part(_) | Portion::Whole | Portion::NotModified => {
                let range = match &portion {
                    Portion::Part(range) => parts::offsets(range),
                    _ => 0..object.size,
                };
                let Some(mut pieces) = engine.at_hand(object, &range) else { return Ok(None) };
                match pieces.len() {
                    0 => ResponseBody::empty(),
                    1 => ResponseBody::full(pieces.remove(0)),
                    _ => {
                        let pieces = futures::stream::iter(pieces.into_iter().map(Ok));
                        ResponseBody::stream(pieces, Some(range.end - range.start))
                    }
                }
            }
        };
        record.mark(Phase::Lookup);
        let story = Story::hit();
        let mut response = self.head(admitted, object, stored, &portion, size, &story);
        *response.body_mut() = body;
        record.outcome = story.outcome();
        Ok(Some(response))
    }

    /// Asks the fill engine, and once more when the object changed under our hands.
    async fn fetch(
        &self,
        record: &mut Record,
        admitted: &Admitted,
        head: &Parts,
        ask: &Ask,
    ) -> Result<Response, Refusal> {
        let client = self.node.services.load().clients().client(record.client);
        let account = self.node.engine.accounts().of(client);
        let ask = &Ask { client: Some(account), outlet: record.outlet(), ..ask.clone() };
        let due = Instant::now() + ask.policy.deadline;
        let mut anew = ANEW;
        loop {
            let resolved = self.node.engine.resolve_by(ask, due).await;
            record.mark(Phase::Fill);
            let found = match resolved.map_err(Refusal::from)? {
                Answer::Object(found) => found,
                Answer::Passed(passed) => {
                    self.pass(record).await?;
                    return Ok(self.passed(record, admitted, head, passed));
                }
            };
            match self.open(record, admitted, head, ask, &found).await {
                Err(Refusal::Upstream(UpstreamError::Contradiction { .. })) if anew > 0 => {
                    anew -= 1;
                }
                answer => return answer,
            }
        }
    }

    /// Takes a place among what holds a connection to an upstream, until the response is over.
    async fn pass(&self, record: &mut Record) -> Result<(), Refusal> {
        let client = self.node.services.load().clients().client(record.client);
        record.passage = Some(self.node.load.pass(client).await.map_err(Refusal::Shed)?);
        Ok(())
    }

    /// A response for this request alone.
    fn passed(
        &self,
        record: &mut Record,
        admitted: &Admitted,
        head: &Parts,
        passed: Passed,
    ) -> Response {
        let Passed { response, fwd, reason } = passed;
        record.outcome = Outcome::Bypass;
        let mut response = deliver::passed(&admitted.service, &head.method, response);
        self.bypassed(&mut response, fwd, reason.map(PassReason::as_str));
        response
    }

    async fn open(
        &self,
        record: &mut Record,
        admitted: &Admitted,
        head: &Parts,
        ask: &Ask,
        found: &Found,
    ) -> Result<Response, Refusal> {
        let object = found.object();
        let stored = object.headers();
        let size = found.size();
        let portion = deliver::portion(&head.method, &head.headers, object.status, &stored, size)?;
        let mut story = Story::of(found);
        let engine = &self.node.engine;
        let ranges = if head.method == Method::HEAD { Vec::new() } else { portion.offsets() };
        let Some(ask) = &engine.affords_ranges(ask, found, &ranges) else {
            let due = Instant::now() + ask.policy.deadline;
            let passed = engine.exactly(ask, due).await.map_err(Refusal::from)?;
            self.pass(record).await?;
            return Ok(self.passed(record, admitted, head, passed));
        };
        let body = match &portion {
            _ if head.method == Method::HEAD => ResponseBody::empty(),
            Portion::NotModified => ResponseBody::empty(),
            Portion::Parts(several) => {
                let opened = parts::open(engine, ask, found, &several.frame()).await;
                let (body, tier, refilled) = opened.map_err(Refusal::from)?;
                (story.tier, story.refilled) = (tier, refilled);
                body
            }
            Portion::Part(_) | Portion::Whole => {
                let (range, length) = match &portion {
                    Portion::Part(range) => (Some(parts::offsets(range)), Some(range.len())),
                    _ => (None, size),
                };
                let opened = engine.open(ask, found, range).await;
                let reader = opened.map_err(Refusal::from)?;
                (story.tier, story.refilled) = (reader.tier(), reader.refilled());
                deliver::body(reader, length)
            }
        };
        record.mark(Phase::Open);
        let mut response = self.head(admitted, object, stored, &portion, size, &story);
        *response.body_mut() = body;
        record.outcome = story.outcome();
        Ok(response)
    }

    fn head(
        &self,
        admitted: &Admitted,
        object: &StoredObject,
        stored: HeaderMap,
        portion: &Portion,
        size: Option<u64>,
        story: &Story,
    ) -> Response {
        let age = weir_edge_fill::age_millis(object, self.node.clock.unix_millis());
        let mut response = deliver::head(&admitted.service, object, stored, portion, size, age);
        let lifetime = weir_edge_fill::lifetime_millis(object);
        let ttl = seconds(lifetime) - seconds(age);
        story.status(ttl).append(&self.node.name, response.headers_mut());
        response
    }

    /// The client's request as it is; nothing of the answer is kept.
    async fn forward(
        &self,
        record: &mut Record,
        admitted: &Admitted,
        head: &Parts,
        body: RequestBody,
    ) -> Result<Response, Refusal> {
        use futures::StreamExt;
        let place = Place::of(lookup::key(admitted));
        let mut ask = lookup::ask(admitted, place.clone(), &head.headers);
        let body = Some(body).filter(|body| !body.is_empty()).map(|body| {
            let pieces = body.into_stream().map(|piece| {
                piece.map_err(|error| UpstreamError::ClientBody { reason: error.to_string() })
            });
            pieces.boxed()
        });
        // How long a request with a body takes is its client's to say.
        let due = body.is_none().then(|| Instant::now() + ask.policy.deadline);
        record.asks(place.id, &mut ask);
        self.pass(record).await?;
        let sent = self.node.engine.pass_by(&ask, head.method.clone(), body, due).await;
        record.mark(Phase::Fill);
        let response = sent.map_err(Refusal::from)?;
        // RFC 9111 §4.4: what an unsafe method changed is not served from the cache.
        if freshness::invalidates(&head.method, response.status) {
            let mut forgot = self.node.engine.purge(&place).is_some();
            let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
            let (scheme, authority) = (record.scheme(), &admitted.authority);
            for path in freshness::also_invalid(scheme, authority, target, &response.headers) {
                forgot |= self.invalidate(admitted, &path);
            }
            // Who is told that it is done never meets it again, not after a kill either.
            if forgot {
                self.node.engine.cache().flush_metadata().await;
            }
        }
        record.outcome = Outcome::Bypass;
        let mut response = deliver::passed(&admitted.service, &head.method, response);
        self.bypassed(&mut response, Forward::Method, None);
        Ok(response)
    }

    /// Forgets what lies under another path of the same authority; whether there was something.
    fn invalidate(&self, admitted: &Admitted, path: &str) -> bool {
        let services = self.node.services.load();
        let Ok(uri) = path.parse() else { return false };
        // A path that no service of ours answers has nothing in the cache.
        admit::admit_url(&services, &admitted.authority, &uri)
            .is_ok_and(|other| self.node.engine.purge(&Place::of(lookup::key(&other))).is_some())
    }

    fn bypassed(&self, response: &mut Response, fwd: Forward, detail: Option<&str>) {
        let (fwd, fwd_status) = (Some(fwd), Some(response.status()));
        let status = CacheStatus { fwd, fwd_status, detail, ..CacheStatus::default() };
        status.append(&self.node.name, response.headers_mut());
    }
}

fn options() -> Response {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let methods = http::HeaderValue::from_static("GET, HEAD, OPTIONS");
    response.headers_mut().insert(header::ALLOW, methods);
    response
}

fn seconds(millis: u64) -> i64 {
    i64::try_from(millis / 1000).unwrap_or(i64::MAX)
}
