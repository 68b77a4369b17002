//! What the phases of a request share: one node, for as long as the process lives.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::time::Instant;
use weir_config_lifecycle::{Clock, Readiness};
use weir_config_telemetry::AccessLog;
use weir_edge_cache::disks::Disks;
use weir_edge_fill::Engine;
use weir_edge_http::Counters;

use crate::{metrics::Metrics, observe::Observed, service::Services};

/// One edge server.
#[derive(Debug)]
pub struct Node {
    pub name: String,
    pub site: String,
    pub started: Instant,
    pub clock: Arc<dyn Clock>,
    pub services: ArcSwap<Services>,
    pub engine: Arc<Engine>,
    pub upstreams: Vec<Arc<Observed>>,
    /// What the servers count of connections.
    pub connections: Arc<Counters>,
    pub metrics: Metrics,
    /// None where the configuration turns it off.
    pub access: Option<AccessLog>,
    pub readiness: Readiness,
    /// The disks, where there are any.
    pub disks: Option<Arc<Disks>>,
}
