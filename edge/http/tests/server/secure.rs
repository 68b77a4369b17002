//! HTTP/1.1 and HTTP/2 over TLS, by curl and by hyper.

use std::{process::Stdio, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::{io::AsyncReadExt, net::TcpStream, process::Command};
use tokio_rustls::{TlsConnector, client::TlsStream};
use weir_edge_http::{HandshakeFailure, Limits, Protocol};

use crate::support::{Identity, Running, content, first_wrong, until};

pub(crate) async fn connect(
    server: &Running,
    config: &Arc<rustls::ClientConfig>,
) -> TlsStream<TcpStream> {
    let socket = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::clone(config)).connect(name, socket).await.unwrap()
}

type H2<B> = http2::SendRequest<B>;

pub(crate) async fn h2<B>(server: &Running, identity: &Identity) -> H2<B>
where
    B: http_body::Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = connect(server, &Arc::new(identity.client(&["h2"]))).await;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

pub(crate) fn get(server: &Running, path: &str) -> http::Request<Empty<Bytes>> {
    let uri = format!("https://localhost:{}{path}", server.address.port());
    http::Request::get(uri).body(Empty::new()).unwrap()
}

async fn curl(server: &Running, identity: &Identity, arguments: &[&str], path: &str) -> Vec<u8> {
    let url = format!("https://localhost:{}{path}", server.address.port());
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "60", "--cacert"])
        .arg(identity.path("chain.pem"))
        .args(arguments)
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("curl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

const BIG: usize = 64 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_gets_every_byte() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    for (argument, protocol) in [("--http1.1", Protocol::H1), ("--http2", Protocol::H2)] {
        let body = curl(&server, &identity, &[argument], &format!("/bytes/{BIG}")).await;
        assert_eq!((body.len(), first_wrong(0, &body)), (BIG, None), "{argument}");
        // No length known, odd pieces.
        let body = curl(&server, &identity, &[argument], "/chunks/3000001/777").await;
        assert_eq!((body.len(), first_wrong(0, &body)), (3_000_001, None), "{argument}");
        assert_eq!(server.counters.requests.of(protocol), 2);
        let head = curl(&server, &identity, &[argument, "--head"], "/bytes/1000").await;
        let head = String::from_utf8(head).unwrap();
        for line in ["content-length: 1000", "alt-svc: h3=\":", "date: "] {
            assert!(head.contains(line), "{argument}: {head}");
        }
    }
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_sends_every_byte() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let file = identity.path("upload");
    std::fs::write(&file, content(0, 5_000_000)).unwrap();
    let data = format!("@{}", file.display());
    for argument in ["--http1.1", "--http2"] {
        let arguments = [argument, "--data-binary", &data];
        let answer = curl(&server, &identity, &arguments, "/count").await;
        assert_eq!(String::from_utf8(answer).unwrap(), "5000000 None");
        let echoed = curl(&server, &identity, &arguments, "/echo").await;
        assert_eq!((echoed.len(), first_wrong(0, &echoed)), (5_000_000, None));
    }
    server.end().await;
}

#[tokio::test]
async fn a_hundred_streams_at_once() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let sender = h2::<Empty<Bytes>>(&server, &identity).await;
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..100 {
        let mut sender = sender.clone();
        let size = 100_000 + at * 1000;
        let request = get(&server, &format!("/chunks/{size}/{}", 1000 + at * 37));
        tasks.spawn(async move {
            let response = sender.send_request(request).await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!((body.len(), first_wrong(0, &body)), (size, None));
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(server.counters.requests.of(Protocol::H2), 100);
    until(|| server.counters.active.of(Protocol::H2) == 0).await;
    server.end().await;
}

#[tokio::test]
async fn a_broken_source_resets_the_stream_and_nothing_else() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let mut sender = h2::<Empty<Bytes>>(&server, &identity).await;
    for path in ["/short/100000", "/late/50000"] {
        let response = sender.send_request(get(&server, path)).await.unwrap();
        let error = response.into_body().collect().await.unwrap_err();
        assert!(
            error.to_string().contains("INTERNAL_ERROR")
                || format!("{error:?}").contains("INTERNAL_ERROR"),
            "{error:?}"
        );
    }
    let response = sender.send_request(get(&server, "/panic")).await.unwrap();
    assert_eq!(response.status(), 500);
    let response = sender.send_request(get(&server, "/full/10")).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), content(0, 10));
    assert_eq!(server.counters.broken.of(Protocol::H2), 2);

    // The same over HTTP/1.1: TLS must not be closed cleanly either.
    let mut stream = connect(&server, &Arc::new(identity.client(&["http/1.1"]))).await;
    let request = "GET /late/50000 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    let end = stream.read_to_end(&mut seen).await;
    assert!(end.is_err(), "a close_notify would make the cut look like an end");
    assert!(seen.len() > 40_000 && !seen.ends_with(b"0\r\n\r\n"));
    server.end().await;
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_requests_along() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let counters = Arc::clone(&server.counters);
    let mut sender = h2::<Empty<Bytes>>(&server, &identity).await;
    // One that waits for its handler, and one in mid-body: each given up alone.
    let waiting = tokio::spawn(sender.send_request(get(&server, "/never")));
    until(|| counters.active.of(Protocol::H2) == 1).await;
    waiting.abort();
    until(|| counters.active.of(Protocol::H2) == 0).await;
    let response = sender.send_request(get(&server, "/bytes/100000000")).await.unwrap();
    until(|| counters.active.of(Protocol::H2) == 1).await;
    drop(response);
    until(|| counters.active.of(Protocol::H2) == 0).await;
    assert_eq!(counters.abandoned.of(Protocol::H2), 2);
    // And the whole connection.
    let response = sender.send_request(get(&server, "/bytes/100000000")).await.unwrap();
    drop((response, sender));
    until(|| counters.open.of(Protocol::H2) == 0).await;
    assert_eq!(counters.abandoned.of(Protocol::H2), 3);
    server.end().await;
}

#[tokio::test]
async fn requests_that_contradict_themselves() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let mut sender = h2::<Empty<Bytes>>(&server, &identity).await;
    let mut request = get(&server, "/full/1");
    request.headers_mut().insert("host", "elsewhere".parse().unwrap());
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 400);
    assert!(!response.headers().contains_key("connection"));
    let response = sender.send_request(get(&server, "/headers?x=1")).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert!(
        body.starts_with(&format!("GET https://localhost:{}/headers?x=1\n", server.address.port())),
        "{body}"
    );
    assert!(
        body.contains("server_name: Some(\"localhost\"), version: \"1.3\", resumed: false"),
        "{body}"
    );
    server.end().await;
}

#[tokio::test]
async fn uploads_over_http2_and_what_is_too_large() {
    let identity = Identity::new();
    let server = Running::secure(Limits { body_bytes: 2_000_000, ..Limits::default() }, &identity);
    let mut sender = h2::<Full<Bytes>>(&server, &identity).await;
    let uri = format!("https://localhost:{}/count", server.address.port());
    for (size, status) in [(2_000_000, 200), (2_000_001, 413)] {
        let request = http::Request::post(&uri).body(Full::new(content(0, size))).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), status);
        if status == 200 {
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "2000000 None");
        }
    }
    // No length told.
    let pieces = futures::stream::iter((0..3).map(|at| {
        Ok::<_, std::io::Error>(http_body::Frame::data(content(at * 1_000_000, 1_000_000)))
    }));
    let mut sender = h2::<_>(&server, &identity).await;
    let request = http::Request::post(&uri).body(StreamBody::new(pieces)).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 400);
    server.end().await;
}

#[tokio::test]
async fn sessions_resume_even_after_a_restart() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let config = Arc::new(identity.client(&["http/1.1"]));
    let ask = async |server: &Running| {
        let mut stream = connect(server, &config).await;
        let request = "GET /headers HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
        let mut seen = String::new();
        stream.read_to_string(&mut seen).await.unwrap();
        seen.contains("resumed: true")
    };
    assert!(!ask(&server).await);
    assert!(ask(&server).await);
    assert_eq!(server.counters.resumed.of(Protocol::H1), 1);
    server.end().await;
    let server = Running::secure(Limits::default(), &identity);
    assert!(ask(&server).await);
    server.end().await;
    // Without the key file nobody can.
    std::fs::remove_file(identity.path("keys")).unwrap();
    let server = Running::secure(Limits::default(), &identity);
    assert!(!ask(&server).await);
    server.end().await;
}

#[tokio::test]
async fn failed_handshakes_are_counted_by_reason() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let counters = Arc::clone(&server.counters);
    let name = || ServerName::try_from("localhost").unwrap();
    let socket = async || TcpStream::connect(server.address).await.unwrap();

    let mut plain = socket().await;
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    until(|| counters.handshakes_failed(HandshakeFailure::NotTls) == 1).await;

    drop(socket().await);
    until(|| counters.handshakes_failed(HandshakeFailure::Closed) == 1).await;

    let connector = TlsConnector::from(Arc::new(identity.client(&["gopher"])));
    assert!(connector.connect(name(), socket().await).await.is_err());
    until(|| counters.handshakes_failed(HandshakeFailure::NothingInCommon) == 1).await;

    let connector = TlsConnector::from(Arc::new(Identity::new().client(&["h2"])));
    assert!(connector.connect(name(), socket().await).await.is_err());
    until(|| counters.handshakes_failed(HandshakeFailure::Refused) == 1).await;
    server.end().await;
}

#[tokio::test]
async fn shutdown_says_goaway_and_lets_streams_end() {
    let identity = Identity::new();
    let server = Running::secure(Limits::default(), &identity);
    let mut busy = h2::<Empty<Bytes>>(&server, &identity).await;
    let mut idle = h2::<Empty<Bytes>>(&server, &identity).await;
    let response = idle.send_request(get(&server, "/full/1")).await.unwrap();
    response.into_body().collect().await.unwrap();
    let response = busy.send_request(get(&server, "/bytes/20000000")).await.unwrap();
    let counters = Arc::clone(&server.counters);
    server.begin();
    until(|| counters.open.of(Protocol::H2) == 1).await;
    assert!(idle.send_request(get(&server, "/full/1")).await.is_err());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!((body.len(), first_wrong(0, &body)), (20_000_000, None));
    let drained = server.end().await;
    assert_eq!(drained.dropped, 0);
}
