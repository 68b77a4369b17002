//! Origins that misbehave: every answer ends, in the whole body or in the right error.

use std::time::Duration;

use crate::support::{
    DEADLINE, Origin, Step, answer, fetch, get, in_memory, over_tcp, send, slow_to_connect, whole,
};
use weir_edge_fill::upstream::{Phase, Upstream, UpstreamError};

/// The variant of an error and what tells it apart, in one word.
fn name(error: &UpstreamError) -> String {
    match error {
        UpstreamError::Connect { .. } => "connect".into(),
        UpstreamError::Silent { phase: Phase::Connect, .. } => "silent in connect".into(),
        UpstreamError::Silent { phase: Phase::Headers, .. } => "silent in headers".into(),
        UpstreamError::Silent { phase: Phase::Body, .. } => "silent in body".into(),
        UpstreamError::Truncated { got, expected, .. } => format!("truncated {got} {expected:?}"),
        UpstreamError::Dripping { .. } => "dripping".into(),
        UpstreamError::Overlong { expected, .. } => format!("overlong {expected}"),
        UpstreamError::Contradiction { .. } => "contradiction".into(),
        UpstreamError::Protocol { .. } => "protocol".into(),
        UpstreamError::Refused { .. } => "refused".into(),
        UpstreamError::Status { status, .. } => format!("status {status}"),
        UpstreamError::ClientBody { .. } => "client body".into(),
        UpstreamError::NoSlot => "no slot".into(),
        UpstreamError::Withheld { .. } => "withheld".into(),
    }
}

async fn outcome(origin: &Origin) -> Result<(u16, String), String> {
    match fetch(origin, get("/a")).await {
        Ok((status, bytes)) => Ok((status, String::from_utf8(bytes).unwrap())),
        Err(error) => Err(name(&error)),
    }
}

#[tokio::test(start_paused = true)]
async fn one_answer_each() {
    let check = async |text: &str, expected: Result<(u16, &str), &str>| {
        let got = outcome(&in_memory(vec![answer(text)])).await;
        let expected = expected.map(|(s, b)| (s, b.to_owned())).map_err(str::to_owned);
        let shown = &text[..text.len().min(200)];
        assert_eq!(got, expected, "{shown:?}");
    };
    // Well-formed, in all framings.
    check("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", Ok((200, "hello"))).await;
    check("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Ok((200, ""))).await;
    check("HTTP/1.1 200 OK\r\n\r\nhello", Ok((200, "hello"))).await;
    check("HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", Ok((200, "hello"))).await;
    // RFC 9111 §3.1 [fields.trailers]: the one here is gone.
    check(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nt: 1\r\n\r\n",
        Ok((200, "hello")),
    )
    .await;
    // RFC 9110 §8.6: the same length twice is one length.
    check(
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello",
        Ok((200, "hello")),
    )
    .await;
    // Interim answers are skipped, redirects are answers.
    check(
        "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        Ok((200, "ok")),
    )
    .await;
    check(
        "HTTP/1.1 302 Found\r\nlocation: http://elsewhere.test/\r\ncontent-length: 0\r\n\r\n",
        Ok((302, "")),
    )
    .await;
    // Too short.
    check("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello", Err("truncated 5 Some(10)")).await;
    check(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        Err("truncated 5 None"),
    )
    .await;
    check("", Err("truncated 0 None")).await;
    check("HTTP/1.1 200 OK\r\ncontent-le", Err("truncated 0 None")).await;
    // Too long.
    check("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello!", Err("overlong 5")).await;
    check("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n!", Err("overlong 0")).await;
    check(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello!",
        Err("overlong 5"),
    )
    .await;
    check(
        "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.0 200 OK\r\n\r\n",
        Err("overlong 5"),
    )
    .await;
    check(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nmore",
        Err("overlong 5"),
    )
    .await;
    // Two words about one length.
    check(
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        Err("contradiction"),
    )
    .await;
    check("HTTP/1.1 200 OK\r\ncontent-length: 5, 6\r\n\r\nhello", Err("contradiction")).await;
    check("HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nhello", Err("contradiction")).await;
    check("HTTP/1.1 200 OK\r\ncontent-length: 5 5\r\n\r\nhello", Err("contradiction")).await;
    check(
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nhello",
        Err("contradiction"),
    )
    .await;
    check(
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Err("contradiction"),
    )
    .await;
    // Not HTTP, or not HTTP that anybody asked for.
    check("hello\r\n\r\n", Err("protocol")).await;
    check("HTTP/1.1 OK\r\n\r\n", Err("protocol")).await;
    check("HTTP/1.1 200 OK\r\na b: c\r\n\r\n", Err("protocol")).await;
    check("HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n", Err("protocol")).await;
    check("HTTP/1.1 200 OK\r\na: b\0\r\n\r\n", Err("protocol")).await;
    check("HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n", Err("protocol")).await;
    check("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhello", Err("protocol")).await;
    check(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Err("protocol"),
    )
    .await;
    check(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        Err("protocol"),
    )
    .await;
    check(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nx",
        Err("protocol"),
    )
    .await;
    check(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
        Err("protocol"),
    )
    .await;
    // Heads without end.
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(200));
    check(&many, Err("protocol")).await;
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(200 << 10));
    check(&large, Err("protocol")).await;
}

#[tokio::test(start_paused = true)]
async fn answers_without_a_body() {
    // Whatever such an answer claims or sends: nothing of it is a body, and none of it gets
    // into the next answer.
    let check = async |text: &str, status: u16| {
        let mut script = answer(text);
        script.push(Step::Hold);
        let next = answer("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnext");
        let origin = in_memory(vec![script, next]);
        assert_eq!(fetch(&origin, get("/a")).await.unwrap(), (status, Vec::new()), "{text:?}");
        assert_eq!(fetch(&origin, get("/b")).await.unwrap(), (200, b"next".to_vec()), "{text:?}");
        assert_eq!(origin.seen.lock().unwrap().len(), 2, "a new connection after {text:?}");
    };
    check("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", 204)
        .await;
    check("HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\nevil", 204).await;
    check("HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\nevil", 304).await;
    check(
        "HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
        304,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn silence_in_each_phase() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n";
    let late = DEADLINE + Duration::from_millis(1);
    let check = async |origin: Origin, expected: Result<(u16, &str), &str>| {
        let expected = expected.map(|(s, b)| (s, b.to_owned())).map_err(str::to_owned);
        assert_eq!(outcome(&origin).await, expected);
    };
    check(slow_to_connect(late, vec![answer(ok)]), Err("silent in connect")).await;
    check(in_memory(vec![vec![Step::Read, Step::Hold]]), Err("silent in headers")).await;
    check(
        in_memory(vec![vec![Step::Read, send("HTTP/1.1 200 OK\r\nx: "), Step::Hold]]),
        Err("silent in headers"),
    )
    .await;
    // Interim answers buy no time.
    let mut hints = vec![Step::Read];
    for _ in 0..10 {
        hints.extend([send("HTTP/1.1 103 Early Hints\r\n\r\n"), Step::Wait(DEADLINE / 4)]);
    }
    check(in_memory(vec![hints]), Err("silent in headers")).await;
    check(
        in_memory(vec![vec![Step::Read, send(ok), send("hello"), Step::Hold]]),
        Err("silent in body"),
    )
    .await;
    // Connecting counts against the deadline of the headers.
    let half = DEADLINE / 2 + Duration::from_millis(1);
    check(
        slow_to_connect(half, vec![vec![Step::Read, Step::Wait(half), send(ok)]]),
        Err("silent in headers"),
    )
    .await;
    // Chunked without end: the last chunk never comes.
    check(
        in_memory(vec![vec![
            Step::Read,
            send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"),
            Step::Hold,
        ]]),
        Err("silent in body"),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn each_gap_of_a_slow_drip_counts_by_itself() {
    let drip = |gap: Duration| {
        let mut script = vec![Step::Read, send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n")];
        for byte in "0123456789".chars() {
            script.extend([Step::Wait(gap), send(&byte.to_string())]);
        }
        in_memory(vec![script])
    };
    let short = DEADLINE - Duration::from_millis(1);
    assert_eq!(outcome(&drip(short)).await, Ok((200, "0123456789".into())));
    let long = DEADLINE + Duration::from_millis(1);
    assert_eq!(outcome(&drip(long)).await, Err("silent in body".into()));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_does_not_make_the_origin_silent() {
    let origin = in_memory(vec![answer("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")]);
    let response = origin.upstream.send(get("/a")).await.unwrap();
    tokio::time::advance(10 * DEADLINE).await;
    let (_, bytes, end) = whole(response).await;
    assert_eq!((bytes, end.is_ok()), (b"hello".to_vec(), true));
}

#[tokio::test]
async fn resets() {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n";
    let check = async |script: Vec<Step>, expected: &[&str]| {
        let got = outcome(&over_tcp(vec![script]).await).await.unwrap_err();
        assert!(expected.contains(&got.as_str()), "{got}");
    };
    check(vec![Step::Reset], &["truncated 0 None"]).await;
    check(vec![Step::Read, Step::Reset], &["truncated 0 None"]).await;
    check(vec![Step::Read, send(ok), Step::Reset], &["truncated 0 Some(10)", "truncated 0 None"])
        .await;
    // A reset may overtake bytes that the kernel still held, but never adds or completes any.
    check(
        vec![Step::Read, send(ok), send("hello"), Step::Reset],
        &["truncated 5 Some(10)", "truncated 0 Some(10)", "truncated 0 None"],
    )
    .await;
    // A body that only the end of the connection ends is not whole after a reset.
    check(
        vec![Step::Read, send("HTTP/1.1 200 OK\r\n\r\nhello"), Step::Reset],
        &["truncated 5 None", "truncated 0 None"],
    )
    .await;
}

#[tokio::test]
async fn nobody_listens() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", closed.local_addr().unwrap()).parse().unwrap();
    drop(closed);
    let client = crate::support::network(&weir_edge_transport::connect::Roots::Public);
    let upstream = weir_edge_parent::HttpUpstream::new(
        "dead",
        base,
        weir_edge_parent::Host::Upstream,
        client,
        DEADLINE,
    );
    let error = upstream.send(get("/a")).await.map(|_| ()).unwrap_err();
    assert_eq!(name(&error), "connect");
    assert!(error.to_string().contains("dead"), "{error}");
}
