//! What the phases of a request share: one node, for as long as the process lives.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use arc_swap::ArcSwap;
use tokio::time::Instant;
use weir_config_lifecycle::{Clock, Pulses, Readiness};
use weir_config_telemetry::AccessLog;
use weir_edge_cache::disks::Disks;
use weir_edge_fill::Engine;
use weir_edge_http::{Counters, Gate};

use crate::{
    admin::warm::Warms, fleet::Membership, journal::Journal, live::Live, load::Load,
    metrics::Metrics, observe::Observed, reload::Reloader, service::Services, traces::Traces,
    upkeep::Upkeep,
};

/// One edge server.
#[derive(Debug)]
pub struct Node {
    pub name: String,
    pub site: String,
    pub started: Instant,
    pub clock: Arc<dyn Clock>,
    pub services: ArcSwap<Services>,
    pub engine: Arc<Engine>,
    pub upstreams: ArcSwap<Vec<Arc<Observed>>>,
    /// What it has to do, and does no more.
    pub load: Arc<Load>,
    /// What the servers count of connections.
    pub connections: Arc<Counters>,
    /// Who may come in.
    pub gate: Arc<Gate>,
    pub metrics: Metrics,
    /// None where the configuration turns it off.
    pub access: Option<AccessLog>,
    /// Where clients are served, and whether with TLS; set before the first request.
    pub listening: OnceLock<Vec<(SocketAddr, bool)>>,
    /// What is remembered of finished requests.
    pub journal: Arc<Journal>,
    /// Spans of requests on their way to a collector.
    pub traces: Arc<Traces>,
    pub readiness: Readiness,
    /// Whether each part of the process goes on.
    pub pulses: Arc<Pulses>,
    /// What takes configurations anew; set before the first request.
    pub config: OnceLock<Arc<Reloader>>,
    /// The disks, where there are any.
    pub disks: Option<Arc<Disks>>,
    pub upkeep: Upkeep,
    /// What is fetched ahead of demand.
    pub warms: Warms,
    /// How it did lately.
    pub live: Live,
    /// How it stands with its control plane.
    pub fleet: Membership,
}
