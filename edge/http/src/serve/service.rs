//! From hyper's request to the handler's, and back.

use std::{
    convert::Infallible,
    future::poll_fn,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{FutureExt, Stream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use http_body::Body;
use hyper::body::Incoming;
use weir_config_lifecycle::Pulses;

use crate::{
    body::{BodyError, RequestBody},
    counters::Counters,
    handler::{ConnectionInfo, Handler, Request, Response},
    limits::Limits,
    serve::{
        date::Dates,
        door::Door,
        passage::{Passage, Slow},
        refuse::{self, told},
        request::{Refusal, is_about_the_server, normalise},
        response::{WireBody, finish, plain},
        state::{Running, State},
    },
    wire::Fault,
};

/// What all connections of a server share.
pub(crate) struct Shared<H> {
    pub(crate) handler: Arc<H>,
    pub(crate) limits: Limits,
    pub(crate) counters: Arc<Counters>,
    pub(crate) dates: Dates,
    pub(crate) alt_svc: Option<HeaderValue>,
    pub(crate) worker: usize,
    /// Where the accept loops say that they go on.
    pub(crate) pulses: Arc<Pulses>,
    pub(crate) door: Door,
}

impl<H> Shared<H> {
    /// The door, and what bounds it where there is no gate.
    pub(crate) fn door(&self) -> (&Door, &Limits) {
        (&self.door, &self.limits)
    }
}

/// Answers one request of HTTP/1.1 or HTTP/2.
pub(crate) async fn answer<H: Handler>(
    shared: Arc<Shared<H>>,
    state: Arc<State>,
    request: http::Request<Incoming>,
) -> Result<http::Response<WireBody>, Infallible> {
    let running = Running::begin(&state);
    let (mut parts, body) = request.into_parts();
    let (method, version) = (parts.method.clone(), parts.version);
    let secure = state.info.tls.is_some();
    let alt_svc = if secure { shared.alt_svc.as_ref() } else { None };
    if version == Version::HTTP_2 && !body.is_end_stream() {
        breathe().await;
    }
    let mut body = incoming(body, &running, shared.limits.body_bytes);
    let mut admitted = admit(&mut parts, secure, body.length(), &shared.limits);
    if admitted.is_ok() && has_no_body(&method) {
        admitted = body.expect_none().await.map_err(Rejected::from);
    }
    let response = match admitted {
        Ok(()) if is_about_the_server(&parts) => about_the_server(),
        Ok(()) => {
            state.counters.requests.add(state.protocol());
            let request = Request::from_parts(parts, body);
            respond(&*shared.handler, request, &state.info).await
        }
        Err(Rejected { fault, text }) => {
            refuse::count(&state, fault);
            let mut response = plain(fault.status(), &text);
            // Whoever sends this may disagree with us about where the next request begins.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
            response
        }
    };
    Ok(finish(&method, version, response, alt_svc, &shared.dates, running))
}

/// Lets hyper look first whether the stream was reset meanwhile: h2 hands over a request whose
/// body it has already found to contradict its Content-Length (RFC 9113 §8.1.1), or whose client
/// has taken it back.
async fn breathe() {
    let mut looked = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut looked, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What the handler answers; 500 where it panics, because other requests share the thread.
pub(crate) async fn respond<H: Handler>(
    handler: &H,
    request: Request,
    connection: &Arc<ConnectionInfo>,
) -> Response {
    let answer = AssertUnwindSafe(handler.handle(request, connection)).catch_unwind().await;
    answer.unwrap_or_else(|_| {
        tracing::error!("a handler panicked; the request gets 500");
        plain(StatusCode::INTERNAL_SERVER_ERROR, "")
    })
}

/// Why a request is answered here, and what its client is told.
pub(crate) struct Rejected {
    pub(crate) fault: Fault,
    pub(crate) text: String,
}

impl From<Fault> for Rejected {
    fn from(fault: Fault) -> Self {
        Self { fault, text: told(&fault.to_string(), fault) }
    }
}

impl From<Refusal> for Rejected {
    fn from(why: Refusal) -> Self {
        let fault = why.fault();
        Self { fault, text: told(&why.to_string(), fault) }
    }
}

/// What `limits` say of a request whose body is `length` bytes long, where it says so.
pub(crate) fn within(
    headers: &HeaderMap,
    length: Option<u64>,
    limits: &Limits,
) -> Result<(), Rejected> {
    let beyond = |fault: Fault, most: u64, of: &str| {
        let text = told(&format!("{fault}: at most {most} {of}"), fault);
        Err(Rejected { fault, text })
    };
    if headers.len() > limits.header_fields {
        return beyond(Fault::TooManyFields, limits.header_fields as u64, "fields");
    }
    if length.is_some_and(|length| length > limits.body_bytes) {
        return beyond(Fault::BodyTooLarge, limits.body_bytes, "bytes");
    }
    Ok(())
}

fn admit(
    parts: &mut http::request::Parts,
    secure: bool,
    length: Option<u64>,
    limits: &Limits,
) -> Result<(), Rejected> {
    within(&parts.headers, length, limits)?;
    // HTTP/1.1 was measured on the wire, HTTP/3 by h3.
    if parts.version == Version::HTTP_2 && section(parts) > limits.header_bytes {
        return Err(Fault::HeadTooLarge.into());
    }
    Ok(normalise(parts, secure)?)
}

/// Bytes of a head (RFC 9113 §6.5.2).
fn section(parts: &http::request::Parts) -> usize {
    let field = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 32;
    let path = parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
    parts.headers.iter().map(field).sum::<usize>() + path
}

/// RFC 9110 §9.3.1, §9.3.2: a body has no meaning there, and some behind us would believe it had
/// one. Refused and not dropped: its sender means something by it.
pub(crate) fn has_no_body(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// RFC 9110 §9.3.7: what some service here takes. What one of them takes, it says itself.
pub(crate) fn about_the_server() -> Response {
    let mut response = plain(StatusCode::NO_CONTENT, "");
    let allow = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    response.headers_mut().insert(header::ALLOW, allow);
    response
}

fn incoming(body: Incoming, running: &Running, limit: u64) -> RequestBody {
    if body.is_end_stream() {
        return RequestBody::empty();
    }
    let length = body.size_hint().exact();
    let (state, passage) = (Arc::clone(running.state()), running.passage(Slow::Request));
    let pieces = Pieces { body, left: limit, state, passage };
    RequestBody::stream(Box::pin(pieces), length)
}

/// The pieces of a request's body, at most `left` bytes.
struct Pieces {
    body: Incoming,
    left: u64,
    state: Arc<State>,
    passage: Passage,
}

impl Stream for Pieces {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => {
                    self.state.set_starved(true);
                    self.passage.waits(true);
                    return Poll::Pending;
                }
                Poll::Ready(frame) => frame,
            };
            self.state.set_starved(false);
            self.passage.waits(false);
            return Poll::Ready(match frame {
                None => None,
                Some(Err(error)) => Some(Err(BodyError(error.to_string()))),
                Some(Ok(frame)) => match frame.into_data() {
                    // Trailers are dropped.
                    Err(_) => continue,
                    Ok(piece) => match self.left.checked_sub(piece.len() as u64) {
                        Some(left) => {
                            self.passage.moved(piece.len());
                            self.left = left;
                            Some(Ok(piece))
                        }
                        None => Some(Err(BodyError("larger than the server takes".into()))),
                    },
                },
            });
        }
    }
}
