//! The HTTP client behind everything an edge fetches: HTTP/1.1 and HTTP/2, pooled, strict
//! about where an answer ends, with a deadline for each phase. It follows no redirect,
//! decodes nothing and retries only what certainly was not processed.
//!
//! Connections are driven by tasks of the runtime that opened them: one client serves one
//! runtime.

mod connection;
mod download;
mod error;
mod itself;
mod pool;
mod upload;

use std::{cell::Cell, fmt, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until, timeout_at};

pub use download::Download;
pub use error::{ClientError, ClientPhase};
pub use itself::{H3Answer, H3Error, ask_over_quic};
pub use upload::Upload;
pub use weir_edge_transport::connect::{Connector, Dial, Target};

use download::Hold;
use pool::{Connection, Lease, Pool};
use upload::Progress;

/// What a client may use. All bounds hold for each target by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLimits {
    /// Connections open or being opened. Memory: `read_bytes` each at worst, over HTTP/2 a
    /// window of 8 MiB.
    pub connections: usize,
    /// Connections kept for later; older ones are closed first.
    pub idle: usize,
    /// Age at which a kept connection is not used again; below the usual 60 s of servers.
    pub idle_timeout: Duration,
    /// Size of an answer's head.
    pub head_bytes: usize,
    /// Most bytes read at once; at least 8 KiB.
    pub read_bytes: usize,
    /// Fields in an answer's head (HTTP/1.1; HTTP/2 counts bytes only).
    pub fields: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connections: 128,
            idle: 32,
            idle_timeout: Duration::from_secs(50),
            head_bytes: 64 << 10,
            read_bytes: 256 << 10,
            fields: 128,
        }
    }
}

/// How long each phase may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From the call until a connection is there, waiting for a free one included.
    pub connect: Duration,
    /// From then until the answer's head. While a body goes up, each piece the peer takes
    /// starts it anew, and it stands still while the body's source is waited for.
    pub headers: Duration,
    /// Each wait for a piece of the answer's body.
    pub gap: Duration,
}

impl Deadlines {
    /// The same bound for all three.
    pub fn all(each: Duration) -> Self {
        Self { connect: each, headers: each, gap: each }
    }
}

/// How a request came by its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leased {
    /// How long it waited for it, the handshake of a new one included.
    pub waited: Duration,
    /// Whether it was one that was kept.
    pub reused: bool,
}

tokio::task_local! {
    static LEASED: Cell<Option<Leased>>;
}

/// Does `work`, and tells how the last request that it sent by a [`Client`] came by its
/// connection: what lies between the two need not hand it on.
pub async fn leasing<T>(work: impl Future<Output = T>) -> (T, Option<Leased>) {
    let both = async {
        let done = work.await;
        (done, LEASED.with(Cell::get))
    };
    LEASED.scope(Cell::new(None), both).await
}

tokio::task_local! {
    static INSTEAD: Vec<(HeaderName, Option<HeaderValue>)>;
}

/// Does `work`; each request that it sent by a [`Client`] meanwhile has these fields instead of
/// those of the same name. What lies between the two need not know of them.
pub async fn instead<T>(
    fields: Vec<(HeaderName, Option<HeaderValue>)>,
    work: impl Future<Output = T>,
) -> T {
    INSTEAD.scope(fields, work).await
}

/// Attempts over connections that turned out to be closed before a fresh one is opened.
const REUSES: usize = 2;

/// A pool of connections to any number of configured targets. Clones share it.
#[derive(Clone)]
pub struct Client {
    pool: Arc<Pool>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// A client that connects through `dial`.
    pub fn new(dial: impl Dial, limits: ClientLimits) -> Self {
        Self { pool: Arc::new(Pool::new(Arc::new(dial), limits)) }
    }

    /// Sends one request and resolves at the head of its answer. The request's URI carries
    /// the authority to ask for (a `host` field wins over it) and the path; where to connect
    /// is `target` alone. Interim answers (1xx) are skipped.
    ///
    /// # Errors
    /// See [`ClientError`]; what happens after the head is reported by the body.
    pub async fn send(
        &self,
        target: &Target,
        request: Request<Upload>,
        deadlines: Deadlines,
    ) -> Result<Response<Download>, ClientError> {
        let (parts, mut upload) = request.into_parts();
        let asked = Asked::new(target, parts.method, &parts.uri, parts.headers)?;
        let begun = Instant::now();
        let connect_due = begun + deadlines.connect;
        let mut reuses = 0;
        loop {
            let fresh = reuses >= REUSES;
            let lease = match timeout_at(connect_due, self.pool.lease(target, fresh)).await {
                Ok(lease) => lease?,
                Err(_) if self.pool.is_full(target) => {
                    let (target, limit) = (target.to_string(), self.pool.limit());
                    return Err(ClientError::Crowded { target, limit });
                }
                Err(_) => {
                    let (phase, after) = (ClientPhase::Connect, deadlines.connect);
                    return Err(ClientError::Silent { phase, after });
                }
            };
            let reused = lease.reused;
            // Nobody asks of most requests.
            let _unasked =
                LEASED.try_with(|cell| cell.set(Some(Leased { waited: begun.elapsed(), reused })));
            let repeatable = asked.is_idempotent() && upload.is_empty();
            match exchange(lease, &asked, upload, deadlines).await {
                Ok(answer) => return Ok(answer),
                // Never put on the wire: any request may take another connection.
                Err(Failed { unsent: Some(body), .. }) if reused => {
                    upload = body;
                    reuses += 1;
                }
                // RFC 9110 §9.2.2: the peer closed a connection that was idle for it; only
                // what is idempotent may be sent again, and once.
                Err(Failed { error: ClientError::Closed { .. }, .. }) if reused && repeatable => {
                    upload = Upload::empty();
                    reuses = REUSES;
                }
                Err(failed) => return Err(failed.error),
            }
        }
    }
}

/// The head of a request, for either protocol.
struct Asked {
    method: Method,
    /// Absolute: scheme, authority, path.
    uri: Uri,
    /// Without `host`.
    fields: HeaderMap,
    host: HeaderValue,
}

impl Asked {
    fn new(
        target: &Target,
        method: Method,
        uri: &Uri,
        mut fields: HeaderMap,
    ) -> Result<Self, ClientError> {
        let wrong = |reason: String| ClientError::Request { reason };
        let _nobody_says = INSTEAD.try_with(|instead| {
            for (name, value) in instead {
                match value {
                    Some(value) => drop(fields.insert(name, value.clone())),
                    None => drop(fields.remove(name)),
                }
            }
        });
        let host = match (fields.remove(header::HOST), uri.authority()) {
            (Some(host), _) => host,
            (None, Some(authority)) => HeaderValue::from_str(authority.as_str())
                .map_err(|error| wrong(error.to_string()))?,
            (None, None) => return Err(wrong("it names no host".to_owned())),
        };
        let authority = host.to_str().map_err(|error| wrong(error.to_string()))?;
        let uri = Uri::builder()
            .scheme(if target.tls { "https" } else { "http" })
            .authority(authority)
            .path_and_query(uri.path_and_query().map_or("/", |path| path.as_str()))
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self { method, uri, fields, host })
    }

    fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }

    fn h1(&self, upload: Upload) -> Request<Upload> {
        let mut request = Request::new(upload);
        *request.method_mut() = self.method.clone();
        // RFC 9112 §3.2.1, origin-form.
        if let Some(path) = self.uri.path_and_query() {
            *request.uri_mut() = Uri::from(path.clone());
        }
        // RFC 9112 §3.2: `host` comes first, for the sake of those who stop reading early.
        let fields = request.headers_mut();
        fields.reserve(self.fields.len() + 1);
        fields.insert(header::HOST, self.host.clone());
        fields.extend(self.fields.clone());
        request
    }

    fn h2(&self, upload: Upload) -> Request<Upload> {
        let mut request = Request::new(upload);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = Version::HTTP_2;
        *request.headers_mut() = self.fields.clone();
        request
    }
}

/// An exchange without an answer, and the body when nothing of the request was sent.
struct Failed {
    error: ClientError,
    unsent: Option<Upload>,
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        Self { error, unsent: None }
    }
}

async fn exchange(
    lease: Lease,
    asked: &Asked,
    upload: Upload,
    deadlines: Deadlines,
) -> Result<Response<Download>, Failed> {
    let progress = upload.progress();
    let Lease { host, connection, .. } = lease;
    let (response, hold) = match connection {
        Connection::H1(mut h1) => {
            let sent = h1.sender.try_send_request(asked.h1(upload));
            let response = answer(sent, &progress, deadlines.headers).await?;
            (response, Some(Hold { h1, host, upload: progress }))
        }
        Connection::H2(mut h2) => {
            let sent = h2.sender.try_send_request(asked.h2(upload));
            match answer(sent, &progress, deadlines.headers).await {
                Ok(response) => (response, None),
                Err(failed) => {
                    // A peer that is silent or gone on one stream is not asked on it again.
                    if failed.unsent.is_some()
                        || matches!(
                            failed.error,
                            ClientError::Silent { .. } | ClientError::Protocol { .. }
                        )
                    {
                        host.forget(&h2);
                    }
                    return Err(failed);
                }
            }
        }
    };
    let (head, incoming) = response.into_parts();
    let expected = declared(&asked.method, head.status, &head.headers)?;
    let mut body = Download::new(incoming, expected, deadlines.gap, hold);
    match body.settle().await {
        Err(error) if !bodiless(&asked.method, head.status) => return Err(error.into()),
        // What follows an answer that ends with its head is no part of it, and its
        // connection is gone.
        Err(_) | Ok(()) => {}
    }
    Ok(Response::from_parts(head, body))
}

type Sent = Result<Response<Incoming>, hyper::client::conn::TrySendError<Request<Upload>>>;

/// Waits for an answer's head as long as the peer is the one to move.
async fn answer(
    sent: impl Future<Output = Sent>,
    progress: &Progress,
    limit: Duration,
) -> Result<Response<Incoming>, Failed> {
    let mut sent = std::pin::pin!(sent);
    let started = Instant::now();
    loop {
        let due = progress.waiting_since().map(|since| since.max(started) + limit);
        tokio::select! {
            biased;
            result = &mut sent => {
                return result.map_err(|mut failed| Failed {
                    unsent: failed.take_message().map(Request::into_body),
                    error: ClientError::at_head(failed.error()),
                });
            }
            () = progress.moved() => {}
            () = sleep_until(due.unwrap_or(started)), if due.is_some() => {
                return Err(ClientError::Silent { phase: ClientPhase::Headers, after: limit }.into());
            }
        }
    }
}

/// RFC 9110 §6.4.1: answers without a body, whatever their fields say.
fn bodiless(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

/// The length the body must have, where the head declares one.
fn declared(
    method: &Method,
    status: StatusCode,
    fields: &HeaderMap,
) -> Result<Option<u64>, ClientError> {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        // RFC 9110 §15.2.2: nobody asked for it.
        return Err(ClientError::Protocol { reason: "101 without a request for it".into() });
    }
    let lengths = lengths(fields)?;
    if fields.contains_key(header::TRANSFER_ENCODING) {
        if lengths.is_some() {
            // RFC 9112 §6.3 rule 3 lets a recipient believe the coding; two statements about
            // the length of what will be cached are one too many.
            let reason = "both content-length and transfer-encoding".to_owned();
            return Err(ClientError::Contradiction { reason });
        }
        // RFC 9112 §7: no `te` was sent, so nothing but chunked can have been applied.
        let mut codings = fields.get_all(header::TRANSFER_ENCODING).iter();
        let chunked =
            codings.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if !chunked || codings.next().is_some() {
            let reason = "a transfer-encoding other than chunked".to_owned();
            return Err(ClientError::Protocol { reason });
        }
    }
    Ok(if bodiless(method, status) { Some(0) } else { lengths })
}

/// The one number all `content-length` fields agree on (RFC 9110 §8.6).
fn lengths(fields: &HeaderMap) -> Result<Option<u64>, ClientError> {
    let mut agreed = None;
    for value in fields.get_all(header::CONTENT_LENGTH) {
        for number in value.as_bytes().split(|byte| *byte == b',') {
            let number = number.trim_ascii();
            let number: u64 = std::str::from_utf8(number)
                .ok()
                .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| {
                    let reason = format!("content-length is {value:?}");
                    ClientError::Contradiction { reason }
                })?;
            if agreed.is_some_and(|agreed| agreed != number) {
                let reason = "two values of content-length differ".to_owned();
                return Err(ClientError::Contradiction { reason });
            }
            agreed = Some(number);
        }
    }
    Ok(agreed)
}
