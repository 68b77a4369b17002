//! HTTP/3, by quinn's client with h3's. Frames written by hand are in `messages.rs`.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use h3::{client::SendRequest, error::StreamError};
use h3_quinn::OpenStreams;
use parking_lot::Mutex;
use quinn::crypto::rustls::QuicClientConfig;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use weir_edge_http::{Counters, HandshakeFailure, Limits, Protocol, Server, Shutdown};
use weir_edge_transport::{
    quic::QuicLimits,
    sockets::{self, Steering},
    workers,
};

use crate::support::{DATE, Identity, Running, Script, clock, content, first_wrong, until};

pub(crate) struct Client {
    endpoint: quinn::Endpoint,
    pub(crate) connection: quinn::Connection,
    sender: SendRequest<OpenStreams, Bytes>,
    port: u16,
}

pub(crate) fn endpoint(identity: &Identity) -> quinn::Endpoint {
    let crypto = QuicClientConfig::try_from(identity.client(&["h3"])).unwrap();
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    let mut transport = quinn::TransportConfig::default();
    transport.stream_receive_window(quinn::VarInt::from_u32(4 << 20));
    config.transport_config(Arc::new(transport));
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    endpoint.set_default_client_config(config);
    endpoint
}

/// A connection, and nothing said on it yet.
pub(crate) async fn bare(
    server: &Running,
    identity: &Identity,
) -> (quinn::Endpoint, quinn::Connection) {
    let endpoint = endpoint(identity);
    let connection = endpoint.connect(server.address, "localhost").unwrap().await.unwrap();
    (endpoint, connection)
}

/// The same, whose client takes less.
pub(crate) async fn bare_with(
    endpoint: quinn::Endpoint,
    server: &Running,
    identity: &Identity,
    transport: quinn::TransportConfig,
) -> (quinn::Endpoint, quinn::Connection) {
    let crypto = QuicClientConfig::try_from(identity.client(&["h3"])).unwrap();
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    let connecting = endpoint.connect_with(config, server.address, "localhost").unwrap();
    let connection = connecting.await.unwrap();
    (endpoint, connection)
}

impl Client {
    pub(crate) async fn new(server: &Running, identity: &Identity) -> Self {
        Self::on(endpoint(identity), server).await
    }

    async fn on(endpoint: quinn::Endpoint, server: &Running) -> Self {
        Self::at(endpoint, server.address).await
    }

    pub(crate) async fn at(endpoint: quinn::Endpoint, address: SocketAddr) -> Self {
        let connection = endpoint.connect(address, "localhost").unwrap().await.unwrap();
        let (mut driver, sender) =
            h3::client::new(h3_quinn::Connection::new(connection.clone())).await.unwrap();
        tokio::spawn(async move { driver.wait_idle().await });
        Self { endpoint, connection, sender, port: address.port() }
    }

    pub(crate) fn get(&self, path: &str) -> http::Request<()> {
        http::Request::get(format!("https://localhost:{}{path}", self.port)).body(()).unwrap()
    }

    pub(crate) async fn fetch(&self, request: http::Request<()>) -> Result<Answer, StreamError> {
        self.send(request, &[]).await
    }

    async fn send(
        &self,
        request: http::Request<()>,
        body: &[Bytes],
    ) -> Result<Answer, StreamError> {
        let stream = self.sender.clone().send_request(request).await?;
        let (mut up, mut down) = stream.split();
        let sent = async {
            for piece in body {
                up.send_data(piece.clone()).await?;
            }
            up.finish().await
        };
        let received = async {
            let head = down.recv_response().await?;
            let mut body = BytesMut::new();
            while let Some(mut piece) = down.recv_data().await? {
                body.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
            }
            Ok(Answer { head, body: body.freeze() })
        };
        let (sent, received) = tokio::join!(sent, received);
        let answer = received?;
        sent?;
        Ok(answer)
    }
}

pub(crate) struct Answer {
    pub(crate) head: http::Response<()>,
    body: Bytes,
}

const BIG: usize = 64 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_byte_both_ways() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let client = Client::new(&server, &identity).await;
    let answer = client.fetch(client.get(&format!("/bytes/{BIG}"))).await.unwrap();
    assert_eq!(answer.head.headers()["content-length"], BIG.to_string().as_str());
    assert_eq!(answer.head.headers()["date"], DATE);
    assert_eq!((answer.body.len(), first_wrong(0, &answer.body)), (BIG, None));
    let answer = client.fetch(client.get("/chunks/3000001/777")).await.unwrap();
    assert_eq!((answer.body.len(), first_wrong(0, &answer.body)), (3_000_001, None));

    let pieces: Vec<_> = (0..50).map(|at| content(at * 100_000, 100_000)).collect();
    let mut request = client.get("/count");
    *request.method_mut() = http::Method::POST;
    let answer = client.send(request, &pieces).await.unwrap();
    assert_eq!(answer.body, "5000000 None");
    let mut request = client.get("/echo");
    *request.method_mut() = http::Method::POST;
    let answer = client.send(request, &pieces).await.unwrap();
    assert_eq!((answer.body.len(), first_wrong(0, &answer.body)), (5_000_000, None));
    server.end().await;
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let client = Client::new(&server, &identity).await;
    let mut request = client.get("/bytes/1000");
    *request.method_mut() = http::Method::HEAD;
    let answer = client.fetch(request).await.unwrap();
    assert_eq!(answer.head.headers()["content-length"], "1000");
    assert!(answer.body.is_empty());
    let answer = client.fetch(client.get("/headers?q=1")).await.unwrap();
    let body = String::from_utf8(answer.body.to_vec()).unwrap();
    let port = server.address.port();
    assert!(body.starts_with(&format!("GET https://localhost:{port}/headers?q=1\n")), "{body}");
    assert!(body.contains("server_name: Some(\"localhost\"), version: \"1.3\""), "{body}");
    server.end().await;
}

#[tokio::test]
async fn a_hundred_streams_at_once() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let client = Arc::new(Client::new(&server, &identity).await);
    let mut tasks = JoinSet::new();
    for at in 0..100 {
        let client = Arc::clone(&client);
        tasks.spawn(async move {
            let size = 100_000 + at * 1000;
            let path = format!("/chunks/{size}/{}", 1000 + at * 37);
            let answer = client.fetch(client.get(&path)).await.unwrap();
            assert_eq!((answer.body.len(), first_wrong(0, &answer.body)), (size, None));
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(server.counters.requests.of(Protocol::H3), 100);
    until(|| server.counters.active.of(Protocol::H3) == 0).await;
    server.end().await;
}

fn code(error: &StreamError) -> String {
    match error {
        StreamError::RemoteTerminate { code, .. } => code.to_string(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_broken_source_resets_the_stream_and_nothing_else() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let client = Client::new(&server, &identity).await;
    for path in ["/short/100000", "/late/50000"] {
        let error = client.fetch(client.get(path)).await.err().expect("no clean end");
        assert_eq!(code(&error), "H3_INTERNAL_ERROR");
    }
    assert_eq!(client.fetch(client.get("/panic")).await.unwrap().head.status(), 500);
    assert_eq!(client.fetch(client.get("/full/10")).await.unwrap().body, content(0, 10));
    assert_eq!(server.counters.broken.of(Protocol::H3), 2);
    server.end().await;
}

#[tokio::test]
async fn a_client_that_stops_takes_its_requests_along() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let counters = Arc::clone(&server.counters);
    let client = Client::new(&server, &identity).await;
    for path in ["/never", "/bytes/100000000"] {
        let mut stream = client.sender.clone().send_request(client.get(path)).await.unwrap();
        stream.finish().await.unwrap();
        until(|| counters.active.of(Protocol::H3) == 1).await;
        stream.stop_sending(h3::error::Code::H3_REQUEST_CANCELLED);
        until(|| counters.active.of(Protocol::H3) == 0).await;
    }
    assert_eq!(counters.abandoned.of(Protocol::H3), 2);
    let mut stream = client.sender.clone().send_request(client.get("/never")).await.unwrap();
    stream.finish().await.unwrap();
    until(|| counters.active.of(Protocol::H3) == 1).await;
    client.connection.close(0_u32.into(), b"");
    until(|| counters.open.of(Protocol::H3) == 0).await;
    assert_eq!(counters.abandoned.of(Protocol::H3), 3);
    server.end().await;
}

#[tokio::test]
async fn sessions_resume_even_after_a_restart() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let endpoint = endpoint(&identity);
    let ask = async |server: &Running| {
        let client = Client::on(endpoint.clone(), server).await;
        let answer = client.fetch(client.get("/headers")).await.unwrap();
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        client.connection.close(0_u32.into(), b"");
        body.contains("resumed: true")
    };
    assert!(!ask(&server).await);
    assert!(ask(&server).await);
    assert_eq!(server.counters.resumed.of(Protocol::H3), 1);
    server.end().await;
    let server = Running::secure(Limits::default(), &identity);
    assert!(ask(&server).await);
    server.end().await;
}

#[tokio::test]
async fn shutdown_says_goaway_and_lets_requests_end() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let idle = Client::new(&server, &identity).await;
    idle.fetch(idle.get("/full/1")).await.unwrap();
    let busy = Client::new(&server, &identity).await;
    let request = busy.get("/bytes/20000000");
    let running = tokio::spawn(async move { busy.fetch(request).await.map(|answer| answer.body) });
    let counters = Arc::clone(&server.counters);
    until(|| counters.active.of(Protocol::H3) == 1).await;
    server.begin();
    idle.connection.closed().await;
    let body = running.await.unwrap().unwrap();
    assert_eq!((body.len(), first_wrong(0, &body)), (20_000_000, None));
    assert_eq!(server.end().await.dropped, 0);
    idle.endpoint.close(0_u32.into(), b"");
}

#[tokio::test]
async fn failed_handshakes_are_counted_by_reason() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let counters = Arc::clone(&server.counters);
    let mut wrong = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let config =
        |client| quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(client).unwrap()));
    wrong.set_default_client_config(config(identity.client(&["gopher"])));
    assert!(wrong.connect(server.address, "localhost").unwrap().await.is_err());
    until(|| counters.handshakes_failed(HandshakeFailure::NothingInCommon) == 1).await;
    wrong.set_default_client_config(config(Identity::new().client(&["h3"])));
    assert!(wrong.connect(server.address, "localhost").unwrap().await.is_err());
    until(|| counters.handshakes_failed(HandshakeFailure::Refused) == 1).await;
    server.end().await;
}

/// Three workers, each with its own endpoint on the same address. The kernel's hash would send
/// a client with a new port to another worker two times out of three.
#[tokio::test]
async fn a_client_that_moves_still_reaches_its_worker() {
    const WORKERS: usize = 3;
    let identity = Identity::new();
    let bound = sockets::bind("127.0.0.1:0".parse().unwrap(), WORKERS, true).unwrap();
    let address = bound.address;
    let sockets: Vec<_> = bound.udp.into_iter().map(|socket| Mutex::new(Some(socket))).collect();
    let counters = Arc::new(Counters::default());
    let begin = CancellationToken::new();
    let (tls, count, order) = (identity.tls(), Arc::clone(&counters), begin.clone());
    let running = workers::run(WORKERS, "moved", move |index| {
        let socket = sockets[index].lock().take().unwrap();
        let (tls, counters, begin) = (tls.clone(), Arc::clone(&count), order.clone());
        async move {
            let steering = Steering { worker: index as u8, generation: 1 };
            let endpoint =
                weir_edge_transport::quic::endpoint(socket, &tls, steering, &QuicLimits::default());
            let server =
                Server::new(Arc::new(Script), Limits::default(), counters, clock()).worker(index);
            let shutdown = Shutdown::new(begin, Duration::from_secs(5));
            server.quic(endpoint.unwrap(), &shutdown).await
        }
    });
    let running = running.unwrap();

    let mut clients = JoinSet::new();
    for _ in 0..3 {
        let client = Client::at(endpoint(&identity), address).await;
        let counters = Arc::clone(&counters);
        clients.spawn(async move {
            let endpoint = client.endpoint.clone();
            let connection = client.connection.clone();
            let request = client.get("/bytes/20000000");
            let fetched = tokio::spawn(async move { client.fetch(request).await.map(|a| a.body) });
            for _ in 0..20 {
                endpoint.rebind(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
                let before = connection.stats().frame_rx.stream;
                until(|| {
                    connection.stats().frame_rx.stream > before + 100 || fetched.is_finished()
                })
                .await;
            }
            let body = timeout(Duration::from_secs(60), fetched).await.unwrap().unwrap().unwrap();
            assert_eq!((body.len(), first_wrong(0, &body)), (20_000_000, None));
            assert_eq!(counters.connections.of(Protocol::H3), 3, "nobody has connected anew");
            endpoint.close(0_u32.into(), b"");
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    begin.cancel();
    for drained in running.join().await {
        assert_eq!(drained.unwrap().dropped, 0);
    }
}
