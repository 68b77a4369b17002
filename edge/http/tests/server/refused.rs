//! What is refused is told why and counted by its reason; what only looks odd is answered.

use std::{sync::Arc, time::Duration};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use weir_edge_http::{Fault, Limits, Protocol};

use crate::{
    messages::{data, instead},
    quic::{Client, bare, endpoint},
    secure::connect,
    support::{DATE, Identity, Running, until},
    wire::{Came, Wire, fields, frame, usual},
};

const GET: &str = "GET /full/1 HTTP/1.1\r\nhost: x\r\n\r\n";

/// All that comes until the server closes.
async fn ask(mut socket: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    let _ = socket.write_all(request.as_bytes()).await;
    let _ = socket.flush().await;
    let mut seen = Vec::new();
    let read = timeout(Duration::from_secs(20), socket.read_to_end(&mut seen));
    read.await.expect("it closes").unwrap();
    String::from_utf8(seen).unwrap()
}

/// Behind two requests that are good comes one that is refused, and one that nobody may read.
#[tokio::test]
async fn who_is_refused_on_http_1_is_told_why() {
    let identity = Identity::new();
    let (plain, secure) =
        (Running::plain(Limits::default()).await, Running::secure(Limits::default(), &identity));
    let config = Arc::new(identity.client(&["http/1.1"]));
    let check = async |bad: &str, status: u16, fault: Fault| {
        for server in [&plain, &secure] {
            let before = server.counters.faults(fault);
            let sent = format!("{GET}{GET}{bad}{GET}");
            let seen = if std::ptr::eq(server, &secure) {
                ask(connect(server, &config).await, &sent).await
            } else {
                ask(TcpStream::connect(server.address).await.unwrap(), &sent).await
            };
            let answers: Vec<&str> = seen.split("HTTP/1.1 ").skip(1).collect();
            let shown = &bad[..bad.len().min(60)];
            assert_eq!(answers.len(), 3, "{shown:?}: {seen}");
            let (head, text) = answers[2].split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&status.to_string()), "{shown:?}: {head}");
            for field in [
                &format!("content-length: {}", text.len()),
                "content-type: text/plain; charset=utf-8",
                "connection: close",
                &format!("date: {DATE}"),
            ] {
                assert!(head.split("\r\n").any(|line| line == field), "{field}: {head}");
            }
            assert_eq!(text, format!("{fault}; {}\n", fault.advice()), "{shown:?}");
            assert_eq!(server.counters.faults(fault), before + 1, "{shown:?}");
        }
    };
    check("nonsense\r\n\r\n", 400, Fault::RequestLine).await;
    check("\n", 400, Fault::LineEnd).await;
    check("G{T / HTTP/1.1\r\n\r\n", 400, Fault::RequestLine).await;
    check("GET / HTTP/2.0\r\n\r\n", 400, Fault::Version).await;
    check("GET /a#f HTTP/1.1\r\nhost: x\r\n\r\n", 400, Fault::Target).await;
    check("GET http://[::1 HTTP/1.1\r\nhost: x\r\n\r\n", 400, Fault::Target).await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000));
    check(&long, 414, Fault::TargetTooLong).await;
    let large = format!("GET / HTTP/1.1\r\nhost: x\r\na: {}\r\n\r\n", "b".repeat(100_000));
    check(&large, 431, Fault::HeadTooLarge).await;
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(1000));
    check(&many, 431, Fault::TooManyFields).await;
    check("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: +5\r\n\r\n", 400, Fault::ContentLength)
        .await;
    assert_eq!(plain.counters.requests.of(Protocol::H1), 20);
    plain.end().await;
    secure.end().await;
}

/// What hyper reads and we do not hand on.
#[tokio::test]
async fn who_asks_for_what_is_not_served_is_told_why() {
    let server = Running::plain(Limits::default()).await;
    let check = async |request: &str, status: u16, fault: Fault| {
        let before = server.counters.faults(fault);
        let seen = ask(TcpStream::connect(server.address).await.unwrap(), request).await;
        assert!(seen.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {seen}");
        assert!(seen.ends_with(&format!("; {}\n", fault.advice())), "{request:?}: {seen}");
        assert_eq!(server.counters.faults(fault), before + 1, "{request:?}");
    };
    check("GET / HTTP/1.1\r\n\r\n", 400, Fault::Host).await;
    check("CONNECT x:80 HTTP/1.1\r\nhost: x:80\r\n\r\n", 400, Fault::NotServed).await;
    check("GET * HTTP/1.1\r\nhost: x\r\n\r\n", 400, Fault::Target).await;
    let body = "HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc";
    check(&format!("GET /full/1 {body}"), 400, Fault::BodyOfGet).await;
    let chunks = "HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    check(&format!("GET /full/1 {chunks}"), 400, Fault::BodyOfGet).await;
    let much = "POST /count HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999\r\n\r\n";
    check(much, 413, Fault::BodyTooLarge).await;
    assert_eq!(server.counters.requests.of(Protocol::H1), 0);
    server.end().await;
}

#[tokio::test]
async fn what_only_looks_odd_is_answered() {
    let server = Running::plain(Limits::default()).await;
    let check = async |line: &str, fields: &str, expected: &[&str]| {
        let request = format!("{line} HTTP/1.1\r\n{fields}\r\nconnection: close\r\n\r\n");
        let seen = ask(TcpStream::connect(server.address).await.unwrap(), &request).await;
        for expected in expected {
            assert!(seen.contains(expected), "{line}: {expected} is not in {seen}");
        }
    };
    // RFC 9110 §9.3.7.
    let allow = "allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n";
    check("OPTIONS *", "host: x", &["HTTP/1.1 204", allow]).await;
    // RFC 3986 §3.2.3.
    check("GET /headers", "host: x:", &["GET http://x/headers\n", "host: x\n"]).await;
    // A body that is none.
    check("GET /full/1", "host: x\r\ncontent-length: 0", &["HTTP/1.1 200"]).await;
    let chunked = "POST /count HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\n\
                   transfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let seen = ask(TcpStream::connect(server.address).await.unwrap(), chunked).await;
    assert!(seen.starts_with("HTTP/1.1 100 "), "{seen}");
    server.end().await;
}

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;

/// `:status: 100` as it goes out: a literal with the name of entry 8.
const GO_ON: &[u8] = b"\x08\x03100";

#[tokio::test]
async fn http_2_says_100_and_refuses_by_reason() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let head = |more: &[(&str, &str)], flags| {
        frame(HEADERS, flags, 1, &[usual("/count"), fields(more)].concat())
    };
    // RFC 9110 §10.1.1: first 100, then the body, then the answer.
    let mut wire = Wire::open(&server, &identity, &[]).await;
    wire.send(&head(&[("expect", "100-continue")], 0x4)).await;
    assert_eq!(wire.came(1).await, Came::Headers);
    assert_eq!(wire.last(), GO_ON);
    wire.send(&frame(DATA, 0x1, 1, b"abc")).await;
    assert_eq!(wire.came(1).await, Came::Headers);
    assert_ne!(wire.last(), GO_ON);
    // Nobody waits who sends no body.
    let mut wire = Wire::open(&server, &identity, &[]).await;
    wire.send(&head(&[("expect", "100-continue")], 0x5)).await;
    assert_eq!(wire.came(1).await, Came::Headers);
    assert_ne!(wire.last(), GO_ON);

    let check = async |frames: &[Vec<u8>], expected: Came, fault: Fault| {
        let before = server.counters.faults(fault);
        let mut wire = Wire::open(&server, &identity, &[]).await;
        wire.send(&frames.concat()).await;
        assert_eq!(wire.came(1).await, expected, "{frames:02x?}");
        until(|| server.counters.faults(fault) == before + 1).await;
    };
    let path = |method: &str, path: &str, flags| {
        let usual = [(":method", method), (":scheme", "https"), (":authority", "x")];
        frame(HEADERS, flags, 1, &[fields(&usual), fields(&[(":path", path)])].concat())
    };
    check(&[path("GET", "/full/1#f", 0x5)], Came::GoAway(0x1), Fault::Target).await;
    let trailers = frame(HEADERS, 0x5, 1, &fields(&[("content-length", "3")]));
    check(&[head(&[], 0x4), trailers], Came::GoAway(0x1), Fault::Trailers).await;
    let get = || path("GET", "/full/1", 0x4);
    check(&[get(), frame(DATA, 0x1, 1, b"abc")], Came::Headers, Fault::BodyOfGet).await;
    check(&[head(&[("a", "b"); 101], 0x5)], Came::Headers, Fault::TooManyFields).await;
    // From the table, so that few bytes are many: 99 times a field of 332.
    let value = "b".repeat(299);
    let mut block = [usual("/count"), vec![0x40, 1, b'a', 127, 172, 1]].concat();
    block.extend_from_slice(value.as_bytes());
    block.extend([0xbe; 98]);
    check(&[frame(HEADERS, 0x5, 1, &block)], Came::Headers, Fault::HeadTooLarge).await;
    // A GET whose end is a frame of its own has no body.
    let mut wire = Wire::open(&server, &identity, &[]).await;
    wire.send(&[get(), frame(DATA, 0x1, 1, b"")].concat()).await;
    assert_eq!(wire.came(1).await, Came::Headers);
    assert_eq!(server.counters.faults(Fault::BodyOfGet), 1);
    drop(wire);
    server.end().await;
}

#[tokio::test]
async fn http_3_says_100() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let (_endpoint, connection) = bare(&server, &identity).await;
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    let expect = [(":method", "POST"), (":path", "/count"), ("expect", "100-continue")];
    send.write_all(&instead(&expect)).await.unwrap();
    // `:status: 100` is entry 63 of the static table (RFC 9204, Appendix A).
    let mut first = [0; 6];
    timeout(Duration::from_secs(20), recv.read_exact(&mut first)).await.unwrap().unwrap();
    assert_eq!(first, [0x01, 4, 0, 0, 0xff, 0x00]);
    send.write_all(&data(b"")).await.unwrap();
    send.finish().unwrap();
    let rest = recv.read_to_end(1 << 20).await.unwrap();
    assert!(rest.ends_with(b"0 None"), "{rest:02x?}");
    server.end().await;
}

/// A handshake that began before the shutdown ends, and what it was for is answered.
#[tokio::test]
async fn a_shutdown_waits_for_handshakes() {
    let identity = Identity::new();
    for protocol in ["http/1.1", "h2"] {
        let server = Running::secure(Limits::default(), &identity);
        let socket = TcpStream::connect(server.address).await.unwrap();
        until(|| server.counters.accepted.load(std::sync::atomic::Ordering::Relaxed) == 1).await;
        server.begin();
        // The server hears of it, and is at its handshake.
        tokio::task::yield_now().await;
        let connector = TlsConnector::from(Arc::new(identity.client(&[protocol])));
        let name = ServerName::try_from("localhost").unwrap();
        let stream = connector.connect(name, socket).await.unwrap();
        if protocol == "h2" {
            let io = hyper_util::rt::TokioIo::new(stream);
            let executor = hyper_util::rt::TokioExecutor::new();
            let (mut sender, driver) =
                hyper::client::conn::http2::handshake(executor, io).await.unwrap();
            tokio::spawn(driver);
            let request = http::Request::get("https://localhost/full/1");
            let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
            assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
        } else {
            let seen = ask(stream, GET).await;
            assert!(seen.starts_with("HTTP/1.1 200"), "{seen}");
        }
        assert_eq!(server.end().await.dropped, 0);
    }
    let server = Running::secure(Limits::default(), &identity);
    let (endpoint, address) = (endpoint(&identity), server.address);
    let connecting = tokio::spawn(Client::at(endpoint, address));
    until(|| server.counters.accepted.load(std::sync::atomic::Ordering::Relaxed) == 1).await;
    server.begin();
    let client = connecting.await.unwrap();
    assert_eq!(client.fetch(client.get("/full/1")).await.unwrap().head.status(), 200);
    assert_eq!(server.end().await.dropped, 0);
}
