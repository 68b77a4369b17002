//! HTTP/3 messages written by hand, frame by frame: what RFC 9114 calls malformed.

use std::time::Duration;

use tokio::time::timeout;
use weir_edge_http::{Fault, Limits, Malformed, Protocol};

use crate::{
    quic::{Client, bare},
    support::{Identity, Running, until},
};

/// One field of a section: static and literal, without the dynamic table (RFC 9204 §4.5.6).
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut field = Vec::new();
    let length = |first: u8, most: usize, length: usize, to: &mut Vec<u8>| {
        if length < most {
            to.push(first | length as u8);
        } else {
            assert!(length - most < 128);
            to.extend([first | most as u8, (length - most) as u8]);
        }
    };
    length(0x20, 7, name.len(), &mut field);
    field.extend_from_slice(name.as_bytes());
    length(0, 127, value.len(), &mut field);
    field.extend_from_slice(value.as_bytes());
    field
}

fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut section = vec![0, 0];
    for (name, value) in fields {
        section.extend(field(name, value));
    }
    assert!(section.len() < 0x4000);
    let mut frame = vec![0x01, 0x40 | (section.len() >> 8) as u8, section.len() as u8];
    frame.extend(section);
    frame
}

#[tokio::test]
async fn malformed_requests_are_reset() {
    const MESSAGE_ERROR: u64 = 0x10e;
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let client = Client::new(&server, &identity).await;
    let check =
        async |extra: &[(&str, &str)], without: &str, body: &[u8], expected: Option<u64>| {
            let usual = [
                (":method", "POST"),
                (":scheme", "https"),
                (":authority", "localhost"),
                (":path", "/count"),
            ];
            let mut fields: Vec<_> =
                usual.into_iter().filter(|(name, _)| *name != without).collect();
            fields.extend_from_slice(extra);
            let (mut send, mut recv) = client.connection.open_bi().await.unwrap();
            send.write_all(&headers(&fields)).await.unwrap();
            if !body.is_empty() {
                send.write_all(&[0x00, body.len() as u8]).await.unwrap();
                send.write_all(body).await.unwrap();
            }
            let _ = send.finish();
            let seen = match recv.read_to_end(1 << 20).await {
                Ok(_) => None,
                Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(code))) => {
                    Some(code.into_inner())
                }
                Err(error) => panic!("{error}"),
            };
            assert_eq!(seen, expected, "{extra:?} without {without:?}");
        };
    check(&[], "", b"abc", None).await;
    check(&[("content-length", "3")], "", b"abc", None).await;
    check(&[("te", "trailers"), ("host", "localhost")], "", b"", None).await;
    for field in [
        ("connection", "close"),
        ("keep-alive", "1"),
        ("proxy-connection", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "x"),
        ("te", "gzip"),
        ("host", "elsewhere"),
        ("content-length", "x"),
        ("Upper", "x"),
        (":unknown", "x"),
    ] {
        check(&[field], "", b"", Some(MESSAGE_ERROR)).await;
    }
    for name in [":method", ":scheme", ":authority", ":path"] {
        check(&[], name, b"", Some(MESSAGE_ERROR)).await;
    }
    check(&[("content-length", "2")], "", b"abc", Some(MESSAGE_ERROR)).await;
    check(&[("content-length", "4")], "", b"abc", Some(MESSAGE_ERROR)).await;
    check(&[("content-length", "4")], "", b"", Some(MESSAGE_ERROR)).await;
    check(&[("content-length", "3"), ("content-length", "4")], "", b"abc", Some(MESSAGE_ERROR))
        .await;
    check(&[(":path", "/other")], "", b"", Some(MESSAGE_ERROR)).await;
    check(&[("accept", "*/*"), (":path", "/count")], ":path", b"", Some(MESSAGE_ERROR)).await;
    check(&[(":status", "200")], "", b"", Some(MESSAGE_ERROR)).await;
    // Host names the authority, and still the scheme is missing.
    check(&[("host", "localhost")], ":scheme", b"", Some(MESSAGE_ERROR)).await;
    for (why, times) in [
        (Malformed::PseudoRepeated, 1),
        (Malformed::PseudoMisplaced, 1),
        (Malformed::PseudoUnknown, 2),
        (Malformed::ConnectionField, 5),
        (Malformed::ContentLength, 5),
        (Malformed::Field, 1),
        // te, host, and no authority at all.
        (Malformed::Request, 3),
        (Malformed::PseudoMissing, 4),
    ] {
        assert_eq!(server.counters.malformed_for(why), times, "{}", why.as_str());
    }
    // The connection has survived all of it.
    assert_eq!(client.fetch(client.get("/full/1")).await.unwrap().head.status(), 200);
    server.end().await;
}

const USUAL: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/full/1")];

pub(crate) fn request(more: &[(&str, &str)]) -> Vec<u8> {
    headers(&[&USUAL, more].concat())
}

/// The usual request with other fields in the place of some.
pub(crate) fn instead(fields: &[(&str, &str)]) -> Vec<u8> {
    let usual = USUAL.iter().filter(|(name, _)| fields.iter().all(|(other, _)| other != name));
    let (mut pseudo, more): (Vec<_>, Vec<_>) =
        fields.iter().partition(|(name, _)| name.starts_with(':'));
    pseudo.extend(usual);
    headers(&[pseudo, more].concat())
}

pub(crate) fn data(body: &[u8]) -> Vec<u8> {
    [&[0x00, body.len() as u8], body].concat()
}

#[tokio::test]
async fn a_body_is_held_to_its_length_and_a_get_has_none() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let client = Client::new(&server, &identity).await;
    let check = async |frames: Vec<Vec<u8>>, expected: Option<u64>| {
        let (mut send, mut recv) = client.connection.open_bi().await.unwrap();
        send.write_all(&frames.concat()).await.unwrap();
        let _ = send.finish();
        let seen = match recv.read_to_end(1 << 20).await {
            Ok(_) => None,
            Err(quinn::ReadToEndError::Read(quinn::ReadError::Reset(code))) => Some(code.into()),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(seen, expected, "{frames:02x?}");
    };
    let ten = || instead(&[(":method", "POST"), (":path", "/count"), ("content-length", "10")]);
    check(vec![request(&[])], None).await;
    check(vec![ten(), data(b"0123456789")], None).await;
    check(vec![ten(), data(b"01234"), data(b"56789")], None).await;
    check(vec![ten(), data(b"01234")], Some(0x10e)).await;
    check(vec![ten(), data(b"0123456789abcde")], Some(0x10e)).await;
    check(vec![ten(), data(b"01234"), headers(&[("x-a", "1")])], Some(0x10e)).await;
    check(vec![request(&[]), data(b"0"), headers(&[("x-a", "1")])], None).await;
    check(vec![request(&[]), headers(&[(":path", "/")])], Some(0x10e)).await;
    // A head of a gigabyte: H3_EXCESSIVE_LOAD before h3 makes room for it.
    check(vec![vec![0x01, 0xbf, 0xff, 0xff, 0xff]], Some(0x107)).await;
    // Too large once it is decoded (RFC 9114 §4.2.2): answered with 431, not reset.
    check(vec![request(&[("a", ""); 1100])], None).await;
    check(vec![request(&[]), data(b""), headers(&[("x-a", "1")])], None).await;
    assert_eq!(server.counters.refused.of(Protocol::H3), 7);
    assert_eq!(server.counters.malformed_for(Malformed::ContentLength), 3);
    assert_eq!(server.counters.faults(Fault::BodyOfGet), 1);
    assert_eq!(server.counters.faults(Fault::HeadTooLarge), 1);
    // RFC 9114 §4.3.1 and RFC 9110 §6.5.1.
    check(vec![instead(&[(":path", "/full/1#f")])], Some(0x10e)).await;
    let chunk = || instead(&[(":method", "POST"), (":path", "/count")]);
    check(vec![chunk(), data(b"0"), headers(&[("content-length", "1")])], Some(0x10e)).await;
    assert_eq!(client.fetch(client.get("/full/1")).await.unwrap().head.status(), 200);
    server.end().await;
}

#[tokio::test]
async fn what_ends_the_whole_connection() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let check = async |frames: Vec<Vec<u8>>, why: Malformed| {
        let client = Client::new(&server, &identity).await;
        let (mut send, _) = client.connection.open_bi().await.unwrap();
        send.write_all(&frames.concat()).await.unwrap();
        let _ = send.finish();
        ends(&server, &client.connection, why).await;
    };
    let trailers = || headers(&[("x-a", "1")]);
    let twice = vec![request(&[]), data(b"x"), trailers(), trailers()];
    check(twice, Malformed::FrameUnexpected).await;
    check(vec![data(b"x")], Malformed::FrameUnexpected).await;
    check(vec![request(&[]), data(b"x"), vec![0x00, 0x05, b'x']], Malformed::FrameCut).await;
    check(vec![vec![0x01, 0x03, 0x00, 0x00, 0x80]], Malformed::Qpack).await;
    server.end().await;
}

/// The server closes the connection, says why, and counts it.
async fn ends(server: &Running, connection: &quinn::Connection, why: Malformed) {
    let closed = timeout(Duration::from_secs(10), connection.closed()).await.unwrap();
    let quinn::ConnectionError::ApplicationClosed(closed) = closed else {
        panic!("{why}: {closed}");
    };
    assert_eq!(u64::from(closed.error_code), why.code(), "{why}");
    assert_eq!(closed.reason, why.to_string());
    until(|| server.counters.malformed_for(why) > 0).await;
}

/// A client's streams of one direction, on connections that h3's client knows nothing of.
#[tokio::test]
async fn streams_beside_the_requests() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let open = async |streams: &[&[u8]]| {
        let (endpoint, connection) = bare(&server, &identity).await;
        let mut opened = Vec::new();
        for bytes in streams {
            let mut stream = connection.open_uni().await.unwrap();
            stream.write_all(bytes).await.unwrap();
            opened.push(stream);
        }
        (endpoint, connection, opened)
    };
    let control: &[u8] = &[0x00, 0x04, 0x00];
    for (streams, why) in [
        (&[&[0x01_u8, 0x00][..]][..], Malformed::PushStream),
        // RFC 9114 §6.2.1, RFC 9204 §4.2: one of each, whatever is on it
        (&[control, &[0x00, 0x07, 0x01, 0x00]], Malformed::StreamTwice),
        (&[control, &[0x02], &[0x02]], Malformed::StreamTwice),
        (&[control, &[0x03], &[0x03]], Malformed::StreamTwice),
        // SETTINGS of a gigabyte, and none
        (&[&[0x00, 0x04, 0xbf, 0xff, 0xff, 0xff]], Malformed::TooLarge),
        (&[&[0x00, 0x07, 0x01, 0x00]], Malformed::MissingSettings),
        (&[&[0x00, 0x04, 0x02, 0x02, 0x00]], Malformed::Settings),
        (&[&[0x00, 0x04, 0x00, 0x03, 0x01, 0x00]], Malformed::Id),
        (&[&[0x00, 0x04, 0x00, 0x07, 0x02, 0x00, 0x00]], Malformed::FrameLength),
        // RFC 9204 §3.2.3 and §4.4.3
        (&[control, &[0x02, 0x3f, 0xe1, 0x1f]], Malformed::EncoderStream),
        (&[control, &[0x03, 0x01]], Malformed::DecoderStream),
    ] {
        let (_endpoint, connection, _streams) = open(streams).await;
        ends(&server, &connection, why).await;
    }
    for kind in [0x02, 0x03] {
        let (_endpoint, connection, mut streams) = open(&[control, &[kind]]).await;
        streams[1].finish().unwrap();
        ends(&server, &connection, Malformed::CriticalClosed).await;
    }
    // Ours, which a client may not stop.
    let (_endpoint, connection, _streams) = open(&[control]).await;
    connection.accept_uni().await.unwrap().stop(0_u32.into()).unwrap();
    ends(&server, &connection, Malformed::CriticalClosed).await;
    // What nobody knows is stopped, and harms nothing (RFC 9114 §6.2); nor does the end of a
    // stream that has not said what it is.
    let (_endpoint, connection, mut streams) =
        open(&[control, &[0x02, 0x20], &[0x03, 0x44], &[0x21, 1, 2, 3], &[0x40]]).await;
    let code = streams[3].stopped().await.unwrap();
    assert_eq!(code.map(u64::from), Some(0x103));
    streams[4].finish().unwrap();
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(&request(&[])).await.unwrap();
    send.finish().unwrap();
    assert!(!recv.read_to_end(1 << 20).await.unwrap().is_empty());
    server.end().await;
}
