//! The servers: HTTP/1.1 on plain TCP, HTTP/1.1 and 2 on TLS, HTTP/3 on QUIC, one handler.

mod accept;
mod date;
mod door;
mod drive;
mod h3;
mod io;
mod paced;
mod passage;
mod proxied;
mod refuse;
mod request;
mod response;
mod service;
mod state;
mod streams;
mod tap;
mod tcp;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::HeaderValue;
use tokio::{
    net::{TcpListener, TcpStream, UnixListener},
    task::JoinSet,
    time::{Instant, timeout},
};
use weir_config_lifecycle::{Clock, Pulses, pulses::Pulse};
use weir_edge_transport::{quic::Endpoint, tls::Tls};

use crate::{
    counters::{Counters, count},
    gate::{Gate, Refused},
    handler::Handler,
    limits::Limits,
    shutdown::{Drained, Shutdown},
};

pub use passage::Slow;

use accept::{accept_loop, drain};
use date::Dates;
use door::{Door, Inside};
use service::Shared;

/// How long a QUIC endpoint may take to tell its last clients that it is gone.
const GOODBYE: Duration = Duration::from_millis(100);

/// One worker's server. Cheap to make: each worker makes its own around the shared handler.
pub struct Server<H> {
    shared: Arc<Shared<H>>,
    proxied: bool,
}

impl<H: Handler> Server<H> {
    /// A server without `alt-svc`, on worker 0. `clock` dates the responses.
    pub fn new(
        handler: Arc<H>,
        limits: Limits,
        counters: Arc<Counters>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let dates = Dates::new(clock);
        let shared = Shared {
            handler,
            limits,
            counters,
            dates,
            alt_svc: None,
            worker: 0,
            pulses: Arc::default(),
            door: Door::open(),
        };
        Self { shared: Arc::new(shared), proxied: false }
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

    /// Where each accept loop of this server says that it goes on; before [`worker`](Self::worker)
    /// or after it.
    #[must_use]
    pub fn watched(self, pulses: Arc<Pulses>) -> Self {
        self.change(|shared| shared.pulses = pulses)
    }

    /// Clients are let in by this gate, whose time began at `since`, and no longer up to
    /// [`Limits::connections`] of each listener.
    #[must_use]
    pub fn gate(self, gate: Arc<Gate>, since: Instant) -> Self {
        self.change(|shared| shared.door = Door::guarded(gate, since))
    }

    /// The same server for listeners on which proxies alone are expected, those that its gate
    /// trusts: each connection over TCP begins with a PROXY header of version 2.
    #[must_use]
    pub fn behind_proxies(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), proxied: true }
    }

    /// Whether somebody may come in, of so many that a listener has.
    fn entry(&self, peer: SocketAddr, running: usize) -> Result<Inside, Refused> {
        let (door, limits) = self.shared.door();
        if self.proxied { door.anteroom(peer) } else { door.enter(peer, running, limits) }
    }

    /// The pulse of the accept loop on `what`.
    fn pulse(&self, what: impl std::fmt::Display) -> Pulse {
        let worker = self.shared.worker;
        self.shared.pulses.pulse(format!("accept loop of worker {worker} on {what}"))
    }

    /// `serve` for whom the connection is, which a proxy has to say first.
    fn announced<S, F>(
        &self,
        mut socket: TcpStream,
        peer: SocketAddr,
        serve: S,
    ) -> impl Future<Output = ()> + Send + use<S, F, H>
    where
        S: FnOnce(TcpStream, SocketAddr) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (shared, proxied) = (Arc::clone(&self.shared), self.proxied);
        async move {
            if !proxied {
                return serve(socket, peer).await;
            }
            let (door, limits) = shared.door();
            let announced = proxied::announced(&mut socket, peer, door, limits).await;
            let Some((client, inside)) = announced else { return };
            serve(socket, client).await;
            drop(inside);
        }
    }

    /// Serves HTTP/1.1 without TLS until the shutdown.
    pub async fn plain(&self, listener: TcpListener, shutdown: &Shutdown) -> Drained {
        let (entry, counters) = (|peer, running| self.entry(peer, running), &self.shared.counters);
        let pulse = self.pulse(accept::shown(&listener));
        accept_loop(listener, entry, counters, shutdown, pulse, |socket, peer| {
            let (shared, begin) = (Arc::clone(&self.shared), shutdown.begin.clone());
            self.announced(socket, peer, |socket, peer| tcp::plain(socket, peer, shared, begin))
        })
        .await
    }

    /// Serves HTTP/1.1 on a Unix socket until the shutdown.
    pub async fn unix(&self, listener: UnixListener, shutdown: &Shutdown) -> Drained {
        let (entry, counters) = (|peer, running| self.entry(peer, running), &self.shared.counters);
        let pulse = self.pulse("a Unix socket");
        accept_loop(listener, entry, counters, shutdown, pulse, |socket, _| {
            tcp::unix(socket, Arc::clone(&self.shared), shutdown.begin.clone())
        })
        .await
    }

    /// Serves HTTP/1.1 and HTTP/2 over TLS until the shutdown.
    pub async fn tls(&self, listener: TcpListener, tls: &Tls, shutdown: &Shutdown) -> Drained {
        let (entry, counters) = (|peer, running| self.entry(peer, running), &self.shared.counters);
        let pulse = self.pulse(accept::shown(&listener));
        accept_loop(listener, entry, counters, shutdown, pulse, |socket, peer| {
            let (shared, begin) = (Arc::clone(&self.shared), shutdown.begin.clone());
            let tls = tls.clone();
            self.announced(socket, peer, |socket, peer| tcp::tls(socket, peer, tls, shared, begin))
        })
        .await
    }

    /// Serves HTTP/3 until the shutdown. The endpoint is of no use afterwards.
    pub async fn quic(&self, endpoint: Endpoint, shutdown: &Shutdown) -> Drained {
        let Ok(local) = endpoint.local_addr() else { return Drained::default() };
        let ((door, limits), counters) = (self.shared.door(), &self.shared.counters);
        let mut running = JoinSet::new();
        let mut pulse = self.pulse(format_args!("udp {local}"));
        loop {
            tokio::select! {
                biased;
                () = shutdown.begin.cancelled() => break,
                () = pulse.next() => {}
                Some(_) = running.join_next() => {}
                incoming = endpoint.accept() => {
                    let Some(incoming) = incoming else { break };
                    count(&counters.accepted);
                    let knock = door.knock(incoming, running.len(), limits, counters);
                    let Some((incoming, guest)) = knock else { continue };
                    let (shared, begin) = (Arc::clone(&self.shared), shutdown.begin.clone());
                    running.spawn(h3::connection(incoming, guest, local, shared, begin));
                }
            }
        }
        pulse.end();
        // New clients are refused, so that they go elsewhere at once.
        endpoint.set_server_config(None);
        let drained = drain(running, shutdown).await;
        // The last packets, to those who still listen.
        let _ = timeout(GOODBYE, endpoint.wait_idle()).await;
        drained
    }
}
