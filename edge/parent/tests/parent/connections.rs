//! When a connection is used again, and what a parent sees of the client's request.

use std::time::Duration;

use crate::support::{DEADLINE, Step, answer, fetch, get, in_memory, limited, send, whole};
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Method};
use weir_edge_fill::upstream::{Upstream, UpstreamError, UpstreamRequest};
use weir_edge_http::client::ClientLimits;

const A: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na";
const B: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb";

/// Requests one after the other; how many went over each connection, and what came.
async fn in_turn(scripts: Vec<Vec<Step>>, requests: usize) -> (Vec<usize>, Vec<String>) {
    let origin = in_memory(scripts);
    let mut bodies = Vec::new();
    for _ in 0..requests {
        bodies.push(match fetch(&origin, get("/")).await {
            Ok((_, body)) => String::from_utf8(body).unwrap(),
            Err(error) => error.to_string(),
        });
    }
    let seen = origin.seen.lock().unwrap();
    (seen.iter().map(Vec::len).collect(), bodies)
}

#[tokio::test(start_paused = true)]
async fn whole_answers_leave_the_connection_usable() {
    let twice = |first: &str| vec![Step::Read, send(first), Step::Read, send(B), Step::Hold];
    let check = async |first: &str, body: &str| {
        let got = in_turn(vec![twice(first)], 2).await;
        assert_eq!(got, (vec![2], vec![body.to_owned(), "b".to_owned()]), "{first:?}");
    };
    check(A, "a").await;
    check("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", "a").await;
    check("HTTP/1.1 304 Not Modified\r\n\r\n", "").await;
    check("HTTP/1.1 204 No Content\r\n\r\n", "").await;
    check("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "").await;
}

#[tokio::test(start_paused = true)]
async fn other_connections_end() {
    let check = async |first: Vec<Step>, body: &str| {
        let got = in_turn(vec![first, answer(B)], 2).await;
        assert_eq!(got.0, [1, 1]);
        assert!(got.1[0].contains(body) && got.1[1] == "b", "{:?}", got.1);
    };
    let hold = |text: &str| vec![Step::Read, send(text), Step::Hold];
    check(hold("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\na"), "a").await;
    check(hold("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na"), "a").await;
    // An answer nobody asked for, in one piece with the first or some time after it: it must
    // not be taken for the second one.
    check(hold(&format!("{A}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil")), "more than").await;
    // The beginning of one, an interim one, and a byte too many.
    check(hold(&format!("{A}HTTP/1.1 2")), "more than").await;
    check(hold(&format!("{A}HTTP/1.1 103 Early Hints\r\n\r\n")), "more than").await;
    check(hold(&format!("{A}\n")), "more than").await;
    check(hold("HTTP/1.1 304 Not Modified\r\ncontent-length: 1\r\n\r\na"), "").await;
    check(hold("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\nevil"), "").await;
    check(
        vec![
            Step::Read,
            send(A),
            Step::Wait(Duration::ZERO),
            send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"),
            Step::Hold,
        ],
        "a",
    )
    .await;
}

/// Interim answers without end are no answer: the deadline of the head holds, and what is left of
/// them meets nobody.
#[tokio::test(start_paused = true)]
async fn interim_answers_do_not_go_on_for_ever() {
    let storm = "HTTP/1.1 102 Processing\r\n\r\n".repeat(10_000);
    let drip = [send("HTTP/1.1 102 Processing\r\n\r\n"), Step::Wait(DEADLINE / 10)];
    let drips = [Step::Read].into_iter().chain(drip.into_iter().cycle().take(100)).collect();
    for first in [vec![Step::Read, send(&storm), Step::Hold], drips] {
        let (seen, bodies) = in_turn(vec![first, answer(B)], 2).await;
        assert_eq!(seen, [1, 1]);
        assert!(bodies[0].contains("said nothing") && bodies[1] == "b", "{bodies:?}");
    }
    // And many before an answer that comes are passed over.
    let (seen, bodies) = in_turn(vec![answer(&format!("{storm}{A}"))], 1).await;
    assert_eq!((seen, bodies), (vec![1], vec!["a".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_body_left_unread_ends_its_connection() {
    let first =
        vec![Step::Read, send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nev"), Step::Hold];
    let origin = in_memory(vec![first, answer(B)]);
    let mut response = origin.upstream.send(get("/")).await.unwrap();
    assert_eq!(response.body.next().await.unwrap().unwrap(), "ev");
    drop(response);
    assert_eq!(fetch(&origin, get("/")).await.unwrap().1, b"b");
}

#[tokio::test(start_paused = true)]
async fn a_connection_closed_while_idle_is_replaced_once() {
    // Closed after the first answer, seen or unseen when the second request goes out.
    assert_eq!(
        in_turn(vec![answer(A), answer(B)], 2).await,
        (vec![1, 1], vec!["a".into(), "b".into()])
    );
    let late = vec![Step::Read, send(A), Step::Read];
    assert_eq!(
        in_turn(vec![late.clone(), answer(B)], 2).await,
        (vec![2, 1], vec!["a".into(), "b".into()])
    );
    // A fresh connection that does the same is the origin's failure.
    let (seen, bodies) = in_turn(vec![late, vec![Step::Read], answer(B)], 2).await;
    assert_eq!(seen, [2, 1]);
    assert!(bodies[1].contains("broke off"), "{bodies:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_idempotent_is_sent_once() {
    let late = vec![Step::Read, send(A), Step::Read];
    let origin = in_memory(vec![late, answer(B)]);
    fetch(&origin, get("/")).await.unwrap();
    let post = UpstreamRequest { method: Method::POST, ..get("/") };
    let error = fetch(&origin, post).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Truncated { got: 0, .. }), "{error}");
    assert_eq!(origin.seen.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_parent_sees() {
    let origin = in_memory(vec![vec![
        Step::Read,
        send(
            "HTTP/1.1 200 OK\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: 5\r\n\
             etag: \"1\"\r\ncontent-length: 1\r\n\r\na",
        ),
    ]]);
    let mut request = get("/films/a.m4s?x=1");
    for (name, value) in [
        ("range", "bytes=0-9"),
        ("connection", "x-secret"),
        ("x-secret", "1"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("expect", "100-continue"),
        ("content-length", "7"),
        ("host", "client.test"),
    ] {
        request.headers.insert(name, HeaderValue::from_static(value));
    }
    let response = origin.upstream.send(request).await.unwrap();
    assert_eq!(response.content_length, Some(1));
    let names: Vec<_> = response.headers.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["etag", "content-length"]);
    whole(response).await.2.unwrap();
    let seen = origin.seen.lock().unwrap()[0][0].clone();
    assert_eq!(
        seen,
        "GET /films/a.m4s?x=1 HTTP/1.1\r\nhost: origin.test\r\nrange: bytes=0-9\r\n\r\n"
    );
}

#[tokio::test(start_paused = true)]
async fn bodies_go_up() {
    let post = |pieces: Vec<&'static str>, length: Option<&'static str>| {
        let mut headers = HeaderMap::new();
        if let Some(length) = length {
            headers.insert("content-length", HeaderValue::from_static(length));
        }
        let pieces = futures::stream::iter(pieces.into_iter().map(|p| Ok(Bytes::from(p))));
        let body = Some(pieces.boxed());
        UpstreamRequest { method: Method::POST, headers, body, ..get("/up") }
    };
    let origin = in_memory(vec![
        vec![Step::Read, Step::ReadBody(5), send(A), Step::Hold],
        vec![Step::Read, Step::ReadBody(20), send(A), Step::Hold],
    ]);
    let (status, body) = fetch(&origin, post(vec!["he", "llo"], Some("5"))).await.unwrap();
    assert_eq!((status, body), (200, b"a".to_vec()));
    assert!(origin.seen.lock().unwrap()[0][0].contains("content-length: 5\r\n"));
    // Too short: the request breaks off, never padded, never ended cleanly.
    let origin = in_memory(vec![vec![Step::Read, Step::ReadBody(5), send(A), Step::Hold]]);
    let error = fetch(&origin, post(vec!["he"], Some("5"))).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Refused { .. }), "{error}");
    // Of unknown length: chunked ("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n" are 20 bytes).
    let origin = in_memory(vec![vec![Step::Read, Step::ReadBody(20), send(A), Step::Hold]]);
    fetch(&origin, post(vec!["he", "llo"], None)).await.unwrap();
    assert!(origin.seen.lock().unwrap()[0][0].contains("transfer-encoding: chunked\r\n"));
}

#[tokio::test(start_paused = true)]
async fn only_the_origin_can_be_silent_during_an_upload() {
    // The source takes twice the deadline for each piece: nobody's fault here.
    let slow = futures::stream::iter(["he", "llo"]).then(|piece| async move {
        tokio::time::sleep(2 * DEADLINE).await;
        Ok(Bytes::from(piece))
    });
    let origin = in_memory(vec![vec![Step::Read, Step::ReadBody(20), send(A), Step::Hold]]);
    let request = UpstreamRequest { method: Method::PUT, body: Some(slow.boxed()), ..get("/up") };
    assert_eq!(fetch(&origin, request).await.unwrap().1, b"a");
    // The origin takes nothing.
    let endless = futures::stream::repeat_with(|| Ok(Bytes::from(vec![0; 64 << 10])));
    let origin = in_memory(vec![vec![Step::Read, Step::Hold]]);
    let request =
        UpstreamRequest { method: Method::PUT, body: Some(endless.boxed()), ..get("/up") };
    let error = fetch(&origin, request).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Silent { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_early_answer_ends_the_connection() {
    // 413 before the body was read: the rest of it must not be taken for a request.
    let body = futures::stream::pending().boxed();
    let early =
        vec![Step::Read, send("HTTP/1.1 413 Too Large\r\ncontent-length: 1\r\n\r\nx"), Step::Hold];
    let origin = in_memory(vec![early, answer(B)]);
    let request = UpstreamRequest { method: Method::POST, body: Some(body), ..get("/up") };
    assert_eq!(fetch(&origin, request).await.unwrap(), (413, b"x".to_vec()));
    assert_eq!(fetch(&origin, get("/")).await.unwrap().1, b"b");
}

#[tokio::test(start_paused = true)]
async fn connections_are_bounded() {
    let limits = ClientLimits { connections: 2, ..ClientLimits::default() };
    // Each of two connections answers twice, a while after it was asked.
    let mut script = Vec::new();
    for _ in 0..2 {
        script.extend([Step::Read, Step::Wait(DEADLINE / 3), send(A)]);
    }
    script.push(Step::Hold);
    let origin = limited(limits.clone(), Duration::ZERO, vec![script.clone(), script]);
    // Four requests: the later two wait for the connections of the earlier ones.
    for got in futures::future::join_all((0..4).map(|_| fetch(&origin, get("/")))).await {
        assert_eq!(got.unwrap().1, b"a");
    }
    assert_eq!(origin.seen.lock().unwrap().iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
    // Nothing comes free. That is not the origin's silence, and nobody shall count it as one.
    let busy = vec![Step::Read, Step::Hold];
    let origin = limited(limits, Duration::ZERO, vec![busy.clone(), busy]);
    let got = futures::future::join_all((0..3).map(|_| fetch(&origin, get("/")))).await;
    let refused = got[2].as_ref().unwrap_err();
    assert!(matches!(refused, UpstreamError::Refused { .. }), "{refused}");
    assert!(refused.to_string().contains("all 2 connections"), "{refused}");
    assert_eq!(origin.seen.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn old_connections_are_not_used_again() {
    let limits = ClientLimits { idle_timeout: DEADLINE, ..ClientLimits::default() };
    let script = || vec![Step::Read, send(A), Step::Read, send(A), Step::Hold];
    let origin = limited(limits, Duration::ZERO, vec![script(), script()]);
    for pause in [DEADLINE - Duration::from_millis(1), DEADLINE, Duration::ZERO] {
        fetch(&origin, get("/")).await.unwrap();
        tokio::time::advance(pause).await;
    }
    assert_eq!(origin.seen.lock().unwrap().iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn connections_end_with_the_client() {
    let origin = in_memory(vec![vec![Step::Read, send(A), Step::Read]]);
    fetch(&origin, get("/")).await.unwrap();
    let ended = origin.ended.clone();
    drop(origin.upstream);
    ended.notified().await;
}
