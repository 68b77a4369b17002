//! A handler that answers from its request, and a server around it.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderValue, StatusCode};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use weir_config_lifecycle::ManualClock;
use weir_edge_http::{
    BodyError, ConnectionInfo, Counters, Drained, Gate, Handler, Limits, Request, Response,
    ResponseBody, Server, Shutdown,
};
use weir_edge_transport::{
    quic::{self, QuicLimits},
    sockets::{self, Steering},
    tls::{Certificates, Keys, MinVersion, Tls},
};

/// Byte `at` of every generated body: position-dependent, so that a shifted, repeated or
/// missing piece shows.
pub(crate) fn byte_at(at: u64) -> u8 {
    let word = (at / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) ^ (at / 8);
    word.to_le_bytes()[(at % 8) as usize]
}

pub(crate) fn content(from: u64, length: usize) -> Bytes {
    (from..from + length as u64).map(byte_at).collect::<Vec<u8>>().into()
}

/// Says at which byte `seen`, which should be `content(from, …)`, is wrong.
pub(crate) fn first_wrong(from: u64, seen: &[u8]) -> Option<u64> {
    (from..).zip(seen).find(|(at, byte)| byte_at(*at) != **byte).map(|(at, _)| at)
}

fn pieces(
    length: u64,
    piece: usize,
) -> impl futures::Stream<Item = Result<Bytes, BodyError>> + Send + 'static {
    futures::stream::unfold(0, move |at| async move {
        (at < length).then(|| {
            let size = piece.min((length - at) as usize);
            (Ok(content(at, size)), at + size as u64)
        })
    })
}

/// `/bytes/N`, `/chunks/N/PIECE` (no length told), `/short/N` (N declared, half of it sent),
/// `/late/N` (unknown length, breaks off), `/echo`, `/count`, `/headers`, `/never`, `/panic`.
#[derive(Default)]
pub(crate) struct Script;

impl Handler for Script {
    async fn handle(&self, request: Request, connection: &Arc<ConnectionInfo>) -> Response {
        let path = request.uri().path().to_owned();
        let mut words = path.split('/').skip(1);
        let what = words.next().unwrap_or_default();
        let numbers: Vec<u64> = words.map(|word| word.parse().unwrap()).collect();
        match what {
            "bytes" => {
                Response::new(ResponseBody::stream(pieces(numbers[0], 1 << 20), Some(numbers[0])))
            }
            "full" => Response::new(ResponseBody::full(content(0, numbers[0] as usize))),
            "chunks" => {
                Response::new(ResponseBody::stream(pieces(numbers[0], numbers[1] as usize), None))
            }
            "short" => {
                Response::new(ResponseBody::stream(pieces(numbers[0] / 2, 1000), Some(numbers[0])))
            }
            "late" => {
                let broken = futures::stream::iter([Err(BodyError("upstream died".into()))]);
                Response::new(ResponseBody::stream(pieces(numbers[0], 1000).chain(broken), None))
            }
            "echo" => {
                let length = request.body().length();
                Response::new(ResponseBody::stream(request.into_body().into_stream(), length))
            }
            "count" => {
                let mut body = request.into_body().into_stream();
                let (mut at, mut wrong) = (0, None);
                while let Some(piece) = body.next().await {
                    match piece {
                        Ok(piece) => {
                            wrong = wrong.or(first_wrong(at, &piece));
                            at += piece.len() as u64;
                        }
                        Err(error) => {
                            let mut response = Response::new(ResponseBody::full(error.0));
                            *response.status_mut() = StatusCode::BAD_REQUEST;
                            return response;
                        }
                    }
                }
                Response::new(ResponseBody::full(format!("{at} {wrong:?}")))
            }
            "headers" => {
                let mut text = format!("{} {}\n", request.method(), request.uri());
                for (name, value) in request.headers() {
                    text += &format!("{name}: {}\n", value.to_str().unwrap());
                }
                text += &format!("tls: {:?}\n", connection.tls);
                Response::new(ResponseBody::full(text))
            }
            "peer" => Response::new(ResponseBody::full(connection.peer.ip().to_string())),
            "wrong" => {
                let mut response = Response::new(ResponseBody::full("four"));
                response.headers_mut().insert("content-length", HeaderValue::from_static("5"));
                response
            }
            "never" => std::future::pending().await,
            "panic" => panic!("asked to"),
            _ => {
                let mut response = Response::new(ResponseBody::empty());
                *response.status_mut() = StatusCode::NOT_FOUND;
                response
            }
        }
    }
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) counters: Arc<Counters>,
    begin: CancellationToken,
    task: JoinHandle<Drained>,
}

/// A certificate for `localhost` and the keys of a server, in a directory.
pub(crate) struct Identity {
    folder: TempDir,
    certificate: CertificateDer<'static>,
}

impl Identity {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("chain.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { folder, certificate: made.cert.der().clone() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn tls(&self) -> Tls {
        let files = [(self.path("chain.pem"), self.path("key.pem"))];
        let keys = Keys::load_or_make(&self.path("keys"), Arc::new(|| 1_800_000_000)).unwrap();
        Tls::new(Certificates::load(files).unwrap(), keys, MinVersion::Tls12).unwrap()
    }

    /// A client that trusts only this certificate.
    pub(crate) fn client(&self, protocols: &[&str]) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        config
    }
}

/// Stands still, so that every response has one date.
pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(784_111_777_000))
}

/// That date.
pub(crate) const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

impl Running {
    pub(crate) async fn plain(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counters = Arc::new(Counters::default());
        let begin = CancellationToken::new();
        let server = Server::new(Arc::new(Script), limits, Arc::clone(&counters), clock());
        let shutdown = Shutdown::new(begin.clone(), Duration::from_secs(5));
        let task = tokio::spawn(async move { server.plain(listener, &shutdown).await });
        Self { address, counters, begin, task }
    }

    /// HTTP/1.1 for proxies that `gate` trusts.
    pub(crate) async fn behind_proxies(gate: &Arc<Gate>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counters = Arc::new(Counters::default());
        let begin = CancellationToken::new();
        let limits = Limits::default();
        let server = Server::new(Arc::new(Script), limits, Arc::clone(&counters), clock())
            .gate(Arc::clone(gate), tokio::time::Instant::now())
            .behind_proxies();
        let shutdown = Shutdown::new(begin.clone(), Duration::from_secs(5));
        let task = tokio::spawn(async move { server.plain(listener, &shutdown).await });
        Self { address, counters, begin, task }
    }

    /// HTTP/1.1 and 2 over TLS and HTTP/3 on one port, on the calling runtime.
    pub(crate) fn secure(limits: Limits, identity: &Identity) -> Self {
        Self::with(limits, identity, None)
    }

    /// The same behind a gate.
    pub(crate) fn guarded(identity: &Identity, gate: &Arc<Gate>) -> Self {
        Self::with(Limits::default(), identity, Some(Arc::clone(gate)))
    }

    pub(crate) fn with(limits: Limits, identity: &Identity, gate: Option<Arc<Gate>>) -> Self {
        let bound = sockets::bind("127.0.0.1:0".parse().unwrap(), 1, true).unwrap();
        let address = bound.address;
        let counters = Arc::new(Counters::default());
        let begin = CancellationToken::new();
        let alt_svc = format!("h3=\":{}\"; ma=60", address.port()).parse().unwrap();
        let server =
            Server::new(Arc::new(Script), limits, Arc::clone(&counters), clock()).alt_svc(alt_svc);
        let server = match gate {
            Some(gate) => server.gate(gate, tokio::time::Instant::now()),
            None => server,
        };
        let shutdown = Shutdown::new(begin.clone(), Duration::from_secs(5));
        let tls = identity.tls();
        let listener = TcpListener::from_std(bound.tcp.into_iter().next().unwrap()).unwrap();
        let endpoint = quic::endpoint(
            bound.udp.into_iter().next().unwrap(),
            &tls,
            Steering { worker: 0, generation: 0 },
            &QuicLimits::default(),
        );
        let endpoint = endpoint.unwrap();
        let task = tokio::spawn(async move {
            let (mut tcp, quic) = tokio::join!(
                server.tls(listener, &tls, &shutdown),
                server.quic(endpoint, &shutdown)
            );
            tcp += quic;
            tcp
        });
        Self { address, counters, begin, task }
    }

    /// Starts the shutdown.
    pub(crate) fn begin(&self) {
        self.begin.cancel();
    }

    pub(crate) async fn end(self) -> Drained {
        self.begin.cancel();
        self.task.await.unwrap()
    }
}

/// Waits until the counters say so; the server runs in the same runtime or another thread.
pub(crate) async fn until(mut reached: impl FnMut() -> bool) {
    let waited = async {
        while !reached() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.expect("reached in time");
}
