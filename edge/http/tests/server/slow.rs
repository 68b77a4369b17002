//! Clients that take or send a little now and then, so that they are never silent, and those that
//! are only on a slow network. Nobody waits: the clock is turned.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep},
};
use weir_edge_http::{Limits, Protocol, Slow};

use crate::{
    messages::{data, instead},
    quic::{bare_with, endpoint},
    support::{Identity, Running},
    wire::{Came, Wire, frame, usual},
};

/// Not a part of the window, so that nothing falls together.
const STEP: Duration = Duration::from_secs(17);

/// Does `step` again and again until somebody was found slow, and says after how long.
async fn until_slow(server: &Running, of: Slow, mut step: impl AsyncFnMut()) -> Duration {
    let (began, before) = (Instant::now(), server.counters.too_slow(of));
    while server.counters.too_slow(of) == before {
        assert!(began.elapsed() < Duration::from_secs(600), "it is still there");
        step().await;
        sleep(STEP).await;
    }
    began.elapsed()
}

fn check(lasted: Duration) {
    let window = Limits::default().pace.window;
    // Those that have much at first are judged once more.
    assert!(lasted >= window && lasted < 3 * window, "{lasted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_is_cut() {
    let server = Running::plain(Limits::default()).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let head = b"POST /count HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n";
    socket.write_all(head).await.unwrap();
    check(until_slow(&server, Slow::Request, async || socket.write_all(b"x").await.unwrap()).await);
    assert_eq!(socket.read(&mut [0; 8]).await.unwrap_or(0), 0);
    assert_eq!(server.counters.timed_out.of(Protocol::H1), 1);
    server.end().await;
}

/// A client with little room, of which it takes `bytes` in each step.
async fn reader(server: &Running) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut socket = socket.connect(server.address).await.unwrap();
    socket.write_all(b"GET /bytes/100000000 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    socket
}

#[tokio::test(start_paused = true)]
async fn who_takes_a_little_now_and_then_is_cut_and_who_is_on_a_slow_network_is_not() {
    // What is left to judge by is the pace.
    let server = Running::plain(Limits { stall: 20 * STEP, ..Limits::default() }).await;
    let mut socket = reader(&server).await;
    let take = async |socket: &mut TcpStream, bytes: usize| {
        socket.read_exact(&mut vec![0; bytes]).await.is_ok()
    };
    let lasted = until_slow(&server, Slow::Response, async || {
        take(&mut socket, 1000).await;
    });
    check(lasted.await);
    // Twenty kilobytes in each step, which is 9 kbit/s, for eight minutes.
    let mut socket = reader(&server).await;
    for _ in 0..30 {
        for _ in 0..20 {
            assert!(take(&mut socket, 1000).await);
        }
        sleep(STEP).await;
    }
    assert_eq!(server.counters.timed_out.of(Protocol::H1), 1);
    drop(socket);
    server.end().await;
}

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const CANCEL: u32 = 0x8;

/// The connection is given up with the stream; others of it end as they would.
#[tokio::test(start_paused = true)]
async fn a_stream_of_http_2_that_trickles_ends_and_the_others_do_not() {
    let identity = Identity::new();
    // This client answers no PING.
    let limits = Limits { ping: 100 * STEP, ..Limits::default() };
    let server = Running::secure(limits, &identity);
    // INITIAL_WINDOW_SIZE 1000.
    let open = async || Wire::open(&server, &identity, b"\0\x04\0\0\x03\xe8").await;
    let mut wire = open().await;
    wire.send(&frame(HEADERS, 0x5, 1, &usual("/bytes/1000000"))).await;
    assert_eq!(wire.came(1).await, Came::Headers);
    // One that the handler holds, and small ones now and then.
    wire.send(&frame(HEADERS, 0x4, 3, &usual("/count"))).await;
    let mut stream = 3;
    let lasted = until_slow(&server, Slow::Response, async || {
        stream += 2;
        wire.send(&frame(0x8, 0, 1, b"\0\0\0\x01")).await;
        wire.send(&frame(DATA, 0, 3, &[b'x'; 16_000])).await;
        wire.send(&frame(HEADERS, 0x5, stream, &usual("/full/1"))).await;
    });
    check(lasted.await);
    assert_eq!(wire.came(5).await, Came::Headers);
    wire.send(&frame(DATA, 0x1, 3, b"x")).await;
    assert_eq!(wire.came(3).await, Came::Headers);
    assert_eq!(wire.came(1).await, Came::Closed);
    // A body that trickles ends alone.
    let mut wire = open().await;
    wire.send(&frame(HEADERS, 0x4, 1, &usual("/count"))).await;
    let lasted = until_slow(&server, Slow::Request, async || {
        wire.send(&frame(DATA, 0, 1, b"x")).await;
    });
    check(lasted.await);
    assert_eq!(wire.came(1).await, Came::Reset(CANCEL));
    wire.send(&frame(HEADERS, 0x5, 3, &usual("/full/1"))).await;
    assert_eq!(wire.came(3).await, Came::Headers);
    assert_eq!(server.counters.active.of(Protocol::H2), 0);
    drop(wire);
    server.end().await;
}

/// It acknowledges every packet, and moves its window by next to nothing.
#[tokio::test(start_paused = true)]
async fn a_stream_of_http_3_that_trickles_ends_alone() {
    const EXCESSIVE_LOAD: u64 = 0x107;
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let mut transport = quinn::TransportConfig::default();
    transport.stream_receive_window(quinn::VarInt::from_u32(1000));
    let (_endpoint, connection) =
        bare_with(endpoint(&identity), &server, &identity, transport).await;
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(&instead(&[(":path", "/bytes/1000000")])).await.unwrap();
    send.finish().unwrap();
    let lasted = until_slow(&server, Slow::Response, async || {
        let _ = recv.read(&mut [0; 200]).await;
    });
    check(lasted.await);
    assert_eq!(recv.received_reset().await.unwrap().map(u64::from), Some(EXCESSIVE_LOAD));
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(&instead(&[(":method", "POST"), (":path", "/count")])).await.unwrap();
    let lasted = until_slow(&server, Slow::Request, async || {
        send.write_all(&data(b"x")).await.unwrap();
    });
    check(lasted.await);
    let answer = recv.read_to_end(1 << 20).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("too slowly"), "{answer:02x?}");
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(&instead(&[(":path", "/full/1")])).await.unwrap();
    send.finish().unwrap();
    assert!(!recv.read_to_end(1 << 20).await.unwrap().is_empty());
    server.end().await;
}
