//! How a server is: one verdict and the reasons for it.

use serde::{Deserialize, Serialize};

/// One verdict over a server, worst part first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing to do.
    Ok,
    /// Serves, but something needs a hand.
    Degraded,
    /// Does not serve.
    Down,
}

/// Where a server stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Opens its stores and sockets.
    Starting,
    /// Takes requests.
    Serving,
    /// Finishes what is under way and takes no more.
    Draining,
}

/// Answer to `GET /v1/status`. Counters run from the start of the process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// `node.name` of the configuration.
    pub node: String,
    /// `node.site` of the configuration.
    pub site: String,
    /// Version of the server.
    pub version: String,
    /// Seconds since the process started.
    pub uptime_s: u64,
    /// Where it stands in its life.
    pub state: State,
    /// The one verdict; `ok` exactly when `reasons` is empty.
    pub verdict: Verdict,
    /// Why the verdict is not `ok`.
    pub reasons: Vec<Reason>,
    /// One line for each protocol that is served.
    pub protocols: Vec<Protocol>,
    /// Open client connections.
    pub connections: u64,
    /// Requests answered.
    pub requests: u64,
    /// Requests answered with a status of 500 and above.
    pub errors: u64,
    /// Body bytes sent to clients.
    pub bytes: u64,
    /// Requests answered from the cache / requests; none before the first.
    pub hit_ratio: Option<f64>,
    /// Bytes that came from the cache / bytes; none before the first.
    pub byte_hit_ratio: Option<f64>,
    /// How full the cache is.
    pub cache: CacheSummary,
    /// One line for each upstream.
    pub upstreams: Vec<Upstream>,
    /// How the configuration stands; nothing from a server that reads it once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<crate::ConfigSummary>,
    /// The eight figures over the last minute; nothing in the first seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overview: Option<crate::Overview>,
    /// What was turned away since the start, by whom and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refusal>,
    /// What clients are shown in handshakes.
    #[serde(default)]
    pub certificates: Vec<ServedCertificate>,
    /// How the node stands with its control plane; nothing where it belongs to no fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<crate::Membership>,
}

/// Something that was turned away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The metric that counts it.
    pub metric: String,
    /// Its label.
    pub reason: String,
    /// How often.
    pub times: u64,
}

/// A certificate that is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedCertificate {
    /// The names it is for, sorted.
    pub names: Vec<String>,
    /// When it, or the first of its chain, ends, Unix seconds; nothing where that cannot be read.
    pub not_after_unix_s: Option<u64>,
}

/// Something that needs a hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// How bad it is for the whole server.
    pub verdict: Verdict,
    /// What is wrong, in a line.
    pub what: String,
    /// The command to try next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What came over one protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protocol {
    /// `h1`, `h2` or `h3`.
    pub name: String,
    /// Open connections.
    pub connections: u64,
    /// Requests answered.
    pub requests: u64,
    /// Body bytes sent.
    pub bytes: u64,
}

/// How full the cache is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheSummary {
    /// Objects that are known.
    pub objects: u64,
    /// Bytes in RAM.
    pub memory_bytes: u64,
    /// Bytes RAM may hold.
    pub memory_limit: u64,
    /// Bytes on disks.
    pub disk_bytes: u64,
    /// Bytes the disks may hold.
    pub disk_limit: u64,
    /// Fills under way.
    pub fills: u64,
    /// Number of the last purge ever.
    #[serde(default)]
    pub purge_epoch: u64,
    /// What was purged up to this number takes no place any more.
    #[serde(default)]
    pub purge_reclaimed_epoch: u64,
    /// Objects that are pinned.
    #[serde(default)]
    pub pinned_objects: u64,
    /// Their bytes.
    #[serde(default)]
    pub pinned_bytes: u64,
    /// Jobs that fetch ahead of demand.
    #[serde(default)]
    pub warming: u64,
}

/// Whether an upstream answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamState {
    /// Not asked yet.
    Unknown,
    /// The last request succeeded.
    Ok,
    /// The last request failed.
    Failing,
}

/// What one upstream was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// Its id in the configuration.
    pub id: String,
    /// `s3` or `http`.
    pub kind: String,
    /// Whether it answers.
    pub state: UpstreamState,
    /// How its circuit stands: `closed`, `open`, `half_open` or `recovering`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit: Option<String>,
    /// Requests sent.
    pub requests: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Body bytes received.
    pub bytes: u64,
    /// The last failure, in a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}
