//! The servers: HTTP/1.1 on plain TCP, HTTP/1.1 and 2 on TLS, HTTP/3 on QUIC, one handler.

mod accept;
mod drive;
mod io;
mod request;
mod response;
mod service;
mod state;
mod streams;
mod tcp;

use std::sync::Arc;

use http::HeaderValue;
use tokio::net::TcpListener;
use weir_edge_transport::tls::Tls;

use crate::{
    counters::Counters,
    handler::Handler,
    limits::Limits,
    shutdown::{Drained, Shutdown},
};

use accept::accept_loop;
use service::Shared;

/// One worker's server. Cheap to make: each worker makes its own around the shared handler.
pub struct Server<H> {
    shared: Arc<Shared<H>>,
}

impl<H: Handler> Server<H> {
    /// A server without `alt-svc`, on worker 0.
    pub fn new(handler: Arc<H>, limits: Limits, counters: Arc<Counters>) -> Self {
        let shared = Shared { handler, limits, counters, alt_svc: None, worker: 0 };
        Self { shared: Arc::new(shared) }
    }

    fn change(mut self, change: impl FnOnce(&mut Shared<H>)) -> Self {
        let shared = Arc::get_mut(&mut self.shared).expect("no connection before it serves");
        change(shared);
        self
    }

    /// Index of the worker thread this server runs on, as its connections report it.
    #[must_use]
    pub fn worker(self, index: usize) -> Self {
        self.change(|shared| shared.worker = index)
    }

    /// Added to responses over TLS on TCP, unless the handler has set its own.
    #[must_use]
    pub fn alt_svc(self, value: HeaderValue) -> Self {
        self.change(|shared| shared.alt_svc = Some(value))
    }

    /// Serves HTTP/1.1 without TLS until the shutdown.
    pub async fn plain(&self, listener: TcpListener, shutdown: &Shutdown) -> Drained {
        let (limit, counters) = (self.shared.limits.connections, &self.shared.counters);
        accept_loop(listener, limit, counters, shutdown, |socket, peer| {
            tcp::plain(socket, peer, Arc::clone(&self.shared), shutdown.begin.clone())
        })
        .await
    }

    /// Serves HTTP/1.1 and HTTP/2 over TLS until the shutdown.
    pub async fn tls(&self, listener: TcpListener, tls: &Tls, shutdown: &Shutdown) -> Drained {
        let (limit, counters) = (self.shared.limits.connections, &self.shared.counters);
        accept_loop(listener, limit, counters, shutdown, |socket, peer| {
            let shared = Arc::clone(&self.shared);
            tcp::tls(socket, peer, tls.clone(), shared, shutdown.begin.clone())
        })
        .await
    }
}
