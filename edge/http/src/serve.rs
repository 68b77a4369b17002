//! The servers: HTTP/1.1 on plain TCP, HTTP/1.1 and 2 on TLS, HTTP/3 on QUIC, one handler.

mod accept;
mod drive;
mod io;
mod request;
mod response;
mod service;
mod state;

use std::{net::SocketAddr, sync::Arc};

use http::HeaderValue;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    counters::Counters,
    handler::{ConnectionInfo, Handler, Protocol},
    limits::Limits,
    shutdown::{Drained, Shutdown},
};

use accept::accept_loop;
use drive::drive;
use io::Counted;
use service::{Shared, answer};
use state::State;

/// One worker's server. Cheap to make: each worker makes its own around the shared handler.
pub struct Server<H> {
    shared: Arc<Shared<H>>,
    counters: Arc<Counters>,
    worker: usize,
}

impl<H: Handler> Server<H> {
    /// A server without `alt-svc`, on worker 0.
    pub fn new(handler: Arc<H>, limits: Limits, counters: Arc<Counters>) -> Self {
        Self { shared: Arc::new(Shared { handler, limits, alt_svc: None }), counters, worker: 0 }
    }

    /// Index of the worker thread this server runs on, as its connections report it.
    #[must_use]
    pub fn worker(mut self, index: usize) -> Self {
        self.worker = index;
        self
    }

    /// Added to responses over TLS, unless the handler has set its own.
    #[must_use]
    pub fn alt_svc(mut self, value: HeaderValue) -> Self {
        let shared = Arc::new(Shared {
            handler: Arc::clone(&self.shared.handler),
            limits: self.shared.limits.clone(),
            alt_svc: Some(value),
        });
        self.shared = shared;
        self
    }

    /// Serves HTTP/1.1 without TLS until the shutdown.
    pub async fn plain(&self, listener: TcpListener, shutdown: &Shutdown) -> Drained {
        let limit = self.shared.limits.connections;
        accept_loop(listener, limit, &self.counters, shutdown, |socket, peer| {
            let shared = Arc::clone(&self.shared);
            let info = info(Protocol::H1, &socket, peer, self.worker);
            let state = info.map(|info| State::new(info, Arc::clone(&self.counters)));
            let begin = shutdown.begin.clone();
            async move {
                // A socket without an address is already gone.
                if let Some(state) = state {
                    plain_connection(socket, shared, state, &begin).await;
                }
            }
        })
        .await
    }
}

fn info(
    protocol: Protocol,
    socket: &TcpStream,
    peer: SocketAddr,
    worker: usize,
) -> Option<ConnectionInfo> {
    let local = socket.local_addr().ok()?;
    Some(ConnectionInfo { protocol, peer, local, tls: None, worker })
}

async fn plain_connection<H: Handler>(
    socket: TcpStream,
    shared: Arc<Shared<H>>,
    state: Arc<State>,
    begin: &tokio_util::sync::CancellationToken,
) {
    let io = TokioIo::new(Counted::new(socket, Arc::clone(&state)));
    let limits = &shared.limits;
    let service = service_fn({
        let (shared, state) = (Arc::clone(&shared), Arc::clone(&state));
        move |request| answer(Arc::clone(&shared), Arc::clone(&state), request)
    });
    let connection = h1(limits).serve_connection(io, service);
    let ended = drive(
        connection,
        |connection| connection.graceful_shutdown(),
        |_| Ok(()),
        &state,
        limits,
        begin,
    )
    .await;
    tracing::debug!(peer = %state.info.peer, %ended, "connection ended");
}

fn h1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The driver keeps both clocks: hyper has one for the idle wait and the head together.
        .header_read_timeout(None)
        .max_headers(limits.header_fields)
        .max_header_size(limits.header_bytes)
        // Reads ahead at most this much; it must hold a whole head.
        .max_buf_size((limits.header_bytes + 1024).max(64 * 1024))
        // Body pieces go to the stream as they are; flattening would copy them.
        .writev(true);
    builder
}
