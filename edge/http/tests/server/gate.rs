//! Who is let in, over TCP and QUIC.

use std::{io::ErrorKind, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Empty;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};
use weir_edge_http::{Gate, GateLimits, Limits, Protocol, Refused};

use crate::{
    quic::{Client, endpoint},
    secure::{get, h2},
    support::{Identity, Running, until},
};

/// Nobody is exempt, since every client here is this host.
fn strict(change: impl FnOnce(&mut GateLimits)) -> Arc<Gate> {
    let mut limits = GateLimits { exempt: Vec::new(), ..GateLimits::default() };
    change(&mut limits);
    Gate::new(limits)
}

#[tokio::test]
async fn a_client_with_too_many_connections_is_reset_before_its_handshake() {
    let identity = Identity::new();
    let gate = strict(|limits| limits.per_client = 2);
    let server = Running::guarded(&identity, &gate);
    let first = TcpStream::connect(server.address).await.unwrap();
    let _second = TcpStream::connect(server.address).await.unwrap();
    until(|| gate.open() == 2).await;
    let mut third = TcpStream::connect(server.address).await.unwrap();
    let _ = third.write_all(b"\x16\x03\x01").await;
    let seen = timeout(Duration::from_secs(10), third.read(&mut [0; 10])).await.unwrap();
    assert_eq!(seen.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(gate.refused(Refused::Client), 1);
    // Who leaves makes room.
    drop(first);
    until(|| gate.open() == 1).await;
    let _again = TcpStream::connect(server.address).await.unwrap();
    until(|| gate.open() == 2).await;
    assert_eq!(gate.refused(Refused::Client), 1);
    server.end().await;
    assert_eq!(gate.open(), 0);
}

/// Who is in stays in while it asks now and then; the others make room, and hear of it.
#[tokio::test]
async fn idle_connections_go_sooner_while_the_gate_is_shut() {
    let identity = Identity::new();
    let gate = strict(|_| {});
    let limits = Limits { idle_shut: Duration::from_millis(100), ..Limits::default() };
    let server = Running::with(limits, &identity, Some(Arc::clone(&gate)));
    let mut stream = h2::<Empty<Bytes>>(&server, &identity).await;
    stream.send_request(get(&server, "/full/1")).await.unwrap();
    let quic = Client::new(&server, &identity).await;
    quic.fetch(quic.get("/full/1")).await.unwrap();
    gate.shut(true);
    let gone = |protocol| server.counters.timed_out.of(protocol) == 1;
    until(|| gone(Protocol::H2) && gone(Protocol::H3)).await;
    until(|| gate.open() == 0).await;
    quic.connection.closed().await;
    assert!(stream.send_request(get(&server, "/full/1")).await.is_err());
    server.end().await;
}

#[tokio::test]
async fn a_quic_client_with_too_many_connections_is_refused_once_its_address_is_known() {
    let identity = Identity::new();
    let gate = strict(|limits| limits.per_client = 1);
    let server = Running::guarded(&identity, &gate);
    let client = Client::new(&server, &identity).await;
    assert_eq!(client.fetch(client.get("/full/9")).await.unwrap().head.status(), 200);
    assert_eq!((gate.open(), gate.retries()), (1, 0));
    let more = endpoint(&identity);
    let refused = more.connect(server.address, "localhost").unwrap().await.unwrap_err();
    let quinn::ConnectionError::ConnectionClosed(close) = refused else { panic!("{refused}") };
    assert_eq!(close.error_code, quinn::TransportErrorCode::CONNECTION_REFUSED);
    // Not on the word of somebody who may be anybody: it was asked to show its address first.
    assert_eq!((gate.retries(), gate.refused(Refused::Client)), (1, 1));
    assert_eq!(client.fetch(client.get("/full/9")).await.unwrap().head.status(), 200);
    server.end().await;
}

/// A socket that carries what clients say to the server, and nothing back: whoever connects
/// through it never ends its handshake.
async fn one_way(server: SocketAddr) -> SocketAddr {
    let inside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = inside.local_addr().unwrap();
    tokio::spawn(async move {
        let mut datagram = [0; 2000];
        while let Ok(length) = inside.recv(&mut datagram).await {
            // From a socket of its own each time, as forged addresses are.
            let outside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            outside.send_to(&datagram[..length], server).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn a_flood_of_handshakes_makes_clients_show_their_address_and_keeps_none_out() {
    let identity = Identity::new();
    let gate = strict(|limits| limits.quic_handshakes = 8);
    let server = Running::guarded(&identity, &gate);
    let nowhere = one_way(server.address).await;
    let flood = endpoint(&identity);
    let begun: Vec<_> = (0..50).map(|_| flood.connect(nowhere, "localhost").unwrap()).collect();
    until(|| gate.retries() >= 20).await;
    assert_eq!(gate.handshakes(), 8);
    let client = Client::new(&server, &identity).await;
    assert_eq!(client.fetch(client.get("/full/9")).await.unwrap().head.status(), 200);
    assert_eq!(gate.handshakes(), 8);
    assert_eq!(server.counters.open.of(Protocol::H3), 1);
    assert_eq!(gate.refused(Refused::Handshakes), 0);
    drop(begun);
    server.end().await;
    assert_eq!((gate.handshakes(), gate.open()), (0, 0));
}

/// Datagrams that are none of QUIC, or nearly.
#[tokio::test]
async fn garbage_is_no_client() {
    let identity = Identity::new();
    let gate = strict(|_| {});
    let server = Running::guarded(&identity, &gate);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..5000_usize {
        let mut datagram = vec![0; round % 1400];
        for byte in &mut datagram {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *byte = (state >> 56) as u8;
        }
        // Half of them begin as Initials of QUIC 1 do.
        if round % 2 == 0 && datagram.len() > 20 {
            datagram[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
        }
        socket.send_to(&datagram, server.address).await.unwrap();
        if round % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let client = Client::new(&server, &identity).await;
    assert_eq!(client.fetch(client.get("/full/9")).await.unwrap().head.status(), 200);
    assert_eq!((gate.open(), server.counters.open.of(Protocol::H3)), (1, 1));
    server.end().await;
}

/// A PROXY header of version 2, for this client over IPv4.
fn announcement(client: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend(client);
    header.extend([127, 0, 0, 1, 0x30, 0x39, 0x1f, 0x90]);
    header
}

const ASK: &[u8] = b"GET /peer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn behind_a_proxy_a_client_is_who_the_proxy_says() {
    let host = || vec!["127.0.0.0/8".parse().unwrap()];
    let gate = strict(|limits| {
        limits.forwarders = host();
        limits.per_client = 1;
        limits.handshake = Duration::from_millis(500);
    });
    let server = Running::behind_proxies(&gate).await;
    let send = async |bytes: &[u8]| {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let _ = socket.write_all(bytes).await;
        let mut answer = Vec::new();
        let read = socket.read_to_end(&mut answer);
        match timeout(Duration::from_secs(10), read).await.unwrap() {
            Ok(_) => Ok(String::from_utf8_lossy(&answer).into_owned()),
            Err(error) => Err(error.kind()),
        }
    };
    let answer = send(&[&announcement([192, 0, 2, 7]), ASK].concat()).await.unwrap();
    assert!(answer.ends_with("\n192.0.2.7"), "{answer}");
    // The proxy itself, which looks whether we are well.
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0";
    let answer = send(&[&local[..], ASK].concat()).await.unwrap();
    assert!(answer.ends_with("\n127.0.0.1"), "{answer}");
    // One that already has what a client may have.
    let mut held = TcpStream::connect(server.address).await.unwrap();
    held.write_all(&announcement([192, 0, 2, 7])).await.unwrap();
    until(|| gate.open() == 1).await;
    until(|| gate.enter([192, 0, 2, 7].into(), Duration::ZERO).is_err()).await;
    let before = gate.refused(Refused::Client);
    let reset = Err(ErrorKind::ConnectionReset);
    assert_eq!(send(&announcement([192, 0, 2, 7])).await, reset);
    assert_eq!(gate.refused(Refused::Client), before + 1);
    // No header, one of version 1, none in time.
    for bytes in
        [ASK, b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n", &announcement([192, 0, 2, 8])[..20]]
    {
        assert_eq!(send(bytes).await, reset, "{}", bytes.escape_ascii());
    }
    assert_eq!(gate.refused(Refused::ProxyHeader), 3);
    // Somebody who is no proxy of ours cannot say who it is.
    gate.set(GateLimits { exempt: Vec::new(), ..GateLimits::default() });
    assert_eq!(send(&announcement([192, 0, 2, 9])).await, reset);
    assert_eq!(gate.refused(Refused::NoForwarder), 1);
    drop(held);
    server.end().await;
}
