//! Disks that are late, or take no more reads, and what that does to objects of which nothing
//! can be asked for again: nothing.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, pending},
};
use http::header;
use parking_lot::Mutex;
use weir_benches_content::{Checker, Content, Expected};
use weir_config_lifecycle::clock::ManualClock;
use weir_edge_cache::{
    Admission, Cache, CacheConfig, Chunk, ChunkKey, ChunkStore, ObjectId, StoreStats,
};
use weir_edge_fill::{Engine, upstream::UpstreamError};

use crate::script::{MIB, Origin, Step, World, good};

static FILM: Content = Content { object: 9, version: 1, size: MIB + 12_345 };

#[derive(Debug, Clone, Copy, Default)]
enum Disk {
    #[default]
    Works,
    /// Reads do not return.
    Late,
    /// Reads are not taken.
    Busy,
    /// It has nothing any more.
    Empty,
}

#[derive(Debug, Default)]
struct Store {
    disk: Mutex<Disk>,
    chunks: Mutex<HashMap<ChunkKey, Chunk>>,
    /// Its buffer is full when this chunk comes, for so long.
    full_at: Option<(u32, Duration)>,
    emptied: AtomicBool,
}

impl ChunkStore for Store {
    fn read<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<Chunk>> {
        let disk = *self.disk.lock();
        match disk {
            Disk::Works => async move { self.chunks.lock().get(key).cloned() }.boxed(),
            Disk::Late => pending().boxed(),
            Disk::Busy | Disk::Empty => async { None }.boxed(),
        }
    }
    fn holds<'a>(&'a self, key: &'a ChunkKey) -> BoxFuture<'a, Option<bool>> {
        let disk = *self.disk.lock();
        match disk {
            Disk::Works => async move { Some(self.contains(key)) }.boxed(),
            Disk::Late => pending().boxed(),
            Disk::Busy => async { None }.boxed(),
            Disk::Empty => async { Some(false) }.boxed(),
        }
    }
    fn offer(&self, key: ChunkKey, chunk: Chunk) -> Admission {
        if self.full_at.is_some_and(|(index, _)| index == key.index)
            && !self.emptied.load(Ordering::Relaxed)
        {
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
        StoreStats { online: true, ..StoreStats::default() }
    }
    fn flush(&self) -> BoxFuture<'_, ()> {
        async {
            if let Some((_, time)) = self.full_at {
                tokio::time::sleep(time).await;
                self.emptied.store(true, Ordering::Relaxed);
            }
        }
        .boxed()
    }
    fn close(&self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}

/// A world over a disk, whose RAM holds a few chunks.
fn over(origin: Arc<Origin>, store: Arc<Store>) -> World {
    let config = CacheConfig { memory_bytes: 8 * MIB, state: None, metadata_objects_max: 10_000 };
    let cache = Cache::open_at(&config, Some(store), 1_700_000_000_000_000_000).unwrap();
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let runtime = tokio::runtime::Handle::current();
    let engine = Engine::new(Arc::new(cache), Arc::clone(&clock) as _, runtime, 64);
    World { engine, clock, origin }
}

#[tokio::test(start_paused = true)]
async fn an_object_without_a_validator_outlives_a_slow_disk() {
    let origin = Origin::new(|_, seen| {
        let mut reply = good(&FILM, seen);
        reply.headers.remove(header::ETAG);
        Ok(reply)
    });
    let store = Arc::new(Store::default());
    let world = over(origin, Arc::clone(&store));
    let (ask, cache) = (world.ask("/a"), world.engine.cache());
    world.read_right(&ask, &FILM).await;
    // Others push it out of RAM.
    let push_out = || {
        for index in 0..64 {
            let key = ChunkKey { object: ObjectId::of("/b"), generation: 1, index };
            cache.insert_chunk(key, Chunk::seal(Bytes::from(vec![7; 1 << 20])));
        }
    };
    for disk in [Disk::Late, Disk::Busy] {
        push_out();
        *store.disk.lock() = disk;
        let (bytes, end) = world.read(&ask).await;
        assert!(matches!(end, Err(UpstreamError::Refused { .. })), "{disk:?}: {end:?}");
        assert!(bytes.is_empty());
        *store.disk.lock() = Disk::Works;
        world.read_right(&ask, &FILM).await;
        assert_eq!(world.origin.requests(), 1, "{disk:?}: the object is there as before");
    }
    // What is gone can never be whole again: the next reader gets it anew.
    push_out();
    *store.disk.lock() = Disk::Empty;
    assert!(matches!(world.read(&ask).await.1, Err(UpstreamError::Contradiction { .. })));
    world.read_right(&ask, &FILM).await;
    assert_eq!(world.origin.requests(), 2);
}

/// A chunk that waits for a busy disk is in no tier yet. Whoever reads as fast as that finds it
/// where it waits, also when he has read what came before it from the cache.
#[tokio::test(start_paused = true)]
async fn nobody_is_cut_while_a_disk_is_busy() {
    static LONG: Content = Content { object: 10, version: 1, size: 7 * MIB + 12_345 };
    for piece in [64 << 10, 5 << 20] {
        let origin = Origin::new(move |_, seen| {
            let mut reply = good(&LONG, seen);
            reply.headers.remove(header::ETAG);
            let bytes = LONG.all();
            reply.steps = bytes.chunks(piece).map(|p| Step::Send(p.to_vec().into())).collect();
            Ok(reply)
        });
        let full_at = Some((4, Duration::from_secs(1)));
        let store = Arc::new(Store { full_at, ..Store::default() });
        let world = over(origin, store);
        let ask = world.ask("/a");
        let found = world.found(&ask).await;
        let reader = world.engine.open(&ask, &found, None).await.unwrap();
        let mut stream = Box::pin(reader.into_stream());
        // The fill comes to where the disk is full, and the reader is behind.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece.unwrap());
        }
        assert!(Checker::check(Expected::all(&LONG), &bytes).is_clean(), "{piece}");
        assert_eq!(world.origin.requests(), 1, "{piece}");
    }
}
