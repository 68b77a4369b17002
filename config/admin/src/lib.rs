//! What a server and cachectl say to each other over the admin socket: types only, JSON by
//! serde. HTTP/1.1 over a Unix socket:
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/cache/stats` | [`CacheStats`] |
//! | `GET /v1/cache/explain?url=…` | [`Explain`] |
//! | `POST /v1/cache/purge` with [`PurgeRequest`] | [`PurgeResult`] |
//! | `GET /v1/cache/purges` | [`Purges`] |
//! | `GET /v1/disks` | [`Disks`] |
//! | `POST /v1/disks` with [`DiskOrder`] | [`DiskResult`] |
//!
//! Every status of 400 and above carries an [`ErrorBody`]. Fields are only ever added, so a
//! newer server can be asked by an older cachectl; a reader ignores what it does not know.

mod cache;
mod disks;
mod purge;
mod status;

pub use cache::{
    CacheStats, ChunkCount, Disk, DiskState, Explain, Tier, TierStats, Verdict as CacheVerdict,
};
pub use disks::{DiskAction, DiskOrder, DiskReport, DiskResult, DiskWear, Disks};
pub use purge::{PurgeOrder, PurgeRequest, PurgeResult, PurgeTarget, Purges};
pub use status::{CacheSummary, Protocol, Reason, State, Status, Upstream, UpstreamState, Verdict};

use serde::{Deserialize, Serialize};

/// Path of [`Status`].
pub const STATUS: &str = "/v1/status";
/// Path of [`CacheStats`].
pub const CACHE_STATS: &str = "/v1/cache/stats";
/// Path of [`Explain`]; the URL stands percent-encoded in the query key `url`.
pub const CACHE_EXPLAIN: &str = "/v1/cache/explain";
/// Path of [`PurgeResult`].
pub const CACHE_PURGE: &str = "/v1/cache/purge";
/// Path of [`Purges`].
pub const CACHE_PURGES: &str = "/v1/cache/purges";

/// Path of [`Disks`] and [`DiskResult`].
pub const DISKS: &str = "/v1/disks";

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
