//! The eight figures that say how an edge does: `cachectl status`, the page on the management
//! address and the dashboards show these, by these names and in this order.
//!
//! The server computes them from its counters (`edge/src/live/figures.rs`); what Prometheus asks
//! for the same stands here.

/// What a figure counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes a second. People are told bits.
    BytesPerSecond,
    /// A part of one.
    Ratio,
    /// Seconds.
    Seconds,
}

impl Unit {
    /// As programs are told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BytesPerSecond => "bytes_per_second",
            Self::Ratio => "ratio",
            Self::Seconds => "seconds",
        }
    }
}

/// One of the eight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// Its field in the answers of a server.
    pub id: &'static str,
    /// What people read above it.
    pub title: &'static str,
    /// What it counts in.
    pub unit: Unit,
    /// What it is, in a sentence.
    pub meaning: &'static str,
    /// The same from Prometheus, for each node; `$over` stands for the window of rates.
    pub query: &'static str,
}

/// All of them, as people read them: what is delivered, how well, from where, and what it costs.
pub const FIGURES: [Figure; 8] = [
    Figure {
        id: "traffic",
        title: "Traffic",
        unit: Unit::BytesPerSecond,
        meaning: "Body bytes sent to clients, a second.",
        query: "sum by (instance) (rate(edge_sent_bytes_total[$over]))",
    },
    Figure {
        id: "hit_ratio",
        title: "Hit ratio",
        unit: Unit::Ratio,
        meaning: "Of the bytes that clients got, those that came from the cache.",
        query: "sum by (instance) (rate(edge_sent_bytes_total{result=~\"hit_mem|hit_disk|revalidated|stale\"}[$over])) / sum by (instance) (rate(edge_sent_bytes_total{result!~\"own|bypass\"}[$over]))",
    },
    Figure {
        id: "ttfb_p99_s",
        title: "First byte, 99 %",
        unit: Unit::Seconds,
        meaning: "Within this time 99 of 100 requests had their first byte.",
        query: "histogram_quantile(0.99, sum by (instance, le) (rate(edge_ttfb_seconds_bucket{result!=\"own\"}[$over])))",
    },
    Figure {
        id: "error_ratio",
        title: "Errors",
        unit: Unit::Ratio,
        meaning: "Of the requests, those answered with a status of 500 and above.",
        query: "(sum by (instance) (rate(edge_requests_total{code=\"5xx\"}[$over])) or 0 * sum by (instance) (rate(edge_requests_total[$over]))) / sum by (instance) (rate(edge_requests_total[$over]))",
    },
    Figure {
        id: "origin_load",
        title: "Origin load",
        unit: Unit::BytesPerSecond,
        meaning: "Body bytes received from upstreams, a second.",
        query: "sum by (instance) (rate(edge_origin_received_bytes_total[$over]))",
    },
    Figure {
        id: "disks",
        title: "Disks in use",
        unit: Unit::Ratio,
        meaning: "Of the disks that are configured, those in use.",
        query: "avg by (instance) (edge_disk_online)",
    },
    Figure {
        id: "memory",
        title: "Memory",
        unit: Unit::Ratio,
        meaning: "Resident memory of the process, as a part of `cache.memory`.",
        query: "edge_resident_bytes / edge_memory_budget_bytes",
    },
    Figure {
        id: "saturation",
        title: "Saturation",
        unit: Unit::Ratio,
        meaning: "How far the scarcest of processors, places for fills and open files is used.",
        query: "max by (instance) (edge_saturation_ratio)",
    },
];
