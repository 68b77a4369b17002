//! What an HTTP/3 client may do, and not without end; and clients that wait for us to wait.

use std::time::Duration;

use tokio::time::timeout;
use weir_edge_http::{Excess, Fault, Limits, Protocol};

use crate::{
    messages::{data, request},
    quic::bare,
    support::{Identity, Running, until},
};

const EXCESSIVE_LOAD: u64 = 0x107;

/// The server closes the connection for this, and others go on.
async fn ends(server: &Running, connection: &quinn::Connection, of: Excess) {
    let closed = timeout(Duration::from_secs(20), connection.closed()).await.unwrap();
    let quinn::ConnectionError::ApplicationClosed(closed) = closed else {
        panic!("{of}: {closed}");
    };
    assert_eq!(u64::from(closed.error_code), EXCESSIVE_LOAD, "{of}");
    assert_eq!(closed.reason, of.to_string());
    until(|| server.counters.exceeded_by(of) == 1).await;
}

#[tokio::test]
async fn one_stream_may_not_go_on_for_ever() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let settings: &[u8] = &[0x00, 0x04, 0x00];
    let goaway = [0x07, 0x01, 0x00].repeat(1 << 14);
    let cancelled = [0x40].repeat(1 << 14);
    for (streams, of) in [
        (&[&[settings, &goaway].concat()][..], Excess::Control),
        (&[&settings.to_vec(), &[&[0x03], &cancelled[..]].concat()], Excess::Instructions),
    ] {
        let (_endpoint, connection) = bare(&server, &identity).await;
        for bytes in streams {
            let mut stream = connection.open_uni().await.unwrap();
            let _ = stream.write_all(bytes).await;
            std::mem::forget(stream);
        }
        ends(&server, &connection, of).await;
    }
    let (_endpoint, connection) = bare(&server, &identity).await;
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    let _ = send.write_all(&[&request(&[])[..], &data(b"").repeat(1000)].concat()).await;
    ends(&server, &connection, Excess::Frames).await;
    server.end().await;
}

#[tokio::test]
async fn many_streams_may_not_come_to_nothing() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    // Requests that are taken back at once, by either half of their stream.
    let (_endpoint, connection) = bare(&server, &identity).await;
    let mut asked = 0;
    while let Ok((mut send, mut recv)) = connection.open_bi().await {
        let _ = send.write_all(&request(&[("x-a", "b")])).await;
        if asked % 2 == 0 {
            let _ = send.reset(0x10c_u32.into());
        }
        let _ = recv.stop(0x10c_u32.into());
        asked += 1;
        assert!(asked < 100_000);
    }
    ends(&server, &connection, Excess::Resets).await;
    let (_endpoint, connection) = bare(&server, &identity).await;
    let mut asked = 0;
    while let Ok((mut send, _recv)) = connection.open_bi().await {
        let _ = send.write_all(&request(&[("connection", "close")])).await;
        asked += 1;
        assert!(asked < 100_000);
    }
    ends(&server, &connection, Excess::Malformed).await;
    let (_endpoint, connection) = bare(&server, &identity).await;
    while let Ok(mut stream) = connection.open_uni().await {
        let _ = stream.write_all(&[0x21, 0x00]).await;
    }
    ends(&server, &connection, Excess::Streams).await;
    // Others are served meanwhile, and so is this client when it comes again.
    let (_endpoint, connection) = bare(&server, &identity).await;
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(&request(&[])).await.unwrap();
    send.finish().unwrap();
    assert!(!recv.read_to_end(1 << 20).await.unwrap().is_empty());
    server.end().await;
}

/// A player that seeks takes a request back now and then.
#[tokio::test]
async fn some_requests_may_be_taken_back() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let (_endpoint, connection) = bare(&server, &identity).await;
    for _ in 0..100 {
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(&request(&[])).await.unwrap();
        let _ = recv.stop(0x10c_u32.into());
        let _ = send.finish();
    }
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(&request(&[])).await.unwrap();
    send.finish().unwrap();
    assert!(!recv.read_to_end(1 << 20).await.unwrap().is_empty());
    assert!(Excess::ALL.iter().all(|of| server.counters.exceeded_by(*of) == 0));
    server.end().await;
}

fn impatient() -> Limits {
    let short = Duration::from_millis(300);
    Limits { stall: short, head: short, ..Limits::default() }
}

#[tokio::test]
async fn a_client_that_takes_nothing_or_says_nothing_is_not_waited_for() {
    let identity = Identity::new();
    let server = Running::secure(impatient(), &identity);
    let (_endpoint, connection) = bare(&server, &identity).await;
    let reset = async |mut recv: quinn::RecvStream| {
        let end = timeout(Duration::from_secs(20), recv.received_reset()).await.unwrap();
        end.unwrap().map(u64::from)
    };
    // A body of 64 MiB, of which nothing is read: its window stays shut.
    let (mut send, recv) = connection.open_bi().await.unwrap();
    let path = [(":path", "/bytes/67108864")];
    send.write_all(&crate::messages::instead(&path)).await.unwrap();
    send.finish().unwrap();
    assert_eq!(reset(recv).await, Some(EXCESSIVE_LOAD));
    until(|| server.counters.timed_out.of(Protocol::H3) == 1).await;
    // A head of which half is there.
    let (mut send, recv) = connection.open_bi().await.unwrap();
    send.write_all(&request(&[])[..20]).await.unwrap();
    assert_eq!(reset(recv).await, Some(0x10d));
    until(|| server.counters.timed_out.of(Protocol::H3) == 2).await;
    // A body of which a part is there, and whose handler waits for the rest.
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    let path = [(":method", "POST"), (":path", "/count"), ("content-length", "10")];
    send.write_all(&crate::messages::instead(&path)).await.unwrap();
    send.write_all(&data(b"01234")).await.unwrap();
    let answer = timeout(Duration::from_secs(20), recv.read_to_end(1 << 20)).await.unwrap();
    let text = String::from_utf8_lossy(&answer.unwrap()).into_owned();
    assert!(text.contains("sends nothing of what it announced"), "{text:?}");
    assert_eq!(server.counters.timed_out.of(Protocol::H3), 3);
    server.end().await;
}

#[tokio::test]
async fn too_many_fields() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let (_endpoint, connection) = bare(&server, &identity).await;
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(&request(&[("x-a", "1"); 101])).await.unwrap();
    send.finish().unwrap();
    let answer = recv.read_to_end(1 << 20).await.unwrap();
    let text = String::from_utf8_lossy(&answer).into_owned();
    assert!(text.contains("too many fields: at most 100 fields"), "{text:?}");
    assert_eq!(server.counters.faults(Fault::TooManyFields), 1);
    server.end().await;
}

/// RFC 9114 §7.2.8: some clients add a frame of a reserved type to every request.
#[tokio::test]
async fn a_reserved_frame_in_each_request_is_no_flood() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let (_endpoint, connection) = bare(&server, &identity).await;
    for _ in 0..1000 {
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        let reserved = [0x21, 0x02, b'h', b'i'];
        let asked = [&request(&[])[..], &reserved[..], &data(b"")[..]].concat();
        send.write_all(&asked).await.unwrap();
        send.finish().unwrap();
        assert!(!recv.read_to_end(1 << 20).await.unwrap().is_empty());
    }
    assert_eq!(server.counters.exceeded_by(Excess::Frames), 0);
    server.end().await;
}
