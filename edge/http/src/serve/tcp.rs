//! One TCP or Unix connection, from its handshake to its end.

use std::{error::Error as _, net::SocketAddr, sync::Arc};

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use weir_edge_transport::{
    stream::{Flusher, TlsStream},
    tls::{HandshakeError, Tls},
};

use crate::{
    counters::HandshakeFailure,
    handler::{ConnectionInfo, Handler, Protocol, TlsInfo},
    limits::Limits,
    serve::{
        accept::NOWHERE,
        drive::{Ended, Outlet, drive},
        io::{Counted, Reset},
        refuse::{self, Refusing},
        service::{Shared, answer},
        state::State,
        streams::{Inbox, WithStreams},
        tap::Tap,
    },
    wire::{Fault, Flood, h2::LOCAL_RESETS},
};

/// Bytes of one request's body on the way to us, and of all bodies of a connection.
const H2_STREAM_WINDOW: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW: u32 = 1 << 20;

/// How much larger than a head may be one is before the engine refuses it.
const HEAD_SLACK: usize = 1024;
const H2_HEAD_SLACK: usize = 16 * 1024;

/// Streams a client has reset before we have looked at them; more and the connection goes. It is
/// above what `wire/h2/budget.rs` lets a client reset (CVE-2023-44487), which says so by name.
const H2_PENDING_RESETS: usize = 300;

pub(super) async fn plain<H: Handler>(
    socket: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared<H>>,
    begin: CancellationToken,
) {
    // A socket without an address is already gone.
    let Ok(local) = socket.local_addr() else { return };
    let worker = shared.worker;
    let outgoing = Arc::default();
    let info = ConnectionInfo { protocol: Protocol::H1, peer, local, tls: None, worker, outgoing };
    let state = State::new(info, Arc::clone(&shared.counters));
    h1(socket, None, shared, state, &begin).await;
}

/// The same over a Unix socket.
pub(super) async fn unix<H: Handler>(
    socket: UnixStream,
    shared: Arc<Shared<H>>,
    begin: CancellationToken,
) {
    let worker = shared.worker;
    let (peer, local) = (NOWHERE, NOWHERE);
    let outgoing = Arc::default();
    let info = ConnectionInfo { protocol: Protocol::H1, peer, local, tls: None, worker, outgoing };
    let state = State::new(info, Arc::clone(&shared.counters));
    h1(socket, None, shared, state, &begin).await;
}

pub(super) async fn tls<H: Handler>(
    socket: TcpStream,
    peer: SocketAddr,
    tls: Tls,
    shared: Arc<Shared<H>>,
    begin: CancellationToken,
) {
    let Ok(local) = socket.local_addr() else { return };
    // One that began before the shutdown is let end, and what it came for is answered.
    let shaken = timeout(shared.door.handshake(&shared.limits), tls.accept(socket)).await;
    let counters = &shared.counters;
    let (stream, agreed) = match shaken {
        Ok(Ok(shaken)) => shaken,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "handshake failed");
            return counters.handshake_failed(failure(&error));
        }
        Err(_) => return counters.handshake_failed(HandshakeFailure::Timeout),
    };
    let protocol = match agreed.protocol.as_deref() {
        Some(b"h2") => Protocol::H2,
        _ => Protocol::H1,
    };
    if agreed.resumed {
        counters.resumed.add(protocol);
    }
    let tls = TlsInfo {
        server_name: agreed.server_name,
        version: agreed.version,
        resumed: agreed.resumed,
        certificate: agreed.certificate,
    };
    let (worker, outgoing) = (shared.worker, Arc::default());
    let info = ConnectionInfo { protocol, peer, local, tls: Some(tls), worker, outgoing };
    let state = State::new(info, Arc::clone(counters));
    let (stream, flusher) = stream.deferred();
    match protocol {
        Protocol::H2 => h2(stream, flusher, shared, state, &begin).await,
        _ => h1(stream, Some(flusher), shared, state, &begin).await,
    }
}

fn failure(error: &HandshakeError) -> HandshakeFailure {
    match error {
        HandshakeError::Closed | HandshakeError::Io(_) => HandshakeFailure::Closed,
        HandshakeError::NotTls => HandshakeFailure::NotTls,
        HandshakeError::NothingInCommon(_) => HandshakeFailure::NothingInCommon,
        HandshakeError::Refused(_) => HandshakeFailure::Refused,
        HandshakeError::Other(_) => HandshakeFailure::Other,
    }
}

async fn h1<H: Handler, S>(
    stream: S,
    flusher: Option<Flusher>,
    shared: Arc<Shared<H>>,
    state: Arc<State>,
    begin: &CancellationToken,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Reset + Unpin + Send + 'static,
{
    let limits = &shared.limits;
    let io = TokioIo::new(Counted::new(stream, Arc::clone(&state), Tap::h1(limits)));
    let service = service_fn(|request| answer(Arc::clone(&shared), Arc::clone(&state), request));
    let connection = h1_builder(limits).serve_connection(io, service);
    let connection = Refusing::new(connection, &state, &shared.dates, flusher.is_none());
    let outlet = Outlet { flusher, state: &state };
    let ended = drive(connection, |c| c.get_mut().go_away(), outlet, shared.door(), begin).await;
    if let Ended::Broken(error) = &ended
        && error.is_parse()
        && !state.is_refused()
    {
        // What hyper alone has found, and has answered without a word.
        let fault = if error.is_parse_too_large() { Fault::HeadTooLarge } else { Fault::Target };
        refuse::count(&state, fault);
    }
    tracing::debug!(peer = %state.info.peer, %ended, "connection ended");
}

async fn h2<H: Handler>(
    stream: TlsStream,
    flusher: Flusher,
    shared: Arc<Shared<H>>,
    state: Arc<State>,
    begin: &CancellationToken,
) {
    let limits = &shared.limits;
    let io = TokioIo::new(Counted::new(stream, Arc::clone(&state), Tap::h2(limits)));
    let service = service_fn({
        let (shared, state) = (Arc::clone(&shared), Arc::clone(&state));
        move |request| answer(Arc::clone(&shared), Arc::clone(&state), request)
    });
    let inbox = Inbox::new(&state.passages);
    let connection = h2_builder(limits, inbox.clone()).serve_connection(io, service);
    let connection = WithStreams::new(connection, inbox);
    let outlet = Outlet { flusher: Some(flusher), state: &state };
    let go_away = connection.on_connection(|c| c.graceful_shutdown());
    let ended = drive(connection, go_away, outlet, shared.door(), begin).await;
    if let Ended::Broken(error) = &ended
        && too_much(error)
    {
        state.counters.flood(Flood::Engine);
    }
    tracing::debug!(peer = %state.info.peer, %ended, "connection ended");
}

/// Whether h2 parted with the client because of what it counts itself.
fn too_much(error: &hyper::Error) -> bool {
    let found = error.source().and_then(|error| error.downcast_ref::<h2::Error>());
    found.is_some_and(|error| {
        !error.is_remote() && error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)
    })
}

fn h1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The driver keeps both clocks: hyper has one for the idle wait and the head together.
        .header_read_timeout(None)
        .max_headers(limits.header_fields)
        // A little more than `wire/h1.rs` lets through, which says why.
        .max_header_size(limits.header_bytes + HEAD_SLACK)
        // Reads ahead at most this much; it must hold a whole head.
        .max_buf_size((limits.header_bytes + 2 * HEAD_SLACK).max(64 * 1024))
        // Body pieces go to the stream as they are; flattening would copy them.
        .writev(true);
    builder
}

fn h2_builder(limits: &Limits, inbox: Inbox) -> http2::Builder<Inbox> {
    let mut builder = http2::Builder::new(inbox);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_send_buf_size(limits.stream_send_buffer)
        // What is a little too large comes as far as our own answer; beyond it h2 has one.
        .max_header_list_size(
            u32::try_from(limits.header_bytes + H2_HEAD_SLACK).unwrap_or(u32::MAX),
        )
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(H2_PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.ping);
    builder
}
