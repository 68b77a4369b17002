//! HTTP/1.1 without TLS, by a client that writes bytes.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use weir_edge_http::{Limits, Protocol};

use crate::support::{self, DATE, Running, content};

/// Sends `request`, reads until the server closes.
async fn ask(server: &Running, request: &str) -> (String, Vec<u8>) {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    // A reset after the last byte is what some tests wait for.
    let _ = socket.read_to_end(&mut seen).await;
    let end = seen.windows(4).position(|four| four == b"\r\n\r\n").map_or(seen.len(), |at| at + 4);
    let head = String::from_utf8(seen[..end].to_vec()).unwrap();
    (head, seen[end..].to_vec())
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn answers_with_length_and_date() {
    let server = Running::plain(Limits::default()).await;
    let (head, body) = ask(&server, &get("/bytes/3000000")).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("content-length: 3000000\r\n"), "{head}");
    assert!(head.contains(&format!("date: {DATE}\r\n")), "{head}");
    assert_eq!(body, content(0, 3_000_000));
    assert_eq!(server.counters.requests.of(Protocol::H1), 1);
    assert_eq!(server.counters.body_bytes.load(std::sync::atomic::Ordering::Relaxed), 3_000_000);
    let drained = server.end().await;
    assert_eq!(drained.dropped, 0);
}

#[tokio::test]
async fn head_keeps_the_length_and_drops_the_body() {
    let server = Running::plain(Limits::default()).await;
    for path in ["/bytes/100", "/full/100"] {
        let request = get(path).replace("GET", "HEAD");
        let (head, body) = ask(&server, &request).await;
        assert!(head.contains("content-length: 100\r\n"), "{head}");
        assert!(body.is_empty());
    }
    let (head, body) = ask(&server, &get("/chunks/100/10").replace("GET", "HEAD")).await;
    assert!(!head.contains("content-length"), "{head}");
    assert!(body.is_empty());
}

#[tokio::test]
async fn a_broken_source_never_ends_cleanly() {
    let server = Running::plain(Limits::default()).await;
    // Declared 10,000, sent 5,000 at most, then closed.
    let (head, body) = ask(&server, &get("/short/10000")).await;
    assert!(head.contains("content-length: 10000\r\n"), "{head}");
    assert!(body.len() <= 5000 && support::first_wrong(0, &body).is_none());
    // Chunked without the last chunk.
    let (head, body) = ask(&server, &get("/late/5000")).await;
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
    assert!(!body.ends_with(b"0\r\n\r\n"));
    // HTTP/1.0 without a length: a reset.
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(b"GET /late/5000 HTTP/1.0\r\nhost: x\r\n\r\n").await.unwrap();
    let error = socket.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(server.counters.broken.of(Protocol::H1), 3);
    // A length that is not the body's is our own mistake.
    let (head, _) = ask(&server, &get("/wrong")).await;
    assert!(head.starts_with("HTTP/1.1 500"), "{head}");
}

#[tokio::test]
async fn bad_requests_are_refused() {
    let server = Running::plain(Limits::default()).await;
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        ("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n", 400),
        ("GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999\r\n\r\n", 413),
        ("nonsense\r\n\r\n", 400),
    ] {
        let (head, _) = ask(&server, request).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{request} -> {head}");
    }
    let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(40_000));
    let (head, _) = ask(&server, &long).await;
    assert!(head.starts_with("HTTP/1.1 431"), "{head}");
}

#[tokio::test]
async fn the_request_comes_normalised() {
    let server = Running::plain(Limits::default()).await;
    let request = "GET http://x:80/headers?q=1 HTTP/1.1\r\nhost: X\r\nkeep-alive: 1\r\n\
                   connection: close, y, upgrade, http2-settings\r\ny: 1\r\nz: 2\r\n\
                   upgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n";
    let (_, body) = ask(&server, request).await;
    let body = String::from_utf8(body).unwrap();
    assert_eq!(body, "GET http://x:80/headers?q=1\nhost: X\nz: 2\ntls: None\n");
}

#[tokio::test]
async fn uploads_stream() {
    let server = Running::plain(Limits { body_bytes: 5_000_000, ..Limits::default() }).await;
    let bytes = content(0, 5_000_000);
    for framing in ["content-length: 5000000", "transfer-encoding: chunked"] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let head =
            format!("POST /count HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{framing}\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        if framing.ends_with("chunked") {
            socket.write_all(b"4c4b40\r\n").await.unwrap();
        }
        socket.write_all(&bytes).await.unwrap();
        if framing.ends_with("chunked") {
            socket.write_all(b"\r\n0\r\n\r\n").await.unwrap();
        }
        let mut seen = String::new();
        socket.read_to_string(&mut seen).await.unwrap();
        assert!(seen.ends_with("5000000 None"), "{seen}");
    }
    // One byte over the limit, and no length told.
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /count HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n4c4b41\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let _ = socket.write_all(&bytes).await;
    let _ = socket.write_all(b"x\r\n0\r\n\r\n").await;
    let mut seen = [0; 12];
    socket.read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, b"HTTP/1.1 400");
}

#[tokio::test]
async fn shutdown_ends_idle_connections_at_once_and_running_ones_when_they_are_done() {
    let server = Running::plain(Limits::default()).await;
    let mut fresh = TcpStream::connect(server.address).await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /full/1 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut seen = [0; 4096];
    assert!(idle.read(&mut seen).await.unwrap() > 0);
    // Larger than the socket buffers hold: it runs until it is read.
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    busy.write_all(b"GET /bytes/30000000 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    busy.read_exact(&mut head).await.unwrap();

    server.begin();
    assert_eq!(fresh.read(&mut seen).await.unwrap(), 0);
    assert_eq!(idle.read(&mut seen).await.unwrap(), 0);
    let mut rest = Vec::new();
    busy.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(&content(30_000_000 - 100, 100)));
    let address = server.address;
    let drained = server.end().await;
    assert_eq!(drained.dropped, 0);
    assert!(TcpStream::connect(address).await.is_err());
}

/// A client that has connected and is about to ask is answered, not cut: whoever restarts a server
/// fails no request with it.
#[tokio::test]
async fn a_shutdown_answers_who_was_there_before_it() {
    for _ in 0..50 {
        let server = Running::plain(Limits::default()).await;
        let mut clients = Vec::new();
        for _ in 0..20 {
            clients.push(TcpStream::connect(server.address).await.unwrap());
        }
        server.begin();
        let mut answers = Vec::new();
        for (at, client) in clients.iter_mut().enumerate() {
            if at % 2 == 0 {
                tokio::task::yield_now().await;
            }
            client.write_all(b"GET /full/1 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        }
        for client in &mut clients {
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            answers.push(answer.starts_with(b"HTTP/1.1 200"));
        }
        assert!(answers.iter().all(|answered| *answered), "{answers:?}");
        assert_eq!(server.end().await.dropped, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_outlives_the_deadline_is_cut() {
    let server = Running::plain(Limits::default()).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    while server.counters.active.of(Protocol::H1) == 0 {
        tokio::task::yield_now().await;
    }
    let counters = server.counters.clone();
    assert_eq!(server.end().await.dropped, 1);
    assert_eq!(counters.abandoned.of(Protocol::H1), 1);
    assert_eq!(counters.open.of(Protocol::H1), 0);
}

#[tokio::test(start_paused = true)]
async fn silent_slow_and_stuck_clients_are_cut() {
    let limits = Limits::default();
    let server = Running::plain(limits.clone()).await;
    let began = tokio::time::Instant::now();
    let check = async |request: &str, expected: Duration| {
        let began = tokio::time::Instant::now();
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let closed = server.counters.timed_out.of(Protocol::H1);
        while server.counters.timed_out.of(Protocol::H1) == closed {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let lasted = began.elapsed();
        assert!(
            lasted >= expected && lasted < expected + Duration::from_secs(2),
            "{request}: {lasted:?}"
        );
    };
    check("", limits.idle).await;
    check("GET / HTT", limits.head).await;
    check("GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n", limits.idle).await;
    check("POST /count HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc", limits.stall).await;
    // Takes nothing of a large answer.
    check("GET /bytes/100000000 HTTP/1.1\r\nhost: x\r\n\r\n", limits.stall).await;
    assert!(began.elapsed() < Duration::from_secs(300));
    server.end().await;
}
