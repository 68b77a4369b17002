//! A parent that speaks HTTP/2 over TLS.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::support::{DEADLINE, get, network, whole};
use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use weir_edge_fill::upstream::{Upstream, UpstreamError};
use weir_edge_parent::{Host, HttpUpstream};
use weir_edge_transport::connect::Roots;

type Body = BoxBody<Bytes, std::io::Error>;

fn answer(request: &Request<Incoming>) -> Response<Body> {
    let pieces: Vec<Result<&'static str, std::io::Error>> = match request.uri().path() {
        "/broken" => vec![Ok("hel"), Err(std::io::Error::other("gone"))],
        _ => vec![Ok("hel"), Ok("lo")],
    };
    let frames = pieces.into_iter().map(|p| p.map(|p| Frame::data(Bytes::from(p))));
    let body = StreamBody::new(futures::stream::iter(frames));
    let mut response = Response::new(BodyExt::boxed(body));
    let length = match request.uri().path() {
        "/short" => Some("7"),
        "/long" => Some("4"),
        "/unknown" => None,
        _ => Some("5"),
    };
    if let Some(length) = length {
        response.headers_mut().insert("content-length", length.parse().unwrap());
    }
    if let Some(authority) = request.uri().authority() {
        let authority = authority.as_str().parse().unwrap();
        response.headers_mut().insert("x-authority", authority);
    }
    response
}

/// A parent with a certificate for `localhost`, and how many connections it had.
async fn parent(alpn: &[&[u8]]) -> (u16, Roots, Arc<AtomicUsize>, tempfile::TempDir) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            let counted = counted.clone();
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(tcp).await else { return };
                counted.fetch_add(1, Ordering::SeqCst);
                hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                    .serve_connection(
                        TokioIo::new(tls),
                        service_fn(|request| async move { Ok::<_, Infallible>(answer(&request)) }),
                    )
                    .await
                    .ok();
            });
        }
    });
    (port, Roots::File(path), connections, dir)
}

fn upstream(port: u16, roots: &Roots, host: Host) -> HttpUpstream {
    let base = format!("https://localhost:{port}").parse().unwrap();
    HttpUpstream::new("parent", base, host, network(roots), DEADLINE)
}

#[tokio::test]
async fn all_requests_share_one_connection() {
    let (port, roots, connections, _dir) = parent(&[b"h2", b"http/1.1"]).await;
    let upstream = upstream(port, &roots, Host::Upstream);
    let requests = (0..50).map(|_| async {
        let response = upstream.send(get("/a")).await.unwrap();
        assert_eq!(response.headers["x-authority"], format!("localhost:{port}"));
        whole(response).await
    });
    for (status, body, end) in futures::future::join_all(requests).await {
        end.unwrap();
        assert_eq!((status, body), (200, b"hello".to_vec()));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn bodies_are_held_to_their_length() {
    let (port, roots, _, _dir) = parent(&[b"h2"]).await;
    let upstream = upstream(port, &roots, Host::Upstream);
    let ended = async |path: &str| match upstream.send(get(path)).await {
        Ok(response) => whole(response).await,
        // A reset may overtake the head that was sent before it.
        Err(error) => (0, Vec::new(), Err(error)),
    };
    let (_, body, end) = ended("/unknown").await;
    assert_eq!((body, end.is_ok()), (b"hello".to_vec(), true));
    let (_, body, end) = ended("/short").await;
    let error = end.unwrap_err();
    assert!(error.taints() && body.len() <= 5, "{error}");
    let (_, body, end) = ended("/long").await;
    let error = end.unwrap_err();
    assert!(error.taints() && body.len() <= 4, "{error}");
    let (_, body, end) = ended("/broken").await;
    let error = end.unwrap_err();
    assert!(matches!(error, UpstreamError::Truncated { .. }), "{error}");
    assert!(body.len() <= 3);
    // None of that hurt the connection's other streams.
    let (_, body, end) = ended("/a").await;
    assert_eq!((body, end.is_ok()), (b"hello".to_vec(), true));
}

#[tokio::test]
async fn the_client_s_host_where_configured() {
    let (port, roots, _, _dir) = parent(&[b"h2"]).await;
    let upstream = upstream(port, &roots, Host::Client);
    let response = upstream.send(get("/a")).await.unwrap();
    assert_eq!(response.headers["x-authority"], "client.test");
}

#[tokio::test]
async fn unknown_authorities_are_refused() {
    let (port, _, connections, _dir) = parent(&[b"h2"]).await;
    let upstream = upstream(port, &Roots::Public, Host::Upstream);
    let error = upstream.send(get("/a")).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, UpstreamError::Connect { .. }), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn http_1_over_tls() {
    let (port, roots, connections, _dir) = parent(&[b"http/1.1"]).await;
    let upstream = upstream(port, &roots, Host::Upstream);
    for _ in 0..2 {
        let mut response = upstream.send(get("/unknown")).await.map(|r| r.body).unwrap();
        let first = response.next().await.unwrap().unwrap();
        assert!(b"hello".starts_with(&first));
        while let Some(piece) = response.next().await {
            piece.unwrap();
        }
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}
