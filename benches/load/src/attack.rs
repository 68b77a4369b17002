//! Clients that mean harm, each bounded in what it opens, sends and how long it goes on: they
//! write raw frames, since no honest client lets itself be made to send such things.
//!
//! What they were answered is counted, so that an attack that never got through is seen.

pub(crate) mod hpack;
mod idle;
mod large;
mod quic;
mod resets;
mod slow;
mod streams;
mod tally;
pub(crate) mod wire;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use rustls::ClientConfig;
use tokio::{sync::oneshot, task::JoinSet, time::sleep};

pub use tally::Tally;

use crate::{Protocol, Server};

/// What stands against an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attack {
    /// Heads that come a field every second.
    SlowHeaders,
    /// Bodies that come a byte every second.
    SlowBody,
    /// Large objects that nobody reads.
    SlowRead,
    /// Connections on which nothing is asked.
    IdleConnections,
    /// Streams that are reset as soon as they are opened (CVE-2023-44487).
    RapidReset,
    /// Streams that the server is made to reset (CVE-2025-8671).
    MadeYouReset,
    /// Header sections that never end (CVE-2024-27316 and its like).
    ContinuationFlood,
    /// SETTINGS, PING and empty DATA, each of which wants an answer or a look.
    SettingsPingFlood,
    /// A small header section that becomes a large one.
    HpackBomb,
    /// First packets of QUIC connections that nobody goes on with.
    QuicInitialFlood,
    /// URLs of 64 KiB.
    LongUrls,
    /// Ten thousand ranges in a request.
    ManyRanges,
}

impl Attack {
    /// Every one.
    pub const ALL: [Self; 12] = [
        Self::SlowHeaders,
        Self::SlowBody,
        Self::SlowRead,
        Self::IdleConnections,
        Self::RapidReset,
        Self::MadeYouReset,
        Self::ContinuationFlood,
        Self::SettingsPingFlood,
        Self::HpackBomb,
        Self::QuicInitialFlood,
        Self::LongUrls,
        Self::ManyRanges,
    ];

    /// As options and figures write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SlowHeaders => "slow_headers",
            Self::SlowBody => "slow_body",
            Self::SlowRead => "slow_read",
            Self::IdleConnections => "idle_connections",
            Self::RapidReset => "rapid_reset",
            Self::MadeYouReset => "made_you_reset",
            Self::ContinuationFlood => "continuation_flood",
            Self::SettingsPingFlood => "settings_ping_flood",
            Self::HpackBomb => "hpack_bomb",
            Self::QuicInitialFlood => "quic_initial_flood",
            Self::LongUrls => "long_urls",
            Self::ManyRanges => "many_ranges",
        }
    }

    /// What is done, and how much of it, in words for the figure.
    pub fn describe(self) -> &'static str {
        match self {
            Self::SlowHeaders => {
                "400 connections whose heads come a field a second, half HTTP/1.1, half HTTP/2"
            }
            Self::SlowBody => {
                "400 connections whose bodies come a byte a second, half HTTP/1.1, half HTTP/2"
            }
            Self::SlowRead => {
                "300 connections that ask for 8 MiB and read next to nothing, half HTTP/1.1, half \
                 HTTP/2 with 32 streams each"
            }
            Self::IdleConnections => {
                "10,000 connections on which nothing is asked, a third each TCP alone, TLS, and \
                 HTTP/2, opened at 1,000 a second"
            }
            Self::RapidReset => "16 connections, each with 10,000 streams a second, reset at once",
            Self::MadeYouReset => {
                "16 connections, each with 5,000 streams a second of 8 MiB that the server is made \
                 to reset in five ways"
            }
            Self::ContinuationFlood => {
                "8 connections whose header sections never end: 6 MB a second each, or 50,000 \
                 empty frames a second"
            }
            Self::SettingsPingFlood => {
                "16 connections, each with 20,000 frames a second: SETTINGS, PING, PRIORITY, empty \
                 DATA; half of them read nothing"
            }
            Self::HpackBomb => {
                "16 connections, each with 10 header sections a second of 15 KiB that stand for 58 \
                 MB, or of 8,000 fields"
            }
            Self::QuicInitialFlood => {
                "3,000 first datagrams a second, each of a connection of its own, with a whole \
                 ClientHello"
            }
            Self::LongUrls => "16 connections, each with 50 requests a second for URLs of 64 KiB",
            Self::ManyRanges => {
                "16 connections, each with 50 requests a second of 10,000 ranges, and of 2,000 \
                 that fit into a header section"
            }
        }
    }

    /// For how long it is measured, in full.
    pub fn window(self) -> Duration {
        match self {
            // Until all of them are there, and a while with them.
            Self::IdleConnections => Duration::from_secs(14),
            // Longer than the edge gives a head, so that what comes again is seen too.
            Self::SlowHeaders | Self::SlowBody => Duration::from_secs(12),
            _ => Duration::from_secs(6),
        }
    }

    /// How many connections it holds or opens anew.
    fn connections(self) -> usize {
        match self {
            Self::SlowHeaders | Self::SlowBody => 400,
            Self::SlowRead => 300,
            Self::IdleConnections => 10_000,
            Self::ContinuationFlood => 8,
            Self::QuicInitialFlood => 1,
            _ => 16,
        }
    }

    /// Connections that it opens in a second, at most.
    fn opens(self) -> u32 {
        if self == Self::IdleConnections { 1000 } else { 200 }
    }

    /// One connection, to its end. `number` tells those of an attack apart.
    async fn play(self, number: usize, aim: &Aim, tally: &Tally) {
        let ended = match self {
            Self::SlowHeaders => slow::headers(number, aim, tally).await,
            Self::SlowBody => slow::body(number, aim, tally).await,
            Self::SlowRead => slow::read(number, aim, tally).await,
            Self::IdleConnections => idle::sit(number, aim, tally).await,
            Self::RapidReset => resets::rapid(number, aim, tally).await,
            Self::MadeYouReset => resets::provoked(number, aim, tally).await,
            Self::ContinuationFlood => streams::continuation(number, aim, tally).await,
            Self::SettingsPingFlood => streams::control(number, aim, tally).await,
            Self::HpackBomb => streams::bomb(number, aim, tally).await,
            Self::QuicInitialFlood => quic::initials(aim, tally).await,
            Self::LongUrls => large::urls(number, aim, tally).await,
            Self::ManyRanges => large::ranges(number, aim, tally).await,
        };
        match ended {
            Ok(()) => tally.add("connections closed", 1),
            Err(error) => tally.add(&format!("connections broken: {}", error.kind()), 1),
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Attack {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::as_str).join(", ");
        let known = Self::ALL.into_iter().find(|attack| attack.as_str() == text);
        known.ok_or_else(|| format!("`{text}` is none of {}", names()))
    }
}

/// Who is attacked.
#[derive(Debug)]
pub struct Target {
    /// Where, over HTTP/1.1 and HTTP/2; both know the same address and name.
    pub h1: Arc<Server>,
    /// See above.
    pub h2: Arc<Server>,
    /// TLS of a QUIC client whose first flight is one datagram.
    pub h3: Arc<ClientConfig>,
    /// A path of a small object that is in memory.
    pub small: String,
    /// A path of a large one.
    pub large: String,
    /// A path to which bodies may be sent.
    pub sink: String,
}

/// Who is attacked, and from where.
#[derive(Debug, Clone)]
struct Aim {
    target: Arc<Target>,
    from: IpAddr,
}

impl Aim {
    fn server(&self, protocol: Protocol) -> &Arc<Server> {
        if protocol == Protocol::H1 { &self.target.h1 } else { &self.target.h2 }
    }
}

/// Attackers have networks of their own, so that limits on a prefix can tell them from others.
fn source(attack: Attack) -> IpAddr {
    let number = Attack::ALL.iter().position(|known| *known == attack).unwrap_or_default();
    Ipv4Addr::new(127, 66, number as u8, 1).into()
}

/// An attack that goes on in a thread of its own until it is told to end.
#[derive(Debug)]
pub struct Raid {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    tally: Tally,
}

impl Raid {
    /// Begins. `share` of its connections are there (all: 1.0). On `core`, where one is given.
    pub fn begin(attack: Attack, target: Arc<Target>, share: f64, core: Option<usize>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let tally = Tally::default();
        let kept = tally.clone();
        let thread = std::thread::spawn(move || {
            // Good clients, who may be on the same core, are not held up by their neighbour:
            // what they wait for is the server.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 10);
            if let Some(core) = core {
                pin(core);
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else {
                kept.add("no runtime", 1);
                return;
            };
            runtime.block_on(async move {
                tokio::select! {
                    () = go_on(attack, target, share, kept) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { stop: Some(stop), thread: Some(thread), tally }
    }

    /// Ends it; what was sent and what was answered.
    pub fn end(mut self) -> Tally {
        self.finish();
        self.tally.clone()
    }

    fn finish(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that fell over has counted what it did.
            drop(thread.join());
        }
    }
}

impl Drop for Raid {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Keeps the calling thread, and those it starts, on one core.
pub fn pin(core: usize) {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    if let Err(error) = rustix::thread::sched_setaffinity(None, &set) {
        eprintln!("cannot stay on core {core}: {error}");
    }
}

/// Opens connections as fast as the attack may, and again what ended.
async fn go_on(attack: Attack, target: Arc<Target>, share: f64, tally: Tally) {
    let most = ((attack.connections() as f64 * share).ceil() as usize).max(1);
    let gap = Duration::from_secs(1) / attack.opens();
    let mut begun = tokio::time::interval(gap);
    let mut free: Vec<usize> = (0..most).rev().collect();
    let mut under_way = JoinSet::new();
    let aim = Aim { target, from: source(attack) };
    loop {
        tokio::select! {
            _ = begun.tick(), if !free.is_empty() => {
                let number = free.pop().unwrap_or_default();
                let (aim, tally) = (aim.clone(), tally.clone());
                under_way.spawn(async move {
                    tally.add("connections tried", 1);
                    attack.play(number, &aim, &tally).await;
                    number
                });
            }
            Some(ended) = under_way.join_next(), if !under_way.is_empty() => {
                // Those that only sit are not replaced.
                if attack != Attack::IdleConnections {
                    free.push(ended.unwrap_or_default());
                }
            }
            // Nothing is left to be done until it is told to end.
            else => sleep(Duration::from_secs(3600)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for attack in Attack::ALL {
            assert_eq!(attack.as_str().parse(), Ok(attack));
        }
        assert!("nothing".parse::<Attack>().unwrap_err().contains("rapid_reset"));
    }

    #[test]
    fn every_attack_has_a_network_of_its_own() {
        let mut all: Vec<_> = Attack::ALL.map(source).into();
        all.dedup();
        assert_eq!(all.len(), Attack::ALL.len());
        assert!(all.iter().all(IpAddr::is_loopback));
    }
}
