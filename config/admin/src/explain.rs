//! Why a request for a URL is answered as it is.

use serde::{Deserialize, Serialize};

use crate::{CacheVerdict, ChunkCount, Pin, PurgeOrder, Tier};

/// Answer to `GET /v1/cache/explain`. In the query, each percent-encoded: `url`, and as often as
/// wanted `header`, a field of the request (`Accept-Encoding: br`); `method=HEAD` for a HEAD.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explain {
    /// The URL that was asked, its token redacted.
    pub url: String,
    /// The cache key, without any token.
    pub key: String,
    /// Query keys that were left out of the key.
    #[serde(default)]
    pub dropped_query: Vec<String>,
    /// Id of the service that takes it.
    pub service: Option<String>,
    /// Where that service stands: `edge.toml:85`.
    pub rule: Option<String>,
    /// Where its bytes are.
    pub tier: Tier,
    /// Size in bytes, when known.
    pub size: Option<u64>,
    /// How many chunks are where.
    pub chunks: ChunkCount,
    /// Seconds since it was received or revalidated.
    pub age_s: Option<u64>,
    /// Seconds for which it is still fresh; negative when stale.
    pub ttl_s: Option<i64>,
    /// What the next such request would meet.
    pub verdict: CacheVerdict,
    /// Why, in a line.
    pub why: String,
    /// The purge that decides over what is stored, while it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purge: Option<PurgeOrder>,
    /// The headers that are kept, in order.
    pub stored_headers: Vec<(String, String)>,
    /// Id of the upstream that sent it, or would be asked first.
    pub upstream: Option<String>,
    /// 32 hexadecimal digits, of what is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Number of the fill that brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Status of the stored response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How it is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// Tags by which it can be purged.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What decided, one thing after the other.
    #[serde(default)]
    pub decided: Vec<Decided>,
    /// Which chunks are where, in order, the first 64 runs of the first 65,536 chunks.
    #[serde(default)]
    pub runs: Vec<ChunkRun>,
    /// Request fields that select one of several stored responses.
    #[serde(default)]
    pub vary: Vec<String>,
    /// These responses.
    #[serde(default)]
    pub variants: Vec<ExplainVariant>,
    /// What reading back from the disks found; only where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
}

/// Something that is as it is, and what made it so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// `ttl`, `query`, `admission`.
    pub what: String,
    /// How it is.
    pub value: String,
    /// A field of the response, or a key of the configuration with its place:
    /// `service[film].default_ttl at edge.toml:61:1`.
    pub by: String,
}

/// Chunks one after the other that are in the same places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRun {
    /// First chunk; it starts at that many MiB.
    pub first: u32,
    /// Last chunk, included.
    pub last: u32,
    /// Whether they are in RAM.
    pub ram: bool,
    /// Folders of the disks that have them.
    pub disks: Vec<String>,
}

/// One of several responses of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainVariant {
    /// Request fields and the values that select it; none where the field is absent.
    pub selects: Vec<(String, Option<String>)>,
    /// 32 hexadecimal digits.
    pub id: String,
    /// Status of the stored response.
    pub status: u16,
    /// Bytes of its body.
    pub size: u64,
    /// Seconds since it was received or revalidated.
    pub age_s: u64,
    /// Seconds for which it is still fresh; negative when stale.
    pub ttl_s: i64,
    /// How many chunks are where.
    pub chunks: ChunkCount,
    /// Whether the request that is explained selects it.
    pub chosen: bool,
}

/// What reading chunks back from the disks found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Copies whose checksums hold.
    pub sound: u64,
    /// Copies whose checksums do not.
    pub damaged: u64,
    /// Chunks in RAM only, which has no checksum to look at.
    pub memory: u64,
    /// Chunks that are nowhere.
    pub missing: u64,
}
