//! The disks of the cache: how each does, and what an operator wants of one.

use serde::{Deserialize, Serialize};

use crate::DiskState;

/// Answer to `GET /v1/disks`. Counters run from the start of the process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Disks {
    /// In the order of the configuration.
    pub disks: Vec<DiskReport>,
}

/// How one disk does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiskReport {
    /// Its identity, 16 hexadecimal digits; none until its folder could be read.
    pub id: Option<String>,
    /// Its folder, as the configuration writes it.
    pub path: String,
    /// Whether it is in use.
    pub state: DiskState,
    /// Why it is not in use: `operator`, `errors`, `slow`, `read_only`, `gone`, `missing`,
    /// `foreign` or `unusable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The same, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Since when it is not in use, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_unix_ms: Option<u64>,
    /// Bytes it may hold, as configured.
    pub limit: u64,
    /// Share of all chunks that belong on it, of those disks that are in use.
    pub share: f64,
    /// Bytes it holds, also of before the start; none where it is not known.
    pub bytes: Option<u64>,
    /// Chunks it holds; none where its store does not count them.
    pub chunks: Option<u64>,
    /// Chunks put out to make room; none where its store does not count them.
    pub evictions: Option<u64>,
    /// Bytes of its file system.
    pub system_bytes: Option<u64>,
    /// Bytes free there.
    pub system_free_bytes: Option<u64>,
    /// Chunks read.
    pub reads: u64,
    /// Bytes of these.
    pub read_bytes: u64,
    /// Those of the reads that brought a part of a chunk only.
    #[serde(default)]
    pub part_reads: u64,
    /// Bytes that the device was read for them.
    #[serde(default)]
    pub device_read_bytes: u64,
    /// Bytes of RAM by which its chunks are found; part of `cache.memory`.
    #[serde(default)]
    pub index_bytes: u64,
    /// Chunks taken to be written.
    pub accepted: u64,
    /// Bytes of these.
    pub accepted_bytes: u64,
    /// Bytes that were not taken, because the disk could not keep up.
    pub refused_bytes: u64,
    /// Chunks that were taken and did not get onto it.
    pub lost: u64,
    /// Calls that the device failed.
    pub errors: u64,
    /// Reads that took too long and were given up.
    pub overdue: u64,
    /// Chunks that did not verify.
    pub checksum_failures: u64,
    /// Bytes written to the device since the process started.
    pub written_bytes: u64,
    /// What was written to it since it was first used, over restarts.
    pub wear: DiskWear,
}

/// Bytes that the cache told a device to write. What the file system and the device itself add
/// is not seen from here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct DiskWear {
    /// Since it was first used.
    pub total_bytes: u64,
    /// When that was, Unix seconds at the beginning of the day; 0 is not known.
    pub since_unix_s: u64,
    /// On the day that runs (UTC).
    pub today_bytes: u64,
    /// A day, over the last seven whole days or as many as there were; none before the first.
    pub per_day_bytes: Option<u64>,
}

/// What an operator wants of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskAction {
    /// Out of use, over restarts.
    Offline,
    /// Into use again.
    Online,
    /// Out of use, emptied, and into use again.
    Replace,
}

/// Body of `POST /v1/disks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskOrder {
    /// Its folder, the folder's last name, or at least four digits of its identity.
    pub disk: String,
    /// What to do.
    pub action: DiskAction,
    /// Only tell which disk that is. Without the field nothing is done by accident.
    #[serde(default = "dry")]
    pub dry_run: bool,
}

fn dry() -> bool {
    true
}

/// Answer to `POST /v1/disks`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiskResult {
    /// The disk, after it; `opening` while it is not done: `GET /v1/disks?settled=ID` waits up
    /// to a second for it.
    pub disk: DiskReport,
    /// What was to do.
    pub action: DiskAction,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// Why a restart forgets it; none where it is written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unkept: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::DiskOrder;

    #[test]
    fn an_order_is_dry_unless_told() {
        let read: DiskOrder = serde_json::from_str(r#"{"disk":"a","action":"replace"}"#).unwrap();
        assert!(read.dry_run);
        assert!(serde_json::from_str::<DiskOrder>(r#"{"disk":"a","action":"wipe"}"#).is_err());
    }
}
