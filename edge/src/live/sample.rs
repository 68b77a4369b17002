//! Everything the eight figures are made of, as it was at one moment.

use weir_config_lifecycle::Usage;
use weir_config_telemetry::{Kind, families::edge::TTFB};
use weir_edge_cache::disks::DiskState;

use crate::{node::Node, record::Outcome};

/// Buckets of the time to the first byte, the one without a bound among them.
pub const BUCKETS: usize = match TTFB.kind {
    Kind::Histogram(bounds) => bounds.len() + 1,
    _ => 0,
};

/// Counters since the start, and what stood at that moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sample {
    /// Since the start of the node, by a clock that nobody sets.
    pub at_ms: u64,
    pub requests: u64,
    /// Answered with a status of 500 and above.
    pub errors: u64,
    pub bytes: u64,
    /// Those of them for which the cache was asked.
    pub asked_bytes: u64,
    /// Those of these that it had.
    pub hit_bytes: u64,
    pub origin_requests: u64,
    pub origin_bytes: u64,
    /// Requests whose first byte came within each bound, and all, without those that the edge
    /// answered by itself.
    pub ttfb: [u64; BUCKETS],
    pub disks: u64,
    pub disks_in_use: u64,
    /// Fills under way.
    pub fills: u64,
    pub usage: Usage,
}

impl Sample {
    /// As it is now; `usage` is of now, too.
    pub fn of(node: &Node, usage: Usage) -> Self {
        // What the edge answers by itself says nothing of the cache.
        let asked = |outcome: Outcome| !matches!(outcome, Outcome::Own | Outcome::Bypass);
        let (requests, bytes) = node.metrics.totals(|_, _, _| true);
        let (origin_requests, origin_bytes) = node.metrics.origin_totals();
        let views = node.disks.as_ref().map(|disks| disks.views()).unwrap_or_default();
        let in_use = |state: &DiskState| matches!(state, DiskState::Online | DiskState::Full);
        Self {
            at_ms: u64::try_from(node.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            requests,
            errors: node.metrics.totals(|_, _, code| code == 5).0,
            bytes,
            asked_bytes: node.metrics.totals(|_, outcome, _| asked(outcome)).1,
            hit_bytes: node.metrics.totals(|_, outcome, _| outcome.is_hit()).1,
            origin_requests,
            origin_bytes,
            ttfb: node.metrics.ttfb(|outcome| outcome != Outcome::Own),
            disks: views.len() as u64,
            disks_in_use: views.iter().filter(|view| in_use(&view.state)).count() as u64,
            fills: node.engine.under_way() as u64,
            usage,
        }
    }
}
