//! What a cache holds and did since start, in numbers.

use std::{path::PathBuf, sync::atomic::Ordering, time::Duration};

use super::Cache;
use crate::{
    state::{State, StateStats},
    store::StoreStats,
};

/// What was taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    /// Objects.
    pub objects: u64,
    /// Their body bytes, whether they were in the cache or not.
    pub bytes: u64,
}

/// Counters of one tier since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TierStats {
    /// Lookups that found their chunk.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Chunks pushed out by others.
    pub evictions: u64,
}

/// What a cache holds and did since start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStats {
    /// Objects in the metadata table.
    pub objects: u64,
    /// Body bytes of these, whether their chunks are there or not.
    pub object_bytes: u64,
    /// Objects pushed out of the table by others.
    pub objects_evicted: u64,
    /// Objects that the table may hold.
    pub objects_max: u64,
    /// Objects that are pinned.
    pub objects_pinned: u64,
    /// Their body bytes.
    pub pinned_bytes: u64,
    /// Body bytes that pinned objects may have.
    pub pinned_bytes_max: u64,
    /// RAM of the metadata table.
    pub metadata_bytes: u64,
    /// RAM tier: bytes held.
    pub ram_used_bytes: u64,
    /// RAM tier: chunks held.
    pub ram_chunks: u64,
    /// RAM tier: chunk bytes put into it since start.
    pub ram_written_bytes: u64,
    /// RAM tier: bytes it may hold.
    pub ram_capacity_bytes: u64,
    /// RAM tier.
    pub ram: TierStats,
    /// Disk tier; evictions are the store's business and not counted here.
    pub disk: TierStats,
    /// Chunk bytes that came for the first time and were not offered to the store.
    pub not_admitted_bytes: u64,
    /// The store's own counters; `None` without a disk tier.
    pub store: Option<StoreStats>,
    /// The state file; `None` without one.
    pub state: Option<StateStats>,
}

impl Cache {
    /// Why the state file cannot be written; none where it can, or there is none.
    pub fn state_failure(&self) -> Option<String> {
        self.state.as_ref().and_then(State::failure)
    }

    /// Where a state file lies that could not be used, and for how long; none where that has not
    /// been since the start. What only it knew is lost.
    pub fn state_aside(&self) -> Option<(PathBuf, Duration)> {
        self.state.as_ref().and_then(State::aside)
    }

    /// Counters now.
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            objects: self.table.len() as u64,
            object_bytes: self.table.bytes(),
            objects_evicted: self.table.evicted(),
            objects_max: self.table.objects_max(),
            objects_pinned: self.table.pinned(),
            pinned_bytes: self.table.pinned_bytes(),
            pinned_bytes_max: self.pin_room(),
            metadata_bytes: self.table.ram_bytes(),
            ram_used_bytes: self.ram.used_bytes(),
            ram_chunks: self.ram.chunks(),
            ram_written_bytes: self.ram.written_bytes(),
            ram_capacity_bytes: self.ram.capacity_bytes(),
            ram: TierStats {
                hits: self.ram.hits(),
                misses: self.ram.misses(),
                evictions: self.ram.evictions(),
            },
            disk: TierStats {
                hits: self.disk_hits.load(Ordering::Relaxed),
                misses: self.disk_misses.load(Ordering::Relaxed),
                evictions: 0,
            },
            not_admitted_bytes: self.not_admitted.load(Ordering::Relaxed),
            store: self.store.as_ref().map(|store| store.stats()),
            state: self.state.as_ref().map(State::stats),
        }
    }
}
