//! Objects of the cache one by one: listed, looked at, and pinned.

use serde::{Deserialize, Serialize};

use crate::ChunkCount;

/// Answer to `GET /v1/cache/objects`. In the query, each percent-encoded: `prefix` (the
/// beginning of a URL with scheme and host, or of cache keys), `pinned` (only these), `sort`
/// (`any`, `key`, `reads`, `unread`, `size` or `age`), `limit` (at most 1000), and `cursor` (the
/// `next` of the page before).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ObjectPage {
    /// In the order that was asked for.
    pub objects: Vec<ObjectRow>,
    /// Where the next page starts; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The node has started and has not read all it knows yet: there are more.
    #[serde(default)]
    pub loading: bool,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectRow {
    /// The key of its URL: service, host, path and query.
    pub key: String,
    /// Where the URL has variants, the request fields that select this one, `name=value` or a
    /// name that is absent, one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// It has no body of its own, but says by which fields the URL's variants are selected.
    #[serde(default)]
    pub selects: bool,
    /// 32 hexadecimal digits.
    pub id: String,
    /// Id of the service that stored it.
    pub service: String,
    /// Status of the response.
    pub status: u16,
    /// Bytes of its body.
    pub size: u64,
    /// Seconds since it was received or revalidated.
    pub age_s: u64,
    /// Seconds for which it is still fresh; negative when stale.
    pub ttl_s: i64,
    /// Reads since the start of the process; only a listing counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<u64>,
    /// When it was last read, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_unix_s: Option<u64>,
    /// How it is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// How many chunks are where; none where there were too many to look for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<ChunkCount>,
}

/// How an object is pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Unix seconds; none is until it is unpinned or purged.
    pub until_unix_s: Option<u64>,
}

/// Answer to `GET /v1/cache/object`: `url` or `key` in the query says which, `variant` which of
/// several. `GET /v1/cache/body` takes the same, with `generation`, `from` and `to` (offsets,
/// the last one excluded), and answers with the stored bytes, checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectShown {
    /// The object.
    #[serde(flatten)]
    pub row: ObjectRow,
    /// Number of the fill that brought it.
    pub generation: u64,
    /// The header fields that are kept.
    pub headers: Vec<(String, String)>,
}

/// Answer to `POST /v1/cache/object/verify` with [`ObjectVerify`]: every copy of some chunks,
/// read back from its disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectVerified {
    /// In order of chunk.
    pub copies: Vec<ChunkCopy>,
    /// The chunk to go on from; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

/// Which chunks of an object are to be read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectVerify {
    /// Its id.
    pub id: String,
    /// Number of the fill that brought it.
    pub generation: u64,
    /// The first chunk.
    pub from: u32,
    /// The last chunk, excluded.
    pub to: u32,
}

/// One chunk on one disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkCopy {
    /// Its place in the object; it starts at that many MiB.
    pub chunk: u32,
    /// The disk's folder; none where the chunk is on no disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// What it was found to be.
    pub state: ChunkState,
}

/// What a chunk was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChunkState {
    /// Every byte holds.
    Sound,
    /// It did not hold or could not be read, and is dropped.
    Damaged,
    /// In RAM, and on no disk.
    Memory,
    /// Nowhere.
    Missing,
}

/// Body of `POST /v1/cache/pins`. Exactly one of `url`, `prefix`, `tag` and `service` says what.
/// A step of about a second; `next` of its answer goes into `cursor` of the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinRequest {
    /// A URL, as a client would ask for it, with or without its token; with every variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The beginning of URLs, with scheme and host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// A tag that upstreams wrote into `Surrogate-Key` or `Cache-Tag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The id of a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Let it be evicted again.
    #[serde(default)]
    pub unpin: bool,
    /// When the pin ends, Unix seconds; none is for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_unix_s: Option<u64>,
    /// Only tell what would change. Without the field nothing is changed by accident.
    #[serde(default = "dry")]
    pub dry_run: bool,
    /// Where to go on; none begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

fn dry() -> bool {
    true
}

/// Answer to `POST /v1/cache/pins`: one step, and the pins of the node after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinResult {
    /// Objects that are meant.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that change, or would.
    pub changed: u64,
    /// Their bytes.
    pub changed_bytes: u64,
    /// Bytes that were in RAM only, and are on their way to the disks now.
    #[serde(default)]
    pub brought_bytes: u64,
    /// Objects that are not wholly here. What comes of them is kept.
    #[serde(default)]
    pub incomplete: u64,
    /// Bytes that they lack.
    #[serde(default)]
    pub missing_bytes: u64,
    /// Keys of some of those that change.
    #[serde(default)]
    pub sample: Vec<String>,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Why it ended before all were pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Where the next step starts; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The node has started and has not read all it knows yet: there may be more.
    #[serde(default)]
    pub loading: bool,
    /// Objects of the node that are pinned.
    pub pinned_objects: u64,
    /// Their bytes.
    pub pinned_bytes: u64,
    /// Bytes that pinned objects may have.
    pub pinned_limit: u64,
}

/// Slower than this, bytes a second, a terabyte takes more than twelve days.
pub const SCRUB_RATE_LEAST: u64 = 1 << 20;

/// Body of `POST /v1/cache/scrub`: one step of a scrub of one disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrubRequest {
    /// The disk: its folder, the folder's last name, or its identity.
    pub disk: String,
    /// 0, or the `next` of the step before.
    #[serde(default)]
    pub cursor: u64,
    /// Bytes a second that may be read, [`SCRUB_RATE_LEAST`] at least.
    pub rate: u64,
}

/// Answer to `POST /v1/cache/scrub`, about half a second later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubStep {
    /// The disk's folder.
    pub disk: String,
    /// Chunks read back in this step.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What did not hold: it is dropped, and fetched again when it is asked for.
    pub damaged: Vec<Damage>,
    /// How many did not hold; more than are named, where they are many.
    pub damaged_chunks: u64,
    /// Bytes that the disk holds.
    pub held_bytes: u64,
    /// Chunks that the disk holds.
    pub held_chunks: u64,
    /// Where the next step starts; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// A chunk that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// The key of its URL; none where nobody knows it any more, or the damage hides it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its place in the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::{PinRequest, ScrubRequest};

    /// A body without `dry_run` must not change anything.
    #[test]
    fn pins_are_dry_unless_told() {
        let read: PinRequest = serde_json::from_str(r#"{"url":"https://h/a"}"#).unwrap();
        assert!(read.dry_run && !read.unpin);
        assert!(serde_json::from_str::<PinRequest>(r#"{"url":"a","dryrun":false}"#).is_err());
        assert!(serde_json::from_str::<ScrubRequest>(r#"{"disk":"a"}"#).is_err(), "no rate");
    }
}
