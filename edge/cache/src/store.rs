//! The port behind which a disk tier keeps chunks.

use std::fmt;

use futures::future::BoxFuture;

use crate::chunk::{Chunk, ChunkKey};

/// What a store did with a chunk it was offered. A refused chunk is only not kept: it can be
/// fetched again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Readable from now on, and on its way to the device.
    Accepted,
    /// The write buffer is full; taking more would lose chunks silently.
    Busy,
    /// The device is offline or full.
    Unavailable,
}

/// Counters since start, bytes of chunk data unless said otherwise.
/// Offered is accepted and refused together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Bytes of device the store may use.
    pub capacity_bytes: u64,
    /// Chunks taken.
    pub accepted_chunks: u64,
    /// Bytes taken.
    pub accepted_bytes: u64,
    /// Chunks not taken, whatever the reason.
    pub refused_chunks: u64,
    /// Bytes not taken.
    pub refused_bytes: u64,
    /// Chunks taken that did not get onto the device after all (a failed write).
    pub lost_chunks: u64,
    /// Reads that returned a verified chunk.
    pub read_hits: u64,
    /// Reads that did not.
    pub read_misses: u64,
    /// Bytes returned by reads.
    pub read_bytes: u64,
    /// Chunks that were found and did not verify; their readers got a miss.
    pub checksum_failures: u64,
    /// Reads and writes that the device failed.
    pub io_errors: u64,
    /// Bytes written to the device, its own overhead included.
    pub device_written_bytes: u64,
    /// Whether the device takes and gives chunks.
    pub online: bool,
}

/// A disk tier. Every chunk it returns was checked against its checksums first.
pub trait ChunkStore: Send + Sync + fmt::Debug + 'static {
    /// `None` for a chunk that is not there, or that was and did not verify (counted).
    fn read<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<Chunk>>;
    /// Never blocks.
    fn offer(&self, key: ChunkKey, chunk: Chunk) -> Admission;
    /// Afterwards the chunk is not found any more.
    fn remove(&self, key: &ChunkKey);
    /// Whether the chunk is probably there; never a false no for what was flushed.
    fn contains(&self, key: &ChunkKey) -> bool;
    /// Counters now.
    fn stats(&self) -> StoreStats;
    /// Resolves when everything accepted so far is on the device.
    fn flush(&self) -> BoxFuture<'_, ()>;
    /// Flushes and releases the device.
    fn close(&self) -> BoxFuture<'_, ()>;
}
