//! Connections by target: which one carries the next request, and how many there may be.

use std::{collections::HashMap, pin::pin, sync::Arc};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};
use weir_edge_transport::connect::{Dial, Target};

use super::{
    ClientLimits,
    connection::{H1, H2},
    error::{ClientError, chain},
};

/// All connections of a client.
pub(super) struct Pool {
    dial: Arc<dyn Dial>,
    limits: ClientLimits,
    /// Targets come from the configuration, so their number is bounded by it.
    hosts: Mutex<HashMap<Target, Arc<Host>>>,
}

/// The connections to one target.
pub(super) struct Host {
    target: Target,
    limits: ClientLimits,
    state: Mutex<State>,
    /// Something came free: a connection went idle or ended.
    freed: Notify,
    /// Held while a connection is opened that may turn out to carry everybody's requests.
    dialing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The most recently used last.
    idle: Vec<H1>,
    shared: Option<H2>,
    /// Connections that stand or are being opened.
    open: usize,
    /// The peer is known to speak HTTP/1.1 only.
    only_h1: bool,
}

/// A connection counted against its host's limit, until dropped.
pub(super) struct Slot(Arc<Host>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.state.lock().open -= 1;
        self.0.freed.notify_one();
    }
}

/// A connection for one exchange.
pub(super) struct Lease {
    pub(super) host: Arc<Host>,
    pub(super) connection: Connection,
    /// It carried an exchange before, so the peer may have closed it meanwhile.
    pub(super) reused: bool,
}

pub(super) enum Connection {
    H1(H1),
    H2(H2),
}

impl Pool {
    pub(super) fn new(dial: Arc<dyn Dial>, limits: ClientLimits) -> Self {
        Self { dial, limits, hosts: Mutex::default() }
    }

    fn host(&self, target: &Target) -> Arc<Host> {
        let mut hosts = self.hosts.lock();
        if let Some(host) = hosts.get(target) {
            return host.clone();
        }
        let host = Arc::new(Host {
            target: target.clone(),
            limits: self.limits.clone(),
            state: Mutex::default(),
            freed: Notify::new(),
            dialing: tokio::sync::Mutex::default(),
        });
        hosts.insert(target.clone(), host.clone());
        host
    }

    /// Connections one target may have.
    pub(super) fn limit(&self) -> usize {
        self.limits.connections
    }

    /// Whether `target` has as many connections as it may.
    pub(super) fn is_full(&self, target: &Target) -> bool {
        self.host(target).state.lock().open >= self.limits.connections
    }

    /// A connection to `target`; `fresh` asks for one that carried nothing yet. Waits while
    /// all are busy: the deadline is the caller's.
    pub(super) async fn lease(&self, target: &Target, fresh: bool) -> Result<Lease, ClientError> {
        let host = self.host(target);
        loop {
            // Enlisted before the look, so that what comes free after it is not missed.
            let mut freed = pin!(host.freed.notified());
            freed.as_mut().enable();
            if !fresh && let Some(lease) = host.reuse() {
                return Ok(lease);
            }
            let Some(slot) = host.slot(fresh) else {
                freed.await;
                continue;
            };
            let may_share = target.tls && !host.state.lock().only_h1;
            let _turn = if may_share { Some(host.dialing.lock().await) } else { None };
            // While we waited for our turn somebody may have opened what all can use.
            if may_share
                && !fresh
                && let Some(lease) = host.reuse()
            {
                return Ok(lease);
            }
            return self.open(&host, slot).await;
        }
    }

    async fn open(&self, host: &Arc<Host>, slot: Slot) -> Result<Lease, ClientError> {
        let failed =
            |reason: String| ClientError::Connect { target: host.target.to_string(), reason };
        let dialed =
            self.dial.dial(&host.target).await.map_err(|error| failed(error.to_string()))?;
        let connection = if dialed.h2 {
            let h2 = H2::open(dialed.stream, &self.limits, slot)
                .await
                .map_err(|error| failed(chain(&error)))?;
            host.state.lock().shared = Some(h2.clone());
            Connection::H2(h2)
        } else {
            host.state.lock().only_h1 = true;
            let h1 = H1::open(dialed.stream, &self.limits, slot)
                .await
                .map_err(|error| failed(chain(&error)))?;
            Connection::H1(h1)
        };
        Ok(Lease { host: host.clone(), connection, reused: false })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // The connections' tasks hold their host, and the host holds the idle connections.
        for host in self.hosts.get_mut().values() {
            let (idle, shared) = {
                let mut state = host.state.lock();
                (std::mem::take(&mut state.idle), state.shared.take())
            };
            drop((idle, shared));
        }
    }
}

impl Host {
    /// A connection that stands and is free.
    fn reuse(self: &Arc<Self>) -> Option<Lease> {
        // Dropped after the lock: the end of a connection takes it too.
        let mut stale = Vec::new();
        let mut state = self.state.lock();
        let connection = if let Some(h2) = &state.shared
            && !h2.sender.is_closed()
        {
            Connection::H2(h2.clone())
        } else {
            state.shared = None;
            let now = Instant::now();
            loop {
                let h1 = state.idle.pop()?;
                if h1.sender.is_ready() && now - h1.idle_since < self.limits.idle_timeout {
                    break Connection::H1(h1);
                }
                stale.push(h1);
            }
        };
        Some(Lease { host: self.clone(), connection, reused: true })
    }

    /// Room for one more connection. Idle ones make room for a fresh one.
    fn slot(self: &Arc<Self>, fresh: bool) -> Option<Slot> {
        let evicted;
        let mut state = self.state.lock();
        if state.open >= self.limits.connections {
            // Its slot comes free when its task has ended, which wakes us.
            evicted = if fresh { state.idle.pop() } else { None };
            drop(state);
            drop(evicted);
            return None;
        }
        state.open += 1;
        Some(Slot(self.clone()))
    }

    /// Takes a connection back whose exchange is over and which has nothing unread.
    pub(super) fn give_back(&self, mut h1: H1) {
        h1.idle_since = Instant::now();
        let mut state = self.state.lock();
        if state.idle.len() < self.limits.idle {
            state.idle.push(h1);
            drop(state);
            self.freed.notify_one();
        } else {
            drop(state);
            drop(h1);
        }
    }

    /// Sends no further request over this connection.
    pub(super) fn forget(&self, h2: &H2) {
        let mut state = self.state.lock();
        if state.shared.as_ref().is_some_and(|held| Arc::ptr_eq(&held.identity, &h2.identity)) {
            state.shared = None;
        }
    }
}
