//! The first disk tier: foyer's block engine behind [`ChunkStore`].
//!
//! foyer evicts whole blocks first in, first out, drops what its flush buffer has no room
//! for without a word, and answers "not there" alike for a miss and for bytes that rotted.
//! So a [gate](gate) of ours hands it no more than it can take and looks afterwards, the
//! directory carries a [marker], and a record is checked twice, by foyer's hash over key and
//! value and by the chunk's own checksums.
//!
//! What was flushed survives a kill, not a power cut: foyer never calls fsync. What a cut
//! tears is found by its checksums and is a miss.

mod gate;
mod marker;
mod record;

use std::{
    fmt, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use foyer::{
    BlockEngineConfig, DeviceBuilder, FsDeviceBuilder, HybridCache, HybridCacheBuilder,
    HybridCachePolicy, Load, PsyncIoEngineConfig, RecoverMode, Spawner,
};
use futures::{FutureExt, future::BoxFuture};
use parking_lot::{Mutex, RwLock};
use tokio::{runtime::Handle, sync::Notify};

use self::{gate::Queue, marker::Geometry, record::Stored};
use crate::{
    chunk::{CHUNK_SIZE, Chunk, ChunkKey},
    store::{Admission, ChunkStore, StoreOpenError, StoreStats},
};

/// The least a store may have: eight blocks of 4 MiB.
pub const SIZE_MIN: u64 = 32 << 20;
/// The least RAM its buffers may have.
pub const BUFFER_MIN: u64 = 8 << 20;
const BLOCK_MIN: u64 = 4 << 20;
/// Fewer, larger writes and less waste at a block's end (half a chunk on average).
const BLOCK_MAX: u64 = 64 << 20;
/// Blocks a store has at least, since foyer evicts whole ones.
const BLOCKS_MIN: u64 = 8;

type Engine = HybridCache<ChunkKey, Stored>;

/// Bounds of one disk's store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoyerConfig {
    /// Directory of its own; made when missing.
    pub path: PathBuf,
    /// Bytes of disk it may use, at least [`SIZE_MIN`]. Another size than last time starts
    /// an empty store.
    pub size_bytes: u64,
    /// RAM for its write buffers and queue together, at least [`BUFFER_MIN`].
    pub buffer_bytes: u64,
}

#[derive(Debug, Default)]
struct Counts {
    accepted_chunks: AtomicU64,
    accepted_bytes: AtomicU64,
    refused_chunks: AtomicU64,
    refused_bytes: AtomicU64,
    lost_chunks: AtomicU64,
    read_hits: AtomicU64,
    read_misses: AtomicU64,
    read_bytes: AtomicU64,
    checksum_failures: AtomicU64,
    io_errors: AtomicU64,
}

/// Shared by the store, its gate and its reads.
struct Inner {
    path: PathBuf,
    size_bytes: u64,
    /// Taken out by `close`.
    engine: RwLock<Option<Engine>>,
    queue: Mutex<Queue>,
    /// There is something for the gate to do.
    wake: Notify,
    /// The gate has ended and the device is released.
    ended: Notify,
    online: AtomicBool,
    counts: Counts,
}

/// One disk's chunks. Cheap to share in an `Arc`; dropping it lets running writes end.
pub struct FoyerStore {
    inner: Arc<Inner>,
    handle: Handle,
}

impl FoyerStore {
    /// Opens the store in a directory, with what it held before where size and format are
    /// the same. All its work, reads included, runs on the runtime of `handle`; callers may
    /// be on any other.
    pub async fn open(config: FoyerConfig, handle: Handle) -> Result<Self, StoreOpenError> {
        let (spawner, path) = (handle.clone(), config.path.clone());
        let opening = handle.spawn(async move { Inner::open(config, spawner).await });
        // It panicked over what it found, or its runtime ended.
        let (inner, lock) = opening
            .await
            .map_err(|source| StoreOpenError::Engine { path, source: source.into() })??;
        let inner = Arc::new(inner);
        handle.spawn(gate::run(inner.clone(), lock));
        Ok(Self { inner, handle })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }
}

impl Inner {
    async fn open(
        config: FoyerConfig,
        handle: Handle,
    ) -> Result<(Self, std::fs::File), StoreOpenError> {
        let FoyerConfig { path, size_bytes, buffer_bytes } = config;
        for (what, given, least) in
            [("disk", size_bytes, SIZE_MIN), ("memory", buffer_bytes, BUFFER_MIN)]
        {
            if given < least {
                return Err(StoreOpenError::TooSmall { path, what, given, least });
            }
        }
        let block = 1 << (size_bytes / BLOCKS_MIN).clamp(BLOCK_MIN, BLOCK_MAX).ilog2();
        let lock = marker::claim(&path, Geometry { size: size_bytes, block })?;
        let direct = takes_direct(&path).map_err(|source| StoreOpenError::Io {
            path: path.clone(),
            action: "make a file",
            source,
        })?;
        // foyer holds two buffers of this size; a quarter of the budget is our own queue.
        let pool = usize::try_from(buffer_bytes / 8 * 3).unwrap_or(usize::MAX);
        let engine =
            start(&path, size_bytes, block, pool, direct, handle).await.map_err(|source| {
                StoreOpenError::Engine { path: path.clone(), source: source.into() }
            })?;
        tracing::info!(path = %path.display(), size_bytes, block, direct, "chunk store open");
        let queue = Queue::new(buffer_bytes / 4, pool as u64 / 4);
        let inner = Self {
            path,
            size_bytes,
            engine: RwLock::new(Some(engine)),
            queue: Mutex::new(queue),
            wake: Notify::new(),
            ended: Notify::new(),
            online: AtomicBool::new(true),
            counts: Counts::default(),
        };
        Ok((inner, lock))
    }

    fn engine(&self) -> Option<Engine> {
        self.engine.read().clone()
    }

    /// Reads past the queue.
    async fn load(&self, key: &ChunkKey) -> Option<Chunk> {
        let engine = self.engine()?;
        let storage = engine.storage();
        let there = storage.may_contains(key);
        let stored = match storage.load(key).await {
            Ok(Load::Entry { value, .. }) => Some(value),
            Ok(Load::Piece { piece, .. }) => Some(piece.value().clone()),
            Ok(Load::Throttled) => None,
            Ok(Load::Miss) => {
                // foyer found a record that does not verify and dropped it from its index.
                // (Or it evicted the block in this very moment; that is rare, and seldom
                // enough to be counted here rather than missed.)
                if there && !storage.may_contains(key) {
                    self.count_rot(key);
                }
                None
            }
            Err(error) => {
                self.counts.io_errors.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(path = %self.path.display(), %error, "chunk store: read failed");
                None
            }
        }?;
        let chunk = stored.verified();
        if chunk.is_none() {
            self.count_rot(key);
            storage.delete(key);
        }
        chunk
    }

    fn count_rot(&self, key: &ChunkKey) {
        self.counts.checksum_failures.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(path = %self.path.display(), ?key, "chunk store: a chunk did not verify");
    }
}

/// Builds foyer's engine over the directory and recovers what is in it.
async fn start(
    path: &Path,
    size: u64,
    block: u64,
    pool: usize,
    direct: bool,
    handle: Handle,
) -> foyer::Result<Engine> {
    let device = FsDeviceBuilder::new(path)
        .with_capacity(usize::try_from(size).unwrap_or(usize::MAX))
        .with_direct(direct)
        .build()?;
    let engine = BlockEngineConfig::new(device)
        .with_block_size(usize::try_from(block).unwrap_or(usize::MAX))
        .with_buffer_pool_size(pool)
        // The gate keeps below this; foyer must never be the one who drops.
        .with_submit_queue_size_threshold(pool.saturating_mul(2))
        // Without it a removed chunk comes back after a restart.
        .with_tombstone_log(true);
    HybridCacheBuilder::new()
        .with_name("chunks")
        .with_policy(HybridCachePolicy::WriteOnInsertion)
        .with_flush_on_close(false)
        // Every chunk goes to the disk only; the RAM tier is not foyer's hybrid one.
        .memory(CHUNK_SIZE)
        .with_shards(16)
        .storage()
        // The io_uring engine burns a core when idle and takes short reads for full ones.
        .with_io_engine_config(PsyncIoEngineConfig::new())
        .with_engine_config(engine)
        .with_recover_mode(RecoverMode::Quiet)
        .with_spawner(Spawner::from(handle))
        .build()
        .await
}

/// Whether the file system takes O_DIRECT (foyer adds O_NOATIME, which wants our own file).
fn takes_direct(path: &Path) -> io::Result<bool> {
    let probe = path.join(marker::PROBE);
    std::fs::File::create(&probe)?;
    let opened = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_DIRECT | libc::O_NOATIME)
        .open(&probe);
    std::fs::remove_file(&probe)?;
    Ok(opened.is_ok())
}

impl ChunkStore for FoyerStore {
    fn read<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<Chunk>> {
        let counts = &self.inner.counts;
        let (inner, key) = (self.inner.clone(), *key);
        async move {
            let waiting = inner.queue.lock().look(&key);
            let found = match waiting {
                gate::Look::Waiting(chunk) => Some(chunk),
                gate::Look::Removed => None,
                gate::Look::Unknown if !inner.online.load(Ordering::Relaxed) => None,
                // Hashing and copying a chunk takes longer than a worker should be away.
                gate::Look::Unknown => {
                    let load = self.handle.spawn(async move { inner.load(&key).await });
                    load.await.unwrap_or_else(|_| {
                        counts.io_errors.fetch_add(1, Ordering::Relaxed);
                        None
                    })
                }
            };
            match &found {
                Some(chunk) => {
                    counts.read_hits.fetch_add(1, Ordering::Relaxed);
                    counts.read_bytes.fetch_add(chunk.data().len() as u64, Ordering::Relaxed);
                }
                None => {
                    counts.read_misses.fetch_add(1, Ordering::Relaxed);
                }
            }
            found
        }
        .boxed()
    }

    fn offer(&self, key: ChunkKey, chunk: Chunk) -> Admission {
        let counts = &self.inner.counts;
        let bytes = chunk.data().len() as u64;
        let admission = if self.inner.online.load(Ordering::Relaxed) {
            self.inner.queue.lock().push(key, chunk)
        } else {
            Admission::Unavailable
        };
        let (chunks, sum) = if admission == Admission::Accepted {
            self.inner.wake.notify_one();
            (&counts.accepted_chunks, &counts.accepted_bytes)
        } else {
            (&counts.refused_chunks, &counts.refused_bytes)
        };
        chunks.fetch_add(1, Ordering::Relaxed);
        sum.fetch_add(bytes, Ordering::Relaxed);
        admission
    }

    fn remove(&self, key: &ChunkKey) {
        let Some(engine) = self.inner.engine() else { return };
        // Under the lock: the gate must not hand the chunk over after the tombstone.
        let mut queue = self.inner.queue.lock();
        queue.remove(key);
        engine.storage().delete(key);
        drop(queue);
        self.inner.wake.notify_one();
    }

    fn contains(&self, key: &ChunkKey) -> bool {
        match self.inner.queue.lock().look(key) {
            gate::Look::Waiting(_) => return true,
            gate::Look::Removed => return false,
            gate::Look::Unknown => {}
        }
        self.inner.online.load(Ordering::Relaxed)
            && self.inner.engine().is_some_and(|engine| engine.storage().may_contains(key))
    }

    fn stats(&self) -> StoreStats {
        let counts = &self.inner.counts;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreStats {
            capacity_bytes: self.inner.size_bytes,
            accepted_chunks: get(&counts.accepted_chunks),
            accepted_bytes: get(&counts.accepted_bytes),
            refused_chunks: get(&counts.refused_chunks),
            refused_bytes: get(&counts.refused_bytes),
            lost_chunks: get(&counts.lost_chunks),
            read_hits: get(&counts.read_hits),
            read_misses: get(&counts.read_misses),
            read_bytes: get(&counts.read_bytes),
            checksum_failures: get(&counts.checksum_failures),
            io_errors: get(&counts.io_errors),
            device_written_bytes: self
                .inner
                .engine()
                .map_or(0, |engine| engine.statistics().disk_write_bytes() as u64),
            online: get_online(&self.inner),
            // foyer evicts whole blocks and tells nobody what was in them.
            ..StoreStats::default()
        }
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        let done = self.inner.queue.lock().wait();
        self.inner.wake.notify_one();
        async move {
            if let Some(done) = done {
                // An error is a gate that ended: nothing is left to flush.
                let _ = done.await;
            }
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            let ended = self.inner.ended.notified();
            tokio::pin!(ended);
            // Registered before the gate can end.
            ended.as_mut().enable();
            let first = self.inner.queue.lock().close();
            self.inner.wake.notify_one();
            if first {
                ended.await;
            }
        }
        .boxed()
    }
}

fn get_online(inner: &Inner) -> bool {
    inner.online.load(Ordering::Relaxed) && inner.engine.read().is_some()
}

impl Drop for FoyerStore {
    fn drop(&mut self) {
        self.inner.queue.lock().close();
        self.inner.wake.notify_one();
    }
}

impl fmt::Debug for FoyerStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoyerStore")
            .field("path", &self.inner.path)
            .field("size_bytes", &self.inner.size_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the gate sees of a store whose engine is not there.
    pub(super) fn without_engine() -> Inner {
        Inner {
            path: PathBuf::from("disk0"),
            size_bytes: SIZE_MIN,
            engine: RwLock::new(None),
            queue: Mutex::new(Queue::new(1, 1)),
            wake: Notify::new(),
            ended: Notify::new(),
            online: AtomicBool::new(true),
            counts: Counts::default(),
        }
    }
}
