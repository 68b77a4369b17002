//! HTTP/3: a QUIC connection, its requests and its end.
//!
//! h3 parses and writes headers and keeps the control streams; bodies are ours. Malformed
//! requests (RFC 9114 §4.1.2) are reset with H3_MESSAGE_ERROR: what can be seen of frames and
//! names below h3 (`receive.rs`, by the rules in `message.rs`), and here, above it, fields that
//! belong to a connection, a body that breaks its length, targets that do not agree with
//! themselves. A body that nobody reads is looked at as far as it has come with the headers.

mod adapter;
mod input;
mod output;
mod patience;
mod receive;
mod unidirectional;

use std::{net::SocketAddr, pin::pin, sync::Arc};

use bytes::Bytes;
use futures::{
    future::{Either, select},
    stream::{FuturesUnordered, StreamExt},
};
use h3::{
    error::{Code, StreamError},
    server::{RequestResolver, RequestStream},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use http_body::Body;
use http_body_util::BodyExt;
use quinn::{Connection, ConnectionError, Incoming};
use tokio::time::{Duration, Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use weir_edge_transport::quic::Handshake;

use adapter::{Claim, Quinn, Send, var_int};
use input::{Input, Upload, declared};
use output::{Output, Stuck};
use patience::Patience;
use receive::Recv;

use crate::{
    body::RequestBody,
    counters::HandshakeFailure,
    handler::{ConnectionInfo, Handler, Protocol, Request, TlsInfo},
    limits::Limits,
    message::{Excess, Malformed},
    serve::{
        door::Guest,
        drive::FRESH,
        passage::Slow,
        refuse,
        request::{connection_specific, is_about_the_server, normalise},
        response::{WireBody, finish, plain},
        service::{Rejected, Shared, about_the_server, has_no_body, respond, within},
        state::{Running, State},
    },
    wire::Fault,
};

/// Between two looks at what the transport has counted. Each wakes the connection.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// One connection, from its handshake to its end.
pub(super) async fn connection<H: Handler>(
    incoming: Incoming,
    mut guest: Guest,
    local: SocketAddr,
    shared: Arc<Shared<H>>,
    begin: CancellationToken,
) {
    let peer = incoming.remote_address();
    let local = SocketAddr::new(incoming.local_ip().unwrap_or(local.ip()), local.port());
    // One that began before the shutdown is let end, and what it came for is answered.
    let shaken = async { incoming.accept()?.await };
    let shaken = timeout(shared.door.handshake(&shared.limits), shaken).await;
    guest.shaking = None;
    let quic = match shaken {
        Ok(Ok(quic)) => quic,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "handshake failed");
            return shared.counters.handshake_failed(failure(&error));
        }
        Err(_) => return shared.counters.handshake_failed(HandshakeFailure::Timeout),
    };
    let handshake = Handshake::of(&quic);
    if handshake.resumed {
        shared.counters.resumed.add(Protocol::H3);
    }
    let tls = TlsInfo {
        server_name: handshake.server_name,
        version: "1.3",
        resumed: handshake.resumed,
        certificate: None,
    };
    let (worker, outgoing) = (shared.worker, Arc::default());
    let tls = Some(tls);
    let info = ConnectionInfo { protocol: Protocol::H3, peer, local, tls, worker, outgoing };
    let state = State::new(info, Arc::clone(&shared.counters));
    if let Err(error) = serve(quic, shared, &state, begin).await {
        tracing::debug!(%peer, %error, "connection ended");
    }
    drop(guest.inside);
}

fn failure(error: &ConnectionError) -> HandshakeFailure {
    /// A TLS alert as a QUIC error (RFC 9001 §4.8).
    const CRYPTO: u64 = 0x100;
    let alert = |code: u64| code.checked_sub(CRYPTO).filter(|alert| *alert < 0x100);
    match error {
        ConnectionError::TimedOut => HandshakeFailure::Timeout,
        ConnectionError::VersionMismatch => HandshakeFailure::NothingInCommon,
        ConnectionError::TransportError(error) => match alert(error.code.into()) {
            // handshake_failure, protocol_version, no_application_protocol
            Some(40 | 70 | 120) => HandshakeFailure::NothingInCommon,
            _ => HandshakeFailure::Other,
        },
        ConnectionError::ConnectionClosed(close) => match alert(close.error_code.into()) {
            Some(_) => HandshakeFailure::Refused,
            None => HandshakeFailure::Closed,
        },
        ConnectionError::ApplicationClosed(_)
        | ConnectionError::Reset
        | ConnectionError::LocallyClosed => HandshakeFailure::Closed,
        ConnectionError::CidsExhausted => HandshakeFailure::Other,
    }
}

/// Answers requests until the client leaves, is idle for too long, or the shutdown ends it.
async fn serve<H: Handler>(
    quic: Connection,
    shared: Arc<Shared<H>>,
    state: &Arc<State>,
    begin: CancellationToken,
) -> Result<(), h3::error::ConnectionError> {
    // Huffman's code may be longer than what it stands for. What h3 finds too large when it is
    // decoded it answers with 431; beyond this it does not come so far.
    let section_max = shared.limits.header_bytes.saturating_mul(2);
    let counters = Arc::clone(&state.counters);
    let patience = Patience::new(quic.clone(), Arc::clone(&counters));
    let (transport, accepted) =
        Quinn::new(quic.clone(), counters, section_max, Arc::clone(&patience));
    let mut h3 = h3::server::builder()
        .max_field_section_size(shared.limits.header_bytes as u64)
        // Costs a frame on the first response, for the sake of clients that need the exercise.
        .send_grease(false)
        .build::<_, Bytes>(transport)
        .await?;
    let mut running = FuturesUnordered::new();
    let (mut idle_since, (door, limits)) = (Instant::now(), shared.door());
    let patience_of = |since: Instant| door.patience(since, limits);
    let mut idle = pin!(sleep(patience_of(idle_since).unwrap_or_default()));
    let mut look = interval(LOOK_EVERY);
    let (mut leaving, mut fresh) = (false, None);
    loop {
        if leaving && running.is_empty() {
            return Ok(());
        }
        tokio::select! {
            biased;
            Some(()) = running.next(), if !running.is_empty() => {
                if running.is_empty() {
                    idle_since = Instant::now();
                    idle.as_mut().reset(idle_since + patience_of(idle_since).unwrap_or_default());
                }
            }
            request = h3.accept() => {
                let Some(resolver) = request? else { return Ok(()) };
                let Some(claim) = accepted.claim() else { return Ok(()) };
                let (shared, state) = (Arc::clone(&shared), Arc::clone(state));
                let wire = Wire { quic: quic.clone(), patience: Arc::clone(&patience) };
                running.push(request_stream(resolver, claim, wire, shared, state));
            }
            _ = look.tick() => {
                patience.look(state.started());
            }
            () = begin.cancelled(), if !leaving && fresh.is_none() => {
                // What it is about to ask may be on its way.
                let moment = if state.started() > 0 { Duration::ZERO } else { FRESH };
                fresh = Some(Box::pin(sleep(moment)));
            }
            () = async { if let Some(fresh) = &mut fresh { fresh.await } },
                if !leaving && fresh.is_some() =>
            {
                leaving = true;
                h3.shutdown(1).await?;
            }
            () = &mut idle, if running.is_empty() && !leaving => {
                if let Some(patience) = patience_of(idle_since) {
                    idle.as_mut().reset(Instant::now() + patience);
                    continue;
                }
                state.counters.timed_out.add(Protocol::H3);
                leaving = true;
                h3.shutdown(1).await?;
            }
        }
    }
}

/// The connection of a request.
struct Wire {
    quic: Connection,
    patience: Arc<Patience>,
}

impl Wire {
    /// The client has taken a request back.
    fn taken_back(&self) {
        if self.quic.close_reason().is_none() {
            self.patience.spend(Excess::Resets, 1);
        }
    }
}

/// The client has reset it.
fn is_taken_back(error: &StreamError) -> bool {
    matches!(error, StreamError::RemoteTerminate { .. })
}

/// What h3 itself calls malformed.
fn is_malformed(error: &StreamError) -> bool {
    matches!(error, StreamError::StreamError { code: Code::H3_MESSAGE_ERROR, .. })
}

/// Why a request gets no response.
enum NoAnswer {
    Malformed,
    ClientLeft,
}

/// One request: headers, handler, response.
async fn request_stream<H: Handler>(
    resolver: RequestResolver<Quinn, Bytes>,
    claim: Claim,
    wire: Wire,
    shared: Arc<Shared<H>>,
    state: Arc<State>,
) {
    // h3 resets what it finds malformed and answers 431 itself.
    let resolved = timeout(shared.limits.head, resolver.resolve_request()).await;
    let (request, stream) = match resolved {
        Ok(Ok(resolved)) => resolved,
        Ok(Err(error)) => {
            if is_taken_back(&error) && claim.verdict().get().is_none() {
                wire.taken_back();
            } else if claim.verdict().get().is_none() && is_malformed(&error) {
                state.counters.malformed(Malformed::Request);
                wire.patience.spend(Excess::Malformed, 1);
            } else if matches!(error, StreamError::HeaderTooBig { .. }) {
                state.counters.fault(Fault::HeadTooLarge);
            }
            return state.counters.refused.add(Protocol::H3);
        }
        Err(_) => {
            if let Some(mut response) = claim.take() {
                // RFC 9114 §4.1; quinn would end it as if it were whole.
                let _ = response.reset(var_int(Code::H3_REQUEST_INCOMPLETE.value()));
            }
            return state.counters.timed_out.add(Protocol::H3);
        }
    };
    let (mut sender, receiver) = stream.split();
    let upload = Arc::new(Upload::new(Arc::clone(claim.verdict())));
    let gone = claim.stopped();
    let answered = {
        let answered = answer(request, &mut sender, receiver, &upload, &shared, &state);
        match select(pin!(answered), pin!(gone)).await {
            Either::Left((answered, _)) => answered,
            // Not only the client ends a response: so does a message that is refused.
            Either::Right(_) if upload.is_malformed() => Err(NoAnswer::Malformed),
            Either::Right(_) => Err(NoAnswer::ClientLeft),
        }
    };
    let (head, body) = match answered {
        Ok(response) => response.into_parts(),
        Err(NoAnswer::ClientLeft) => {
            wire.taken_back();
            return sender.stop_stream(Code::H3_REQUEST_CANCELLED);
        }
        Err(NoAnswer::Malformed) => {
            state.counters.refused.add(Protocol::H3);
            if claim.verdict().get().is_none() {
                state.counters.malformed(Malformed::Request);
                wire.patience.spend(Excess::Malformed, 1);
            }
            return sender.stop_stream(Code::H3_MESSAGE_ERROR);
        }
    };
    if sender.send_response(http::Response::from_parts(head, ())).await.is_err() {
        return sender.stop_stream(Code::H3_INTERNAL_ERROR);
    }
    let Some(stream) = claim.take() else { return };
    let pace = shared.door.pace(&shared.limits);
    let output = Output::new(stream, wire.quic.clone(), (shared.limits.stall, pace));
    match send_body(body, output, &upload).await {
        Written::Silent => state.counters.timed_out.add(Protocol::H3),
        Written::Slow => state.counters.slow(Protocol::H3, Slow::Response),
        Written::Lost => wire.taken_back(),
        Written::Whole | Written::Broken => {}
    }
}

async fn answer<H: Handler>(
    request: http::Request<()>,
    sender: &mut RequestStream<Send<Bytes>, Bytes>,
    receiver: RequestStream<Recv, Bytes>,
    upload: &Arc<Upload>,
    shared: &Shared<H>,
    state: &Arc<State>,
) -> Result<http::Response<WireBody>, NoAnswer> {
    let running = Running::begin(state);
    let (mut parts, ()) = request.into_parts();
    let (method, version) = (parts.method.clone(), parts.version);
    let length = declared(&parts.headers).map_err(|_| NoAnswer::Malformed)?;
    if connection_specific(&parts.headers) {
        return Err(NoAnswer::Malformed);
    }
    let mut body = RequestBody::empty();
    let mut admitted = admit(&mut parts, length, &shared.limits)?;
    if admitted.is_ok() {
        let pace = shared.door.pace(&shared.limits);
        let limit = (shared.limits.body_bytes, shared.limits.stall, pace);
        let upload = Arc::clone(upload);
        let input = Input::body(receiver, length, limit, upload, Arc::clone(state)).await;
        body = input.map_err(|_| NoAnswer::Malformed)?;
        // RFC 9110 §10.1.1: it waits for this before it sends its body.
        if !body.is_empty() && expects(&parts.headers) {
            let mut go_on = http::Response::new(());
            *go_on.status_mut() = StatusCode::CONTINUE;
            // Fails only where the client is gone, which whoever answers finds as well.
            let _ = sender.send_response(go_on).await;
        }
        if has_no_body(&method) {
            admitted = body.expect_none().await.map_err(Rejected::from);
        }
    }
    let response = match admitted {
        Ok(()) if is_about_the_server(&parts) => about_the_server(),
        Ok(()) => {
            state.counters.requests.add(Protocol::H3);
            respond(&*shared.handler, Request::from_parts(parts, body), &state.info).await
        }
        Err(Rejected { fault, text }) => {
            refuse::count(state, fault);
            plain(fault.status(), &text)
        }
    };
    if upload.is_malformed() {
        return Err(NoAnswer::Malformed);
    }
    Ok(finish(&method, version, response, None, &shared.dates, running))
}

/// What is refused with an answer; the rest is malformed and gets none.
fn admit(
    parts: &mut Parts,
    length: Option<u64>,
    limits: &Limits,
) -> Result<Result<(), Rejected>, NoAnswer> {
    if let Err(rejected) = within(&parts.headers, length, limits) {
        return Ok(Err(rejected));
    }
    match normalise(parts, true) {
        Err(why) if why.is_malformed() => Err(NoAnswer::Malformed),
        normalised => Ok(normalised.map_err(Rejected::from)),
    }
}

fn expects(headers: &HeaderMap) -> bool {
    let wanted = headers.get(header::EXPECT);
    wanted.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// How writing a body went.
enum Written {
    Whole,
    /// Its source broke off.
    Broken,
    /// The client or its connection is gone.
    Lost,
    /// The client takes nothing.
    Silent,
    /// The client takes too little.
    Slow,
}

impl From<Stuck> for Written {
    fn from(stuck: Stuck) -> Self {
        match stuck {
            Stuck::Gone => Self::Lost,
            Stuck::Silent => Self::Silent,
            Stuck::Slow => Self::Slow,
        }
    }
}

async fn send_body(body: WireBody, mut output: Output, upload: &Upload) -> Written {
    let gone = output.stopped();
    let written = {
        let written = write_body(body, &mut output);
        match select(pin!(written), pin!(gone)).await {
            Either::Left((written, _)) => written,
            Either::Right(_) => Written::Lost,
        }
    };
    match written {
        Written::Whole | Written::Broken if upload.is_malformed() => {
            output.reset(Code::H3_MESSAGE_ERROR);
        }
        Written::Whole => {
            let received = output.finish();
            upload.settle();
            if !received.await {
                return Written::Silent;
            }
        }
        Written::Broken => output.reset(Code::H3_INTERNAL_ERROR),
        Written::Lost => output.reset(Code::H3_REQUEST_CANCELLED),
        // RFC 9114 §8.1: it makes us hold what it does not take.
        Written::Silent | Written::Slow => output.reset(Code::H3_EXCESSIVE_LOAD),
    }
    written
}

async fn write_body(mut body: WireBody, output: &mut Output) -> Written {
    // One frame where the length is known, else one for each piece.
    let known = body.size_hint().exact();
    if let Some(length @ 1..) = known
        && let Err(stuck) = output.frame(length).await
    {
        return stuck.into();
    }
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Written::Broken };
        let Ok(piece) = frame.into_data() else { continue };
        if known.is_none()
            && let Err(stuck) = output.frame(piece.len() as u64).await
        {
            return stuck.into();
        }
        if let Err(stuck) = output.payload(piece).await {
            return stuck.into();
        }
    }
    Written::Whole
}
