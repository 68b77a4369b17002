//! HTTP/1.1 byte by byte and HTTP/2 frame by frame: what ends a request before anybody sees it.
//! The long tables are in `src/wire/` and in the kits of `benches/testbed/h1` and `h2`.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::client::TlsStream;
use weir_edge_http::{Fault, Flood, Limits, Protocol};

use crate::{
    secure::connect,
    support::{Identity, Running, until},
};

const GET: &str = "GET /full/1 HTTP/1.1\r\nhost: x\r\n\r\n";

/// Behind a whole request comes one with `lines`, and one that would be smuggled.
#[tokio::test]
async fn what_two_readers_could_read_in_two_ways() {
    let server = Running::plain(Limits::default()).await;
    let mut asked = 0;
    let mut check = async |lines: &str, fault: Option<Fault>| {
        let before = fault.map(|fault| server.counters.faults(fault));
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(format!("{GET}{lines}{GET}").as_bytes()).await.unwrap();
        let mut seen = String::new();
        let read = socket.read_to_string(&mut seen);
        timeout(Duration::from_secs(20), read).await.expect("it closes").unwrap();
        let statuses: Vec<&str> =
            seen.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
        assert_eq!(statuses, ["200", "400"], "{lines:?}: {seen}");
        // Only the one before it came to anybody.
        asked += 1;
        assert_eq!(server.counters.requests.of(Protocol::H1), asked, "{lines:?}");
        let after = fault.map(|fault| server.counters.faults(fault));
        assert_eq!(after, before.map(|times| times + 1), "{lines:?}");
    };
    let both = "POST /count HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    check(both, Some(Fault::BothLengths)).await;
    for (fields, fault) in [
        ("content-length: 5\r\ncontent-length: 5", Fault::ContentLength),
        ("content-length: 0\r\ncontent-length: 5", Fault::ContentLength),
        ("content-length: 5, 5", Fault::ContentLength),
        ("content-length: +5", Fault::ContentLength),
        ("transfer-encoding: chunked, chunked", Fault::TransferEncoding),
        ("transfer-encoding: gzip, chunked", Fault::TransferEncoding),
        ("transfer-encoding: xchunked", Fault::TransferEncoding),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked", Fault::TransferEncoding),
        ("content-length : 5", Fault::FieldName),
        ("transfer-encoding:\r\n chunked", Fault::TransferEncoding),
        ("a: b\r\n c", Fault::Folded),
        ("a: b\0c", Fault::FieldValue),
        ("a: b\rc", Fault::LineEnd),
        ("a: b\nc: d", Fault::LineEnd),
    ] {
        check(&format!("POST /count HTTP/1.1\r\nhost: x\r\n{fields}\r\n\r\nabcde"), Some(fault))
            .await;
    }
    check("GET /full/1 HTTP/1.1\nhost: x\n\n", Some(Fault::LineEnd)).await;
    check("GET /full/1  HTTP/1.1\r\nhost: x\r\n\r\n", Some(Fault::RequestLine)).await;
    // These have one framing, and no meaning: seen above hyper.
    for request in [
        "TRACE /full/1 HTTP/1.1\r\nhost: x\r\n\r\n",
        "CONNECT x:80 HTTP/1.1\r\nhost: x:80\r\n\r\n",
        "GET /full/1 HTTP/1.1\r\n\r\n",
        "GET /full/1 HTTP/1.1\r\nhost: x\r\nhost: x\r\n\r\n",
        "GET /full/1 HTTP/1.1\r\nhost: x, y\r\n\r\n",
        "GET http://y/full/1 HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET * HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        check(request, None).await;
    }
    server.end().await;
}

/// The head of a chunked request is good, so that its handler runs; its body is not.
#[tokio::test]
async fn a_body_that_is_not_framed_breaks_off() {
    let server = Running::plain(Limits::default()).await;
    for chunks in
        ["3\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "3 \r\nabc\r\n0\r\n\r\n", "+3\r\nabc"]
    {
        let head = "POST /count HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(format!("{head}{chunks}{GET}").as_bytes()).await.unwrap();
        let mut seen = String::new();
        socket.read_to_string(&mut seen).await.unwrap();
        // The handler's word about a body that broke off, and nothing to the next one.
        assert!(seen.is_empty() || seen.starts_with("HTTP/1.1 400 "), "{chunks:?}: {seen}");
        assert_eq!(seen.matches("HTTP/1.1").count().max(1), 1, "{chunks:?}: {seen}");
    }
    server.end().await;
}

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    [&[a, b, c, kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

/// Literals that are neither indexed nor in Huffman's code (RFC 7541 §6.2.2).
pub(crate) fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        assert!(name.len() < 127 && value.len() < 127);
        block.extend([0, name.len() as u8]);
        block.extend_from_slice(name.as_bytes());
        block.push(value.len() as u8);
        block.extend_from_slice(value.as_bytes());
    }
    block
}

/// What came of a stream or of the connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    Headers,
    Reset(u32),
    GoAway(u32),
    Closed,
}

pub(crate) struct Wire {
    stream: TlsStream<TcpStream>,
    seen: Vec<u8>,
    last: Vec<u8>,
}

impl Wire {
    /// The payload of the frame that decided last.
    pub(crate) fn last(&self) -> &[u8] {
        &self.last
    }

    pub(crate) async fn open(server: &Running, identity: &Identity, settings: &[u8]) -> Self {
        let stream = connect(server, &Arc::new(identity.client(&["h2"]))).await;
        let mut wire = Self { stream, seen: Vec::new(), last: Vec::new() };
        wire.send(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(0x4, 0, 0, settings)[..]].concat())
            .await;
        wire
    }

    /// A peer that has closed is found by whoever reads.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The first thing that decides about `stream`.
    pub(crate) async fn came(&mut self, stream: u32) -> Came {
        loop {
            while self.seen.len() >= 9 {
                let length = u32::from_be_bytes([0, self.seen[0], self.seen[1], self.seen[2]]);
                let end = 9 + length as usize;
                if self.seen.len() < end {
                    break;
                }
                let frame: Vec<u8> = self.seen.drain(..end).collect();
                let word = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
                self.last = frame[9..].to_vec();
                match frame[3] {
                    HEADERS if word(5) == stream => return Came::Headers,
                    0x3 if word(5) == stream => return Came::Reset(word(9)),
                    // The graceful one of a shutdown says nothing of this kind.
                    0x7 if word(13) != 0 => return Came::GoAway(word(13)),
                    _ => {}
                }
            }
            let mut room = [0; 4096];
            // Where the clock is turned it runs ahead of what comes.
            let read = timeout(Duration::from_secs(600), self.stream.read(&mut room));
            match read.await.expect("something comes") {
                Ok(read @ 1..) => self.seen.extend_from_slice(&room[..read]),
                Ok(0) | Err(_) => return Came::Closed,
            }
        }
    }
}

pub(crate) fn usual(path: &str) -> Vec<u8> {
    fields(&[(":method", "POST"), (":scheme", "https"), (":authority", "x"), (":path", path)])
}

#[tokio::test]
async fn frames_that_no_handler_sees() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let check = async |frames: &[Vec<u8>], expected: Came| {
        let before = server.counters.requests.of(Protocol::H2);
        let mut wire = Wire::open(&server, &identity, &[]).await;
        wire.send(&frames.concat()).await;
        assert_eq!(wire.came(1).await, expected, "{frames:02x?}");
        assert_eq!(server.counters.requests.of(Protocol::H2), before, "{frames:02x?}");
    };
    let head = |more: &[(&str, &str)], flags| {
        frame(HEADERS, flags, 1, &[usual("/count"), fields(more)].concat())
    };
    let trailers = |more: &[(&str, &str)]| frame(HEADERS, 0x5, 1, &fields(more));
    // Ours: trailers, sizes, places.
    check(&[head(&[], 0x4), trailers(&[(":path", "/")])], Came::GoAway(0x1)).await;
    check(&[head(&[], 0x4), frame(HEADERS, 0x5, 1, b"\x84")], Came::GoAway(0x1)).await;
    check(&[frame(0x6, 0, 0, b"1234567"), head(&[], 0x5)], Came::GoAway(0x6)).await;
    check(&[frame(0x4, 0, 0, b"\0\x04\x80\0\0\0"), head(&[], 0x5)], Came::GoAway(0x3)).await;
    check(&[frame(HEADERS, 0x5, 1, b"\xff\xff\x01")], Came::GoAway(0x9)).await;
    assert_eq!(server.counters.faults(Fault::Trailers), 2);
    assert_eq!(server.counters.faults(Fault::FrameSize), 1);
    assert_eq!(server.counters.faults(Fault::Window), 1);
    assert_eq!(server.counters.faults(Fault::Compression), 1);
    // h2's: one stream.
    for field in [("connection", "close"), ("te", "gzip"), (":status", "200"), (":path", "/a")] {
        check(&[head(&[field], 0x5)], Came::Reset(0x1)).await;
    }
    check(&[head(&[("a", "b"), (":scheme", "https")], 0x5)], Came::Reset(0x1)).await;
    // A body of another length than it said, with its head in one record: nobody is asked.
    let five = || head(&[("content-length", "5")], 0x4);
    check(&[five(), frame(DATA, 0x1, 1, b"abc")], Came::Reset(0x1)).await;
    check(&[five(), frame(DATA, 0x1, 1, b"abcdef")], Came::Reset(0x1)).await;
    // Ours again, above hyper, which answers them.
    for field in [("a", " b"), ("a", "b\t"), ("host", "y")] {
        check(&[head(&[field], 0x5)], Came::Headers).await;
    }
    // And the connection is good for what is well-formed.
    let before = server.counters.requests.of(Protocol::H2);
    let mut wire = Wire::open(&server, &identity, &[]).await;
    wire.send(&[head(&[("te", "trailers")], 0x4), trailers(&[("a", "b")])].concat()).await;
    assert_eq!(wire.came(1).await, Came::Headers);
    assert_eq!(server.counters.requests.of(Protocol::H2), before + 1);
    drop(wire);
    server.end().await;
}

#[tokio::test]
async fn floods_are_told_to_calm_down() {
    const CALM: Came = Came::GoAway(0xb);
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let check = async |flood: Flood, frames: Vec<u8>| {
        let before = server.counters.floods(flood);
        let mut wire = Wire::open(&server, &identity, &[]).await;
        wire.send(&frames).await;
        assert_eq!(wire.came(u32::MAX).await, CALM, "{flood:?}");
        until(|| server.counters.floods(flood) == before + 1).await;
    };
    let ask = |at: u32| frame(HEADERS, 0x5, 2 * at + 1, &usual("/never"));
    let cancel = |at: u32| frame(0x3, 0, 2 * at + 1, b"\0\0\0\x08");
    check(Flood::Reset, (0..400).flat_map(|at| [ask(at), cancel(at)].concat()).collect()).await;
    check(Flood::Settings, frame(0x4, 0, 0, b"").repeat(1000)).await;
    check(Flood::Ping, frame(0x6, 0, 0, b"12345678").repeat(1000)).await;
    check(Flood::Priority, frame(0x2, 0, 1, b"\0\0\0\0\x10").repeat(1000)).await;
    check(Flood::WindowUpdate, frame(0x8, 0, 0, b"\0\0\0\x01").repeat(3000)).await;
    check(Flood::Unknown, frame(0xaa, 0, 0, b"").repeat(1000)).await;
    let open = frame(HEADERS, 0x4, 1, &usual("/count"));
    let empty = frame(DATA, 0, 1, b"").repeat(1000);
    check(Flood::EmptyData, [&open[..], &empty].concat()).await;
    let begun = frame(HEADERS, 0, 1, &usual("/count"));
    let more = frame(0x9, 0, 1, &fields(&[("a", "b")])).repeat(1000);
    check(Flood::Continuation, [&begun[..], &more].concat()).await;
    // What h2 counts itself. CVE-2025-8671: a window that overflows has us reset each stream.
    let over = |at: u32| frame(0x8, 0, 2 * at + 1, &0x7fff_ffff_u32.to_be_bytes());
    let open = |at: u32| frame(HEADERS, 0x4, 2 * at + 1, &usual("/never"));
    check(Flood::Engine, (0..400).flat_map(|at| [open(at), over(at)].concat()).collect()).await;
    // A field of 200 bytes in the table, and 16,000 times one byte that means it.
    let mut bomb = vec![0x40, 1, b'a', 127, 73];
    bomb.extend([b'b'; 200]);
    bomb.extend([0xbe; 16_000]);
    check(Flood::Engine, frame(HEADERS, 0x5, 1, &bomb)).await;
    // One who has sent megabytes more learns of it all the same.
    check(Flood::Ping, frame(0x6, 0, 0, b"12345678").repeat(200_000)).await;
    // Nothing of it goes on.
    until(|| server.counters.active.of(Protocol::H2) == 0).await;
    server.end().await;
}

/// A client that gives no window holds its responses, however often it pings.
#[tokio::test(start_paused = true)]
async fn a_client_that_gives_no_window_is_cut() {
    let limits = Limits::default();
    let identity = Identity::new();
    let server = Running::secure(limits.clone(), &identity);
    // INITIAL_WINDOW_SIZE 0.
    let mut wire = Wire::open(&server, &identity, b"\0\x04\0\0\0\0").await;
    wire.send(&frame(HEADERS, 0x5, 1, &usual("/bytes/1000000"))).await;
    assert_eq!(wire.came(1).await, Came::Headers);
    let began = Instant::now();
    while server.counters.timed_out.of(Protocol::H2) == 0 {
        wire.send(&frame(0x6, 0, 0, b"12345678")).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(began.elapsed() < 3 * limits.stall, "it is still there");
    }
    assert!(began.elapsed() >= limits.stall, "{:?}", began.elapsed());
    assert_eq!(wire.came(1).await, Came::Closed);
    server.end().await;
}
