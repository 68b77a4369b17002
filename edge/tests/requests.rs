//! Requests from top to bottom, without sockets: what a client sends, what the origin was
//! asked, what the client gets and what is written down.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "requests/caching.rs"]
mod caching;
#[path = "requests/clients.rs"]
mod clients;
#[path = "requests/explain.rs"]
mod explain;
#[path = "requests/logs.rs"]
mod logs;
#[path = "requests/objects.rs"]
mod objects;
#[path = "requests/purge.rs"]
mod purge;
#[path = "requests/rfc9111.rs"]
mod rfc9111;
#[path = "requests/warm.rs"]
mod warm;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture};
use http::{HeaderMap, Method, StatusCode, header};
use http_body::Body;
use weir_config_lifecycle::{Phase, Readiness, clock::ManualClock};
use weir_config_telemetry::{AccessLog, AccessOptions, Metrics as Registry};
use weir_edge::{
    handler::Edge,
    metrics::Metrics,
    node::Node,
    service::{Cors, Preset, Service, Services, TokenRule},
};
use weir_edge_cache::{Cache, CacheConfig};
use weir_edge_fill::{
    Engine, Policy,
    upstream::{Upstream, UpstreamError, UpstreamRequest, UpstreamResponse},
};
use weir_edge_http::{ConnectionInfo, Handler, Protocol, Request, RequestBody, Response};
use weir_edge_token::{Claims, SigningKey, Verifier, key_set};

const BODY: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// Serves `BODY` everywhere, and says in a field what it was asked.
#[derive(Debug, Default)]
struct Origin {
    requests: AtomicUsize,
}

impl Upstream for Origin {
    fn id(&self) -> &str {
        "origin"
    }

    fn send(
        &self,
        request: UpstreamRequest,
    ) -> BoxFuture<'_, Result<UpstreamResponse, UpstreamError>> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (header::ETAG, "\"v1\""),
            (header::CONTENT_TYPE, "video/mp4"),
            (header::CACHE_CONTROL, "max-age=60"),
            (header::SERVER, "origin/1"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        headers.insert("x-asked", request.path_and_query.parse().unwrap());
        if let Some(referer) = request.headers.get(header::REFERER) {
            headers.insert("x-referer", referer.clone());
        }
        if request.headers.contains_key("x-echo") {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*".parse().unwrap());
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true".parse().unwrap());
        }
        if request.path_and_query == "/tagged" {
            headers.insert("surrogate-key", "a".parse().unwrap());
            headers.insert("cache-tag", "b".parse().unwrap());
        }
        let slow = request.path_and_query.starts_with("/slow");
        let fields: Vec<_> = request.headers.keys().map(|name| name.as_str()).collect();
        headers.insert("x-fields", fields.join(",").parse().unwrap());
        // A test tells the origin in fields what to answer.
        for (name, value) in &request.headers {
            if let Some(name) = name.as_str().strip_prefix("x-answer-") {
                headers.insert(name.parse::<header::HeaderName>().unwrap(), value.clone());
            }
        }
        let asked = request.headers.get("x-status").map(|code| code.to_str().unwrap());
        let holds = request.headers.get(header::IF_NONE_MATCH) == headers.get(header::ETAG);
        let status = match request.path_and_query.as_str() {
            "/missing" => StatusCode::NOT_FOUND,
            _ if holds && !request.headers.contains_key("x-changed") && asked.is_none() => {
                StatusCode::NOT_MODIFIED
            }
            _ => asked.map_or(StatusCode::OK, |code| code.parse().unwrap()),
        };
        let empty = matches!(status, StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT);
        async move {
            if slow {
                std::future::pending::<()>().await;
            }
            let got = match request.body {
                Some(body) => {
                    let pieces: Vec<_> = body.map(|piece| piece.unwrap()).collect().await;
                    Bytes::from(pieces.concat())
                }
                None => Bytes::from_static(BODY),
            };
            let mut headers = headers;
            let head = request.method == Method::HEAD;
            if head {
                headers.insert(header::CONTENT_LENGTH, got.len().into());
            }
            let content_length = Some(if head || empty { 0 } else { got.len() as u64 });
            let body = futures::stream::iter((!head && !empty).then_some(Ok(got))).boxed();
            Ok(UpstreamResponse { status, headers, content_length, body })
        }
        .boxed()
    }
}

/// Who asks over the admin socket.
fn nowhere() -> Arc<ConnectionInfo> {
    Arc::new(ConnectionInfo {
        protocol: Protocol::H1,
        peer: "127.0.0.1:1".parse().unwrap(),
        local: "127.0.0.1:2".parse().unwrap(),
        tls: None,
        worker: 0,
        outgoing: Arc::default(),
    })
}

struct World {
    clock: Arc<ManualClock>,
    edge: Edge,
    node: Arc<Node>,
    origin: Arc<Origin>,
    key: SigningKey,
    log: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

fn service(id: &str, prefix: &str, preset: Preset, upstream: Arc<dyn Upstream>) -> Service {
    Service {
        id: id.into(),
        hosts: Vec::new(),
        path_prefix: prefix.into(),
        strip_prefix: (prefix != "/").then(|| prefix.into()),
        preset,
        query_keys: vec!["v".into()],
        cors: Some(Cors { origins: None, max_age_seconds: 7200 }),
        token: None,
        set_headers: vec![(header::X_CONTENT_TYPE_OPTIONS, "nosniff".parse().unwrap())],
        remove_headers: vec![header::SERVER],
        server_timing: false,
        hedge: None,
        upstream,
        policy: Arc::new(Policy {
            default_ttl: std::time::Duration::from_secs(60),
            negative_ttl: std::time::Duration::from_secs(1),
            stale_if_error: std::time::Duration::from_secs(600),
            store_set_cookie: false,
            anonymous: preset == Preset::Media,
            deadline: std::time::Duration::from_secs(2),
            resumes: 3,
        }),
        rule: "edge.toml:1".into(),
    }
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("access.jsonl");
        let cache = CacheConfig { memory_bytes: 64 << 20, state: None, metadata_objects_max: 1000 };
        let clock = Arc::new(ManualClock::at(1_700_000_000_000));
        let runtime = tokio::runtime::Handle::current();
        let cache = Arc::new(Cache::open_at(&cache, None, 1_700_000_000_000_000_000).unwrap());
        let engine = Engine::new(cache, Arc::clone(&clock) as _, runtime, 8);
        let origin = Arc::new(Origin::default());
        let upstream = || Arc::clone(&origin) as Arc<dyn Upstream>;
        let key = SigningKey::from_seed([7; 32], None).unwrap();
        let verifier = Verifier::new(&key_set([&key]).to_string()).unwrap();
        let mut film = service("film", "/vod/", Preset::Media, upstream());
        film.token = Some(TokenRule::new(true, "film".into(), verifier, 1));
        let open = service("open", "/open/", Preset::Media, upstream());
        let mut timed = service("timed", "/timed/", Preset::Media, upstream());
        timed.server_timing = true;
        let site = service("site", "/", Preset::Proxy, upstream());
        let readiness = Readiness::default();
        readiness.advance(Phase::Serving);
        let node = Arc::new(Node {
            name: "edge-1".into(),
            site: "test".into(),
            started: tokio::time::Instant::now(),
            clock: Arc::clone(&clock) as _,
            services: arc_swap::ArcSwap::from_pointee(Services::new(vec![film, open, timed, site])),
            engine,
            upstreams: arc_swap::ArcSwap::default(),
            config: std::sync::OnceLock::new(),
            load: weir_edge::load::Load::new(1),
            connections: Arc::default(),
            gate: weir_edge_http::Gate::new(weir_edge_http::GateLimits::default()),
            metrics: Metrics::new(Registry::new()),
            access: Some(AccessLog::open(&log, AccessOptions::default()).unwrap()),
            listening: std::sync::OnceLock::new(),
            journal: Arc::new(weir_edge::journal::Journal::new(1)),
            traces: Arc::default(),
            readiness,
            pulses: Arc::default(),
            disks: None,
            upkeep: weir_edge::upkeep::Upkeep::default(),
            warms: weir_edge::admin::warm::Warms::default(),
            live: weir_edge::live::Live::new(weir_edge::live::Bounds::default()),
            fleet: weir_edge::fleet::Membership::default(),
        });
        Self { clock, edge: Edge::new(Arc::clone(&node)), node, origin, key, log, _folder: folder }
    }

    fn token(&self, prefix: &str, expires_in: i64) -> String {
        let expires = 1_700_000_000_u64.saturating_add_signed(expires_in);
        let mut claims = Claims::new("film", prefix, expires);
        claims.sid = Some("session-7".into());
        self.key.mint(&claims).unwrap()
    }

    async fn send(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send_body(method, path, fields, RequestBody::empty()).await
    }

    async fn send_body(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        body: RequestBody,
    ) -> Answer {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        request.headers_mut().insert(header::HOST, "CDN.example:8443".parse().unwrap());
        for (name, value) in fields {
            let name: header::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let connection = Arc::new(ConnectionInfo {
            protocol: Protocol::H2,
            peer: "192.0.2.77:1234".parse().unwrap(),
            local: "192.0.2.1:8443".parse().unwrap(),
            tls: None,
            worker: 0,
            outgoing: Arc::default(),
        });
        Answer::of(self.edge.handle(request, &connection).await).await
    }

    async fn get(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, path, fields).await
    }

    async fn get_owned(&self, path: &str, fields: Vec<(&str, &str)>) -> Answer {
        self.get(path, &fields).await
    }

    fn requests(&self) -> usize {
        self.origin.requests.load(Ordering::SeqCst)
    }

    fn lines(&self) -> String {
        self.node.access.as_ref().unwrap().flush();
        std::fs::read_to_string(&self.log).unwrap()
    }
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (head, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        while let Some(frame) =
            std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await
        {
            bytes.extend_from_slice(frame.unwrap().data_ref().unwrap());
        }
        Self { status: head.status, headers: head.headers, body: bytes }
    }

    fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

#[tokio::test]
async fn a_miss_and_a_hit() {
    let world = World::new();
    let miss = world.get("/open/a.m4s", &[]).await;
    assert_eq!((miss.status, miss.body.as_slice()), (StatusCode::OK, BODY));
    assert_eq!(miss.field("cache-status"), "edge-1; fwd=uri-miss; fwd-status=200; ttl=60; stored");
    assert_eq!(miss.field("x-asked"), "/a.m4s");
    assert_eq!((miss.field("server"), miss.field("x-content-type-options")), ("", "nosniff"));
    let hit = world.get("/open/a.m4s", &[]).await;
    assert_eq!(hit.body, BODY);
    assert_eq!(hit.field("cache-status"), "edge-1; hit; ttl=60; detail=mem");
    assert_eq!(world.requests(), 1);
}

/// The key is service, host, path and declared query keys; nothing else of the request.
#[tokio::test]
async fn what_belongs_to_the_key() {
    let world = World::new();
    world.get("/open/a?CMCD=bl%3D100&x=1", &[("cookie", "a=b"), ("range", "bytes=0-1")]).await;
    world.get("/open/a?x=2&CMCD=bl%3D200", &[("accept", "video/*")]).await;
    world.get("/open/%61", &[]).await;
    assert_eq!(world.requests(), 1);
    world.get("/open/a?v=2", &[]).await;
    assert_eq!(world.requests(), 2);
}

// RFC 9111 §3.3 [partial.marked]
#[tokio::test]
async fn ranges_conditions_and_head() {
    let world = World::new();
    world.get("/open/a", &[]).await;
    let part = world.get("/open/a", &[("range", "bytes=10-12")]).await;
    assert_eq!((part.status, part.body.as_slice()), (StatusCode::PARTIAL_CONTENT, &b"abc"[..]));
    assert_eq!(part.field("content-range"), "bytes 10-12/36");
    let last = world.get("/open/a", &[("range", "bytes=-2")]).await;
    assert_eq!(last.body, b"yz");
    let beyond = world.get("/open/a", &[("range", "bytes=99-")]).await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.field("content-range"), "bytes */36");
    assert_eq!(beyond.field("access-control-allow-origin"), "", "no origin was sent");
    let other = [("range", "bytes=1-2"), ("if-range", "\"v0\"")];
    assert_eq!(world.get("/open/a", &other).await.status, StatusCode::OK);
    let same = world.get("/open/a", &[("if-none-match", "W/\"v1\"")]).await;
    assert_eq!((same.status, same.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!((same.field("etag"), same.field("content-length")), ("\"v1\"", ""));
    let failed = world.get("/open/a", &[("if-match", "\"v0\"")]).await;
    assert_eq!(failed.status, StatusCode::PRECONDITION_FAILED);
    let head = world.send(Method::HEAD, "/open/a", &[("range", "bytes=1-2")]).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.field("content-length"), "36");
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn tokens_open_their_paths_only() {
    let world = World::new();
    let good = world.token("/vod/a/", 60);
    let path = |token: &str, path: &str| format!("/t/{token}{path}");
    let opened = world.get(&path(&good, "/vod/a/1.m4s"), &[]).await;
    assert_eq!((opened.status, opened.field("x-asked")), (StatusCode::OK, "/a/1.m4s"));
    // Another session's token finds the same object.
    world.get(&path(&world.token("/", 90), "/vod/a/1.m4s"), &[]).await;
    assert_eq!(world.requests(), 1);
    for refused in [
        "/vod/a/1.m4s".to_owned(),
        path(&good, "/vod/b/1.m4s"),
        path(&good, "/vod/ab/1.m4s"),
        path(&world.token("/vod/", -1), "/vod/a/1.m4s"),
        path(&good[..good.len() - 2], "/vod/a/1.m4s"),
        path("x", "/vod/a/1.m4s"),
    ] {
        let origin = [("origin", "https://player.example")];
        let answer = world.get(&refused, &origin).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{refused}");
        // A browser shows an error only to a page that may read it.
        assert_eq!(answer.field("access-control-allow-origin"), "*");
        assert_eq!(answer.field("cache-control"), "no-store");
    }
    for odd in ["/vod/a/../b/1.m4s", "/vod/a/%2e%2e/b/1.m4s", "/vod/a%2f..%2fb/1.m4s"] {
        let answer = world.get(&path(&good, odd), &[]).await;
        assert!(answer.status.is_client_error(), "{odd} {}", answer.status);
    }
    assert_eq!(world.requests(), 1);
    let lines = world.lines();
    assert!(lines.contains("\"sid\":\"session-7\""));
    assert!(lines.contains("/t/-/vod/a/1.m4s"));
    assert!(!lines.contains(&good[20..]), "a token was written down");
}

/// A path that begins like a token's, where nobody takes tokens, is a path.
#[tokio::test]
async fn a_proxy_keeps_its_paths() {
    let world = World::new();
    let answer = world.get("/t/abc/def?x=1&y=2", &[("x-mine", "1")]).await;
    assert_eq!(answer.field("x-asked"), "/t/abc/def?x=1&y=2");
    let fields: Vec<_> = answer.field("x-fields").split(',').collect();
    assert!(fields.contains(&"x-mine") && fields.contains(&"via"), "{fields:?}");
    assert!(!fields.contains(&"range"));
}

#[tokio::test]
async fn methods() {
    let world = World::new();
    let answer = world.send(Method::POST, "/open/a", &[]).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.field("allow"), "GET, HEAD, OPTIONS");
    let pieces = futures::stream::iter([Ok(Bytes::from("ab")), Ok(Bytes::from("c"))]).boxed();
    let body = RequestBody::stream(pieces, Some(3));
    let posted = world.send_body(Method::POST, "/a", &[], body).await;
    assert_eq!((posted.status, posted.body.as_slice()), (StatusCode::OK, &b"abc"[..]));
}

/// RFC 9111 §4.4: an unsafe method that succeeds takes the stored answer away.
#[tokio::test]
async fn a_write_invalidates() {
    let world = World::new();
    world.get("/a", &[]).await;
    world.get("/a", &[]).await;
    assert_eq!(world.requests(), 1);
    world.send(Method::POST, "/a", &[]).await;
    world.get("/a", &[]).await;
    assert_eq!(world.requests(), 3);
}

#[tokio::test]
async fn preflights_are_answered_here() {
    let world = World::new();
    let fields = [
        ("origin", "https://player.example"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "cmcd-session"),
    ];
    // Without a token: browsers send none of the path's rights with a preflight.
    let answer = world.send(Method::OPTIONS, "/vod/a", &fields).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.field("access-control-max-age"), "7200");
    assert_eq!(answer.field("access-control-allow-headers"), "cmcd-session");
    assert_eq!(world.requests(), 0);
    let hit = world.get("/open/a", &fields[..1]).await;
    assert_eq!(hit.field("timing-allow-origin"), "*");
    assert!(hit.field("access-control-expose-headers").contains("cache-status"));
}

#[tokio::test]
async fn a_missing_object() {
    let world = World::new();
    for _ in 0..2 {
        assert_eq!(world.get("/open/missing", &[]).await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(world.requests(), 1);
}

/// RFC 9111 §5.2.1.7.
// RFC 9111 §5.2.1.7 [request.only-if-cached]
#[tokio::test]
async fn only_if_cached() {
    let world = World::new();
    let only = [("cache-control", "only-if-cached")];
    assert_eq!(world.get("/a", &only).await.status, StatusCode::GATEWAY_TIMEOUT);
    world.get("/a", &[]).await;
    assert_eq!(world.get("/a", &only).await.status, StatusCode::OK);
    assert_eq!(world.requests(), 1);
}

/// A path that a server behind us could read as one of another service, or of none, is
/// refused: its rules and its token would not hold there.
#[tokio::test]
async fn no_path_slips_into_another_service() {
    let world = World::new();
    for odd in [
        "/x/../vod/a/1.m4s",
        "/x/%2e%2e/vod/a/1.m4s",
        "/x/%2E./vod/a/1.m4s",
        "/x%2f..%2fvod/a/1.m4s",
        "/x/%252e%252e/vod/a/1.m4s",
        "/x/..;a=b/vod/a/1.m4s",
        "/x/..%5cvod/a/1.m4s",
        "/../../secret",
        "//vod/a/1.m4s",
        "/%2fvod/a/1.m4s",
        "/%2576od/a/1.m4s",
        "/./vod/a/1.m4s",
        "/open/../vod/a/1.m4s",
    ] {
        let answer = world.get(odd, &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{odd}");
    }
    assert_eq!(world.requests(), 0);
    for fine in ["/x//y", "/a%2fb", "/...", "/.well-known/x", "/a/b..c/", "/%zz", "/caf%C3%A9"] {
        let answer = world.get(fine, &[]).await;
        assert_eq!((answer.status, answer.field("x-asked")), (StatusCode::OK, fine));
    }
}

/// However a token's path is spelt and wherever it leads, the token stays here.
#[tokio::test]
async fn tokens_do_not_go_upstream() {
    let world = World::new();
    let token = world.token("/", 60);
    let stays = |text: &str| !text.contains(&token[20..]);
    // A relative reference may lead from a film to a neighbour that takes no tokens.
    let other = world.get(&format!("/t/{token}/logo.png"), &[]).await;
    assert_eq!((other.status, other.field("x-asked")), (StatusCode::OK, "/logo.png"));
    for odd in ["/%74/TOKEN/vod/a", "//t/TOKEN/vod/a", "/t//TOKEN/vod/a", "/t/TOKEN//vod/a"] {
        let answer = world.get(&odd.replace("TOKEN", &token), &[]).await;
        assert!(answer.status.is_client_error(), "{odd}: {answer:?}");
        assert!(stays(&String::from_utf8_lossy(&answer.body)));
    }
    assert_eq!(world.requests(), 1);
    let referer = format!("https://cdn.example/t/{token}/vod/a.m3u8");
    let page = world.get("/page", &[("referer", &referer)]).await;
    assert!(stays(page.field("x-referer")) && page.field("x-referer").contains("/vod/a.m3u8"));
    assert!(stays(&world.lines()));
}

/// What is not in the key, and could shape the answer, does not reach the origin.
#[tokio::test]
async fn nothing_outside_the_key_shapes_the_answer() {
    let world = World::new();
    let forged = [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "gopher"),
        ("forwarded", "host=evil.example"),
        ("x-original-url", "/admin"),
        ("x-rewrite-url", "/admin"),
        ("x-http-method-override", "DELETE"),
        ("x-http-path-override", "/admin"),
        ("x-backend-host", "evil.example"),
        ("x-url-scheme", "gopher"),
        ("cf-connecting-ip", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x_forwarded_host", "evil.example"),
        ("content_length", "0"),
        ("x-envoy-original-path", "/admin"),
        ("x-override-url", "/admin"),
    ];
    let answer = world.get("/a?b=1&CMCD=evil&c", &forged).await;
    assert_eq!(answer.field("x-asked"), "/a?b=1&c");
    for (name, _) in forged {
        assert!(!answer.field("x-fields").contains(name), "{name}");
    }
    assert_eq!(world.get("/a?b=1&c", &[]).await.field("cache-status"), HIT);
    // As it came where nothing is taken out.
    assert_eq!(world.get("/a?&&b", &[]).await.field("x-asked"), "/a?&&b");
    assert_ne!(world.get("/a?b", &[]).await.field("cache-status"), HIT);
}

const HIT: &str = "edge-1; hit; ttl=60; detail=mem";

/// Many names of one service are no way around its cache.
#[tokio::test]
async fn hosts_of_a_service_of_every_host() {
    let world = World::new();
    for path in ["https://a.example/open/a", "https://B.example:8443/open/a"] {
        world.get(path, &[]).await;
    }
    assert_eq!(world.requests(), 1);
    for path in ["https://a.example/a", "https://A.EXAMPLE/a"] {
        world.get(path, &[]).await;
    }
    assert_eq!(world.requests(), 2);
}

/// A service's cross-origin rules are its own; what its origin says of other sites does not
/// pass beside them.
#[tokio::test]
async fn cross_origin_rules_of_the_origin_do_not_count() {
    let world = World::new();
    let asked = ("x-echo", "access-control-allow-origin");
    let evil = world.get("/a", &[asked, ("origin", "https://evil.example")]).await;
    assert_eq!(evil.field("access-control-allow-origin"), "*");
    assert_eq!(evil.field("access-control-allow-credentials"), "");
    let services = {
        let upstream = Arc::clone(&world.origin) as Arc<dyn Upstream>;
        let mut site = service("site", "/", Preset::Proxy, upstream);
        let origins = Some(vec!["https://good.example".into()]);
        site.cors = Some(Cors { origins, max_age_seconds: 1 });
        Services::new(vec![site])
    };
    world.node.services.store(Arc::new(services));
    for (origin, allowed) in [("https://evil.example", ""), ("https://good.example", "*")] {
        let answer = world.get("/b", &[asked, ("origin", origin)]).await;
        let expected = if allowed.is_empty() { "" } else { origin };
        assert_eq!(answer.field("access-control-allow-origin"), expected);
        assert_eq!(answer.field("access-control-allow-credentials"), "");
        assert_eq!(answer.field("vary"), "origin");
    }
    let put = [("origin", "https://good.example"), ("access-control-request-method", "PUT")];
    let answer = world.send(Method::OPTIONS, "/b", &put).await;
    assert_eq!(answer.field("access-control-allow-methods"), "PUT");
}

/// Head, first byte and every further try share the service's deadline; and a client that is
/// gone by then has its line in the log.
// RFC 9111 §5.2.2.2 [must-revalidate.status]
#[tokio::test(start_paused = true)]
async fn an_answer_within_the_deadline() {
    let world = World::new();
    let started = tokio::time::Instant::now();
    for (method, path) in [(Method::GET, "/open/slow"), (Method::HEAD, "/open/slow2")] {
        let started = tokio::time::Instant::now();
        let answer = world.send(method, path, &[]).await;
        assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
        assert!(started.elapsed().as_millis() <= 2010, "{:?}", started.elapsed());
    }
    let patience = std::time::Duration::from_millis(500);
    assert!(tokio::time::timeout(patience, world.get("/open/slow3", &[])).await.is_err());
    assert!(started.elapsed().as_millis() < 5000);
    assert!(world.lines().contains("\"path\":\"/open/slow3\",\"status\":499"), "{}", world.lines());
}

/// Also what is refused before a service is found can be read by the page that asked.
#[tokio::test]
async fn a_refused_path_can_be_read() {
    let world = World::new();
    let answer = world.get("/open/../x", &[("origin", "https://player.example")]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.field("access-control-allow-origin"), "*");
}
