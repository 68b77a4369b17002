//! What is made of finished requests, what waits, and what is lost.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::Instant,
};
use weir_config::edge::EdgeConfig;
use weir_config_telemetry::traces::{SpanId, TraceId, Value};
use weir_edge_cache::ObjectId;
use weir_edge_fill::upstream::{UpstreamError, UpstreamRequest};
use weir_edge_http::{
    ConnectionInfo, Protocol,
    client::{Client, ClientLimits},
};
use weir_edge_transport::connect::{Connector, Roots, client_config};

use super::{Behalf, Peer, Root, Told, Traces, Trail, run, spans};
use crate::{
    journal::{Exchanges, Finished, Marks, Phase},
    record::{CLIENT_GONE, Outcome},
};

const TIME: u64 = 1_700_000_000_000;

fn told(keys: &str) -> Told {
    let text = format!(
        "[node]\nname = \"e1\"\n[listen]\nhttp = [\"127.0.0.1:0\"]\n[[upstream]]\nid = \"web\"\n\
         kind = \"http\"\nurl = \"http://127.0.0.1:9\"\n[[service]]\nid = \"site\"\n\
         preset = \"proxy\"\nupstreams = [\"web\"]\n[traces]\n{keys}\n"
    );
    EdgeConfig::parse("edge.toml", &text).unwrap().traces
}

fn traces(keys: &str) -> Arc<Traces> {
    let keys = format!("endpoint = \"http://127.0.0.1:9\"\n{keys}");
    Arc::new(Traces::new(&told(&keys), "e1", "lim"))
}

fn root(sampled: bool) -> Root {
    let (trace, span) = (TraceId(0xa << 64 | 0x2a), SpanId(0x2a));
    Root { trace, span, parent: None, sampled, state: None }
}

fn finished(started: Instant) -> Finished {
    let mut marks = Marks::default();
    let micros = Duration::from_micros;
    let ends =
        [(Phase::Admit, 5), (Phase::Lookup, 40), (Phase::Fill, 20_000), (Phase::Open, 21_000)];
    ends.into_iter().for_each(|(phase, at)| marks.set(phase, micros(at)));
    Finished {
        id: weir_config_telemetry::RequestId(0x2a),
        time: TIME,
        started,
        connection: Arc::new(ConnectionInfo {
            protocol: Protocol::H2,
            peer: "192.0.2.77:1".parse().unwrap(),
            local: "198.51.100.1:443".parse().unwrap(),
            tls: None,
            worker: 0,
            outgoing: Arc::default(),
        }),
        client: Some("192.0.2.0".parse().unwrap()),
        method: http::Method::GET,
        host: "cdn.example".into(),
        path: "/t/-/vod/seg-1.m4s?secret=hunter2".into(),
        range: Some("bytes=0-9".into()),
        status: 206,
        bytes: 10,
        whole: true,
        outcome: Outcome::Miss,
        service: Some("film".into()),
        sid: Some("s1".into()),
        ttfb: 0.022,
        total: 0.03,
        marks,
        asked: Some(ObjectId(7)),
        said: None,
    }
}

/// Each attribute as `name=value`, in order of names.
fn attributes(span: &super::Span) -> Vec<String> {
    let value = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        Value::Word(word) => (*word).to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Texts(texts) => format!("{texts:?}"),
    };
    let mut all: Vec<_> =
        span.attributes.iter().map(|(name, of)| format!("{name}={}", value(of))).collect();
    all.sort();
    all
}

#[tokio::test]
async fn a_request_as_spans() {
    let made = spans::request(&finished(Instant::now()), &root(true), Vec::new());
    assert_eq!(
        attributes(&made[0]),
        [
            "client.address=192.0.2.0",
            "http.request.header.range=[\"bytes=0-9\"]",
            "http.request.method=GET",
            "http.response.body.size=10",
            "http.response.status_code=206",
            "network.protocol.version=2",
            "server.address=cdn.example",
            "server.port=443",
            "url.path=/t/-/vod/seg-1.m4s",
            "url.scheme=http",
            "weir.cache=miss",
            "weir.request.id=000000000000002a",
            "weir.service=film",
        ]
    );
    let micros = |time: u64| (time - TIME * 1_000_000) / 1000;
    let times: Vec<_> =
        made.iter().map(|span| (&*span.name, micros(span.start), micros(span.end))).collect();
    assert_eq!(
        times,
        [
            ("GET", 0, 30_000),
            ("cache lookup", 5, 40),
            ("fill", 40, 20_000),
            ("open", 20_000, 21_000),
            ("deliver", 22_000, 30_000),
        ]
    );
    assert!(made[1..].iter().all(|span| span.parent == Some(SpanId(0x2a)) && !span.failed));
    let ids: std::collections::HashSet<_> = made.iter().map(|span| span.id).collect();
    assert_eq!(ids.len(), made.len());
    assert!(!format!("{made:?}").contains("hunter2"), "no query is told");
}

#[tokio::test]
async fn errors_are_of_few_kinds() {
    let check = |change: &dyn Fn(&mut Finished), expected: Option<&str>| {
        let mut one = finished(Instant::now());
        change(&mut one);
        let made = spans::request(&one, &root(true), Vec::new());
        let expected = expected.map(|kind| format!("error.type={kind}"));
        let told = attributes(&made[0]).into_iter().find(|text| text.starts_with("error.type"));
        assert_eq!((told.clone(), made[0].failed), (expected, told.is_some()));
    };
    check(&|_| {}, None);
    check(&|one| one.status = 404, None);
    check(&|one| one.status = 503, Some("503"));
    check(&|one| one.whole = false, Some("cut"));
    check(&|one| (one.status, one.whole) = (CLIENT_GONE, false), Some("client_gone"));
}

#[tokio::test]
async fn methods_are_few() {
    let name = |method: &str| {
        let mut one = finished(Instant::now());
        one.method = method.parse().unwrap();
        let made = spans::request(&one, &root(true), Vec::new());
        (made[0].name.clone().into_owned(), attributes(&made[0]).join(" "))
    };
    assert_eq!(name("HEAD").0, "HEAD");
    let (other, said) = name("BREW");
    assert_eq!(other, "HTTP");
    assert!(
        said.contains("http.request.method=_OTHER http.request.method_original=BREW"),
        "{said}"
    );
}

fn begun(exchanges: &Exchanges, trail: Option<&Arc<Trail>>) -> Arc<crate::journal::Exchange> {
    let base = "http://origin.example:8080/a".to_owned();
    let peer = Arc::new(Peer { base, address: "origin.example".into(), port: 8080 });
    let request = UpstreamRequest {
        method: http::Method::GET,
        path_and_query: "/seg-1.m4s?secret=hunter2".into(),
        authority: None,
        headers: http::HeaderMap::new(),
        body: None,
        deadline: Duration::from_secs(1),
    };
    let behalf = Behalf { object: ObjectId(7), request: None, trail: trail.cloned() };
    exchanges.begin("web", &peer, Some(behalf), &request)
}

#[tokio::test(start_paused = true)]
async fn an_exchange_is_told_once_whichever_ends_first() {
    let (traces, exchanges) = (traces("failed = false"), Exchanges::default());
    let started = Instant::now();
    let waiting = || traces.queue.lock().spans.len();
    let trail = Trail::new(&traces, root(true), (started, TIME));
    let before = begun(&exchanges, Some(&trail));
    tokio::time::advance(Duration::from_millis(3)).await;
    before.answered(200, None);
    before.piece(100);
    before.ended();
    let after = begun(&exchanges, Some(&trail));
    assert_eq!(waiting(), 0, "the request may not be told at all");
    traces.finished(&trail.root, Some(&trail), &finished(started), &exchanges);
    assert_eq!(waiting(), 5 + 1);
    after.failed(&UpstreamError::NoSlot);
    after.ended();
    before.ended();
    assert_eq!(waiting(), 5 + 2);
    let queue = traces.queue.lock();
    let (early, late) = (&queue.spans[5], &queue.spans[6]);
    assert_eq!(
        attributes(early),
        [
            "http.request.method=GET",
            "http.response.body.size=100",
            "http.response.status_code=200",
            "server.address=origin.example",
            "server.port=8080",
            "url.full=http://origin.example:8080/a/seg-1.m4s",
            "weir.upstream=web",
        ]
    );
    assert_eq!((early.parent, early.end - early.start), (Some(SpanId(0x2a)), 3_000_000));
    assert!(attributes(late).contains(&"error.type=no_slot".to_owned()) && late.failed);
    drop(queue);
    // Another request waited for the same, and one of another object did not.
    let other = Root { trace: TraceId(9), ..root(true) };
    traces.finished(&other, None, &finished(started), &exchanges);
    let links = traces.queue.lock().spans[7].links.clone();
    assert_eq!(links.iter().map(|link| link.0).collect::<Vec<_>>(), [root(true).trace; 2]);
    let mut elsewhere = finished(started);
    elsewhere.asked = Some(ObjectId(8));
    traces.finished(&other, None, &elsewhere, &exchanges);
    assert!(traces.queue.lock().spans[12].links.is_empty());
}

#[tokio::test]
async fn what_is_not_sampled_is_told_where_it_failed() {
    let exchanges = Exchanges::default();
    let check = |keys: &str, sampled: bool, status: u16, told: bool| {
        let traces = traces(keys);
        let trail = Trail::new(&traces, root(sampled), (Instant::now(), TIME));
        begun(&exchanges, Some(&trail)).ended();
        let mut one = finished(Instant::now());
        one.status = status;
        traces.finished(&trail.root, Some(&trail), &one, &exchanges);
        let waiting = traces.queue.lock().spans.len();
        assert_eq!(waiting, if told { 6 } else { 0 }, "{keys} {sampled} {status}");
    };
    check("", false, 200, false);
    check("", false, 404, false);
    check("", false, 502, true);
    check("failed = false", false, 502, false);
    check("failed = false", true, 200, true);
}

#[tokio::test]
async fn a_full_queue_drops_whole_requests_and_counts() {
    let traces = traces("batch = 10\nqueue = 12");
    let exchanges = Exchanges::default();
    for _ in 0..100 {
        traces.finished(&root(true), None, &finished(Instant::now()), &exchanges);
    }
    assert_eq!(traces.queue.lock().spans.len(), 10);
    assert_eq!(traces.counts.dropped.load(super::Relaxed), 98 * 5);
    let (_, taken) = traces.next().await;
    assert_eq!(taken.len(), 10);
    traces.set(&told(""), "e1", "lim");
    assert!(traces.begin(finished(Instant::now()).id, &http::HeaderMap::new(), true).is_none());
}

/// A collector that answers as it is told, and then takes everything; gives what it was sent.
async fn collector(answers: Vec<&'static str>) -> (u16, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        let mut answers = answers.into_iter();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut all = Vec::new();
            let mut length = None;
            while length.is_none_or(|length| all.len() < length) {
                if stream.read_buf(&mut all).await.unwrap() == 0 {
                    break;
                }
                let text = String::from_utf8_lossy(&all).into_owned();
                let Some(head) = text.find("\r\n\r\n") else { continue };
                let field = text.lines().find_map(|line| line.strip_prefix("content-length: "));
                length = Some(head + 4 + field.unwrap().parse::<usize>().unwrap());
            }
            tell.send(String::from_utf8_lossy(&all).into_owned()).await.unwrap();
            let usual = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            let answer = answers.next().unwrap_or(usual);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (port, told)
}

#[tokio::test]
async fn posts_are_tried_again_and_their_end_is_counted() {
    let (port, mut posts) = collector(vec![
        "HTTP/1.1 503 Busy\r\nretry-after: 0\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\n\x0a\x02\x08\x03",
        "HTTP/1.1 400 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    ])
    .await;
    let keys = format!("endpoint = \"http://127.0.0.1:{port}\"\nbatch = 5\ninterval = \"100ms\"");
    let traces = Arc::new(Traces::new(&told(&keys), "e1", "lim"));
    let tls = client_config(&Roots::Public).unwrap();
    let client = Client::new(Connector::new(tls), ClientLimits::default());
    tokio::spawn(run(Arc::clone(&traces), client));
    let exchanges = Exchanges::default();
    let counts = || {
        let counts = [&traces.counts.exported, &traces.counts.failed, &traces.counts.dropped];
        counts.map(|count| count.load(super::Relaxed))
    };
    let tell = || traces.finished(&root(true), None, &finished(Instant::now()), &exchanges);
    tell();
    let first = posts.recv().await.unwrap();
    assert!(first.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{first}");
    assert!(first.contains("content-type: application/x-protobuf\r\n"), "{first}");
    posts.recv().await.unwrap();
    tell();
    posts.recv().await.unwrap();
    assert_eq!(counts(), [2, 3, 0], "the collector rejected three of the first five");
    tell();
    posts.recv().await.unwrap();
    assert_eq!(counts(), [2, 8, 0], "what it called wrong is not sent again");
    traces.close().await;
    assert_eq!(counts(), [7, 8, 0]);
    assert_eq!(traces.failure(), None);
    tell();
    assert_eq!(counts(), [7, 8, 5], "after the end nothing waits");
}
