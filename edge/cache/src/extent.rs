//! The extent store: chunks of one disk in one preallocated file, behind [`ChunkStore`].
//!
//! The data file is cut into regions of a full chunk and its head; smaller chunks share one.
//! A chunk has a slot of its own, is evicted by itself, and never moves: nothing is written
//! twice. RAM knows fingerprint, slot and length of each chunk (16 bytes); its whole key and
//! checksums stand in front of it on disk and are checked at each read.
//!
//! Files, all together never more than the configured size: `weir-extent` (the superblock),
//! `data`, `manifest`. What was accepted is readable at once, is on its way to the kernel
//! within milliseconds, and survives a kill from then on.

mod entry;
mod geometry;
mod index;
mod manifest;
mod media;
mod pool;
mod read;
mod record;
mod scrub;
mod space;
mod state;
mod superblock;
mod writer;

use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use parking_lot::{Condvar, Mutex};

pub use self::geometry::SIZE_MIN;
use self::{
    geometry::{Geometry, PAGE, REGION},
    media::{Device, Files, Media},
    pool::Pool,
    read::slice,
    state::{Look, ROUND_CHUNKS, State},
    superblock::Superblock,
};
use crate::{
    chunk::{Chunk, ChunkKey, ObjectId},
    store::{
        Admission, ChunkStore, Health, Page, PinnedChunks, Pinning, PinsHeld, Scrubbed,
        StoreOpenError, StoreStats, Verdict,
    },
};

/// The least RAM a store's buffers may have.
pub const BUFFER_MIN: u64 = 8 << 20;
/// Reads a disk works on at once. Measured: 4 fill a fast disk with reads of 1 MiB.
const READERS: usize = 8;
/// Chunks it writes at once.
const WRITERS: usize = 4;
/// Reads that may wait; a chunk that finds no place is a miss.
const READS_MAX: usize = 4096;
/// Chunks in a page of a listing.
const PAGE_MAX: usize = 4096;

/// Bounds of one disk's store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtentConfig {
    /// Directory of its own; made when missing.
    pub path: PathBuf,
    /// Bytes of disk for all its files, from [`SIZE_MIN`] to 16 TiB. More than last time makes
    /// the store larger, less cuts off what lies behind.
    pub size_bytes: u64,
    /// RAM for chunks that wait to be written and for writing them, at least [`BUFFER_MIN`].
    /// The index has 16 bytes a chunk besides.
    pub buffer_bytes: u64,
    /// Name of this node. A store that another node made is refused.
    pub node: String,
    /// Id for the disk where a new store is made: random, and never used before.
    pub new_disk: u128,
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
    read_parts: AtomicU64,
    read_bytes: AtomicU64,
    checksum_failures: AtomicU64,
    index_losses: AtomicU64,
}

impl Counts {
    fn lost(&self, chunks: u64) {
        self.lost_chunks.fetch_add(chunks, Ordering::Relaxed);
    }

    fn read(&self, bytes: Option<usize>) {
        match bytes {
            Some(bytes) => {
                self.read_hits.fetch_add(1, Ordering::Relaxed);
                self.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            }
            None => {
                self.read_misses.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Shared by the store, its writer and its reads.
struct Inner {
    path: PathBuf,
    size_bytes: u64,
    disk: u128,
    geometry: Geometry,
    device: Device,
    state: Mutex<State>,
    /// There is something for the writer to do.
    wake: Condvar,
    counts: Counts,
    /// Held until the writer ends.
    lock: Mutex<Option<std::fs::File>>,
}

/// One disk's chunks. Dropping it lets running writes end.
pub struct ExtentStore {
    inner: Arc<Inner>,
    readers: Pool,
}

impl Device {
    fn count_written(&self, bytes: u64) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl ExtentStore {
    /// Opens the store in a directory with what it held before, or makes it there. Blocks: it
    /// reads the manifest, 12 bytes a chunk. The store has threads of its own, and callers may
    /// be on any runtime or none.
    pub fn open(config: ExtentConfig) -> Result<Self, StoreOpenError> {
        Self::open_on(config, |files| Box::new(files))
    }

    fn open_on(
        config: ExtentConfig,
        media: impl FnOnce(Files) -> Box<dyn Media>,
    ) -> Result<Self, StoreOpenError> {
        let ExtentConfig { path, size_bytes, buffer_bytes, node, new_disk } = config;
        for (what, given, least) in
            [("disk", size_bytes, SIZE_MIN), ("memory", buffer_bytes, BUFFER_MIN)]
        {
            if given < least {
                return Err(StoreOpenError::TooSmall { path, what, given, least });
            }
        }
        let Some(geometry) = Geometry::of(size_bytes) else {
            return Err(StoreOpenError::TooLarge { path, given: size_bytes, most: 16 << 40 });
        };
        let fail =
            |action| move |path: PathBuf, source| StoreOpenError::Io { path, action, source };
        let wanted = Superblock::new(&node, new_disk, geometry.slot_bits);
        let claim = superblock::claim(&path, &wanted)?;
        let (used, damaged) = (claim.superblock.is_some(), claim.damaged);
        let disk = match claim.superblock {
            Some(found) => found.disk,
            None => {
                superblock::make(&path, &wanted)
                    .map_err(|source| fail("make a store")(path.clone(), source))?;
                new_disk
            }
        };
        let files = Files::open(&path, geometry.data_bytes(), geometry.manifest_max())
            .map_err(|source| fail("take its room on the disk")(path.clone(), source))?;
        // Each writer has a buffer besides what waits.
        let scratch = WRITERS as u64 * (REGION + PAGE);
        let mut state = State::new(geometry, buffer_bytes - scratch);
        let loaded = load(&files, disk, &geometry, &mut state)
            .map_err(|source| fail("read the manifest")(path.clone(), source))?;
        let unsound = used && !loaded.is_some_and(|loaded| loaded.sound);
        if unsound {
            tracing::warn!(
                path = %path.display(),
                "chunk store: its manifest is gone or damaged; chunks that it does not name are \
                 lost, and will be fetched again"
            );
        }
        let log = writer::Log::after(loaded, disk);
        let chunks = state.space.counts().chunks;
        let inner = Arc::new(Inner {
            device: Device::new(path.clone(), media(files)),
            path: path.clone(),
            size_bytes,
            disk,
            geometry,
            state: Mutex::new(state),
            wake: Condvar::new(),
            counts: Counts {
                index_losses: AtomicU64::from(u64::from(damaged || unsound)),
                ..Counts::default()
            },
            lock: Mutex::new(Some(claim.lock)),
        });
        let store = start(inner, log).map_err(|source| fail("start")(path.clone(), source))?;
        tracing::info!(path = %path.display(), size_bytes, chunks, ?loaded, "chunk store open");
        Ok(store)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }
}

fn load(
    files: &Files,
    disk: u128,
    geometry: &Geometry,
    state: &mut State,
) -> io::Result<Option<manifest::Loaded>> {
    let Some(file) = files.manifest()? else { return Ok(None) };
    let from = io::BufReader::with_capacity(1 << 20, &file);
    let loaded = manifest::load(from, disk, geometry.manifest_max(), |item| state.replay(item))?;
    state.space.settle();
    if let Some(loaded) = loaded {
        files.go_on(file, loaded.end)?;
    }
    Ok(loaded)
}

fn start(inner: Arc<Inner>, log: writer::Log) -> io::Result<ExtentStore> {
    let readers = Pool::start("disk-read", READERS, READS_MAX)?;
    let writers = Pool::start("disk-write", WRITERS, ROUND_CHUNKS)?;
    let writing = inner.clone();
    thread::Builder::new()
        .name("disk-keep".into())
        .stack_size(256 << 10)
        .spawn(move || writer::run(&writing, writers, log))?;
    Ok(ExtentStore { inner, readers })
}

impl Inner {
    /// The writer's last act.
    fn end(&self) {
        self.device.close();
        // Whoever waits for the close may open the directory again.
        drop(self.lock.lock().take());
        self.state.lock().end();
    }
}

impl ChunkStore for ExtentStore {
    fn read<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<Chunk>> {
        async move {
            let found = match self.look(key, true) {
                Look::Waiting(chunk) => Some(chunk),
                Look::Absent => None,
                Look::At(..) => {
                    let key = *key;
                    self.read_with(move |inner| {
                        inner.load(&key, Some, |place| inner.read_whole(place)).found()
                    })
                    .await
                }
            };
            self.inner.counts.read(found.as_ref().map(|chunk| chunk.data().len()));
            found
        }
        .boxed()
    }

    fn read_part<'a>(
        &'a self,
        key: &'a ChunkKey,
        part: Range<u32>,
    ) -> BoxFuture<'a, Option<Bytes>> {
        async move {
            let found = match self.look(key, true) {
                Look::Waiting(chunk) => slice(&chunk, &part),
                Look::Absent => None,
                Look::At(..) => {
                    let key = *key;
                    self.read_with(move |inner| {
                        let waiting = |chunk| slice(&chunk, &part);
                        inner.load(&key, waiting, |place| inner.read_grains(place, &part)).found()
                    })
                    .await
                }
            };
            self.inner.counts.read(found.as_ref().map(Bytes::len));
            self.inner.counts.read_parts.fetch_add(found.is_some().into(), Ordering::Relaxed);
            found
        }
        .boxed()
    }

    fn offer(&self, key: ChunkKey, chunk: Chunk) -> Admission {
        let counts = &self.inner.counts;
        let bytes = chunk.data().len() as u64;
        let admission = if self.inner.device.online() {
            self.inner.state.lock().push(key, chunk)
        } else {
            Admission::Unavailable
        };
        if admission == Admission::Accepted {
            counts.accepted_chunks.fetch_add(1, Ordering::Relaxed);
            counts.accepted_bytes.fetch_add(bytes, Ordering::Relaxed);
            self.inner.wake.notify_one();
        } else {
            counts.refused_chunks.fetch_add(1, Ordering::Relaxed);
            counts.refused_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        admission
    }

    fn remove(&self, key: &ChunkKey) {
        self.inner.state.lock().remove(key);
        self.inner.wake.notify_one();
    }

    fn contains(&self, key: &ChunkKey) -> bool {
        self.inner.device.online() && self.inner.state.lock().contains(key)
    }

    fn holds<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<bool>> {
        self.holds_key(*key).boxed()
    }

    fn stats(&self) -> StoreStats {
        let counts = &self.inner.counts;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (space, index_bytes) = {
            let space = &self.inner.state.lock().space;
            (space.counts(), space.memory_bytes() as u64)
        };
        StoreStats {
            index_bytes,
            capacity_bytes: self.inner.size_bytes,
            accepted_chunks: get(&counts.accepted_chunks),
            accepted_bytes: get(&counts.accepted_bytes),
            refused_chunks: get(&counts.refused_chunks),
            refused_bytes: get(&counts.refused_bytes),
            lost_chunks: get(&counts.lost_chunks),
            read_hits: get(&counts.read_hits),
            read_misses: get(&counts.read_misses),
            read_parts: get(&counts.read_parts),
            read_bytes: get(&counts.read_bytes),
            device_read_bytes: get(&self.inner.device.read),
            checksum_failures: get(&counts.checksum_failures),
            index_losses: get(&counts.index_losses),
            io_errors: self.inner.device.health().errors,
            device_written_bytes: get(&self.inner.device.written),
            online: self.inner.device.online(),
            chunks: Some(space.chunks),
            used_bytes: Some(space.used),
            evicted_chunks: Some(space.evicted),
            pinned_bytes: space.pinned,
        }
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        let done = self.inner.state.lock().flush();
        self.inner.wake.notify_one();
        // An error is a writer that ended: nothing is left to flush.
        async move { done.await.unwrap_or(()) }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async move {
            let ended = self.inner.state.lock().close();
            self.inner.wake.notify_one();
            // An error is the end: the writer drops the sender.
            ended.await.unwrap_or(());
            self.readers.close();
        }
        .boxed()
    }

    fn pin(&self, object: &ObjectId, generation: u64, chunks: Range<u32>) -> Pinning {
        if !self.inner.device.online() {
            // Going offline: no reason not to pin elsewhere.
            return Pinning::Unsupported;
        }
        let pinning = self.inner.state.lock().pin(*object, generation, chunks);
        self.inner.wake.notify_one();
        pinning
    }

    fn unpin(&self, object: &ObjectId, generation: u64) -> bool {
        let was = self.inner.state.lock().unpin(*object, generation);
        self.inner.wake.notify_one();
        was
    }

    fn is_pinned(&self, object: &ObjectId, generation: u64) -> bool {
        self.inner.state.lock().has_pin(*object, generation)
    }

    fn pins(&self) -> PinsHeld {
        self.inner.state.lock().pins().iter().map(|pin| (pin.object, pin.generation)).collect()
    }

    fn align_pins(&self, held: &PinsHeld, wanted: &PinnedChunks) {
        if self.inner.device.online() && self.inner.state.lock().align(held, wanted) {
            self.inner.wake.notify_one();
        }
    }

    fn scrub(&self, cursor: u64, bytes: u64) -> BoxFuture<'_, Option<Scrubbed>> {
        self.read_with(move |inner| Some(inner.scrub(cursor, bytes))).boxed()
    }

    fn list(&self, cursor: u64, max: usize) -> BoxFuture<'_, Option<Page>> {
        async move {
            // A cursor that no page gave is an end.
            let Ok(cursor) = u32::try_from(cursor) else { return Some(Page::default()) };
            let (changes, at, next) = {
                let space = &self.inner.state.lock().space;
                let (changes, next) = space.walk(cursor, max.clamp(1, PAGE_MAX));
                let at: Vec<_> = changes.iter().map(|change| space.offset(change.slot)).collect();
                (changes, at, next)
            };
            let chunks = if changes.is_empty() {
                Some(Vec::new())
            } else {
                self.read_with(move |inner| Some(inner.listed(&changes, &at))).await
            };
            Some(Page { chunks: chunks.unwrap_or_default(), next: next.map(u64::from) })
        }
        .boxed()
    }

    fn verify<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Verdict> {
        self.verify_key(*key).boxed()
    }

    fn health(&self) -> Health {
        self.inner.device.health()
    }
}

impl Drop for ExtentStore {
    fn drop(&mut self) {
        drop(self.inner.state.lock().close());
        self.inner.wake.notify_one();
    }
}

impl fmt::Debug for ExtentStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtentStore")
            .field("path", &self.inner.path)
            .field("size_bytes", &self.inner.size_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
