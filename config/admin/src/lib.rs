//! What a server and cachectl say to each other over the admin socket: types only, JSON by
//! serde. HTTP/1.1 over a Unix socket:
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/metrics` | Prometheus text |
//! | `GET /v1/doctor` | [`Doctor`] |
//! | `GET /v1/top` | [`Top`] |
//! | `GET /v1/trace?id=…` | [`Trace`] |
//! | `POST /v1/trace` with [`TraceOrder`] | [`TraceResult`] |
//! | `POST /v1/logs/rotate` | [`LogRotated`] |
//! | `GET /v1/logs?…` | a line for each [`LogRecord`] |
//! | `GET /v1/cache/stats` | [`CacheStats`] |
//! | `GET /v1/cache/explain?url=…` | [`Explain`] |
//! | `POST /v1/cache/purge` with [`PurgeRequest`] | [`PurgeResult`] |
//! | `GET /v1/cache/purges` | [`Purges`] |
//! | `GET /v1/cache/objects?…` | [`ObjectPage`] |
//! | `GET /v1/cache/object?…` | [`ObjectShown`] |
//! | `GET /v1/cache/body?…` | the stored bytes |
//! | `POST /v1/cache/object/verify` with [`ObjectVerify`] | [`ObjectVerified`] |
//! | `POST /v1/cache/pins` with [`PinRequest`] | [`PinResult`] |
//! | `POST /v1/cache/scrub` with [`ScrubRequest`] | [`ScrubStep`] |
//! | `POST /v1/cache/warm` with [`WarmRequest`] | [`WarmJob`] |
//! | `GET /v1/cache/warm?job=…` | [`WarmJob`] |
//! | `GET /v1/cache/warm` | [`WarmJobs`] |
//! | `POST /v1/cache/warm/cancel` with [`WarmCancel`] | [`WarmJob`] |
//! | `GET /v1/disks` | [`Disks`] |
//! | `GET /v1/config` | [`ConfigReport`] |
//! | `POST /v1/config/reload` with [`ReloadOrder`] | [`ReloadResult`] |
//! | `GET /v1/config/history` | [`ConfigHistory`] |
//! | `POST /v1/config/rollback` with [`RollbackOrder`] | [`ReloadResult`] |
//! | `POST /v1/disks` with [`DiskOrder`] | [`DiskResult`] |
//!
//! A control plane answers on its own socket:
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/fleet` | [`FleetStatus`] |
//! | `GET /v1/metrics` | Prometheus text |
//! | `GET /v1/nodes` | [`FleetNodes`] |
//! | `GET /v1/nodes/NAME` | [`FleetNode`] |
//! | `POST /v1/nodes/NAME` with [`NodeOrder`] | [`NodeDone`] |
//! | `GET /v1/nodes/NAME/history` | [`NodeHistory`] |
//! | `GET /v1/tokens` | [`Tokens`] |
//! | `POST /v1/tokens` with [`TokenOrder`] | [`TokenMade`] |
//! | `POST /v1/tokens/revoke` with [`TokenRevoke`] | [`Tokens`] |
//!
//! Every status of 400 and above carries an [`ErrorBody`]. Fields are only ever added, so a
//! newer server can be asked by an older cachectl; a reader ignores what it does not know.

mod cache;
mod config;
mod disks;
mod doctor;
mod explain;
mod fleet;
mod logs;
mod objects;
mod overview;
mod purge;
mod status;
mod top;
mod trace;
mod warm;

pub use cache::{
    CacheStats, ChunkCount, Disk, DiskState, Tier, TierStats, Verdict as CacheVerdict,
};
pub use config::{
    ConfigChange, ConfigEntry, ConfigHistory, ConfigReport, ConfigRevision, ConfigSummary,
    ReloadOrder, ReloadOutcome, ReloadResult, RollbackOrder,
};
pub use disks::{DiskAction, DiskOrder, DiskReport, DiskResult, DiskWear, Disks};
pub use doctor::{Check, Doctor, Finding};
pub use explain::{ChunkRun, Decided, Explain, ExplainVariant, Verified};
pub use fleet::{
    FleetNode, FleetNodes, FleetStatus, Membership, NodeDone, NodeEvent, NodeHistory, NodeOrder,
    TokenKnown, TokenMade, TokenOrder, TokenRevoke, Tokens,
};
pub use logs::{CmcdValue, LOG_FILTER_MAX, LOG_LAST_MAX, LogLost, LogRecord, LogRotated};
pub use objects::{
    ChunkCopy, ChunkState, Damage, ObjectPage, ObjectRow, ObjectShown, ObjectVerified,
    ObjectVerify, Pin, PinRequest, PinResult, SCRUB_RATE_LEAST, ScrubRequest, ScrubStep,
};
pub use overview::Overview;
pub use purge::{
    PurgeOrder, PurgeRequest, PurgeResult, PurgeTarget, Purges, TAG_BYTES_MAX, tag_fault,
};
pub use status::{
    CacheSummary, Protocol, Reason, Refusal, ServedCertificate, State, Status, Upstream,
    UpstreamState, Verdict,
};
pub use top::{HotObject, Top};
pub use trace::{Trace, TraceClient, TraceExchange, TraceOrder, TracePhase, TraceResult};
pub use warm::{Ladder, WarmCancel, WarmJob, WarmJobs, WarmNote, WarmRequest, WarmState};

use serde::{Deserialize, Serialize};

/// Path of [`Status`].
pub const STATUS: &str = "/v1/status";
/// Path of [`Doctor`].
pub const DOCTOR: &str = "/v1/doctor";
/// Path of the metrics, as Prometheus text.
pub const METRICS: &str = "/v1/metrics";
/// Path of [`Top`].
pub const TOP: &str = "/v1/top";
/// Path of [`Trace`] and [`TraceResult`].
pub const TRACE: &str = "/v1/trace";
/// Path of [`LogRecord`]s.
pub const LOGS: &str = "/v1/logs";
/// Path of [`LogRotated`].
pub const LOGS_ROTATE: &str = "/v1/logs/rotate";
/// Path of [`CacheStats`].
pub const CACHE_STATS: &str = "/v1/cache/stats";
/// Path of [`Explain`]; the URL stands percent-encoded in the query key `url`.
pub const CACHE_EXPLAIN: &str = "/v1/cache/explain";
/// Path of [`PurgeResult`].
pub const CACHE_PURGE: &str = "/v1/cache/purge";
/// Path of [`Purges`].
pub const CACHE_PURGES: &str = "/v1/cache/purges";

/// Path of [`ObjectPage`].
pub const CACHE_OBJECTS: &str = "/v1/cache/objects";
/// Path of [`ObjectShown`].
pub const CACHE_OBJECT: &str = "/v1/cache/object";
/// Path of an object's stored bytes.
pub const CACHE_BODY: &str = "/v1/cache/body";
/// Path of [`ObjectVerified`].
pub const CACHE_OBJECT_VERIFY: &str = "/v1/cache/object/verify";
/// Path of [`PinResult`].
pub const CACHE_PINS: &str = "/v1/cache/pins";
/// Path of [`ScrubStep`].
pub const CACHE_SCRUB: &str = "/v1/cache/scrub";

/// Path of [`WarmJob`] and [`WarmJobs`].
pub const CACHE_WARM: &str = "/v1/cache/warm";
/// Where jobs are cancelled.
pub const CACHE_WARM_CANCEL: &str = "/v1/cache/warm/cancel";

/// Path of [`Disks`] and [`DiskResult`].
pub const DISKS: &str = "/v1/disks";

/// Path of [`ConfigReport`].
pub const CONFIG: &str = "/v1/config";
/// Path of [`ReloadResult`].
pub const CONFIG_RELOAD: &str = "/v1/config/reload";
/// Path of [`ConfigHistory`].
pub const CONFIG_HISTORY: &str = "/v1/config/history";
/// Path of [`ReloadResult`] for a revision that ran before.
pub const CONFIG_ROLLBACK: &str = "/v1/config/rollback";

/// Path of [`FleetStatus`].
pub const FLEET: &str = "/v1/fleet";
/// Path of [`FleetNodes`]; a node's own begins with it.
pub const NODES: &str = "/v1/nodes";
/// Path of [`Tokens`] and [`TokenMade`].
pub const TOKENS: &str = "/v1/tokens";
/// Where join tokens are taken back.
pub const TOKENS_REVOKE: &str = "/v1/tokens/revoke";

/// What every answer of status 400 and above carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What failed, where.
    pub error: String,
    /// Why, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The command to try next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
