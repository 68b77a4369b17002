//! Who may come in: how many connections there are of all clients, of one and of its network, and
//! how many new ones come in a second. One gate for all workers and protocols of a node.
//!
//! Pure but for its locks: addresses and the time come from whoever accepts. What it remembers is
//! bounded: counts of what is open by the connections themselves, rates by tables of one size.

mod open;
mod rates;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::RwLock;
use weir_config_units::Prefix;

use crate::pace::Pace;
use open::Open;
use rates::Rates;
pub(crate) use rates::{Bucket, Refill};

/// Bits of a client's network, unless a client is more than that.
const NETWORK: (u8, u8) = (24, 48);

/// Handshakes of clients that have shown their address, in bounds of all the others.
const HANDSHAKES_MOST: usize = 8;

/// What a gate lets in. Every rate may be exceeded at once by what is saved up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateLimits {
    /// Connections at once. 65,536.
    pub connections: usize,
    /// Bits of an IPv4 and of an IPv6 address that make a client. 32 and 56.
    pub client: (u8, u8),
    /// Of one client. 512.
    pub per_client: usize,
    /// Of its network: a /24 or a /48. 4,096.
    pub per_network: usize,
    /// New ones in a second; twice as many at once. 4,000.
    pub rate: u32,
    /// Of one client; four times as many at once. 100.
    pub rate_per_client: u32,
    /// Of its network; four times as many at once. 800.
    pub rate_per_network: u32,
    /// QUIC handshakes under way beyond which an address has to prove itself first; eight times
    /// as many are the most. 256.
    pub quic_handshakes: usize,
    /// A handshake, of TLS or QUIC, has to be over. 10 s.
    pub handshake: Duration,
    /// How slow a client may be. 500 bytes a second, over 60 s.
    pub pace: Pace,
    /// Who is counted among all and nowhere else. The host itself.
    pub exempt: Vec<Prefix>,
    /// Who may say for whom it comes, where that is asked. Nobody.
    pub forwarders: Vec<Prefix>,
}

impl Default for GateLimits {
    fn default() -> Self {
        let own = ["127.0.0.0/8", "::1"].map(|text| text.parse().expect("these are networks"));
        Self {
            connections: 65_536,
            client: (32, 56),
            per_client: 512,
            per_network: 4_096,
            rate: 4_000,
            rate_per_client: 100,
            rate_per_network: 800,
            quic_handshakes: 256,
            handshake: Duration::from_secs(10),
            pace: Pace::default(),
            exempt: own.into(),
            forwarders: Vec::new(),
        }
    }
}

/// Why somebody stays outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refused {
    /// As many connections are open as may be.
    Connections,
    /// The client has as many as it may.
    Client,
    /// Its network has.
    Network,
    /// More come in a second than may.
    Rate,
    /// More of this client.
    ClientRate,
    /// More of its network.
    NetworkRate,
    /// Too many QUIC handshakes are under way.
    Handshakes,
    /// The node has more to do than it can.
    Overload,
    /// Who comes where proxies are expected is none that is trusted.
    NoForwarder,
    /// A proxy did not say for whom it comes, or not so that it can be understood.
    ProxyHeader,
}

impl Refused {
    /// Every reason, for whoever names the metrics.
    pub const ALL: [Self; 10] = [
        Self::Connections,
        Self::Client,
        Self::Network,
        Self::Rate,
        Self::ClientRate,
        Self::NetworkRate,
        Self::Handshakes,
        Self::Overload,
        Self::NoForwarder,
        Self::ProxyHeader,
    ];

    /// As labels write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Client => "connections_of_client",
            Self::Network => "connections_of_network",
            Self::Rate => "rate",
            Self::ClientRate => "rate_of_client",
            Self::NetworkRate => "rate_of_network",
            Self::Handshakes => "handshakes",
            Self::Overload => "overload",
            Self::NoForwarder => "no_forwarder",
            Self::ProxyHeader => "proxy_header",
        }
    }
}

/// Counts who is in.
#[derive(Debug)]
pub struct Gate {
    limits: RwLock<Arc<GateLimits>>,
    total: AtomicUsize,
    handshakes: AtomicUsize,
    shut: AtomicBool,
    clients: Open,
    networks: Open,
    all: parking_lot::Mutex<Bucket>,
    client_rates: Rates,
    network_rates: Rates,
    refused: [AtomicU64; Refused::ALL.len()],
    retries: AtomicU64,
}

impl Gate {
    /// Nobody is in.
    pub fn new(limits: GateLimits) -> Arc<Self> {
        Arc::new(Self {
            limits: RwLock::new(Arc::new(limits)),
            total: AtomicUsize::new(0),
            handshakes: AtomicUsize::new(0),
            shut: AtomicBool::new(false),
            clients: Open::default(),
            networks: Open::default(),
            all: parking_lot::Mutex::default(),
            client_rates: Rates::default(),
            network_rates: Rates::default(),
            refused: Default::default(),
            retries: AtomicU64::new(0),
        })
    }

    /// Other limits from now on; who is in stays in.
    pub fn set(&self, limits: GateLimits) {
        *self.limits.write() = Arc::new(limits);
    }

    /// Lets nobody in any more, or again; who is in stays in while it asks something now and then.
    pub fn shut(&self, shut: bool) {
        self.shut.store(shut, Relaxed);
    }

    /// Whether it lets nobody in. Who is in and idle goes sooner then.
    pub fn is_shut(&self) -> bool {
        self.shut.load(Relaxed)
    }

    /// What it goes by.
    pub fn limits(&self) -> Arc<GateLimits> {
        Arc::clone(&self.limits.read())
    }

    /// Connections that are in.
    pub fn open(&self) -> usize {
        self.total.load(Relaxed)
    }

    /// Who stayed outside for this reason.
    pub fn refused(&self, why: Refused) -> u64 {
        self.refused[why as usize].load(Relaxed)
    }

    /// QUIC clients that were told to prove their address.
    pub fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }

    /// Somebody asks for a connection. `now` is since whatever moment, the same for all workers.
    ///
    /// # Errors
    /// Why it gets none; counted.
    pub fn enter(self: &Arc<Self>, peer: IpAddr, now: Duration) -> Result<Pass, Refused> {
        self.judge(peer, now).inspect_err(|why| self.count(*why))
    }

    /// Somebody knocks over QUIC. `proved`: its address is its own, as it has shown.
    pub(crate) fn knock(self: &Arc<Self>, peer: IpAddr, proved: bool, now: Duration) -> Knock {
        if self.is_shut() {
            self.count(Refused::Overload);
            return Knock::Out(Refused::Overload);
        }
        let (under_way, bound) = (self.handshakes(), self.limits().quic_handshakes);
        // RFC 9000 §8.1.2: a Retry costs us nothing to remember. Who has not shown its address may
        // be anybody, and neither uses up another's share nor is refused for it.
        if !proved && under_way >= bound {
            return self.prove();
        }
        if under_way >= bound.saturating_mul(HANDSHAKES_MOST) {
            self.count(Refused::Handshakes);
            return Knock::Out(Refused::Handshakes);
        }
        match self.judge(peer, now) {
            Ok(pass) => {
                self.handshakes.fetch_add(1, Relaxed);
                Knock::In(pass, Shaking(Arc::clone(self)))
            }
            Err(_) if !proved => self.prove(),
            Err(why) => {
                self.count(why);
                Knock::Out(why)
            }
        }
    }

    fn prove(&self) -> Knock {
        self.retries.fetch_add(1, Relaxed);
        Knock::Prove
    }

    fn judge(self: &Arc<Self>, peer: IpAddr, now: Duration) -> Result<Pass, Refused> {
        if self.is_shut() {
            return Err(Refused::Overload);
        }
        let limits = self.limits();
        let mut pass = self.told(peer, &limits, now)?;
        self.take_place(&mut pass, limits.connections)?;
        Ok(pass)
    }

    /// A place for a proxy, of which nobody knows yet for whom it comes.
    pub(crate) fn anteroom(self: &Arc<Self>, proxy: IpAddr) -> Result<Pass, Refused> {
        let limits = self.limits();
        let mut pass = Pass { gate: Arc::clone(self), client: None, network: None, within: false };
        let taken = if self.is_shut() {
            Err(Refused::Overload)
        } else if limits.forwarders.iter().any(|prefix| prefix.contains(proxy)) {
            self.take_place(&mut pass, limits.connections)
        } else {
            Err(Refused::NoForwarder)
        };
        taken.inspect_err(|why| self.count(*why)).map(|()| pass)
    }

    /// The proxy with that place has said for whom it comes.
    pub(crate) fn announced(
        self: &Arc<Self>,
        client: IpAddr,
        now: Duration,
    ) -> Result<Pass, Refused> {
        self.told(client, &self.limits(), now).inspect_err(|why| self.count(*why))
    }

    /// What is counted of one client and its network.
    fn told(
        self: &Arc<Self>,
        peer: IpAddr,
        limits: &GateLimits,
        now: Duration,
    ) -> Result<Pass, Refused> {
        let mut pass = Pass { gate: Arc::clone(self), client: None, network: None, within: false };
        if !limits.exempt.iter().any(|prefix| prefix.contains(peer)) {
            let (v4, v6) = limits.client;
            let client = Prefix::of(peer, v4, v6);
            let network = Prefix::of(peer, v4.min(NETWORK.0), v6.min(NETWORK.1));
            // What is taken is given back where a later question is answered with no.
            if !self.clients.enter(client, limits.per_client) {
                return Err(Refused::Client);
            }
            pass.client = Some(client);
            if !self.networks.enter(network, limits.per_network) {
                return Err(Refused::Network);
            }
            pass.network = Some(network);
            // Who is refused for itself costs the others nothing.
            if !self.client_rates.take(client, Refill::of(limits.rate_per_client, 4), now) {
                return Err(Refused::ClientRate);
            }
            if !self.network_rates.take(network, Refill::of(limits.rate_per_network, 4), now) {
                return Err(Refused::NetworkRate);
            }
            if !self.all.lock().take(Refill::of(limits.rate, 2), now) {
                return Err(Refused::Rate);
            }
        }
        Ok(pass)
    }

    fn take_place(&self, pass: &mut Pass, most: usize) -> Result<(), Refused> {
        let room = |open: usize| (open < most).then_some(open + 1);
        match self.total.fetch_update(Relaxed, Relaxed, room) {
            Ok(_) => {
                pass.within = true;
                Ok(())
            }
            Err(_) => Err(Refused::Connections),
        }
    }

    pub(crate) fn count(&self, why: Refused) {
        self.refused[why as usize].fetch_add(1, Relaxed);
    }

    /// QUIC handshakes under way.
    pub fn handshakes(&self) -> usize {
        self.handshakes.load(Relaxed)
    }
}

/// What comes of a knock.
#[derive(Debug)]
pub(crate) enum Knock {
    In(Pass, Shaking),
    /// It shall show that its address is its own, and come again.
    Prove,
    Out(Refused),
}

/// The right to be in, until it is dropped.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    client: Option<Prefix>,
    network: Option<Prefix>,
    within: bool,
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(client) = self.client {
            self.gate.clients.leave(client);
        }
        if let Some(network) = self.network {
            self.gate.networks.leave(network);
        }
        if self.within {
            self.gate.total.fetch_sub(1, Relaxed);
        }
    }
}

/// A QUIC handshake under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Shaking(Arc<Gate>);

impl Drop for Shaking {
    fn drop(&mut self) {
        self.0.handshakes.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
