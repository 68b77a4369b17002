//! One connection of any protocol, and one exchange on it with every byte checked.

use std::{
    fmt, io,
    net::SocketAddr,
    ops::Range,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use weir_benches_content::{Checker, Expected, Verdict};

use crate::h3::H3;

/// Receive window of a stream, and four times that of a connection: as browsers have, so that
/// the server's sending is what is measured.
pub(crate) const WINDOW: u32 = 6 << 20;

/// The protocols an edge speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP/1.1.
    H1,
    /// HTTP/2.
    H2,
    /// HTTP/3.
    H3,
}

impl Protocol {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::H1, Self::H2, Self::H3];

    /// As options and reports write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H1 => "h1",
            Self::H2 => "h2",
            Self::H3 => "h3",
        }
    }

    /// As TLS negotiates it.
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Self::H1 => b"http/1.1",
            Self::H2 => b"h2",
            Self::H3 => b"h3",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|protocol| protocol.as_str() == text);
        known.ok_or_else(|| format!("`{text}` is none of h1, h2 and h3"))
    }
}

/// Whom to connect to.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Host name for SNI and authority.
    pub name: String,
    /// None for plain HTTP/1.1.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Server {
    /// Host and port as a URL has them.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.name, self.address.port())
    }

    pub(crate) fn uri(&self, path: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.authority())
    }
}

/// Why there is no connection, or no whole response.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// TCP or TLS failed.
    #[error("cannot connect")]
    Connect(#[from] io::Error),
    /// The server's name cannot stand in a certificate.
    #[error("`{0}` is no host name")]
    Name(String),
    /// QUIC or HTTP/3 failed; its many types say no more than their text.
    #[error("http/3: {0}")]
    Quic(String),
    /// HTTP/1.1 or 2 failed.
    #[error("http: {0}")]
    Http(#[from] hyper::Error),
    /// A request cannot be written.
    #[error("bad request")]
    Request(#[from] http::Error),
    /// HTTP/2 and 3 have no plain form here.
    #[error("{0} needs TLS")]
    NeedsTls(Protocol),
}

/// A connection. Clones share it, where the protocol has streams.
pub struct Connection {
    server: Arc<Server>,
    kind: Kind,
}

enum Kind {
    H1(conn::http1::SendRequest<Empty<Bytes>>),
    H2(conn::http2::SendRequest<Empty<Bytes>>),
    H3(H3),
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("server", &self.server.address).finish_non_exhaustive()
    }
}

/// What one exchange came to.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// None where no head came.
    pub status: Option<StatusCode>,
    /// The response's fields.
    pub headers: HeaderMap,
    /// When the request was sent.
    pub begun: Instant,
    /// When the first body byte came.
    pub first_byte: Option<Instant>,
    /// When it ended.
    pub ended: Instant,
    /// Body bytes that came.
    pub bytes: u64,
    /// What the checker found; missing bytes count here even when the server said so by a
    /// reset, which `error` tells.
    pub verdict: Option<Verdict>,
    /// Why it ended early.
    pub error: Option<String>,
}

impl Exchange {
    /// Time to the first body byte.
    pub fn first_byte_after(&self) -> Option<Duration> {
        self.first_byte.map(|at| at - self.begun)
    }

    /// Wrong bytes that the server passed off as right: a body that was cut with an error is
    /// missing bytes, but lied about none.
    pub fn lied(&self) -> Verdict {
        let Some(verdict) = self.verdict else { return Verdict::default() };
        if self.error.is_none() {
            return verdict;
        }
        let mut lied = Verdict::default();
        for class in weir_benches_content::Class::ALL {
            if class != weir_benches_content::Class::Short {
                let at = verdict.first.map_or(0, |(_, at)| at);
                lied.add(class, at, verdict.count(class));
            }
        }
        lied
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Path and query.
    pub path: String,
    /// Bytes wanted; none for the whole.
    pub range: Option<Range<u64>>,
    /// More fields.
    pub headers: Vec<(String, String)>,
    /// What the body ought to be; checked on status 200 and 206 only.
    pub expected: Option<Expected>,
    /// The exchange ends with an error then.
    pub deadline: Duration,
}

impl Ask {
    /// The whole of `path`, unchecked, within 30 s.
    pub fn path(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            range: None,
            headers: Vec::new(),
            expected: None,
            deadline: Duration::from_secs(30),
        }
    }

    /// Checks the body.
    #[must_use]
    pub fn expect(self, expected: Expected) -> Self {
        Self { expected: Some(expected), ..self }
    }
}

impl Connection {
    /// Connects and negotiates exactly `protocol`.
    pub async fn open(server: &Arc<Server>, protocol: Protocol) -> Result<Self, ConnectionError> {
        let kind = match protocol {
            Protocol::H3 => Kind::H3(H3::open(server).await?),
            Protocol::H1 | Protocol::H2 => {
                let tcp = TcpStream::connect(server.address).await?;
                tcp.set_nodelay(true)?;
                match &server.tls {
                    Some(config) => {
                        let name = ServerName::try_from(server.name.clone())
                            .map_err(|_| ConnectionError::Name(server.name.clone()))?;
                        let tls = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await?;
                        if tls.get_ref().1.alpn_protocol() != Some(protocol.alpn()) {
                            let message = format!("the server does not negotiate {protocol}");
                            return Err(io::Error::other(message).into());
                        }
                        Self::handshake(TokioIo::new(tls), protocol).await?
                    }
                    None if protocol == Protocol::H1 => {
                        Self::handshake(TokioIo::new(tcp), protocol).await?
                    }
                    None => return Err(ConnectionError::NeedsTls(protocol)),
                }
            }
        };
        Ok(Self { server: Arc::clone(server), kind })
    }

    async fn handshake<T>(io: T, protocol: Protocol) -> Result<Kind, ConnectionError>
    where
        T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        if protocol == Protocol::H1 {
            let (sender, connection) = conn::http1::handshake(io).await?;
            // How the connection ends is seen by each exchange on it.
            tokio::spawn(async move { drop(connection.await) });
            return Ok(Kind::H1(sender));
        }
        let (sender, connection) = conn::http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(4 * WINDOW)
            .handshake(io)
            .await?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(Kind::H2(sender))
    }

    /// Another handle on the same connection; none for HTTP/1.1, which has no streams.
    pub fn share(&self) -> Option<Self> {
        let kind = match &self.kind {
            Kind::H1(_) => return None,
            Kind::H2(sender) => Kind::H2(sender.clone()),
            Kind::H3(h3) => Kind::H3(h3.clone()),
        };
        Some(Self { server: Arc::clone(&self.server), kind })
    }

    /// Whether another request can be tried on it.
    pub fn is_open(&self) -> bool {
        match &self.kind {
            Kind::H1(sender) => !sender.is_closed(),
            Kind::H2(sender) => !sender.is_closed(),
            Kind::H3(h3) => h3.is_open(),
        }
    }

    /// Sends one GET and reads the response to its end, or to the deadline.
    pub async fn get(&mut self, ask: &Ask) -> Exchange {
        let now = Instant::now();
        let mut exchange = Exchange {
            status: None,
            headers: HeaderMap::new(),
            begun: now,
            first_byte: None,
            ended: now,
            bytes: 0,
            verdict: None,
            error: None,
        };
        let mut checker = None;
        let finished = timeout(ask.deadline, self.talk(ask, &mut exchange, &mut checker)).await;
        exchange.ended = Instant::now();
        exchange.error = match finished {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(chain(&error)),
            Err(_) => Some(format!("no end within {:?}", ask.deadline)),
        };
        exchange.verdict = checker.map(Checker::finish);
        exchange
    }

    async fn talk(
        &mut self,
        ask: &Ask,
        exchange: &mut Exchange,
        checker: &mut Option<Checker>,
    ) -> Result<(), ConnectionError> {
        let mut arrival = Arrival { ask, exchange, checker };
        match &mut self.kind {
            Kind::H1(sender) => {
                let request = request(ask, &ask.path)?.header("host", self.server.authority());
                sender.ready().await?;
                let response = sender.send_request(request.body(Empty::new())?).await?;
                arrival.hyper(response).await
            }
            Kind::H2(sender) => {
                let request = request(ask, &self.server.uri(&ask.path))?;
                sender.ready().await?;
                let response = sender.send_request(request.body(Empty::new())?).await?;
                arrival.hyper(response).await
            }
            Kind::H3(h3) => {
                let request = request(ask, &self.server.uri(&ask.path))?.body(())?;
                h3.get(request, &mut arrival).await
            }
        }
    }
}

fn request(ask: &Ask, uri: &str) -> Result<http::request::Builder, ConnectionError> {
    let mut request = Request::get(uri);
    if let Some(range) = &ask.range {
        request = request.header("range", format!("bytes={}-{}", range.start, range.end - 1));
    }
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    Ok(request)
}

/// Where a response's parts go as they arrive.
pub(crate) struct Arrival<'a> {
    ask: &'a Ask,
    exchange: &'a mut Exchange,
    checker: &'a mut Option<Checker>,
}

impl Arrival<'_> {
    pub(crate) fn head(&mut self, status: StatusCode, headers: HeaderMap) {
        self.exchange.status = Some(status);
        self.exchange.headers = headers;
        let Some(mut expected) = self.ask.expected.clone() else { return };
        match status {
            // A server may answer a range request with the whole (RFC 9110 §14.2).
            StatusCode::OK => expected.range = 0..expected.size,
            StatusCode::PARTIAL_CONTENT => {}
            _ => return,
        }
        *self.checker = Some(Checker::new(expected));
    }

    pub(crate) fn piece(&mut self, piece: &[u8]) {
        if piece.is_empty() {
            return;
        }
        self.exchange.first_byte.get_or_insert_with(Instant::now);
        self.exchange.bytes += piece.len() as u64;
        if let Some(checker) = self.checker {
            checker.push(piece);
        }
    }

    async fn hyper(&mut self, response: http::Response<Incoming>) -> Result<(), ConnectionError> {
        let (parts, mut body) = response.into_parts();
        self.head(parts.status, parts.headers);
        while let Some(frame) = body.frame().await {
            if let Ok(piece) = frame?.into_data() {
                self.piece(&piece);
            }
        }
        Ok(())
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
