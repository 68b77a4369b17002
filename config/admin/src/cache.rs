//! What the cache holds, and why an object is served as it is.

use serde::{Deserialize, Serialize};

/// Answer to `GET /v1/cache/stats`. Counters run from the start of the process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CacheStats {
    /// Objects whose headers are known.
    pub objects: u64,
    /// The RAM tier.
    pub memory: TierStats,
    /// One line for each disk.
    pub disks: Vec<Disk>,
    /// Fills under way.
    pub fills: u64,
    /// Requests that waited for a fill somebody else started.
    pub collapsed: u64,
    /// Requests answered from RAM.
    pub hits_memory: u64,
    /// Requests answered from disk.
    pub hits_disk: u64,
    /// Requests that had to ask an upstream.
    pub misses: u64,
    /// Requests that never looked into the cache.
    pub bypasses: u64,
    /// Body bytes received from upstreams.
    pub fill_bytes: u64,
    /// Chunks found damaged, refused and fetched again.
    pub checksum_failures: u64,
    /// Grows by one with every purge.
    pub purge_epoch: u64,
    /// Objects that are pinned.
    #[serde(default)]
    pub pinned_objects: u64,
    /// Their bytes.
    #[serde(default)]
    pub pinned_bytes: u64,
    /// Bytes that pinned objects may have.
    #[serde(default)]
    pub pinned_limit: u64,
}

/// One tier: how full, how busy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierStats {
    /// Chunks held.
    pub chunks: u64,
    /// Bytes held.
    pub bytes: u64,
    /// Bytes it may hold.
    pub limit: u64,
    /// Chunks put out to make room.
    pub evictions: u64,
    /// Bytes written into it.
    pub written_bytes: u64,
    /// Bytes that were not taken in, because the tier could not keep up.
    pub refused_bytes: u64,
}

/// Whether a disk is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskState {
    /// In use.
    Online,
    /// Read and not written: its file system has no room.
    Full,
    /// Being taken into use.
    Opening,
    /// Not in use; what it held is a miss.
    Offline,
}

/// One disk of the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its folder.
    pub path: String,
    /// Whether it is in use.
    pub state: DiskState,
    /// Input and output errors.
    pub errors: u64,
    /// How full, how busy.
    #[serde(flatten)]
    pub tier: TierStats,
}

/// Where the bytes of an object are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// All chunks in RAM.
    Memory,
    /// All chunks held, at least one of them only on disk.
    Disk,
    /// Some chunks held.
    Partial,
    /// No chunk held.
    None,
}

/// What the next request for an object would meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Served from the cache.
    Hit,
    /// Held, but the upstream is asked whether it still holds good.
    Stale,
    /// Asks the upstream.
    Miss,
    /// Never stored.
    Bypass,
    /// No service takes it, or it is refused before the cache is asked.
    Refused,
}

/// How many of an object's chunks are where. A chunk may be in RAM and on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkCount {
    /// Chunks of the whole object; 0 when its size is not known.
    pub total: u64,
    /// Chunks in RAM.
    pub ram: u64,
    /// Chunks on disk.
    pub disk: u64,
    /// Chunks in either; of an older server nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<u64>,
}

impl ChunkCount {
    /// Chunks that are somewhere, as far as the server said.
    pub fn anywhere(&self) -> u64 {
        self.held.unwrap_or_else(|| (self.ram + self.disk).min(self.total))
    }
}

#[cfg(test)]
mod tests {
    use super::{Disk, DiskState, TierStats};

    #[test]
    fn a_disk_is_one_flat_object() {
        let disk = Disk {
            path: "cache/disk0".into(),
            state: DiskState::Online,
            errors: 0,
            tier: TierStats { chunks: 3, ..TierStats::default() },
        };
        let text = serde_json::to_string(&disk).unwrap();
        assert_eq!(
            text,
            r#"{"path":"cache/disk0","state":"online","errors":0,"chunks":3,"bytes":0,"limit":0,"evictions":0,"written_bytes":0,"refused_bytes":0}"#
        );
        assert_eq!(serde_json::from_str::<Disk>(&text).unwrap(), disk);
    }
}
