//! A scripted origin behind the `Upstream` port, and a world to run behaviour scripts in:
//! engine, cache in RAM, clock.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture};
use http::{HeaderMap, Method, StatusCode, header};
use parking_lot::Mutex;
use weir_benches_content::{Checker, Content, Expected};
use weir_config_lifecycle::{Clock, clock::ManualClock};
use weir_edge_cache::{Cache, CacheConfig, ObjectId};
use weir_edge_fill::{
    Answer, Ask, Engine, Facet, Found, Place, Policy,
    upstream::{Upstream, UpstreamError, UpstreamRequest, UpstreamResponse},
};
use weir_edge_freshness::RequestControl;

pub(crate) const MIB: u64 = 1 << 20;

/// What the origin does with one request.
#[derive(Clone)]
pub(crate) struct Reply {
    pub wait: Duration,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub declared: Option<u64>,
    pub steps: Vec<Step>,
}

#[derive(Clone)]
pub(crate) enum Step {
    Send(Bytes),
    Wait(Duration),
    Fail(UpstreamError),
}

/// A request as the origin saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub method: Method,
    pub headers: HeaderMap,
    pub path: String,
    pub range: Option<String>,
    pub if_match: Option<String>,
    pub if_none_match: Option<String>,
}

type Script = dyn Fn(usize, &Seen) -> Result<Reply, UpstreamError> + Send + Sync;

/// An origin that follows a script and remembers what it was asked.
pub(crate) struct Origin {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Origin")
    }
}

impl Origin {
    pub(crate) fn new(
        script: impl Fn(usize, &Seen) -> Result<Reply, UpstreamError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { script: Box::new(script), seen: Mutex::default() })
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().len()
    }

    pub(crate) fn seen(&self, index: usize) -> Seen {
        self.seen.lock()[index].clone()
    }
}

impl Upstream for Origin {
    fn id(&self) -> &str {
        "origin"
    }

    fn send(
        &self,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        let field = |name: header::HeaderName| {
            request.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        let seen = Seen {
            method: request.method.clone(),
            headers: request.headers.clone(),
            path: request.path_and_query.clone(),
            range: field(header::RANGE),
            if_match: field(header::IF_MATCH),
            if_none_match: field(header::IF_NONE_MATCH),
        };
        let index = {
            let mut all = self.seen.lock();
            all.push(seen.clone());
            all.len() - 1
        };
        let reply = (self.script)(index, &seen);
        async move {
            let reply = reply?;
            tokio::time::sleep(reply.wait).await;
            let body = futures::stream::iter(reply.steps)
                .filter_map(|step| async move {
                    match step {
                        Step::Send(bytes) => Some(Ok(bytes)),
                        Step::Fail(error) => Some(Err(error)),
                        Step::Wait(time) => {
                            tokio::time::sleep(time).await;
                            None
                        }
                    }
                })
                .boxed();
            Ok(UpstreamResponse {
                status: reply.status,
                headers: reply.headers,
                content_length: reply.declared,
                body,
            })
        }
        .boxed()
    }
}

pub(crate) fn headers(list: &[(&str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| (name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap()))
        .collect()
}

/// The whole content as a 200 that may be kept for a minute, in pieces of 64 KiB.
pub(crate) fn whole(content: &Content) -> Reply {
    let bytes = content.all();
    let steps = bytes.chunks(64 << 10).map(|p| Step::Send(Bytes::copy_from_slice(p))).collect();
    Reply {
        wait: Duration::ZERO,
        status: StatusCode::OK,
        headers: headers(&[("cache-control", "max-age=60"), ("etag", &etag(content))]),
        declared: Some(content.size),
        steps,
    }
}

/// What a well-behaved origin answers, range or not, condition or not.
pub(crate) fn good(content: &Content, seen: &Seen) -> Reply {
    let tag = etag(content);
    if seen.if_none_match.as_deref() == Some(&tag) {
        let head = headers(&[("cache-control", "max-age=60"), ("etag", &tag)]);
        let status = StatusCode::NOT_MODIFIED;
        return Reply { status, headers: head, declared: None, steps: vec![], ..whole(content) };
    }
    if seen.if_match.as_deref().is_some_and(|asked| asked != tag) {
        let status = StatusCode::PRECONDITION_FAILED;
        return Reply { status, declared: Some(0), steps: vec![], ..whole(content) };
    }
    let Some(range) = seen.range.as_deref().and_then(|r| r.strip_prefix("bytes=")) else {
        return whole(content);
    };
    let (first, last) = range.split_once('-').unwrap();
    let first: u64 = first.parse().unwrap();
    let last = last.parse::<u64>().unwrap_or(u64::MAX).min(content.size - 1);
    let mut reply = whole(content);
    reply.status = StatusCode::PARTIAL_CONTENT;
    let place = format!("bytes {first}-{last}/{}", content.size);
    reply.headers.insert(header::CONTENT_RANGE, place.parse().unwrap());
    reply.declared = Some(last + 1 - first);
    let bytes = content.bytes(first..last + 1);
    reply.steps = bytes.chunks(64 << 10).map(|p| Step::Send(Bytes::copy_from_slice(p))).collect();
    reply
}

pub(crate) fn etag(content: &Content) -> String {
    format!("\"{}-{}\"", content.object, content.version)
}

pub(crate) fn truncated(got: u64) -> UpstreamError {
    UpstreamError::Truncated {
        upstream: "origin".into(),
        got,
        expected: None,
        reason: "reset".into(),
    }
}

/// Engine, cache and clock of one script.
pub(crate) struct World {
    pub engine: Arc<Engine>,
    pub clock: Arc<ManualClock>,
    pub origin: Arc<Origin>,
}

impl World {
    pub(crate) fn new(origin: Arc<Origin>) -> Self {
        Self::with_memory(origin, 256 * MIB)
    }

    pub(crate) fn with_memory(origin: Arc<Origin>, memory_bytes: u64) -> Self {
        Self::with(origin, memory_bytes, 64, |clock| clock)
    }

    /// With so many fills at once, whose clock is what `tell` makes of ours.
    pub(crate) fn with(
        origin: Arc<Origin>,
        memory_bytes: u64,
        slots: usize,
        tell: impl FnOnce(Arc<dyn Clock>) -> Arc<dyn Clock>,
    ) -> Self {
        let config = CacheConfig { memory_bytes, state: None, metadata_objects_max: 10_000 };
        let cache = Arc::new(Cache::open_at(&config, None, 1_700_000_000_000_000_000).unwrap());
        let clock = Arc::new(ManualClock::at(1_700_000_000_000));
        let runtime = tokio::runtime::Handle::current();
        let engine = Engine::new(cache, tell(Arc::clone(&clock) as _), runtime, slots);
        Self { engine, clock, origin }
    }

    pub(crate) fn ask(&self, path: &str) -> Ask {
        let policy = Policy {
            default_ttl: Duration::from_secs(60),
            negative_ttl: Duration::from_secs(1),
            stale_if_error: Duration::ZERO,
            store_set_cookie: false,
            anonymous: false,
            deadline: Duration::from_secs(2),
            resumes: 3,
        };
        Ask {
            id: ObjectId::of(path),
            key: path.into(),
            service: "film".into(),
            policy: Arc::new(policy),
            upstream: Arc::clone(&self.origin) as _,
            path_and_query: path.into(),
            authority: None,
            headers: Arc::default(),
            alone_headers: Arc::default(),
            range: None,
            control: RequestControl::default(),
            facet: Facet::default(),
            client: None,
            reserved: None,
            opening: None,
            outlet: None,
        }
    }

    /// For a client that sends these fields, which go upstream.
    pub(crate) fn ask_with(&self, path: &str, fields: &[(&str, &str)]) -> Ask {
        let headers = Arc::new(headers(fields));
        Ask { alone_headers: Arc::clone(&headers), headers, ..self.ask(path) }
    }

    /// Under other rules.
    pub(crate) fn ask_under(&self, path: &str, rules: impl FnOnce(&mut Policy)) -> Ask {
        let mut ask = self.ask(path);
        rules(Arc::make_mut(&mut ask.policy));
        ask
    }

    /// Purges what an ask is about.
    pub(crate) fn purge(&self, ask: &Ask) {
        self.engine.purge(&Place { id: ask.id, key: Arc::clone(&ask.key) });
    }

    pub(crate) fn ask_range(&self, path: &str, first: u64, last: u64) -> Ask {
        Ask { range: Some((first, Some(last))), ..self.ask(path) }
    }

    /// Resolves, and expects an object.
    pub(crate) async fn found(&self, ask: &Ask) -> Found {
        match self.engine.resolve(ask).await {
            Ok(Answer::Object(found)) => found,
            Ok(Answer::Passed(passed)) => panic!("passed with {}", passed.response.status),
            Err(error) => panic!("{error}"),
        }
    }

    /// Reads what an ask is for; the bytes that came before an error count too.
    pub(crate) async fn read(&self, ask: &Ask) -> (Vec<u8>, Result<(), UpstreamError>) {
        let found = match self.engine.resolve(ask).await {
            Ok(Answer::Object(found)) => found,
            Ok(Answer::Passed(passed)) => return drain(passed.response.body).await,
            Err(error) => return (Vec::new(), Err(error)),
        };
        let range = ask.range.map(|(first, last)| {
            let size = found.size().unwrap();
            first..last.map_or(size, |last| (last + 1).min(size))
        });
        match self.engine.open(ask, &found, range).await {
            Ok(reader) => drain(reader.into_stream()).await,
            Err(error) => (Vec::new(), Err(error)),
        }
    }

    /// Reads and checks every byte.
    pub(crate) async fn read_right(&self, ask: &Ask, content: &Content) {
        let (bytes, end) = self.read(ask).await;
        end.unwrap();
        let expected = match ask.range {
            Some((first, last)) => {
                let end = last.map_or(content.size, |last| (last + 1).min(content.size));
                Expected::range(content, first..end)
            }
            None => Expected::all(content),
        };
        let verdict = Checker::check(expected, &bytes);
        assert!(verdict.is_clean(), "{verdict:?}");
    }
}

pub(crate) async fn drain(
    body: impl futures::Stream<Item = Result<Bytes, UpstreamError>>,
) -> (Vec<u8>, Result<(), UpstreamError>) {
    futures::pin_mut!(body);
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) => return (bytes, Err(error)),
        }
    }
    (bytes, Ok(()))
}
