//! The cache over a scripted store and a scripted disk.

use std::{
    collections::HashMap,
    io,
    sync::atomic::{AtomicBool, AtomicUsize},
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::*;
use crate::{
    object::tests::object,
    store::{Admission, StoreStats},
};

/// When the tests take place, in Unix nanoseconds.
const NOW: u64 = 1_700_000_000_000_000_000;

/// A store in memory whose reads wait until the test lets them through.
#[derive(Debug)]
struct Scripted {
    chunks: Mutex<HashMap<ChunkKey, Chunk>>,
    reads: AtomicUsize,
    let_through: Semaphore,
    /// Flushes until it takes anything.
    busy: AtomicUsize,
}

impl Scripted {
    fn new(let_through: usize) -> Arc<Self> {
        Arc::new(Self {
            chunks: Mutex::default(),
            reads: AtomicUsize::new(0),
            let_through: Semaphore::new(let_through),
            busy: AtomicUsize::new(0),
        })
    }
}

impl ChunkStore for Scripted {
    fn read<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<Chunk>> {
        async move {
            self.reads.fetch_add(1, Ordering::SeqCst);
            self.let_through.acquire().await.expect("never closed").forget();
            self.chunks.lock().get(key).cloned()
        }
        .boxed()
    }
    fn offer(&self, key: ChunkKey, chunk: Chunk) -> Admission {
        if self.busy.load(Ordering::SeqCst) > 0 {
            return Admission::Busy;
        }
        self.chunks.lock().insert(key, chunk);
        Admission::Accepted
    }
    fn remove(&self, key: &ChunkKey) {
        self.chunks.lock().remove(key);
    }
    fn contains(&self, key: &ChunkKey) -> bool {
        self.chunks.lock().contains_key(key)
    }
    fn stats(&self) -> StoreStats {
        StoreStats::default()
    }
    fn flush(&self) -> BoxFuture<'_, ()> {
        let less = |busy: usize| busy.checked_sub(1);
        let _was_free = self.busy.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
        async {}.boxed()
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}

fn config(memory_bytes: u64) -> CacheConfig {
    CacheConfig { memory_bytes, state: None, metadata_objects_max: 1000 }
}

fn chunk(byte: u8, length: usize) -> Chunk {
    Chunk::seal(Bytes::from(vec![byte; length]))
}

fn key(generation: u64, index: u32) -> ChunkKey {
    ChunkKey { object: ObjectId::of("a"), generation, index }
}

#[test]
fn another_key_of_the_same_hash_finds_nothing() {
    let cache = Cache::open_at(&config(1 << 20), None, NOW).unwrap();
    let stored = cache.put_object(object("a", 1, 1));
    assert_eq!(cache.object(&stored.id, "a"), Some(stored.clone()));
    assert_eq!(cache.object(&stored.id, "b"), None);
}

#[test]
fn ram_stays_within_its_bound() {
    let bound = 8 << 20;
    let cache = Cache::open_at(&config(bound), None, NOW).unwrap();
    for index in 0..100 {
        cache.insert_chunk(key(1, index), chunk(1, 1 << 20));
        let used = cache.stats().ram_used_bytes;
        assert!(used <= bound, "{used} after {index}");
    }
    let stats = cache.stats();
    assert!(stats.ram_used_bytes > bound / 2);
    let there = (0..100).filter(|index| cache.has_chunk(&key(1, *index)).is_some()).count();
    assert_eq!(there as u64, 100 - stats.ram.evictions);
}

#[test]
fn ram_counts_small_chunks_at_what_they_cost() {
    let cache = Cache::open_at(&config(1 << 20), None, NOW).unwrap();
    for index in 0..100_000 {
        cache.insert_chunk(key(1, index), chunk(1, 1));
    }
    let there = (0..100_000).filter(|index| cache.has_chunk(&key(1, *index)).is_some()).count();
    assert!(there < (1 << 20) / 300, "{there} one-byte chunks in a MiB");
}

#[test]
fn a_new_generation_frees_the_old_ones_ram() {
    let cache = Cache::open_at(&config(64 << 20), None, NOW).unwrap();
    cache.put_object(object("a", 1, 2 << 20));
    cache.insert_chunk(key(1, 0), chunk(1, 1 << 20));
    cache.insert_chunk(key(1, 1), chunk(1, 1 << 20));
    // Refreshed by a 304: same generation, same chunks.
    cache.put_object(object("a", 1, 2 << 20));
    assert_eq!(cache.has_chunk(&key(1, 1)), Some(Tier::Ram));
    cache.put_object(object("a", 2, 2 << 20));
    assert_eq!(cache.has_chunk(&key(1, 0)), None);
    assert_eq!(cache.stats().ram_used_bytes, 0);
}

/// Who read it has it then; the room of its disk is for what is wanted.
#[test]
fn what_was_replaced_leaves_its_disk_after_a_while() {
    let store = Scripted::new(0);
    let cache = Cache::open_at(&config(64 << 20), Some(store.clone()), NOW).unwrap();
    for generation in [1, 2] {
        cache.put_object(object("a", generation, 2 << 20));
        for index in 0..2 {
            store.offer(key(generation, index), chunk(1, 10));
        }
    }
    let held = || [1, 2].map(|generation| store.contains(&key(generation, 1)));
    for (now, old) in [(500_000, true), (559_999, true), (560_000, false), (900_000, false)] {
        cache.tick(now);
        assert_eq!(held(), [old, true], "{now}");
    }
    cache.remove_object(&ObjectId::of("a"));
    cache.tick(900_000);
    assert_eq!(held(), [false, true]);
    cache.tick(960_000);
    assert_eq!(held(), [false, false]);
    // A long one goes by and by.
    cache.put_object(object("a", 3, 1000 << 20));
    for index in 0..1000 {
        store.offer(key(3, index), chunk(1, 10));
    }
    cache.put_object(object("a", 4, 1));
    let some = || (0..1000).filter(|index| store.contains(&key(3, *index))).count();
    for (now, there) in [(1_000_000, 1000), (1_060_000, 488), (1_061_000, 0)] {
        cache.tick(now);
        assert_eq!(some(), there, "{now}");
    }
}

#[test]
fn discard_takes_a_tainted_fill_and_leaves_its_successor() {
    let store = Scripted::new(0);
    let cache = Cache::open_at(&config(64 << 20), Some(store), NOW).unwrap();
    let id = ObjectId::of("a");
    for generation in [1, 2] {
        cache.insert_chunk(key(generation, 0), chunk(1, 10));
    }
    cache.put_object(object("a", 2, 10));
    cache.discard_generation(&id, 1, 1);
    assert!(cache.object(&id, "a").is_some());
    assert_eq!(cache.has_chunk(&key(1, 0)), None);
    assert_eq!(cache.has_chunk(&key(2, 0)), Some(Tier::Ram));
    cache.discard_generation(&id, 2, 1);
    assert_eq!(cache.object(&id, "a"), None);
    assert_eq!(cache.has_chunk(&key(2, 0)), None);
}

#[test]
fn purge_says_what_it_took() {
    let cache = Cache::open_at(&config(1 << 20), None, NOW).unwrap();
    let id = cache.put_object(object("a", 1, 123)).id;
    assert_eq!(cache.purge(&id), Some(Purged { objects: 1, bytes: 123 }));
    assert_eq!(cache.purge(&id), None);
    assert_eq!(cache.object(&id, "a"), None);
}

#[tokio::test]
async fn many_readers_of_a_chunk_make_one_disk_read() {
    let store = Scripted::new(0);
    let cache = Arc::new(Cache::open_at(&config(64 << 20), Some(store.clone()), NOW).unwrap());
    store.offer(key(1, 0), chunk(7, 100));
    let readers: Vec<_> = (0..50)
        .map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.disk_chunk(&key(1, 0)).await })
        })
        .collect();
    while store.reads.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    // All of them have had their turn on this one thread and wait for the same read.
    tokio::task::yield_now().await;
    store.let_through.add_permits(1);
    for reader in readers {
        assert_eq!(reader.await.unwrap().unwrap().data(), chunk(7, 100).data());
    }
    assert_eq!(store.reads.load(Ordering::SeqCst), 1);
    assert_eq!(cache.reads.len(), 0);
    // And it is in RAM now.
    assert!(cache.ram_chunk(&key(1, 0)).is_some());
    assert_eq!(cache.stats().disk, TierStats { hits: 50, misses: 0, evictions: 0 });
}

#[tokio::test]
async fn a_reader_that_leaves_takes_nobody_along() {
    let store = Scripted::new(0);
    let cache = Cache::open_at(&config(64 << 20), Some(store.clone()), NOW).unwrap();
    store.offer(key(1, 0), chunk(7, 100));
    let wanted = key(1, 0);
    let mut first = Box::pin(cache.disk_chunk(&wanted));
    let mut second = Box::pin(cache.disk_chunk(&wanted));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    drop(first);
    store.let_through.add_permits(1);
    assert!(second.await.is_some());
    assert_eq!(store.reads.load(Ordering::SeqCst), 1);

    // All leave: the next one starts anew.
    let mut third = Box::pin(cache.disk_chunk(&wanted));
    assert!(third.as_mut().now_or_never().is_none());
    drop(third);
    assert_eq!(cache.reads.len(), 0);
    store.let_through.add_permits(1);
    assert!(cache.disk_chunk(&wanted).await.is_some());
}

#[tokio::test]
async fn generations_never_come_twice() {
    let directory = tempfile::tempdir().unwrap();
    let config =
        CacheConfig { state: Some(directory.path().join("state.redb")), ..config(1 << 20) };
    let mut last = 0;
    // The third process finds the clock set back, the fourth no state file.
    for (clock, state) in [(1000, true), (2000, true), (500, true), (1 << 40, false)] {
        if !state {
            std::fs::remove_file(directory.path().join("state.redb")).unwrap();
        }
        let cache = Cache::open_at(&config, None, clock).unwrap();
        for _ in 0..10 {
            let next = cache.next_generation();
            assert!(next > last, "{next} after {last}");
            last = next;
        }
        // No close: what matters was written before the first was handed out.
    }
}

/// redb over memory, with a disk that can be full.
#[derive(Debug, Clone)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    full: Arc<AtomicBool>,
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.bytes.lock()[offset..offset + out.len()]);
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.lock().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let offset = usize::try_from(offset).unwrap();
        self.bytes.lock()[offset..offset + data.len()].copy_from_slice(data);
        Ok(())
    }
}

#[tokio::test]
async fn a_full_disk_under_the_state_file_costs_no_answer_and_nothing_later() {
    let disk = Disk { bytes: Arc::default(), full: Arc::default() };
    let directory = tempfile::tempdir().unwrap();
    let config = CacheConfig { state: Some(directory.path().join("state")), ..config(1 << 20) };
    let opener: Opener = {
        let disk = disk.clone();
        Arc::new(move |_| redb::Builder::new().create_with_backend(disk.clone()))
    };
    let cache = Cache::open_with(&config, None, 1, opener.clone()).unwrap();
    cache.put_object(object("before", 1, 1));
    cache.put_object(object("purged", 2, 1));
    cache.flush().await;
    disk.full.store(true, Ordering::SeqCst);
    for number in 0..100 {
        cache.put_object(object(&format!("{number}"), 3, 1));
    }
    cache.purge(&ObjectId::of("purged")).unwrap();
    cache.flush().await;
    let stats = cache.stats();
    assert!(stats.state.unwrap().errors > 0);
    assert!(cache.state_failure().is_some(), "it is told, and not only counted");
    assert_eq!((stats.objects, stats.state.unwrap().pending), (101, 101));
    assert!(cache.object(&ObjectId::of("7"), "7").is_some());

    disk.full.store(false, Ordering::SeqCst);
    cache.flush().await;
    assert_eq!(cache.stats().state.unwrap().pending, 0);
    assert_eq!(cache.state_failure(), None);
    cache.close().await;
    let cache = Cache::open_with(&config, None, 1, opener).unwrap();
    cache.recovered().await;
    assert_eq!(cache.stats().objects, 101);
    assert!(cache.object(&ObjectId::of("before"), "before").is_some());
    assert!(cache.object(&ObjectId::of("purged"), "purged").is_none());
}

#[tokio::test]
async fn what_cannot_be_fetched_again_waits_for_a_busy_store() {
    for (flushes, kept) in [(0, true), (3, true), (1_000, false)] {
        let store = Scripted::new(1);
        store.busy.store(flushes, Ordering::SeqCst);
        let config = CacheConfig { memory_bytes: 8 << 20, state: None, metadata_objects_max: 10 };
        let cache = Cache::open_at(&config, Some(store.clone()), NOW).unwrap();
        let key = ChunkKey { object: ObjectId(1), generation: 1, index: 0 };
        cache.insert_for_good(key, Chunk::seal(Bytes::from_static(b"once"))).await;
        assert_eq!(store.contains(&key), kept, "{flushes}");
        assert!(cache.ram_chunk(&key).is_some(), "{flushes}");
    }
}
